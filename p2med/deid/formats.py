"""Numbers with a form of their own: permits, plates, addresses of mail, long numbers, ages over 89.

Every digit may be full width or a Chinese numeral; identity cards and phones are in identity_numbers.py.
"""

import re
from collections.abc import Iterator

from p2med.deid.folding import digits_of_words
from p2med.deid.identity_numbers import identity_number_spans

_SIMPLE: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "email",
        re.compile(
            r"[a-z0-9][a-z0-9._%+\-]*\s?(?:@|\[at\]|\(at\)|#at#)\s?"
            r"[a-z0-9\-]+(?:\s?\.[a-z0-9\-]+)*\s?\.\s?"
            r"(?:com|cn|net|org|edu|gov|io|me|cc|info|[a-z]{2,6}(?![a-z ]))"
        ),
        "@ at",
    ),
    ("phone", re.compile(r"(?<!\d)1[3-9]\d[*x]{3,6}\d{2,4}(?!\d)"), "* x"),
    (
        "id_number",
        re.compile(r"(?<!\d)(?=[\d*]{14,17}[\d*x](?![\d*]))\d{3,14}[*]{4,14}[\dx]{1,4}(?![a-z0-9])"),
        "*",
    ),
    ("url", re.compile(r"(?:https?://|www\.)[a-z0-9\-._~/?#=&%:]+"), "ww tt"),
    # An address of the net: 10.2.0.14; with a mask or a port, or not.
    (
        "url",
        re.compile(
            r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)"
            r"(?:[/:]\d{1,5})?(?![\d.])"
        ),
        ".",
    ),
    ("url", re.compile(r"(?<![a-z0-9@.\-])[a-z0-9\-]{2,30}\.(?:com|cn|net|org)/[a-z0-9\-._~/?#=&%]+"), "."),
    (
        "url",
        re.compile(r"(?<![0-9a-f:\-])[0-9a-f]{2}([:\-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![0-9a-f:\-])"),
        ": -",
    ),
    # A name of a chat: letters, a low line and digits; NM_000492 is a gene's.
    (
        "contact",
        re.compile(
            r"(?<![a-z0-9_.@])(?:(?!(?:nm|np|nc|nr|ng|xm)_)[a-z]{2,12}\d{0,6}_(?=[a-z]*\d)[a-z0-9_]{3,20}|"
            r"(?:wxid|wx|vx)[a-z]*\d[a-z0-9]{3,20})(?![a-z0-9])"
        ),
        "_ wx vx",
    ),
    (
        "plate",
        re.compile(r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][a-z][·•.\s\-]?(?=[a-z0-9·\s]{0,6}\d)[a-z0-9]{4,6}[挂学警港澳]?(?![a-z0-9])"),
        "",
    ),
    (
        "permit",
        re.compile(
            r"(?<![a-z0-9])(?:[hmc]\d{8}(?:\d{2})?|e[a-z]\d{7}|[gdspe]\d{8}|[1-9]\d{5}-?\d{6}-?[a-z])"
            r"(?![a-z0-9])"
        ),
        "",
    ),
    ("permit", re.compile(r"(?<![a-z0-9])[a-z]{1,2}\d{6}\s?\([0-9a]\)"), "("),
    ("permit", re.compile(r"军字第\s?\d{5,10}\s?号?|[\u4e00-\u9fff]字第\s?\d{5,12}\s?号"), "字第"),
    # Letters and a long number are an identifier; rs…, NM_… and the like are names of genes.
    (
        "number",
        re.compile(r"(?<![a-z0-9._\-])(?<!批号)(?<!批号[:\s])(?!(?:rs|nm|np|nc|nr|ng|xm|chr|hgvs|enst|ensg|omim|mim|pmid|nct|isbn|issn|doi|gb|yy|iso)[_\s:\-]?\d)(?:[a-z]{1,4}-?\d{6,18}(?:-\d{1,4})?|[a-z]{1,4}-?\d{2,8}(?:-\d{3,8}){1,3}(?<=\d{3}))(?![a-z0-9]|\.\d)"),
        "",
    ),
    # CDC-HA-5512, WES23-1180F, DH-001; not CA-125, COVID-19
    (
        "number",
        re.compile(
            r"(?<![a-z0-9._\-])(?!(?:gb|iso|yy|nct|sars|covid|icd|chr|ajcc|who)[\-\d])"
            r"(?:[a-z]{2,5}-(?:[a-z]{1,4}-)?(?:\d{4,8}|0\d{2,7})(?:-\d{1,6})*|[a-z]{2,5}\d{1,4}-\d{3,6}[a-z]?)(?![a-z0-9]|\.\d)"
        ),
        "-",
    ),
    (
        "digits",
        re.compile(
            # 20221029093015 is a day and a time.
            r"(?<![\d.a-z+\-×x*^~/])(?<!代码)(?<!代码:)"
            r"(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3]):?[0-5]\d)"
            r"[1-9]\d{7,19}(?!\d|\.\d|\s?(?:copies|拷贝|iu|u/|个|/|ml|l\b|×|x10|\*10))"
        ),
        "",
    ),
    ("digits", re.compile(r"(?<![\d.a-z+\-×x*^~/])0\d{6,19}(?!\d|\.\d|\s?(?:copies|拷贝|iu|/|ml))"), ""),
)  # fmt: skip
_OLD = re.compile(
    r"(?<![\d.])(?:9\d|1[0-2]\d)\s?(?:周|虚)?岁(?:高龄)?|(?:九十[一二三四五六七八九]?|一百[零〇]?[一二三四五六七八九十]{0,2})(?:周|虚)?岁(?:高龄)?"
)


def format_spans(folded: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each number with a form of its own."""
    digits = digits_of_words(folded)
    for start, end, kind in list(identity_number_spans(digits)):
        yield start, end, kind
        digits = digits[:start] + "#" * (end - start) + digits[end:]
    for kind, pattern, hints in _SIMPLE:
        if not hints or any(h in digits for h in hints.split()):
            for found in pattern.finditer(digits):
                yield *found.span(), kind
    if "岁" in folded:
        for found in _OLD.finditer(folded):
            yield *found.span(), "age"
