"""One spelling for many: width, case, accents and digits folded, one character for one character.

`１３８ Ｓòng` -> `138 song`: offsets stay, which NFKC on whole strings does not promise (℃ becomes °C).
Circled, raised and Roman digits keep their shape: ①138… is a list item and a phone, 10⁹ is no 109.
"""

import re
import unicodedata
from dataclasses import dataclass

CHINESE = r"\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003134f"
_SAME_SHAPE = ("<wide>", "<narrow>", "<font>", "<noBreak>")
_DIGIT_WORDS = "零〇一二三四五六七八九壹贰叁肆伍陆柒捌玖幺○◯两"
_DIGITS = str.maketrans(_DIGIT_WORDS, "00123456789123456789100" + "2")
_INVISIBLE = r"\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\u0300-\u036f"
_GAPS = re.compile(rf"[\s{_INVISIBLE}·•・‧^*＊_]+")
_NO_LETTER_OR_DIGIT = re.compile(rf"[^a-z0-9{CHINESE}]+")
# 二〇二〇年 after a number is a year.
_CHINESE_NUMBER = re.compile(
    rf"[{_DIGIT_WORDS}0-9](?:(?:[^\w\n]|_){{0,3}}+[{_DIGIT_WORDS}0-9]){{6,}}(?![{_DIGIT_WORDS}0-9\s]*年)"
)


def _fold_character(c: str) -> str:
    try:
        return str(unicodedata.decimal(c))
    except ValueError:
        pass
    how = unicodedata.decomposition(c)
    folded = unicodedata.normalize("NFKC", c) if how.startswith(_SAME_SHAPE) else c
    if how and not how.startswith("<"):
        # An accented letter becomes the letter, a compatibility ideograph its standard form.
        first = unicodedata.normalize("NFD", c)[0]
        folded = (
            first if first.isascii() and first.isalpha() or "CJK COMPAT" in unicodedata.name(c, "") else c
        )
    folded = folded.casefold()
    return folded if len(folded) == 1 else c


class _Table(dict[int, str | int]):
    """Filled as characters are met: most of Unicode never is."""

    def __missing__(self, code: int) -> str | int:
        folded = _fold_character(chr(code))
        self[code] = folded if folded != chr(code) else code
        return self[code]


_TABLE = _Table()


def fold(text: str) -> str:
    """Width, case, accents and decimal digits folded; the length stays."""
    return text.translate(_TABLE)


@dataclass(frozen=True)
class View:
    """A text without the characters that people put between letters, and where each character stood."""

    text: str
    places: tuple[int, ...] | range

    def span(self, start: int, end: int) -> tuple[int, int]:
        """[start, end) of the view as offsets of the original."""
        return self.places[start], self.places[end - 1] + 1


def without_gaps(folded: str) -> View:
    """No white space, no invisible characters, no name dots."""
    return _dropped(folded, _GAPS)


def letters_and_digits(folded: str) -> View:
    """Nothing but letters, digits and Chinese characters; Chinese digits are digits."""
    return _dropped(digits_of_words(folded), _NO_LETTER_OR_DIGIT)


def digits_of_words(folded: str) -> str:
    """Runs of seven and more digit words become digits: 一三八… -> 138…; 三 in running text stays."""
    return _CHINESE_NUMBER.sub(lambda found: found[0].translate(_DIGITS), folded)


def _dropped(text: str, what: re.Pattern[str]) -> View:
    kept: list[str] = []
    places: list[int] = []
    at = 0
    for gap in what.finditer(text):
        kept.append(text[at : gap.start()])
        places.extend(range(at, gap.start()))
        at = gap.end()
    if not kept:
        return View(text, range(len(text)))
    kept.append(text[at:])
    places.extend(range(at, len(text)))
    return View("".join(kept), tuple(places))
