"""Values that a label gives away, whatever their form: `住院号：1234567`, `微信 abc_123`; and beds."""

import re
from collections.abc import Iterator

from p2med.deid.beds import bed_spans
from p2med.deid.cues import any_of
from p2med.deid.words import words

_TOKEN = (
    r"\d(?:(?:[\-—–·•\u200b-\u200d]{1,2}|[\s.](?=\d{3})(?!(?:19|20)\d\d[年\-/.]))?\d){7,21}x?|"
    r"[a-z0-9][a-z0-9\-_/.*]{0,30}[a-z0-9*]|\d"
)
_IS = r"\s{0,4}(?:[:=#.]|为|是|系|编?号[:为是]?|no\.?:?)?\s{0,4}"
_LABEL = re.compile(
    "(?:" + any_of(words("number_label")) + r")(?:卡|证|证件|单|编)?"
    rf"(?:号码|编号|序号|条码|号|(?<!编)码|no\.?|id|(?<=[证卡]))\s{{0,3}}(?:\([^()\n]{{0,8}}\)\s?)?{_IS}(?P<value>(?=[a-z0-9\-/]*\d)(?:{_TOKEN}))"
    r"(?![a-z0-9])"
)
_ASCII_LABEL = re.compile(
    r"(?<![a-z])(?:patient\s?(?:id|no)|accession(?:\s?(?:no|number))?|acc|mrn|medical\s?record(?:\s?(?:no|number))?|id|ssn|passport|policy|account|(?:pid|hn)(?=\s?[:=]))"
    r"\.?\s?(?:[:=#]|no\.?|number|is|为|是|号)?\s{0,3}(?P<value>(?=[a-z0-9\-/]*\d)[a-z0-9][a-z0-9\-_/]{2,30})"
)
_CHAT = re.compile(
    r"(?:微信(?:号码?|id|账号)?|(?<![a-z])(?:wechat|weixin|wx|vx)|v信|(?<![a-z])qq(?:号码?|邮箱|群)?|企鹅号?|抖音号?|快手号?|微博|小红书号?|支付宝(?:账号)?|skype|whatsapp|telegram|钉钉号?|"
    r"钉钉|群号|加v|b站|账号|用户名|网名|昵称id|公众号|视频号|服务号|直播间|微店)\s?[“\"]?(?:\([^()\n]{0,6}\)\s?)?(?:[:=]|为|是|群|加|同号|号|[\u4e00-\u9fff]{1,4}(?=\s?[a-z0-9_.\-]*[\d_]))*\s{0,3}"
    r"(?P<value>[a-z0-9@][a-z0-9_\-.]{3,30}[a-z0-9])"
)
_PHONE = re.compile(
    r"(?:电话|手机|座机|固话|热线|tel|phone|mobile|cell|传真|fax|联系方式|致电|拨打|短号|分机|小灵通|呼叫)(?:号码?|1|2|一|二)?\s?(?:\([^()\n]{0,8}\)\s?)?[:=是为]?\s{0,3}"
    r"(?P<value>(?!1(?:10|19|20|22|2345|2320|2306)(?!\d))(?:1[3-9]\d{9}(?!\d)|\+?(?:\((?=0\d{2,3}\)))?\d(?:(?!\s{1,2}(?:19|20)\d\d[年\-/.])[\s\-—–.()]{0,2}\d){2,16}(?:\s?转\s?\d{1,5})?))(?!\d|\.\d|次|天|年|月|分|岁|min)"
)
# 筛选号D8620: whatever has a number of four and more characters.
_ANY_NUMBER = re.compile(
    r"[\u4e00-\u9fff]{1,4}(?<![型符信逗句文针管码调批])号\s?[:：]?\s?(?P<value>(?=[a-z0-9\-]*\d{3})[a-z0-9][a-z0-9\-]{3,20})"
    r"(?![a-z0-9.]|\s?(?:床|房|楼|室|ml|mg|年))"
)
_INITIALS = re.compile(
    r"(?:缩写|首字母|initials?)\s?(?:为|是|[:=])?\s?(?P<value>[a-z](?:[.\s]?[a-z]){1,4}\.?)(?![a-z])"
)
# 收款员D1410: a number in place of a name
_STAFF = re.compile(r"(?<=[员师])[:\s]?(?P<value>[a-z]?\d{4,8})(?![\d.年月日a-z]|\s?(?:人|名|元|次|例))")
# Codes after their label, with letters, lines and Chinese signs: 上报编码ADR-330106-2023, 证号 浙捐0092.
_CODE = re.compile(
    r"(?:编码|条码|条形码|二维码|样本|标本|血袋|管号|批件|调取单|文件名|存档|[护作入行访]证|证号|胸牌|手环|手环号|[,，]号|尾[数号]|监控|文号)"
    r"\s?[:是为(]?\s?(?P<value>(?!\d\d?-[a-z]{1,3}(?![a-z0-9]))(?=[a-z0-9\-_]*\d{2})"
    r"(?=[a-z0-9\-_]*[a-z\-_][a-z0-9]|\d{6}|(?<=尾[数号])\d{3,5}|(?<=证)\d{3})[a-z0-9][a-z0-9\-_]{1,38}[a-z0-9])"
    r"(?![a-z0-9]|\s?(?:例|份|个|人|次|支|管|ml|天|年|月))"
)
# 证号浙捐0092, 调取单 莆公城调字第0311
_SIGNED_CODE = re.compile(
    r"(?:证号|批件|[调取]单|文号|[编案]号)\s?[:是为(]?\s?"
    r"(?P<value>[\u4e00-\u9fff]{1,6}(?:字第|第)?\d{2,6}(?:-\d{1,6})?)(?!\d|\s?[年月日岁])"
)
# 航班CZ8314, 乘G1747次, 座位32K
_JOURNEY = re.compile(
    r"(?:航班号?|车次|班次|乘坐?|座位号?)\s?:?\s?(?P<value>[a-z]{1,2}\d{1,5}|\d{1,3}[a-z](?![a-z]))"
)
_SECRET = re.compile(r"(?:提取码|密码|口令|验证码|邀请码)\s?[:是为]?\s?(?P<value>[a-z0-9]{3,16})(?![a-z0-9])")
# No.0098213, NURSE=N1187, //0023884420//, 登记第17号
_OTHER = re.compile(
    r"(?<![a-z])no\s?\.\s?(?P<value>\d{5,12})(?!\d)|(?:(?<=[a-z]{3}=)|(?<=用户))(?P<value2>[a-z]{1,2}\d{4,8})(?!\d)|"
    r"(?<=//)(?P<value3>\d{6,20})(?=//|\s|$)|(?:登记|挂号|建档|签约)第\s?(?P<value4>\d{1,6})\s?号"
)
# A037储蓄、A038甘甜: two and more such numbers, each before a word.
_IN_QUEUE = re.compile(r"(?<![a-z0-9])(?P<value>[a-z]\d{3})(?=\s?[\u4e00-\u9fff]{2})")
_SHORT_PHONE = re.compile(
    r"(?:(?<=[打拨])|(?<=call\s))(?P<value>\d{3,4}[-\s]?\d{4})(?!\d|\.\d|-\d)|(?<![\d.\-])(?P<value2>[2-8]\d{7}-\d{2,4})(?!\d)"
)
# 网名 今天也要早睡 称: what a user calls himself, in Chinese, too.
_NICK = re.compile(
    r"(?:网名|昵称|(?<![a-z])id|用户名)\s?[:“\"]?(?P<value>(?!联系)(?=[^,。;]*[\u4e00-\u9fff])[a-z0-9_\u4e00-\u9fff]{3,14}?)"
    r"(?=的?[妈爸]|[称问说]|留言|咨询|评论|反映|发帖|[”\",，:)])"
)
_LABELS = (
    ("number", _STAFF),
    ("name", _INITIALS),
    ("number", _ANY_NUMBER),
    ("number", _LABEL),
    ("number", _ASCII_LABEL),
    ("contact", _CHAT),
    ("phone", _PHONE),
    ("number", _CODE),
    ("number", _SIGNED_CODE),
    ("number", _JOURNEY),
    ("number", _SECRET),
    ("number", _OTHER),
    ("phone", _SHORT_PHONE),
    ("contact", _NICK),
)


def label_spans(folded: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of each value that its label gives away."""
    for kind, pattern in _LABELS:
        for found in pattern.finditer(folded):
            yield *found.span(found.lastgroup or "value"), kind
    queue = list(_IN_QUEUE.finditer(folded))
    if len(queue) > 1:
        yield from ((*found.span("value"), "number") for found in queue)
    for start, end in bed_spans(folded):
        yield start, end, "bed"
