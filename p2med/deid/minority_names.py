"""Tibetan, Yi, Uyghur, Kazakh and Mongolian names in Chinese characters, with and without a dot.

志愿者达瓦 -> 达瓦        邻居沙马小军翻译 -> 沙马小军        热依汗古丽在场 -> 热依汗古丽
"""

import re
from collections.abc import Iterator

from p2med.deid.cues import any_of
from p2med.deid.folding import CHINESE
from p2med.deid.no_names import NAMED_AFTER
from p2med.deid.words import words

_HAN = f"[{CHINESE}]"
_TIBETAN = any_of(words("tibetan_name"))
_MONGOLIAN = any_of(words("mongolian_name"))
_TURKIC = any_of(words("turkic_name"))
_YI = any_of(words("yi_family"))
# 扎西顿珠, 白玛曲珍: two parts of the lists; and what is added to one: 拉毛措, 道吉草.
_TWO = rf"(?:{_TIBETAN}){{2,3}}|(?:{_MONGOLIAN}){{2,3}}|(?:{_TIBETAN})[草措吉姆杰加](?!{_HAN})"
# 古丽 and 江 end a name: 图尔荪江, 阿依古丽, 热依汗古丽.
_ENDED = rf"(?:{_TURKIC}){{1,3}}(?:古丽|汗|江|别克|拜)?"
# 沙马拉且, 吉克伍支: a family and a name of two.
_OF_YI = rf"(?:{_YI})(?:[{''.join(words('yi_given'))}]{{2}}|小{_HAN}|{_HAN}{{2}}(?!{_HAN}))"
_ANYWHERE = re.compile(rf"(?P<value>{_TWO}|{_OF_YI}|{_ENDED})")
# 达瓦, 央宗: one part alone, where a sign, a role or a title stands beside it.
_ALONE = re.compile(
    rf"(?:^|(?<=[^{CHINESE}])|(?<=[员士师生者工友人叔舅哥姐弟妹居乡嘛母父]))(?P<value>{_TIBETAN}|{_MONGOLIAN})"
    rf"(?=[^{CHINESE}]|$|医生|主任|护士|老师|叔叔|阿姨|记|帮|说|来|懂|牵|送|到场|胸外|用|已|诉|接|交)",
    re.MULTILINE,
)


def minority_name_spans(folded: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each such name; signs and tests named after somebody are none."""
    for pattern in (_ANYWHERE, _ALONE):
        for found in pattern.finditer(folded):
            if len(found["value"]) > 1 and not NAMED_AFTER.match(folded, found.end("value")):
                yield found.span("value")
