"""What is no name at any odds: terms, brands, words after prepositions.

墨菲|征, 任职|于, 朗格汉斯|细胞
"""

import re

from p2med.deid.cues import NO_NAMES, TITLE
from p2med.deid.folding import CHINESE
from p2med.deid.name_likelihood import Cue
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES

# 牛眼征, 索条影: the last character of terms.
_NO_GIVEN = frozenset(
    "征斑癌瘤症肺骨壁裂臼腺叶区影管囊饮草汤膏苷酶唑啶胺酸钠钾嗪酮烷酯肽径端型胎位段内吗便质镜末喂呢吧啊著见"
)
NEVER_GIVEN = frozenset("氏病菌热瘤癌症液剂膏散")
# 关节炎, 管炎 are illnesses; 陈炎 and 姚炎银 are people.
_INFLAMED = frozenset("肺肝肾胃肠咽喉鼻耳眼膜管腺体脑髓节皮肌心口舌囊道窦疹房膀胱泡肛龈周骨扁")
# 曾于, 史无, 应二: a small word after a small word, unless a label says that it is a name.
_SMALL_GIVEN = frozenset("一二三四五六七八九十〇○零于在有无因经至到从与予行为是已未及其之以")
# 彭程审, 陆婷接, 冷锋坐高铁: what somebody does; no given name of two characters ends in these.
_DOES = frozenset("审接交陪劝骑撤坐哭闹问查推抱喂吃喝打拍停插拔取送答报逐陪")
_MARCHES = ("长征", "远征", "东征", "南征", "国征", "新征", "建征")
# 墨菲征, 安格尔曼综合征, 夏科-马里-图思病: what is named after somebody.
NAMED_AFTER = re.compile(
    r"[\u4e00-\u9fff]{0,2}(?:综合[征症]|量表|手法|小体)|(?:[-–—][\u4e00-\u9fff]{1,6}){1,2}?(?:综合|病|征|小体|二氏)|征(?![求得集])|症(?!状)|氏|瘤|菌|试验|反射|评分|"
    r"量表|染色|手法|小体|憩室|畸形|损害|呼吸(?![急困平音尚促道稍频])|病(?![史房人区情历程重危友愈故倒例案号因假])"
)
# Brands, eponyms and places look like names; what follows tells.
_NO_NAME_BEFORE = re.compile(
    r"[省市县区镇乡村路街巷](?!长)|医院|大学|小学|中学|学校|幼儿园|公司|诊所|(?<![科室].{4})(?<![科室].{3})(?<![科室].{2})门诊|广场|集团|超市|派出所|快递|海关|花园|小区|大厦|\s?(?:\+|\*|\d+(?:\.\d+)?\s?(?:mg|g\b|ml|ug|μg|iu|u\b|万|毫|克|片|粒|支|袋|丸|滴|包|瓶|单位)|酶|单抗|替尼|沙星|霉素|西林|沙坦|他汀|方案|胶囊|颗粒|口服|针|片|注射|滴|软膏|糖浆|乳膏|散|丸|杆菌|益生菌|治疗(?!师)|化疗|氏|征|病|综合|染色|细胞|临床|试验|法|式|线|管)"
)
_YU_BEFORE_TITLE = re.compile(
    r"于[\u4e00-\u9fff]{0,2}(?:副?主任|医[师生]|大夫|副?教授|护士|护师|老师|副?院长|技师|药师)"
)
_BODY = frozenset("上下左右前后中肺脑肝脏双各两内外底尖背侧支鼻额筛颌心纤肾椎血气胆食尿输")
_AT = re.compile(r"[\u4e00-\u9fff]{0,8}?(?:医院|诊所|门诊部|卫生院|大学|医学院|幼儿园|小学)")
_CHINESE = re.compile(f"[{CHINESE}]")


def is_part_of_an_organ(folded: str, start: int) -> bool:
    """右肺下叶, 后段, 鼻窦: what a place of the body stands before is no family name."""
    before = folded[start - 1 : start]
    return bool(before) and folded[start] in "叶段窦房孔管支冠池" and before in _BODY


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
    if len(given) > 1 and given[-1] in _DOES and surname not in COMPOUND_SURNAMES:
        return True
    if given[-1] in "于因自在至到从" and folded[stop : stop + 1].isdecimal():
        # 李明于3天前.
        return True
    title = TITLE.match(folded, stop - 1) if len(given) > 1 else None
    if title and len(title[0]) > 1:
        # 周磊代诉 is 周磊 and 代诉.
        return True
    if not cue and (surname + given)[:2] in NO_NAMES:
        return True
    return surname + given in NO_NAMES or _is_term(folded, given, stop)


def _is_term(folded: str, given: str, stop: int) -> bool:
    if "炎" in given and folded[stop - len(given) + given.index("炎") - 1] in _INFLAMED:
        return True
    if NEVER_GIVEN.intersection(given) or given[-1] == "征" and given not in _MARCHES:
        return True
    return NAMED_AFTER.match(folded, stop) is not None
