"""Names that only a family uses: 豆豆, 小宝, 阿明, 虎子; told by their shape and the relatives beside them.

是虎子的小姨接的 -> 虎子        孩子豆豆昨晚发热 -> 豆豆        孩子慢慢好转 -> nothing
"""

import re
from collections.abc import Iterator

from p2med.deid.cues import any_of
from p2med.deid.folding import CHINESE
from p2med.deid.keep import CLINICAL_WORDS
from p2med.deid.language import language
from p2med.deid.words import words

_KIN = any_of(
    "妈妈 爸爸 妈 爸 母亲 父亲 奶奶 爷爷 外婆 外公 姥姥 姥爷 阿公 阿婆 小姨 大姨 姨妈 姑姑 姑妈 舅舅 "
    "舅妈 叔叔 伯伯 婶婶 "
    "哥哥 姐姐 弟弟 妹妹 家长 家人 麻麻 粑粑 小朋友".split()
)
# Of a shape that few words have: doubled, or with 小, 阿, 宝, 妞, 仔.
_SHAPE = rf"(?:(?P<twice>[{CHINESE}])(?P=twice)|[小阿][{CHINESE}]|[{CHINESE}][宝妞仔])"
_BESIDE_KIN = re.compile(rf"(?:(?<![{CHINESE}])|(?<=[是叫说给带抱让和跟@]))(?P<value>{_SHAPE})(?=的?{_KIN})")
_OF_KIN = re.compile(rf"(?:(?<=[是叫@])|(?<![{CHINESE}]))(?P<value>[{CHINESE}]{{2}})(?=的{_KIN})")
_AFTER_CHILD = re.compile(
    rf"(?:孩子|宝宝|宝贝|患儿|我[家儿女]|女儿|儿子|幼儿|小朋友|弟弟|妹妹|哥哥|姐姐)[\s:,叫是“\"(]{{0,2}}"
    rf"(?P<value>(?P<twice>[{CHINESE}])(?P=twice)(?!(?P=twice)))(?![{CHINESE}]?[性音样])"
)
# 家里人都叫他牛牛
_CALLED = re.compile(
    rf"(?:叫|喊|唤)[他她它]?(?:作|做)?[“\"]?(?P<value>(?P<twice>[{CHINESE}])(?P=twice)|(?<=[他她])[{CHINESE}]{{2,3}})(?=[”\",，。;；、\s)]|$)"
)
# 狗蛋妈妈已掌握: two characters that no text has beside each other, before a mother or a father
_UNHEARD_OF = re.compile(
    rf"(?<![{CHINESE}])(?P<value>[{CHINESE}]{{2}})(?=的?(?:妈妈|爸爸|奶奶|爷爷|外婆|外公|家长))"
)
_NOBODY = frozenset(
    "小孩 小儿 小朋 小便 小时 小声 小心 小区 小学 小班 小于 小的 小叶 小剂 小量 小气 小支 小腿 小指 "
    "小肠 小脑 小结 小雨 阿姨 阿奇 阿莫 阿托 阿司 宝宝 大宝 二宝 "
    "爸爸 妈妈 爷爷 奶奶 公公 婆婆 姥姥 姑姑 叔叔 伯伯 舅舅 哥哥 姐姐 弟弟 妹妹 常常 渐渐 慢慢 天天 "
    "刚刚 往往 稍稍 频频 阵阵 仅仅 偏偏 连连 轻轻 "
    "早早 久久 明明 人人 时时 处处 样样 个个 种种 每每 日日 夜夜 年年 月月 多多 等等 好好 谢谢 看看 "
    "试试 问问 听听 说说 想想 吃吃 喝喝 睡睡 "
    "孩子 患儿 患者 病人 宝贝 家长 同学 老师 医生 护士 班上 同事 邻居 朋友 别人 人家 其他 自己 对方 "
    "双方 现在 以前 目前 当时 上述 他们 她们 我们 你们 "
    "该班 女儿 儿子 父母 家里 我家 他家 她家 你家 男孩 女孩 本人 老公 老婆 室友 同桌 同伴 患方 "
    "大人 亲戚".split()
)


_ROLES = frozenset(words("role"))


def pet_name_spans(folded: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each pet name that no label announces."""
    for pattern in (_BESIDE_KIN, _OF_KIN, _AFTER_CHILD, _CALLED, _UNHEARD_OF):
        for found in pattern.finditer(folded):
            value = found["value"]
            word = value in CLINICAL_WORDS and pattern in (_OF_KIN, _AFTER_CHILD)
            if pattern is _UNHEARD_OF and value in language().pair:
                continue
            if not word and value not in _NOBODY and value not in _ROLES:
                yield found.span("value")
