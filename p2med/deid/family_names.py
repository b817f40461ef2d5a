"""A family name alone: 修医生, 刀姓, 匡氏患儿, 老汪, 尹家院子; known by what stands on both sides.

展主管签收 -> 展        女医生 -> nothing        老年 -> nothing
"""

import re
from collections.abc import Iterator

from p2med.deid.folding import CHINESE
from p2med.deid.surnames import COMPOUND_SURNAMES, SURNAMES

_HAN = f"[{CHINESE}]"
_FAMILY = f"(?:{'|'.join(COMPOUND_SURNAMES)}|[{''.join(sorted(SURNAMES))}])"
_BEFORE = rf"(?:^|(?<=[^{CHINESE}]))"
_TITLE = (
    r"(?:副?主任|医[师生]|大夫|副?教授|护士长?|护师|老师|副?院长|技师|药师|科长|书记|[所站局处园校]长|警官|主管|师傅)"
    r"(?![助签]|室|组)"
)
# One character, in no list, is enough where nothing but a title stands beside it: 德医生在不在.
_NO_FAMILY = (
    "该本各主副原新老小大女男某两二三多全外内儿护医我你他她院科班组室值管床经治家下上前后的了是一每几哪这那旧有无请找问由"
    "经让给和与及对叫跟随同责当代总名专实规进首接报送检查记录签审核转会诊住带教见高中初学乡村镇县市省区厂校园都也就因向按据凭"
    "助导讲兼分正准待非做到去来看听说想需要用为以可能应已未不再又还其此个位年月日号天岁点时卫产骨眼牙麻药病急门社志保驻"
    "在吧吗但望先么呢啊若"
)
# 修医生, 输血科和老师, 乡镇茶医生
_TITLED = (
    rf"(?:^|(?<=[^{CHINESE}a-z\d])|(?<=[科室部院])|(?<=乡镇)|(?<=本例)|(?<=联系人)|(?<=值班)|(?<=[由请经])(?={_FAMILY}))"
    rf"(?P<value>(?![{_NO_FAMILY}]){_HAN})(?={_TITLE})"
)
# 匡氏患儿, 刀姓
_OF_FAMILY = rf"{_BEFORE}(?P<value>{_FAMILY})(?=氏(?:患|[儿女男父母])|姓(?:[,，、。\s患村]|$))"
# 邻居老汪咳嗽, 店员小曲
_OLD_AND_YOUNG = (
    r"(?:(?<=邻居老)|(?<=隔壁老)|(?<=同事老)|(?<=司机老)|(?<=店员小)|(?<=护士小)|(?<=实习生小))"
    rf"(?P<value>{_FAMILY})"
)
# 老佘，观察11, 小史：收到: who is spoken to or speaks; 钮：可申请: who speaks
_SPOKEN_TO = rf"(?:^|(?<=[\n\s]))[老小](?![时于])(?P<value>{_FAMILY})(?=[,，:：])"
_SPEAKS = rf"(?:^|(?<=[。\n]))(?![家母父方查单文图解应时任药法])(?P<value>{_FAMILY})老?(?=[:：])"
# 尹家院子, 缪家小姑娘, 沈家、加家
_HOUSE = (
    rf"(?:{_BEFORE}|(?<=邻居)|(?<=早在)|(?<=[脚讲]))(?P<value>{_FAMILY})"
    r"(?=家(?:小|老[太大二三]|院子|娃|孩子|姑娘|那个|儿子|女儿|、))"
)
# 覃宝宝尚未, 戎宝，奶吐
_BABY = rf"(?:^|(?<=[\n。;；,，:：\d]))(?P<value>{_FAMILY})(?=宝宝?(?:[,，。]|尚|的|吃|今|昨))"
# 急诊邸，12月6日: a signature of one character
_SIGNED = (
    rf"(?:(?<=急诊)|(?<=分诊)|(?<=值班)|(?<=夜班)|(?<=白班))(?P<value>{_FAMILY})(?=[,，。\s](?:\d|$|\n))"
)
_PATTERNS = (_TITLED, _OF_FAMILY, _OLD_AND_YOUNG, _SPOKEN_TO, _SPEAKS, _HOUSE, _BABY, _SIGNED)
_COMPILED = tuple(re.compile(p, re.MULTILINE) for p in _PATTERNS)


def family_name_spans(folded: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each family name that stands without a given name."""
    for pattern in _COMPILED:
        for found in pattern.finditer(folded):
            yield found.span("value")
