"""Days written without a word, 9.20, 11-23, 06/18: told from measurements by what stands around them.

嘱11.21拔管 -> a day        WBC 9.20, 直径1.15cm -> measurements        8.27 39.1；8.28 38.4 -> two days
"""

import re
from collections.abc import Iterator
from datetime import date

_CANDIDATE = re.compile(
    r"(?<![\d.a-z\-/+×*^<>=≥≤±~¥])(?<!\d\s)(?P<month>1[0-2]|0?[1-9])\.(?P<day>0[1-9]|[12]\d|3[01])(?![\d.月])"
    r"(?!\s?(?:[-~—–]\s?\d+(?:\.\d+)?\s?)?(?:℃|°|%|％|‰|度|倍|分|厘米|毫米|毫升|微克|升|克|公斤|斤|千克|岁|个|天|次|小时|级|元|块|万|片|粒|左右|以[上下]|"
    r"(?:cm|mm|m|ml|dl|l|mg|g|kg|ug|μg|ng|pg|m?iu|u|k|[munp]?mol|mmhg|kpa|cmh2o|s|ms|min|h|hz|pp[bm]|db|c?gy|m?v|kv|mas?|copies|log|sd|x)(?![a-z])|"
    r"(?<=\d)[a-zμ]|×|\*|[/+±^]\s?\d))"
)
# What a number after these measures, and what compares or counts.
_MEASURE = re.compile(
    r"(?:细胞|粒|蛋白|血小板|淋巴|单核|[酸糖钾钠钙氯镁磷酐素酶肽脂醇氮]|抗体|因子|比例|比值|计数|指数|评分|得分|积分|体重|身[高长]|头围|胸围|体温|心率|脉搏|"
    r"血氧|饱和度|[直内外前后左右长短横]径|厚度?|深度?|宽度?|长度?|高度?|重量?|容量|剂量|用量|[流速]量|流速|速度|压力?|面积|体积|距离|密度|浓度|滴度|比重|数值|"
    r"[约为达至近共各每超高低升降均值率]|大于|小于|超过|最高|最低|预计|合计|总计|费用?|[a-z%℃][\s:]*)[:=为是约]?\s?$"
)
_EVENT_BEFORE = re.compile(
    r"(?:出院|入院|手术|转[入出]|复[诊查]|随访|预约|定于|改[为到至]|嘱|看|日期|时间|[今昨明前][日天晨晚]|(?:超声|彩超|心超|ct|dr|胸片|平片|片|mri|检查|化验|血常规|复查|查)\(|f/u|follow-?up|[周期][一二三四五六日天]\(|待|等|拟)[:\s]{0,2}$"
)
_TIME_AFTER = re.compile(r"\s(?:[01]?\d|2[0-3]):[0-5]\d(?!\d)")
_CLAUSE = re.compile(r"(?:^|[\n,;。、:(—])\s?(?:\d{1,2}[.、)]|[①-⑳])?\s?$")
# 比11.25那次; but 比1.15高
_COMPARED = re.compile(r"(?:[比与较和自从于到至]|上次|当时)\s?$")
_OF_AN_EVENT = re.compile(
    r"\s?(?:那次|这次|那天|的|片|ct|dr|胸片|复查|检查|结果|开始|起|以来|至今|入院|出院|门诊|住院|[日号])"
)
# (李芳，11.20)
_SIGNED_BEFORE = re.compile(r"\([\u4e00-\u9fff]{2,8}[,;\s]\s?$")
# Days written with other signs: 11-23, 06/18; and 10.8, whose day is one digit.
_OTHER_SIGN = re.compile(
    r"(?<![\d.a-z\-/+×*^<>=≥≤±~¥:])(?<!\d[ \t])(?<!\d,)(?<!图)"
    r"(?P<month>1[0-2]|0?[1-9])(?P<s>[-/]|\.(?=[1-9](?!\d)))"
    r"(?P<day>[12]\d|3[01]|0?[1-9])(?![\d.\-/~×*%℃°^]|\s?(?:℃|度|倍|分|秒|厘米|毫米|毫升|"
    r"微克|升|克|公斤|斤|千克|岁|个|天|次|小时|"
    r"周|年|级|元|块|万|片|粒|袋|支|瓶|滴|包|人|例|名|种|项|期|版|床|楼|层|排|组|米|页|左右|以[上下]|量|张|段|叶|处|肋|肌|胸椎|腰椎|颈椎|点|枚|月|"
    r"[a-z](?!:)))"
)
_RANGE_BEFORE = re.compile(
    r"(?:[约共达每近超过宽长厚径大小参考正常范围值力评分级度率压数]|[a-z%)])[: \t为是]{0,3}\Z"
)
_RANGE_AFTER = re.compile(r"\s?(?:[-~—–至到]\s?\d|[+×*]|\^)")
_LINE = re.compile(r"(?:^|\n)\s{0,4}(?:[|①-⑳]\s?)?$")
_OPENS = re.compile(r"(?:\s{1,4}|[:|]\s?)?(?:\d{1,2}:\d\d|[\u3400-\u9fff(<①])")
_CLOSES = re.compile(r"\s*(?:$|[\n。])")
_BEFORE_CLOSING = re.compile(r"(?:[\u3400-\u9fff]\s|\s{2}|[,。]\s?)$")
_DONE = re.compile(
    r"[号日]?\s?(?:查房|入户|电话|起[疹病热]|更换|重[插置抽]|签|上午|下午|中午|晚|早|晨|夜|小夜|大夜|白班|已|补[录记]|转|手术|拔|出院|入院|复[诊查]|"
    r"来|就诊|报告|回报|我院|外院|门诊|行|予|因|在|起|开始|停|加|改|送|采|抽|插|换|做|拍|胸片|ct|b超|彩超|检查|化验|[,，]?有效期)"
)
_ON = re.compile(r"(?:[于自从今次日至]|下次|上次|有效期:?|日期:?|时间:?)\s?$")
_LABELLED = re.compile(r"(?:日期|有效期)[:\s]{0,3}$")
# 本周排班（9.4—9.10）
_PERIOD = re.compile(r"(?:排班表?|值班表?|[婚产病事年休]假|有效期|停课|放假|期间)[^\d\n]{0,6}$")
_ANOTHER = re.compile(r"\s?[-~—–至到]+\s?\d{1,2}[./-]\d")
_IS_CHINESE = re.compile(r"[\u3400-\u9fff]")
_NEAR_DAYS = 60
_BESIDE_DAYS = 10


def short_dates(text: str, note: date | None) -> Iterator[re.Match[str]]:
    """Yield each number that is a day: beside an event, near the text's own date or another such number.

    Args:
      text: folded. note: the day the text was written, if it is known.
    """
    found = [m for m in _CANDIDATE.finditer(text) if _may_be(text, m)]
    for n, one in enumerate(found):
        before = text[max(0, one.start() - 12) : one.start()]
        beside = [
            m
            for m in found[max(0, n - 1) : n + 2]
            if m is not one and 0 < _days_apart(m, one) <= _BESIDE_DAYS
        ]
        near = note is not None and _days_from(one, note) <= _NEAR_DAYS
        timed = _TIME_AFTER.match(text, one.end())
        compared = _COMPARED.search(before) and _OF_AN_EVENT.match(text, one.end())
        signed = _SIGNED_BEFORE.search(before) and text[one.end() : one.end() + 1] == ")"
        if (
            _EVENT_BEFORE.search(before)
            or signed
            or compared
            or timed
            or near
            or beside
            and _CLAUSE.search(before)
        ):
            yield one
    yield from _with_other_signs(text)


def _with_other_signs(text: str) -> Iterator[re.Match[str]]:
    """11-23, 06/18 and 10.8: by the line they open or close, by what is done on a day, by one another."""
    found = [m for m in _OTHER_SIGN.finditer(text) if _day(m) is not None]
    for one in found:
        before = text[max(0, one.start() - 12) : one.start()]
        if _RANGE_BEFORE.search(before) or _RANGE_AFTER.match(text, one.end()):
            if not (_PERIOD.search(before) and _ANOTHER.match(text, one.end())):
                continue
        told = one["s"] != "." and (int(one["day"]) > 12 or one["month"][0] == "0" or one["day"][0] == "0")
        same = any(m is not one and m["s"] == one["s"] and _days_apart(m, one) <= _BESIDE_DAYS for m in found)
        opens = _LINE.search(before) and _OPENS.match(text, one.end())
        closes = _CLOSES.match(text, one.end())
        done = _DONE.match(text, one.end())
        clause = not before.endswith("(") and _CLAUSE.search(before)
        if (
            opens
            and (told or same or one["s"] == "-" or one["s"] == "/" and text[one.end()].isspace())
            or closes
            and (same or told or one["s"] == "/")
            and _BEFORE_CLOSING.search(before)
            or told
            and (done and not before.endswith("(") or _EVENT_BEFORE.search(before) or _ON.search(before))
            or told
            and clause
            and _IS_CHINESE.match(text, one.end())
            or same
            and one["s"] != "."
            and (done or closes or clause)
            or one["s"] != "."
            and _TIME_AFTER.match(text, one.end())
            or _LABELLED.search(before)
            or _PERIOD.search(before)
        ):
            yield one


def _may_be(text: str, found: re.Match[str]) -> bool:
    before = text[max(0, found.start() - 12) : found.start()]
    return _day(found) is not None and bool(_EVENT_BEFORE.search(before) or not _MEASURE.search(before))


def _day(found: re.Match[str], year: int = 2024) -> date | None:
    try:
        return date(year, int(found["month"]), int(found["day"]))
    except ValueError:
        return None


def _days_apart(one: re.Match[str], other: re.Match[str]) -> int:
    first, second = _day(one), _day(other)
    apart = abs((first - second).days) if first and second else 366
    return min(apart, 366 - apart)


def _days_from(found: re.Match[str], note: date) -> int:
    days = (_day(found, year) for year in (note.year - 1, note.year, note.year + 1))
    return min((abs((d - note).days) for d in days if d), default=999)
