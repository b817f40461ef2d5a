"""Where people live, learn, work and were treated: addresses, schools, employers, hospitals.

家住江宁市河东区滨河西路975号23室，-> 江宁市…23室        当地医院 -> nothing
"""

import re
from collections.abc import Iterator

from p2med.deid.keep import CLINICAL_WORDS
from p2med.deid.language import language
from p2med.deid.name_score import is_chinese
from p2med.deid.place_words import (
    ADDRESS_CUE,
    BRAND,
    CLASS,
    CN,
    COMPANY,
    CUT,
    ESTATE,
    FAMOUS_HOSPITAL,
    GENERIC,
    HOSPITAL,
    NO_EMPLOYER,
    NO_VILLAGE,
    NUMBERED_CLASS,
    ROAD,
    SCHOOL,
    SHOP,
    TAIL,
    UNIT,
    VILLAGE,
    VILLAGE_OF,
    WORKS,
    WORKS_AS,
    WORKS_AT,
    all_counties,
    bare_cities,
)
from p2med.deid.words import words

_ONLY_CHINESE = re.compile(rf"[{CN}]+")
# Two characters that follow each other like this are an everyday word: 考虑寨.
_A_WORD = -5.0
_LONGEST_NAME, _LONGEST_ADDRESS = 20, 80
_INSIDE = re.compile(rf"[{CN}\da-z()·&]")
_REGION = re.compile("|".join(sorted({*words("province"), *words("city")}, key=len, reverse=True)))
_BARE_CITY = re.compile(bare_cities())
_SUFFIX = r"(?:省|市|自治区|壮族自治区|回族自治区|维吾尔自治区|特别行政区|自治州|地区|州|盟)"
_REGION_HERE = re.compile(rf"(?:{_REGION.pattern}){_SUFFIX}?(?:辖区)?")
_COUNTY_SUFFIX = r"(?:[\u4e00-\u9fff]{0,4}自治[县旗]|[县旗](?![医里城级])|区(?![医域别])|市(?![场民医里区]))"
# 恩施来凤, 河南新乡封丘: a county behind its city.
_COUNTY_HERE = re.compile(rf"(?:{all_counties()}){_COUNTY_SUFFIX}?")
_COUNTY = re.compile(all_counties())
_COUNTY_END = re.compile(_COUNTY_SUFFIX)
_NO_WORD = frozenset(words("county"))
# 从孟连来, 去务川, 若尔盖: alone where its name is no word and a small word of place or a sign is beside it.
_BEFORE_COUNTY = frozenset("从自住回去到在至赴经现由")
_AFTER_COUNTY = re.compile(
    r"人|籍|的|来|转|打工|务工|放牧|做生意|经商|深山|山里|乡下|外婆|奶奶|老家|[,，。;、)\s(]|$|"
    rf"[{CN}]{{2,3}}(?:[店厂馆]|镇|乡|村|县)"
)
# 汉川马口, 仙桃彭场: a town behind its region, with nothing behind that.
_TOWN = re.compile(r"[\u4e00-\u9fff]{2}(?=[,，。;、)\n]|\s|$|人|籍|来|转来|[土苗彝壮藏回]家?族)")
_COMPONENT = re.compile(rf"\s?[{CN}\da-z()·#\-—]{{1,10}}?(?:{UNIT})+")
# An estate whose name has no such ending, before the number of a house.
_ESTATE = re.compile(
    r"[\u4e00-\u9fff]{2,7}(?=[a-z]?\d{1,4}(?:[-—]\d{1,4}|\s?(?:号楼|栋|幢|座|期|单元|号(?!染|床))))"
)
# What ends an address without saying what it is: 李家组, 四方坪.
_VILLAGE = re.compile(r"[\u4e00-\u9fff]{1,4}(?:组|队|湾|冲|塘|坪|垸|岭|坡|圩|铺)(?![\u4e00-\u9fff]?[炎症])")
_LAST = re.compile(
    r"[\u4e00-\u9fff]{1,4}(?:组|队|社|湾|冲|塘|坪|垸|岭|坡|岗|圩|铺|桥|大院)|[\u4e00-\u9fff]{2,4}(?=[,，。;；\n)]|$)"
)
# 玉泉区 alone; not 肝区, 病区, 小区, 隔离区.
_DISTRICT = re.compile(
    rf"(?<![{CN}\d])(?P<name>[{CN}]{{2}})(?<![心肺肝肾脾胃前后左右侧病社小院辖码皮])[区县](?![{CN}\da-z])"
)
_HOUSE = re.compile(r"\d{1,3}(?:栋|号楼|幢)\s?(?:\d{1,2}单元)?\s?(?:\d{2,4}室?)?|[a-z]座\d{2,4}室?")
# 女生楼203, 2号宿舍楼306
_DORMITORY = re.compile(r"(?:\d{1,2}号)?(?:[男女]生|宿舍|公寓|家属)楼\d{2,4}室?")
_DELIMITED = re.compile(
    r"(?!\s?(?:诊断|编码|性别|年龄|电话|职业|已|签字|同上|姓名))[^,，。;；\n\t!?、:]{2,50}"
)
_CLASS_LABEL = re.compile(r"(?:班级|年级|班别|所在班)\s?[:：]?\s{0,2}")
_NEXT_LABEL = re.compile(
    r"\s?(?:签字|编码|诊断|\d{1,2}月龄|既往|过敏|家族史|电话|联系|邮编|手机|姓名|性别|年龄|单位|职业|民族|与患儿|关系|入院|病史|身份证|邮政|,)"
)


def place_spans(folded: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each named place; `当地医院` and its like are no names."""
    yield from _addresses_after_cues(folded)
    yield from _addresses(folded)
    for kind, suffix in (("hospital", HOSPITAL), ("school", SCHOOL), ("company", COMPANY)):
        for found in suffix.finditer(folded):
            start = _name_start(folded, found.start())
            if start > found.start():
                continue
            if (
                start == found.start()
                and found.start() == found.end()
                or GENERIC.fullmatch(folded, start, found.end())
            ):
                continue
            end = found.end()
            if kind == "school" and (room := CLASS.match(folded, end)):
                end = room.end()
            elif (
                kind == "school"
                and folded[end : end + 1] in ("上", "读", "念")
                and (room := CLASS.match(folded, end + 1))
            ):
                yield *room.span(), kind
            yield start, end, kind
    for label in _CLASS_LABEL.finditer(folded):
        if room := CLASS.match(folded, label.end()):
            yield *room.span(), "school"
    for room in NUMBERED_CLASS.finditer(folded):
        yield *room.span(), "school"
    yield from _employers(folded)
    for found in FAMOUS_HOSPITAL.finditer(folded):
        yield *found.span(), "hospital"


def _employers(folded: str) -> Iterator[tuple[int, int, str]]:
    """Whom people work for: by what says so before it or the job behind it, and by a few brands."""
    for pattern in (WORKS, WORKS_AT, WORKS_AS):
        for found in pattern.finditer(folded):
            start, end = found.span("value")
            start = _after_cuts(folded, start, end)
            if GENERIC.fullmatch(folded, start, end) or end - start < 3:
                continue
            if pattern is WORKS_AS and NO_EMPLOYER.match(folded, start):
                continue
            yield start, end, "company"
    for found in SHOP.finditer(folded):
        yield *found.span("value"), "company"
    for found in BRAND.finditer(folded):
        yield *found.span(), "company"


def _name_start(folded: str, suffix: int) -> int:
    """Where the name before a suffix begins: after the last word that is no part of a name."""
    start = suffix
    while start > max(0, suffix - _LONGEST_NAME) and _INSIDE.match(folded[start - 1]):
        start -= 1
    return _after_cuts(folded, start, suffix)


def _after_cuts(folded: str, start: int, end: int) -> int:
    for cut in CUT.finditer(folded, start):
        if cut.end() > end:
            break
        start = cut.end()
    opened = folded.rfind("(", start, end)
    if opened >= 0 and ")" not in folded[opened:end]:
        start = opened + 1
    elif ")" in folded[start:end] and opened < 0:
        start = folded.rfind(")", start, end) + 1
    return start


def _addresses_after_cues(folded: str) -> Iterator[tuple[int, int, str]]:
    for cue in ADDRESS_CUE.finditer(folded):
        if folded.startswith(("服务区", "收费站"), cue.end()):
            continue
        end = _chain_end(folded, cue.end(), announced=True)
        if cue["label"]:
            whole = _DELIMITED.match(folded, cue.end())
            complete = end > cue.end() + 3 and (end == len(folded) or folded[end].isspace())
            if whole and not complete:
                stop = _NEXT_LABEL.search(folded, cue.end(), whole.end())
                last = stop.start() if stop else whole.end()
                if folded[last : last + 1] == ":" and (blank := folded.rfind(" ", cue.end(), last)) > 0:
                    # 现住址：… 发病日期：… the last words are the next label.
                    last = blank
                end = max(end, last)
        if end <= cue.end() and (region := _REGION_HERE.match(folded, cue.end())):
            end = region.end()
        if end > cue.end() + 1:
            yield cue.end(), len(folded[:end].rstrip()), "address"


def _addresses(folded: str) -> Iterator[tuple[int, int, str]]:
    """Addresses that no cue announces: from a region on, or a road with its number."""
    at = 0
    for found in _REGION_HERE.finditer(folded):
        if found.start() < at:
            continue
        end = _chain_end(folded, found.start())
        end = min(end, found.end() + len(folded[found.end() : end].removesuffix("人").removesuffix("农村")))
        if not is_chinese(folded[found.start() - 1 : found.start()] or " "):
            end = max(end, _town_end(folded, found.end()) or 0)
        named = found[0][-1] in "市州盟" or _BARE_CITY.fullmatch(found[0])
        if end > found.end() or named:
            at = max(end, found.end())
            yield found.start(), at, "address"
    at = 0
    for found in ROAD.finditer(folded):
        if found.end() <= at:
            continue
        suffix = max(found.start(name) for name in ("suffix", "suffix2", "suffix3"))
        start = _name_start(folded, suffix)
        if start < suffix - 1:
            at = max(found.end(), _chain_end(folded, found.end()), _chain_end(folded, start))
            yield start, at, "address"
    for found in VILLAGE_OF.finditer(folded):
        start = _name_start(folded, found.start())
        if found.end() - start >= 3:
            yield start, found.end(), "address"
    yield from _counties_and_villages(folded)
    for found in ESTATE.finditer(folded):
        start = _after_cuts(folded, found.start(), found.end("value"))
        if found.end("value") - start >= 4:
            yield start, found.end(), "address"
    for found in _DORMITORY.finditer(folded):
        yield *found.span(), "address"
    for found in _DISTRICT.finditer(folded):
        if found["name"] not in language().pair:
            yield *found.span(), "address"
    for found in _HOUSE.finditer(folded):
        start = _name_start(folded, found.start())
        if found.start() - start >= 2:
            yield start, found.end(), "address"


def _counties_and_villages(folded: str) -> Iterator[tuple[int, int, str]]:
    """务川, 若尔盖县, 汉川马口; 瓦洛村, 岔河村坪上组."""
    for found in _COUNTY.finditer(folded):
        if end := _county_end(folded, *found.span()):
            yield found.start(), end, "address"
    for found in VILLAGE.finditer(folded):
        start = _name_start(folded, found.start())
        name = folded[start : found.start()]
        word = len(name) == 2 and language().pair.get(name, -99.0) > _A_WORD
        if 1 <= len(name) <= 5 and not word and _ONLY_CHINESE.fullmatch(name) and not NO_VILLAGE.match(name):
            yield start, found.end(), "address"


def _county_end(folded: str, start: int, end: int) -> int | None:
    """Where a place that begins with a county's name ends; None: the name is a word here."""
    before = folded[start - 1 : start]
    if suffix := _COUNTY_END.match(folded, end):
        end = suffix.end()
    elif folded.endswith("途经", 0, start):
        pass
    elif not is_chinese(before or " ") and not before.isdecimal() and (town := _town_end(folded, end)):
        return town
    elif not (
        folded[start:end] in _NO_WORD
        and (before in _BEFORE_COUNTY or not is_chinese(before or " "))
        and _AFTER_COUNTY.match(folded, end)
    ):
        return None
    end = max(end, _chain_end(folded, end))
    return _town_end(folded, end) or end


def _town_end(folded: str, at: int) -> int | None:
    town = _TOWN.match(folded, at)
    return town.end() if town and town[0] not in language().pair and town[0] not in CLINICAL_WORDS else None


def _chain_end(folded: str, start: int, announced: bool = False) -> int:
    """The end of the parts of an address from `start` on; after a cue, of a last part of any kind."""
    at = start
    region = _REGION_HERE.match(folded, at)
    while region:
        at = region.end()
        region = _REGION_HERE.match(folded, at)
    if at > start and (county := _COUNTY_HERE.match(folded, at)):
        at = county.end()
    while part := _COMPONENT.match(folded, at) or (at > start and _ESTATE.match(folded, at)) or None:
        if CUT.search(folded, at, part.end()) or at - start > _LONGEST_ADDRESS:
            break
        at = part.end()
    last = (_LAST if announced else _VILLAGE).match(folded, at) if at > start else None
    if last and not CUT.search(folded, at, last.end()):
        at = last.end()
    if at > start and (tail := TAIL.match(folded, at)):
        at = tail.end()
    return at if at > start else start
