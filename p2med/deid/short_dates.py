"""Days written as a decimal number, 9.20: told from measurements by what stands around them.

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
_CLAUSE = re.compile(r"(?:^|[\n,;。、:(])\s?(?:\d{1,2}[.、)]|[①-⑳])?\s?$")
# 比11.25那次; but 比1.15高
_COMPARED = re.compile(r"(?:[比与较和自从于到至]|上次|当时)\s?$")
_OF_AN_EVENT = re.compile(
    r"\s?(?:那次|这次|那天|的|片|ct|dr|胸片|复查|检查|结果|开始|起|以来|至今|入院|出院|门诊|住院|[日号])"
)
# (李芳，11.20)
_SIGNED_BEFORE = re.compile(r"\([\u4e00-\u9fff]{2,8}[,;\s]\s?$")
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
