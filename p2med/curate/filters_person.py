"""Sex and age: what a text says of its patient against what the patient's row says."""

import re
from collections.abc import Iterator

from p2med.curate.filters_subject import Subject

_OTHER_PERSON = re.compile(
    r"[父母爸妈哥姐弟妹兄爷奶姨姑叔舅]|家长|家属|家人|同学|亲属|监护人|产妇|孕|双胎之|既往|曾[有因患经在于]|生后|出生时"
)
_REACH = 14
"""Characters before a statement in which another person or another time of life takes it over."""

_AGE = (
    r"(?:(?P<years>\d{1,2})\s*\+?\s*(?P<half>岁半)|(?P<whole>\d{1,2})\s*\+?\s*周?岁(?:零?(?P<months>\d{1,2})\s*个?月)?"
    r"|(?P<only_months>\d{1,2})\s*\+?\s*个?月(?:零?(?P<days>\d{1,2})\s*[天日])?|(?P<only_days>\d{1,2})\s*[天日])"
)
_NOT_AN_AGE = r"(?![余多]?[前来后内间起时]|\s*[\d+~～-])"
_SEX = r"[男女]"
_STATED = re.compile(
    rf"(?:^|[，,、：:。；;\s患儿者例])(?P<sex1>{_SEX})(?:性|[孩婴童])?[，,、\s]*{_AGE}{_NOT_AN_AGE}"
)
_STATED_AGE_FIRST = re.compile(
    rf"(?<![\d.嗽热泻吐程痛病史喘疹]){_AGE}[，,、\s]*(?P<sex1>{_SEX})(?:性|[孩婴童]|(?=[，,、。；;\s]|$))"
)
_AGE_ALONE = re.compile(
    rf"年龄\s*[:：为]?\s*{_AGE}{_NOT_AN_AGE}|^(?:\d[.、])?{_AGE.replace('?P<', '?P<b_')}患[儿童]"
    r"|(?<![\d.])(?:(?P<c_years>\d{1,2})岁半|(?P<c_whole>\d{1,2})周?岁)患[儿者童]"
)
"""Days and months before 患儿 are an age at the head of a section alone: 入院前3天患儿 is a date."""
_SEX_ALONE = re.compile(
    rf"(?:患儿|患者|患童|本例)[，,、\s]*[系为]?(?P<sex1>{_SEX})(?=[性孩婴童，,、。；;\s]|$)"
    rf"|性别\s*[:：为]?\s*(?P<sex2>{_SEX})"
)

_SEX_HINT = re.compile(r"[男女]")
_AGE_HINT = re.compile(r"[男女]|年龄|[岁半月天日]患")
_MALE_ORGANS = re.compile(r"睾丸|阴囊|阴茎|包皮|包茎|隐睾|鞘膜积液|前列腺|精索|龟头")
_FEMALE_ORGANS = re.compile(r"卵巢|子宫|阴道|阴唇|处女膜|月经|初潮|输卵管|外阴阴道炎")
_DAYS_A_YEAR, _DAYS_A_MONTH = 365.25, 30.44


def sex(subject: Subject) -> str | None:
    """The text states the other sex, or an organ that only the other sex has."""
    if subject.sex not in ("M", "F"):
        return None
    other = "女" if subject.sex == "M" else "男"
    organs = _FEMALE_ORGANS if subject.sex == "M" else _MALE_ORGANS
    for section, match in _stated(subject, (_STATED, _STATED_AGE_FIRST, _SEX_ALONE), _SEX_HINT):
        if other in (match.groupdict().get("sex1"), match.groupdict().get("sex2")):
            return f"{section}: the other sex is stated"
    for section, _ in _stated(subject, (organs,)):
        return f"{section}: an organ of the other sex"
    return None


def age(subject: Subject) -> str | None:
    """The text states an age that the patient cannot have at this visit.

    An age in years may be half a year too low and one and a half too high (counted from one at birth), one in
    years and months three months off, in months two months, in days ten days.
    """
    if subject.age_days is None:
        return None
    for section, match in _stated(subject, (_STATED, _STATED_AGE_FIRST, _AGE_ALONE), _AGE_HINT):
        stated = {k.removeprefix("b_").removeprefix("c_"): v for k, v in match.groupdict().items() if v}
        low, high = _range_days(stated)
        if not low <= subject.age_days <= high:
            return f"{section}: another age is stated"
    return None


def _range_days(stated: dict[str, str]) -> tuple[float, float]:
    """The ages in days that a stated age allows."""
    if "only_days" in stated:
        return int(stated["only_days"]) - 10, int(stated["only_days"]) + 10
    if "only_months" in stated:
        days = int(stated["only_months"]) * _DAYS_A_MONTH + int(stated.get("days", 0))
        return days - 61, days + 61
    years = int(stated.get("whole") or stated["years"])
    if "months" in stated:
        days = years * _DAYS_A_YEAR + int(stated["months"]) * _DAYS_A_MONTH
        return days - 92, days + 92
    half = _DAYS_A_YEAR / 2
    return years * _DAYS_A_YEAR - half - _DAYS_A_YEAR, (years + 1) * _DAYS_A_YEAR + half


def _stated(
    subject: Subject, patterns: tuple[re.Pattern[str], ...], hint: re.Pattern[str] | None = None
) -> Iterator[tuple[str, re.Match[str]]]:
    """What the sections say of this patient himself, now; without its hint a section is not searched."""
    for section, text in subject.sections.items():
        if hint is not None and not hint.search(text):
            continue
        for pattern in patterns:
            for match in pattern.finditer(text):
                before = re.split(r"[。；;！!\n]", text[max(0, match.start() - _REACH) : match.start()])[-1]
                if not _OTHER_PERSON.search(before):
                    yield section, match
