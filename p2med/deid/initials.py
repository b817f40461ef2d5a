"""Initials: W.J.Y, 签：HXL, 患儿LZX; told by their dots or by who is spoken of.

An abbreviation of medicine is none: 患儿CRP, T-SPOT.
"""

import re
from collections.abc import Iterator

from p2med.deid.keep import LATIN_WORDS

# No syllable begins with i, u or v; IV, UA and the like are none.
_LETTER = "[A-HJ-TW-Z]"
_LETTERS = rf"(?P<value>{_LETTER}{{2,4}})(?![A-Za-z0-9\-+])"
_DOTTED = re.compile(
    rf"(?<![A-Za-z0-9.])(?P<value>{_LETTER}\.(?:{_LETTER}\.){{1,3}}|{_LETTER}\.{_LETTER}(?:\.{_LETTER})?)(?![A-Za-z0-9])"
)
_SIGNED = re.compile(
    r"(?:(?:签|签名|签字|医[师生]|护士|录入|审核|记录|核对?|[者员]|责护|执行)[\s:：]{1,3}|签[:：]?|—\s?|录入|核[:：])"
    + _LETTERS
    + r"(?=\s*(?:$|\n|[。，,、/]|\s{2}|\d))"
)
_OF_A_PERSON = re.compile(
    r"(?:患[儿者]|受试者|受[者检]者?|供者|[父母]亲?|[儿孕产]妇?|代码|姓名)[\s:：]{0,2}"
    + _LETTERS
    + r"(?=[,，、;；。\s姐兄弟妹的）)(（])"
)
_AT_THE_END = re.compile(
    rf"(?:\d:\d\d\s|(?<=[\u3400-\u9fff）)\dg])\s{{1,3}}|。\s{{0,3}}){_LETTERS}(?=\s*(?:$|\n))"
)
_AT_THE_START = re.compile(rf"(?:^|\n){_LETTERS}(?=[,，]\s?(?:[男女MF]|\d))")
_BEFORE = re.compile(
    r"(?<![A-Za-z0-9\-])"
    + _LETTERS
    + r"(?=请假|姐弟|兄弟|姐妹|兄妹|同学|小朋友|妈妈|爸爸|家长|护士|医[师生]|老师)"
)
_NEXT = re.compile(rf"[、/,，]\s?{_LETTERS}")
_NOBODY = frozenset("am pm dc us ec ph ed ps pt co op rx dx tx hx sx nb bp pr rr hr ok".split())


def initial_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of initials; `text` as written, because only capitals are initials."""
    for found in _DOTTED.finditer(text):
        if found["value"].replace(".", "").lower() not in _NOBODY:
            yield found.span("value")
            if (other := _NEXT.match(text, found.end())) and _is_nobodys(other["value"]):
                yield other.span("value")
    for pattern in (_SIGNED, _OF_A_PERSON, _AT_THE_END, _AT_THE_START, _BEFORE):
        for found in pattern.finditer(text):
            while found and _is_nobodys(found["value"]):
                yield found.span("value")
                found = _NEXT.match(text, found.end("value"))


def _is_nobodys(letters: str) -> bool:
    """True when the letters stand for no term."""
    return letters.lower() not in LATIN_WORDS and letters.lower() not in _NOBODY
