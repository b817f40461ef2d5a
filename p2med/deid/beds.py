"""Beds: 12床, 留观7床, PICU-10, 床号 外科-11, and the bare numbers of a list of beds."""

import re
from collections.abc import Iterable, Iterator

_CN = r"\u3400-\u9fff"
_WARD_WORDS = (
    "留观|急观|观察|抢救|监护|早产|新生儿|母婴|保温箱|暖箱|层流|移植|隔离|普儿|普外|心外|心内|神内|神外|血液|消化|肾内|烧伤|"
    "外[一二三四]|内[一二三四]|儿[一二三四]|耳鼻喉|走廊"
)
_LETTER_OF_WARD = "[观抢留产骨血心神普儿]"
_WARD = (
    rf"(?:(?:{_WARD_WORDS})(?:[区仓舱]|(?<=[一二三四])科)?|[一二三四五六七八九十\d]{{1,2}}(?:病)?区|[a-z]区|"
    rf"{_LETTER_OF_WARD})"
)
_ICU = r"(?<![a-z])[npesrcmbk]?icu"
_NUMBER = r"0?\d{1,3}"
_NO_UNIT = (
    r"(?![\d.%℃a-z]|-[\da-z]|\s?(?:天|日|月|周|年|岁|小时|分|次|个|例|人|名|级|度|期|区|楼|层|科|支|种|项|"
    r"张|步|倍|点|到|至|ml|mg|kg|cm|床位))"
)
"""Behind a number that is no quantity."""
_BED = r"(?:号|\s)?(?:病)?床(?!位|旁[^,，。\s]|边|头|垫|突|骨|栏|单(?![间人])|上|档|尾|帘|面|罩|褥)"
# 12床, +3床, 五病区8床, PICU 11床, 观15床
_WITH_BED = (
    rf"(?:{_ICU}[\s\-—]?|(?<![a-z]){_WARD}[\-]?)?(?<![\d./])(?<!\d-)(?<![a-z](?=\d))"
    r"(?:(?:\+|加|监护|(?<!在)抢救)\s?)?(?:(?<![a-z])[a-z]-?)?"
    rf"\d{{1,3}}(?:[\-+]\d{{1,3}})?(?:{_BED}|(?:号|\s)?床(?=旁|栏|头|边|尾))"
)
# PICU-10, NICU8; PICU 3天 is a time.
_IN_ICU = rf"{_ICU}[\-—]?{_NUMBER}号?{_NO_UNIT}"
# 留观5, 抢2, 骨27, 外二-23, 心2-11, 烧-1, 产17; 外3:1 is none.
_IN_WARD = (
    rf"(?:(?<![{_CN}a-z\d])|(?<=[入至转住回到→夜]))"
    rf"(?:{_WARD}[\-—]?|[心外内骨血烧神消呼肾儿新普][一二三四五六七八九\d]?(?:科)?[\-—])"
    rf"{_NUMBER}(?:[\-—]\d{{1,3}})?(?:号|箱|仓|舱)?(?![:/]\d){_NO_UNIT}"
)
# 4号箱, 2号隔离, 保温箱12, 仓6, 层流2舱, 走廊加1
_IN_BOX = (
    rf"(?:早产区)?\d{{1,2}}号(?:暖|保温)?箱|\d{{1,2}}号隔离|走廊加\s?\d{{1,2}}床?{_NO_UNIT}|(?<=层流)\d{{1,2}}[舱仓号]|"
    rf"(?:辐射台|抢救台|蓝光箱|隔离间|负压间|输液椅|观察台)[ \t]?[a-z]?\d{{1,2}}号?{_NO_UNIT}|"
    rf"(?:保温箱|暖箱|[层移]\S仓|层流\d?仓?|仓)\s?\d{{1,2}}(?:号|舱|仓)?{_NO_UNIT}"
)
# 床号 NICU-16, 床位：外科-11, 床号加2
_LABELLED = (
    r"床\s?(?:位号?|号)\s{0,4}[:为是]?\s{0,4}(?P<value>(?:\+|加)?\s?"
    rf"(?:[a-z]{{1,4}}区?|[{_CN}]{{1,3}}[一二三四五六七八九]?)?[\-—]?"
    r"[a-z]?\d{1,4}(?:-\d{1,3})?(?:\s?号?床|号)?)(?![\d年月.])"
)
# 十二床患儿, 第七床, 3室12床, 12号患儿, 床12, 12#, bed 7
_IN_WORDS = (
    rf"(?<![{_CN}])第?[一二三四五六七八九十]{{1,3}}号?{_BED}|"
    r"\d{1,3}(?:病?室|病?房)\s?\d{1,3}号?床|"
    rf"(?<![\d.])\d{{1,3}}号(?=患[儿者]|病[人儿]|小朋友)|"
    rf"(?<![{_CN}])床[ \t]?:?[ \t]?[a-z]?\d{{1,3}}(?![\d.])|"
    rf"(?<![\w.])\d{{1,3}}#(?=床|患|[,。;\s{_CN}])|"
    rf"(?<![{_CN}])[东西南北][区侧]?-?\d{{1,2}}号?{_BED}|"
    r"(?<=[一二三四五六七八九十])十?[一二三四五六七八九]?号?床(?=患)|"
    rf"(?<![{_CN}])(?:加)?[一二三四五六七八九十]{{1,3}}号?床(?=患|[,:])|(?<![a-z])bed\s?(?:no\.?\s?)?\d{{1,3}}"
)
_PATTERNS = tuple(map(re.compile, (_WITH_BED, _IN_ICU, _IN_WARD, _IN_BOX, _LABELLED, _IN_WORDS)))
# A text of beds: 夜班交班, 查房, 口服药, 巡视.
_OF_BEDS = re.compile(
    r"交班|接班|夜班|白班|小夜|大夜|查房|巡视|床|交.{1,6}接|[\u3400-\u9fff]\s交\s|护士站|母婴同室|观察室|留观"
)
# ①1：, 1）5 雷姓, 3）26 空: a bed after the number of a point.
_POINT = re.compile(
    rf"(?:[①-⑳]|(?:^|(?<=\s))\d{{1,2}}[)）、])\s?(?P<value>\d{{1,3}})(?=\s|[:：]|[\u3400-\u9fff]){_NO_UNIT}",
    re.MULTILINE,
)
# 34   左右   停: the first column of a table; 床|姓名 is its head.
_COLUMN = re.compile(r"^\s{0,3}(?P<value>\+?\d{1,3})(?:\s{2,}|\s?\||\t)(?=\s*[\u3400-\u9fff])", re.MULTILINE)
_HEAD = re.compile(r"(?:^|[\n|\s])床号?(?=[\s|])")


_ANY_WARD = re.compile(
    rf"(?:{_WARD_WORDS}|[观抢留产骨血烧心神普儿外内仓箱])[\-一二三四五六七八九]?\d|[台箱间椅]\s?[a-z]?\d|\d号(?:隔离|[暖保]?温?箱)|[a-z]区\d"
)
_BEFORE_NAME = re.compile(r"(?:^|[\n。;,、)n]|(?<!\d):|[班床]\s?)\s?(?P<value>\+?\d{1,2})\s?$")


def bed_spans(folded: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each bed."""
    if (
        "床" in folded
        or "#" in folded
        or "号" in folded
        or "icu" in folded
        or "bed" in folded
        or _ANY_WARD.search(folded)
    ):
        for pattern in _PATTERNS:
            for found in pattern.finditer(folded):
                start, end = found.span("value" if "value" in pattern.groupindex else 0)
                yield start, end
    points = list(_POINT.finditer(folded))
    if len(points) > 1 and _OF_BEDS.search(folded):
        yield from (found.span("value") for found in points)
    rows = list(_COLUMN.finditer(folded))
    if _HEAD.search(folded) or len(rows) > 2 and not _numbered(rows):
        yield from (found.span("value") for found in rows)


def beds_before_names(folded: str, names: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each bare number before a name in a text of beds: 12尤双大、13尤双小.

    Args:
      names: where names begin.
    """
    if _OF_BEDS.search(folded):
        for at in names:
            if found := _BEFORE_NAME.search(folded, max(0, at - 6), at):
                yield found.span("value")


def _numbered(rows: list[re.Match[str]]) -> bool:
    """1, 2, 3: the rows are counted, not named by their beds."""
    return [int(row["value"]) for row in rows[:2]] in ([1, 2], [0, 1])
