"""Identity cards, phones and bank cards: every digit in any width, Chinese or not, with anything between.

430104201909219776, ４３０１０４…, 4301 0420 1909 2197 76, 430104-20190921-9776, 138.7189.6132, 一三八…
"""

import re
from collections.abc import Callable, Iterator
from datetime import date

_DASHES = r"\-\u2010-\u2015\u2212\ufe58\ufe63_"
_INVISIBLE = r"\u200b-\u200f\u2060\ufeff"
# What people put between the digits of one number; for cards, whose checksum speaks, anything.
_S = rf"[\s.·•{_DASHES}{_INVISIBLE}]{{0,3}}"
_ANY = r"[^0-9a-z\u3400-\u9fff\n]{0,3}"
_ID_18 = re.compile(rf"(?<!\d)[1-9](?:{_ANY}\d){{16}}{_ANY}[\dx](?!\d)")
_ID_15 = re.compile(rf"(?<!\d)[1-6]\d{{5}}[\s{_DASHES}]?\d{{6}}[\s{_DASHES}]?\d{{3}}(?!\d|\.\d|-\d)")
_MOBILE = re.compile(rf"(?<!\d)(?:\(?(?:\+|00)?86\)?{_S}|0)?1{_S}[3-9](?:{_S}\d){{9}}(?!\d|\.\d)")
_MOBILE_IN_PARTS = re.compile(r"(?<!\d)1[3-9]\d([^\w\n]{1,3})\d{4}\1\d{4}(?!\d|\.\d)")
_MOBILE_BY_DIGITS = re.compile(r"(?<!\d)1([^\w\n]{1,3}|_)[3-9](?:\1\d){9}(?!\1?\d)")
# O for 0, l or I for 1: what a picture's reader or a tired hand makes of a long number.
_MISREAD = re.compile(r"(?<![a-z0-9])(?=[oil]*(?:\d[oil]*){6})(?=\d*[oil])[\doil]{11,18}x?(?![a-z0-9])")
_READ = str.maketrans("oil", "011")
_LANDLINE = re.compile(
    r"(?<![\d.])(?:(?:\+|00)?86[\s\-]?)?(?:\(0(?:10|2\d|[3-9]\d\d)\)|0(?:10|2\d|[3-9]\d\d)\)?|"
    r"(?<=\+86[\s\-])(?:10|2\d|[3-9]\d\d))[\s\-—–]{0,2}[2-9]\d{2,4}[\s\-—–]?\d{4}"
    r"(?:\s?[-—转]\s?\d{1,5})?(?!\d)|(?<![\d.])[48]00[\s\-]?\d{3,4}[\s\-]?\d{3,4}(?!\d)"
)
_BANK = re.compile(rf"(?<![\d.])[3-6](?:[\s·•.{_DASHES}{_INVISIBLE}]{{0,2}}\d){{14,18}}(?![\d.])")
_BANK_BY_DIGITS = re.compile(r"(?<![\d.])[3-6]([\s\-·.—–])\d(?:\1\d){13,17}(?!\1?\d)")
_DECIMALS = re.compile(r"\d\.\d(?!\d).*\d\.\d(?!\d)|\d[\s,]+\d{1,3}\.\d")
_BETWEEN = re.compile(r"[^0-9a-z]+")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def identity_number_spans(digits: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind); what has been read is not read again as a part of something else.

    Args:
      digits: folded text in which Chinese numerals of numbers are digits (folding.digits_of_words).
    """
    digits = _MISREAD.sub(lambda found: found[0].translate(_READ), digits)
    for kind, pattern, accepts in _CHECKED:
        at = 0
        while found := pattern.search(digits, at):
            start, end = found.span()
            if not accepts(found[0]):
                # The number may begin later in what was found: `1234567 4 3 0 1 0 4 …`.
                at = start + 1
                continue
            yield start, end, kind
            digits = digits[:start] + "#" * (end - start) + digits[end:]
            at = end


def holds_identity_number(digits: str) -> bool:
    """True when a valid identity card or a mobile phone is in the text; `digits` as above."""
    return next((True for *_, kind in identity_number_spans(digits) if kind in ("id_number", "phone")), False)


def _squeezed(text: str) -> str:
    return _BETWEEN.sub("", text)


def _is_identity_card(number: str) -> bool:
    """GB 11643: the birth date is a date and the last character is the checksum mod 11-2."""
    if not _has_birth_date(number[6:14]):
        return False
    rest = sum(int(c) * w for c, w in zip(number[:17], _WEIGHTS, strict=True)) % 11
    return number[17] == "10x98765432"[rest]


def _has_birth_date(digits: str) -> bool:
    try:
        return 1880 <= date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year <= 2060
    except ValueError:
        return False


def _no_decimals(text: str) -> bool:
    """Measurements in a row are no number; the same sign between all digits, or between groups, is."""
    return (
        len(set(_BETWEEN.findall(text))) < 2
        and not re.search(r"\d \d\d? \d{3}", text)
        or not _DECIMALS.search(text)
    )


def _card_18(text: str) -> bool:
    number = _squeezed(text)
    if _is_identity_card(number):
        return True
    return (
        bool(re.fullmatch(rf"\d(?:{_S}[\dx])+", text))
        and _no_decimals(text)
        and _has_birth_date(number[6:14])
    )


def _card_15(text: str) -> bool:
    return _no_decimals(text) and _has_birth_date("19" + _squeezed(text)[6:12])


def _any(text: str) -> bool:
    return bool(text)


_CHECKED: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("id_number", _ID_18, _card_18),
    ("id_number", _ID_15, _card_15),
    ("number", _BANK_BY_DIGITS, _any),
    ("phone", _MOBILE, _no_decimals),
    ("phone", _MOBILE_IN_PARTS, _any),
    ("phone", _MOBILE_BY_DIGITS, _any),
    ("phone", _LANDLINE, _no_decimals),
    ("number", _BANK, _no_decimals),
)
