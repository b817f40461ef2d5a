"""Numbers with a form of their own: identity cards, phones, bank cards, permits, plates, addresses of mail.

Every digit may be full width, with blanks, dashes or dots between, or a Chinese numeral.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date

from p2med.deid.folding import digits_of_words

# What people put between the digits of one number.
_S = r"[\s\-.·•_—–―\u200b-\u200f\u2060\ufeff]{0,3}"
_NO_LETTER = r"(?<![a-z0-9])"
_ID_18 = re.compile(rf"(?<!\d)[1-9](?:{_S}\d){{16}}{_S}[\dx](?![a-z0-9])")
_ID_15 = re.compile(rf"(?<!\d)[1-6](?:{_S}\d){{14}}(?!\d)")
_MOBILE = re.compile(rf"(?<!\d)(?:\(?(?:\+|00)?86\)?{_S})?1{_S}[3-9](?:{_S}\d){{9}}(?!\d|\.\d)")
_LANDLINE = re.compile(
    r"(?<![\d.])(?:(?:\+|00)?86[\s\-]?)?\(?0(?:10|2\d|[3-9]\d\d)\)?[\s\-—–]{0,2}[2-9]\d{2,3}[\s\-—–]?\d{4}"
    r"(?:\s?[-—转]\s?\d{1,5})?(?!\d)|(?<![\d.])[48]00[\s\-]?\d{3,4}[\s\-]?\d{3,4}(?!\d)"
)
_BANK = re.compile(r"(?<![\d.])[3-6](?:[\s\-—–·•\u200b-\u200d]?\d){14,18}(?![\d.])")
_DECIMALS = re.compile(r"\d\.\d(?!\d).*\d\.\d(?!\d)|\d[\s,]+\d{1,3}\.\d")
_SIMPLE: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("email", re.compile(r"[a-z0-9][a-z0-9._%+\-]*\s?(?:@|\[at\]|\(at\)|#at#)\s?[a-z0-9\-]+(?:\s?\.\s?[a-z0-9\-]+)*\s?\.\s?[a-z]{2,6}"), "@ at"),
    ("phone", re.compile(r"(?<!\d)1[3-9]\d[*x]{3,6}\d{2,4}(?!\d)"), "* x"),
    ("id_number", re.compile(r"(?<!\d)\d{3,14}[*]{4,14}[\dx]{1,4}(?![a-z0-9])"), "*"),
    ("url", re.compile(r"(?:https?://|www\.)[a-z0-9\-._~/?#=&%:]+"), "ww tt"),
    (
        "plate",
        re.compile(r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][a-z][·•.\s\-]?(?=[a-z0-9·\s]{0,6}\d)[a-z0-9]{4,6}[挂学警港澳]?(?![a-z0-9])"),
        "",
    ),
    ("permit", re.compile(_NO_LETTER + r"(?:[hmc]\d{8}(?:\d{2})?|e[a-z]\d{7}|[gdspe]\d{8}|[1-9]\d{5}-?\d{6}-?[a-z])(?![a-z0-9])"), ""),
    ("permit", re.compile(_NO_LETTER + r"[a-z]{1,2}\d{6}\s?\([0-9a]\)"), "("),
    ("permit", re.compile(r"军字第\s?\d{5,10}\s?号?|[\u4e00-\u9fff]字第\s?\d{5,12}\s?号"), "字第"),
    # Letters and a long number are an identifier; rs…, NM_… and the like are names of genes.
    (
        "number",
        re.compile(r"(?<![a-z0-9._\-])(?!(?:rs|nm|np|nc|nr|ng|xm|chr|hgvs|enst|ensg|omim|mim|pmid|nct|isbn|issn|doi|gb|yy|iso)[_\s:\-]?\d)[a-z]{1,4}-?\d{6,18}(?:-\d{1,4})?(?![a-z0-9]|\.\d)"),
        "",
    ),
    ("digits", re.compile(r"(?<![\d.a-z+\-×x*^~/])[1-9]\d{7,19}(?![\d.]|\s?(?:copies|拷贝|iu|u/|个|/|ml|l\b|×|x10|\*10))"), ""),
    ("digits", re.compile(r"(?<![\d.a-z+\-×x*^~/])0\d{6,19}(?![\d.]|\s?(?:copies|拷贝|iu|/|ml))"), ""),
)  # fmt: skip
_OLD = re.compile(
    r"(?<![\d.])(?:9\d|1[0-2]\d)\s?(?:周|虚)?岁(?:高龄)?|(?:九十[一二三四五六七八九]?|一百[零〇]?[一二三四五六七八九十]{0,2})(?:周|虚)?岁(?:高龄)?"
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def format_spans(folded: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each number with a form of its own."""
    digits = digits_of_words(folded)
    for kind, pattern, accepts in _CHECKED:
        found_here = [m.span() for m in pattern.finditer(digits) if accepts(m[0])]
        for start, end in found_here:
            yield start, end, kind
            # What has been read is not read again as a part of something else.
            digits = digits[:start] + "#" * (end - start) + digits[end:]
    for kind, pattern, hints in _SIMPLE:
        if not hints or any(h in digits for h in hints.split()):
            for found in pattern.finditer(digits):
                yield *found.span(), kind
    if "岁" in folded:
        for found in _OLD.finditer(folded):
            yield *found.span(), "age"


def holds_identity_number(text: str) -> bool:
    """True when a valid identity card or a mobile phone is in the (folded) text."""
    digits = digits_of_words(text)
    cards = (_squeezed(m[0]) for m in _ID_18.finditer(digits))
    return any(map(_is_identity_card, cards)) or any(_no_decimals(m[0]) for m in _MOBILE.finditer(digits))


def _squeezed(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text)


def _is_identity_card(number: str) -> bool:
    """GB 11643: the birth date is a date and the last character is the checksum mod 11-2."""
    if len(number) != 18 or not _has_birth_date(number[6:14]):
        return False
    rest = sum(int(c) * w for c, w in zip(number[:17], _WEIGHTS, strict=True)) % 11
    return number[17] == "10x98765432"[rest]


def _has_birth_date(digits: str) -> bool:
    try:
        return 1880 <= date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year <= 2060
    except ValueError:
        return False


def _no_decimals(text: str) -> bool:
    return not _DECIMALS.search(text)


def _card_18(text: str) -> bool:
    number = _squeezed(text)
    return _is_identity_card(number) or _no_decimals(text) and _has_birth_date(number[6:14])


def _card_15(text: str) -> bool:
    return _no_decimals(text) and _has_birth_date("19" + _squeezed(text)[6:12])


def _bank_card(text: str) -> bool:
    return len(_squeezed(text)) >= 15 and _no_decimals(text)


_CHECKED: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("id_number", _ID_18, _card_18),
    ("id_number", _ID_15, _card_15),
    ("phone", _MOBILE, _no_decimals),
    ("phone", _LANDLINE, _no_decimals),
    ("number", _BANK, _bank_card),
)
