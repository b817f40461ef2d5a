"""Names of people: after a role or a label, before a title, in a signature, or by what is likelier a name than words.

    患儿宋诗梓于3天前… -> 宋诗梓        父亲高血压 -> nothing        王主任查房 -> 王
"""

import re
from collections.abc import Iterator

from p2med.deid.cues import BEFORE_NAME, NO_NAMES, TITLE, TITLE_OF_SURNAME
from p2med.deid.folding import CHINESE
from p2med.deid.language import language
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES

# Log odds that a name begins here, by what stands before it.
_AFTER_LABEL, _AFTER_ROLE_AND_GAP, _AFTER_ROLE, _ALONE, _ANYWHERE = 0.0, -1.0, -3.0, -5.0, -11.0
_BEFORE_TITLE = 4.5
_ENOUGH = 0.0
# What often follows a name, as log probabilities; other characters as in any text.
_FOLLOWING = {c: -3.3 for c in "于因诉出来在男女今昨的"} | {
    c: -4.6 for c in "自入近家父母已曾未无有为代及和与等以由经称说述现起发查陪签主医护老同至到前后上下等一之表也又仍反精神体咳目住接告知"
}
_BOUNDARY = -0.7
_BOUNDARY_IN_WORDS = -2.0
_LENGTH = {1: -1.4, 2: -0.3, 3: -5.0}
_SURNAME = re.compile("[" + "".join(sorted(SURNAMES)) + "]")
_COMPOUND = re.compile("|".join(COMPOUND_SURNAMES))
_CHINESE = re.compile(f"[{CHINESE}]")
_TRANSLITERATED = re.compile(
    "[阿艾巴白拜比毕别布才策查曾次措丹单旦德登邓顶迪丁顿多朵尔尕噶嘎刚格贡古果哈海赫吉嘉加江杰金久俊卡凯克肯库拉来兰朗勒雷里礼利丽力列琳龙洛罗"
    "玛马麦买迈曼芒梅美米莫木姆娜纳乃尼妮努诺帕培普曲琼其奇齐强切且青仁茹如瑞萨赛桑色沙莎莫莎苏索塔塔泰坦唐特提图吐吞托娃旺维卫文乌吾西希夏祥"
    "雄秀雅亚央扬阳姚叶伊依仪义益音银英玉云则再赞扎泽珍镇芝智孜宗卓措追热汗合合甫迪斯买吾斯买]{3,8}"
)
_DOTTED = re.compile(rf"[{CHINESE}]{{1,7}}\s?[·•・‧.]\s?[{CHINESE}]{{2,8}}(?:\s?[·•・‧]\s?[{CHINESE}]{{1,6}})?")
# Brands and eponyms look like names; what follows tells.
_NO_NAME_BEFORE = re.compile(
    r"\s?(?:\+|\*|\d|方案|胶囊|颗粒|口服|针|片|注射|滴|软膏|糖浆|乳膏|散|丸|杆菌|益生菌|治疗|化疗|氏|征|病|综合|染色|细胞|临床|试验|法|式|线|管)"
)
_HIDDEN = re.compile(r"某{1,2}|[x×*＊○〇]{1,2}")


def name_spans(folded: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each Chinese name.

    Args:
      folded: fold(text). text: as written, for capitals.
    """
    cues = _cues(folded)
    taken = 0
    starts = sorted({m.start() for m in _SURNAME.finditer(folded)} | {p for p, v in cues.items() if v >= -1.0})
    for start in starts:
        if start < taken or not _CHINESE.match(folded, start):
            continue
        end = _end_of_name(folded, start, cues)
        if end:
            taken = end
            yield start, end


def _cues(folded: str) -> dict[int, float]:
    """Where a name may begin, with its log odds."""
    found: dict[int, float] = {}
    at = 0
    while cue := BEFORE_NAME.search(folded, at):
        at = cue.end() - len(cue["gap"] or "") if cue["role"] else cue.end()
        if cue["label"] and cue["label_gap"]:
            odds = _AFTER_LABEL
        else:
            odds = _AFTER_ROLE_AND_GAP if cue["gap"] or cue["pet"] else _AFTER_ROLE
        found[cue.end()] = max(odds, found.get(cue.end(), _ANYWHERE))
    return found


def _end_of_name(folded: str, start: int, cues: dict[int, float]) -> int | None:
    """Where the name that begins here ends, or None if none begins."""
    before = folded[start - 1] if start else ""
    odds = cues.get(start)
    bounded = not before or not (_CHINESE.match(before) or before.isalnum())
    best, end = _ENOUGH, None
    compound = _COMPOUND.match(folded, start)
    surname = compound[0] if compound else folded[start]
    for length in (1, 2) if compound else (1, 2, 3):
        stop = start + len(surname) + length
        given = folded[start + len(surname) : stop]
        if given[-1:] == surname == given[0]:
            continue
        if len(given) < length or not _CHINESE.match(given[-1]):
            break
        if length == 3 and given[0] not in SURNAMES:
            continue
        score = _score(folded, before, surname, given, stop)
        if given[-1] == "氏" or odds is None and _NO_NAME_BEFORE.match(folded, stop):
            continue
        follows = _CHINESE.match(folded, stop)
        if TITLE.match(folded, stop):
            score += _BEFORE_TITLE
        if odds is not None:
            score += odds
        elif bounded and not follows:
            score += _ALONE
        else:
            score += _ANYWHERE
        if score > best:
            best, end = score, stop
    return end


def _score(folded: str, before: str, surname: str, given: str, stop: int) -> float:
    """log P(as a name) - log P(as words), with the character that follows."""
    known = language()
    words = known.words(before if _CHINESE.match(before or " ") else "", surname + given)
    score = known.name(surname, given) + _LENGTH[len(given)] - words
    following = folded[stop : stop + 1]
    if following and _CHINESE.match(following):
        after_name = max(_FOLLOWING.get(following, -99.0), known.char.get(following, -12.5))
        return score + after_name - known.after(given[-1], following)
    return score + _BOUNDARY - _BOUNDARY_IN_WORDS
