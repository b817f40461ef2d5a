"""How much likelier a name is than words, where it might stand; and what is no name at any odds.

父亲|高血压 -> far below 0        术者|张伟， -> far above 0
"""

import re
from dataclasses import dataclass

from p2med.deid.cues import NO_NAMES, PROFESSION, TITLE
from p2med.deid.folding import CHINESE
from p2med.deid.language import language
from p2med.deid.surnames import SURNAMES

# Log odds that a name begins here, by what stands before it.
AFTER_LABEL, AFTER_ROLE_AND_GAP, AFTER_ROLE = 0.0, -1.0, -3.0
_ALONE, _BEFORE_VERB, _BOUNDED, _ANYWHERE = -1.2, -4.0, -5.5, -9.0
# 牛眼征, 索条影: the last character of terms.
_NO_GIVEN = frozenset("征斑癌瘤炎症肺骨壁裂臼腺叶区影管囊饮草汤膏苷酶唑啶胺酸钠钾嗪酮烷酯肽")
NEVER_GIVEN = frozenset("氏病菌热瘤癌炎症液剂膏散")
# 曾于, 史无, 应二: a small word after a small word, unless a label says that it is a name.
_SMALL_GIVEN = frozenset("一二三四五六七八九十〇○零于在有无因经至到从与予行为是已未及其之以")
_MARCHES = ("长征", "远征", "东征", "南征", "国征", "新征", "建征")
# 墨菲征, 安格尔曼综合征, 夏科-马里-图思病: what is named after somebody.
NAMED_AFTER = re.compile(
    r"[\u4e00-\u9fff]{0,2}(?:综合[征症]|量表|手法|小体)|(?:[-–—][\u4e00-\u9fff]{1,6}){1,2}?(?:综合|病|征|小体|二氏)|征(?![求得集])|氏|瘤|菌|试验|反射|评分|"
    r"量表|染色|手法|小体|憩室|畸形|呼吸(?![急困平音尚促道稍频])|病(?![史房人区情历程重危友愈故倒例案号因假])"
)
# 尊敬的方教授, 请王医生: after these a word begins.
SMALL_WORDS_BEFORE = frozenset("的和与请由跟是向给让找等及被叫对把将，")
# Family names that mostly are small words: 左肺, 余肋骨, 诸骨, 那宝宝.
_SMALL_WORDS = frozenset("班左余诸双但那有来后全空拟才从可能先经由管应")
_SMALL_WORD = -3.0
_BEFORE_TITLE, _BEFORE_PROFESSION = 4.0, 7.5
_BOUNDARY = -0.7
_BOUNDARY_IN_WORDS = -2.0
_LENGTH = {1: -1.4, 2: -0.3, 3: -7.0}
# Brands, eponyms and places look like names; what follows tells.
_NO_NAME_BEFORE = re.compile(
    r"[省市县区镇乡村路街巷](?!长)|医院|大学|小学|中学|学校|幼儿园|公司|诊所|门诊|广场|集团|超市|派出所|快递|海关|花园|小区|大厦|\s?(?:\+|\*|\d+(?:\.\d+)?\s?(?:mg|g\b|ml|ug|μg|iu|u\b|万|毫|克|片|粒|支|袋|丸|滴|包|瓶|单位)|酶|单抗|替尼|沙星|霉素|西林|沙坦|他汀|方案|胶囊|颗粒|口服|针|片|注射|滴|软膏|糖浆|乳膏|散|丸|杆菌|益生菌|治疗|化疗|氏|征|病|综合|染色|细胞|临床|试验|法|式|线|管)"
)
# 流调员李芳, 证明人李芳, 副麻李芳: any word for a person may stand before a name.
_PERSON = frozenset("员人者师工警士长生手麻主科室院处办")
_AFTER_PERSON, _BEFORE_STOP = 4.0, 2.5
_COMPOUND_IS_NO_WORD = 9.0
_FILLED_IN, _FULL_STOP = 4.0, 3.0
_VERB = 1.0
_NEXT_LABEL = re.compile(
    "电话|身份证|手机|住址|地址|联系|关系|性别|年龄|日期|时间|工号|职称|科室|病区|职业|单位|微信|床号|住院号"
)
_YU_BEFORE_TITLE = re.compile(
    r"于[\u4e00-\u9fff]{0,2}(?:副?主任|医[师生]|大夫|副?教授|护士|护师|老师|副?院长|技师|药师)"
)
_AT = re.compile(r"[\u4e00-\u9fff]{0,8}?(?:医院|诊所|门诊部|卫生院|大学|医学院|幼儿园|小学)")
# What often follows a name, as log probabilities; other characters as in any text.
_FOLLOWING = {c: -3.3 for c in "于因诉出来在男女今昨的"} | {
    c: -4.6
    for c in "交通参值持敬汇登自入近家父母已曾未无有为代及和与等以由经称说述现起发查陪签主医护老"
    "同至到前后上下等一之表"
    "接抱送带牵领可会能叫问副不也又仍反精神体咳目住接告知"
}
_CHINESE = re.compile(f"[{CHINESE}]")


@dataclass(frozen=True)
class Cue:
    """What stands before a name: its log odds, and whether it is a role, a label or announces a nickname."""

    odds: float
    kind: str
    gap: str = ""
    short: bool = False


def likelihood(folded: str, surname: str, given: str, stop: int, cue: Cue | None, compound: bool) -> float:
    """log P(a name, here) - log P(words); the name ends at `stop`."""
    start = stop - len(given) - len(surname)
    before = folded[start - 1] if start else ""
    score = _score(folded, "" if cue or before in SMALL_WORDS_BEFORE else before, surname, given, stop)
    score += _odds(folded, before, stop, cue) + (_COMPOUND_IS_NO_WORD if compound else 0)
    return score + (_SMALL_WORD if not cue and surname in _SMALL_WORDS else 0)


def _score(folded: str, before: str, surname: str, given: str, stop: int) -> float:
    """log P(as a name) - log P(as words), with the character that follows."""
    known = language()
    words = known.words(before if _CHINESE.match(before or " ") else "", surname + given)
    score = known.name(surname, given) + _LENGTH[len(given)] - words
    following = folded[stop : stop + 1]
    if following and _CHINESE.match(following) and not _NEXT_LABEL.match(folded, stop):
        after_name = max(_FOLLOWING.get(following, -99.0), known.char.get(following, -12.5))
        return score + after_name - known.after(given[-1], following)
    return score + _BOUNDARY - _BOUNDARY_IN_WORDS


def _odds(folded: str, before: str, stop: int, cue: Cue | None) -> float:
    """Log odds that a name stands here, by what is before and behind it."""
    next_ = folded[stop : stop + 1]
    follows = bool(_CHINESE.match(next_) or next_.isalpha()) and not _NEXT_LABEL.match(folded, stop)
    odds = _BEFORE_PROFESSION if PROFESSION.match(folded, stop) else 0.0
    if not odds and TITLE.match(folded, stop):
        odds = _BEFORE_TITLE
    if cue:
        filled_in = _FILLED_IN if cue.gap == ":" else _FULL_STOP
        if follows:
            return odds + cue.odds + (_VERB if folded[stop] in _FOLLOWING else 0.0)
        return odds + cue.odds + filled_in
    if not before or not (_CHINESE.match(before) or before.isalnum()):
        if not follows:
            return odds + _ALONE
        return odds + (_BEFORE_VERB if folded[stop] in _FOLLOWING else _BOUNDED)
    return odds + _ANYWHERE + (0 if follows else _BEFORE_STOP) + (_AFTER_PERSON if before in _PERSON else 0)


def is_preposition(folded: str, start: int) -> bool:
    """于 within a sentence: 任职于, 就诊于, 生于; 于 after a comma may be one, too."""
    before = folded[start - 1 : start]
    if folded[start] == "于" and _YU_BEFORE_TITLE.match(folded, start):
        return False
    return folded[start] in "于由经" and bool(before) and (before in ",，、" or bool(_CHINESE.match(before)))


def is_no_name(folded: str, surname: str, given: str, stop: int, cue: Cue | None) -> bool:
    """What no score needs to be asked for: doubled words, drugs, signs, four characters at random."""
    if given[0] == surname and not cue or len(given) == 3 and given[0] not in SURNAMES:
        return True
    if (
        cue
        and cue.short
        and _NO_NAME_BEFORE.match(folded, stop)
        or surname in "于曾"
        and _AT.match(folded, stop)
    ):
        return True
    if not cue and (
        _SMALL_GIVEN.issuperset(given) or given[-1] in _NO_GIVEN or _NO_NAME_BEFORE.match(folded, stop)
    ):
        return True
    if given[-1] in "于因自在至到从" and folded[stop : stop + 1].isdecimal():
        # 李明于3天前.
        return True
    title = TITLE.match(folded, stop - 1) if len(given) > 1 else None
    if title and len(title[0]) > 1:
        # 周磊代诉 is 周磊 and 代诉.
        return True
    return surname + given in NO_NAMES or _is_term(folded, given, stop)


def _is_term(folded: str, given: str, stop: int) -> bool:
    if NEVER_GIVEN.intersection(given) or given[-1] == "征" and given not in _MARCHES:
        return True
    return NAMED_AFTER.match(folded, stop) is not None
