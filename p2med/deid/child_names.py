"""A child's name without its family: at the head of a clause, before what children do.

豆豆昨晚起高热 -> 豆豆        小核桃妈妈您好 -> 小核桃        沐辰哭闹 -> 沐辰        慢慢好转 -> nothing
"""

import re
from collections.abc import Iterator

from p2med.deid.cues import NO_NAMES
from p2med.deid.folding import CHINESE
from p2med.deid.keep import CLINICAL_WORDS, term_length
from p2med.deid.language import language
from p2med.deid.words import words

_HAN = f"[{CHINESE}]"
# Where a clause, a speech or a bed ends: a name may follow.
_HEAD = (
    r"(?:^|(?<=[\n。！？!?,，;；:：、“\"(（@\d】」])|(?<=[。，,\n]\s)|(?<=床)|(?<=床的)|(?<=[说诉看替找给让])|"
    r"(?<=患儿)|(?<=孩子)|(?<=婴儿)|(?<=同病室)|(?<=隔壁)|(?<=老[大二三四])|(?<=带[女儿])|(?<=随访\s)|(?<=我们家)|"
    r"(?<=[她我]家)|(?<=室)|(?<=看过患[儿者])|(?<=最难忘)|(?<=护士))"
)
# What a child does or has done to it.
_WHEN = (
    r"昨[晚天夜]|今[天晨早晚日]|前天|夜[间里]|早上|晚上|\d{1,2}个?月|"
    r"十?[一二三四五六七八九]个月|十[一二三四五六七八九]?月"
)
_DOING = (
    r"刚[睡拔出醒才被吃喝]|哭|发烧|发热|咳|吐|喘得|呛|睡|醒|打针|吃了|吃[两一半]|喝|第一次|会[说叫喊翻走]|"
    r"翻身|睁眼|喂|骑|害怕|怕|正在|还|又|已|没|不肯|不吃|要|可下床|就被|等外送|等候|请假|请[病事]假|住院|转|贴|重插|抽血"
)
_HAS = (
    r"神清|精神|镇静|血气|血培养|血糖|瞳孔|躯干|脚踝|体表|指甲|全身|对光|气促|头上|肠鸣音|奶粉|体温|大便|"
    r"尿(?!剂|激|路|道|管|常|布)|生命体征|R\s?\d|出[,，。]"
)
_OF_IT = r"的[:：。?？]|的(?:手|脚|爸爸|妈妈|化疗|泵|头|伤口|血|管)|妈妈?|爸爸?|奶奶|爷爷|外婆"
_THEN = r"[,，](?:入院|脑瘫|热第|营养|名牌|住|20%|EF|PCIA|COMF|2\d{3}年|\d{1,2}岁|[一二三四五六七八九十两]岁)"
_DOES = f"(?=(?:{_WHEN}|{_DOING}|{_HAS}|{_OF_IT}|{_THEN}))"
_TWICE = rf"(?P<twice>{_HAN})(?P=twice)"
# 小核桃, 阿福; not 小便, 阿姨.
_NO_LITTLE = (
    "便儿时于孩朋剂量腿肠脑腹叶结气支细学区班夜组灶片溪心声麻米麦水圆血颌指趾阴头三肝灵青睑管切样面波梁房吃"
)
_LITTLE = rf"小(?![{_NO_LITTLE}]){_HAN}{{1,2}}|阿(?![奇莫托司姨胶替昔糖片仑]){_HAN}"
_NAME = re.compile(rf"{_HEAD}(?P<value>{_TWICE}|{_LITTLE}|{_HAN}{{2}}){_DOES}", re.MULTILINE)
# “小冬瓜”, （糯米）: a pet name alone in brackets.
_QUOTED = re.compile(rf"[“\"(（](?P<value>{_TWICE}|{_HAN}{{2,3}})[”\")）]")
_PETS = frozenset(words("pet_name"))
_NOBODY = frozenset(words("no_pet_name")) | NO_NAMES | frozenset(words("role"))
_A_NAME = 1.0
"""How much likelier a given name must be than words, in log odds."""
_A_WORD = -3.5
"""Two characters that follow each other like this in texts are a word."""
_NO_START = frozenset(words("no_name_start")) | frozenset(
    "父母姓贵左右家长护士老恩那天月日年岁得拉单图转冒劝主"
)
_NO_END = frozenset(words("no_name_end")) | frozenset("不妈的有未人来")


def child_name_spans(folded: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each given or pet name of a child without its family name."""
    for found in _NAME.finditer(folded):
        if _is_name(folded, found):
            yield found.span("value")
    for found in _QUOTED.finditer(folded):
        if found["value"] in _PETS:
            yield found.span("value")


def _is_name(folded: str, found: re.Match[str]) -> bool:
    value = found["value"]
    if value in _PETS:
        return True
    if value in _NOBODY or value in CLINICAL_WORDS or term_length(folded, found.start("value")):
        return False
    if value[:2] in _NOBODY or value[-2:] in _NOBODY:
        return False
    if value[-1] in _NO_END or value[0] in _NO_START:
        return False
    if found["twice"] or value[0] in "小阿":
        return language().pair.get(value[:2], -99.0) < _A_WORD
    return _given_odds(value) > _A_NAME


def _given_odds(value: str) -> float:
    """log P(as a given name) - log P(as words)."""
    known = language()
    as_name = max(sum(known.given.get(c, -10.5) for c in value), known.whole.get(value, -99.0))
    return as_name - known.words("", value)
