"""How well someone who knows a child could find it in the output: k-anonymity, and rare diagnoses.

k is the number of children who share sex, age and whatever else one may know; k = 1 is one child alone.

Source: L. Sweeney, k-anonymity, IJUFKS 10 (2002) 557; the mean risk is the mean of 1/k over children.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from p2med.schema.base import Frozen
from p2med.schema.case import Case

SMALL = 5
DAYS_A_YEAR, DAYS_A_MONTH = 365.25, 30.4375


class Group(Frozen):
    """k-anonymity of one choice of known facts."""

    facts: str
    zh: str
    patients: int
    smallest_k: int
    alone: int
    below_5: int
    mean_risk: float


class Linkage(Frozen):
    groups: tuple[Group, ...]
    diagnoses: int
    """Labels in the output; 0 when curate has not labelled it."""
    rare_diagnoses: int
    """Labels of fewer than 5 children."""
    patients_with_rare_diagnosis: int


def linkage(cases: Iterable[Case]) -> Linkage:
    """Judge the cases of a folder; one child counts once, by its first visit."""
    by_patient: dict[str, list[Case]] = {}
    for case in cases:
        by_patient.setdefault(case.patient.patient_key, []).append(_without_texts(case))
    children = [sorted(c, key=_first_day) for c in by_patient.values()]
    with_label: Counter[str] = Counter()
    for visits in children:
        with_label.update({d for c in visits for d in c.diagnoses})
    rare = {d for d, n in with_label.items() if n < SMALL}
    return Linkage(
        groups=tuple(_group(en, zh, children, facts) for en, zh, facts in FACTS),
        diagnoses=len(with_label),
        rare_diagnoses=len(rare),
        patients_with_rare_diagnosis=sum(any(rare & set(c.diagnoses) for c in v) for v in children),
    )


def _without_texts(case: Case) -> Case:
    """All cases of a run are held at once, so their texts are not."""
    records = tuple(r.model_copy(update={"sections": {}}) for r in case.records)
    return case.model_copy(update={"records": records, "questions": ()})


def _group(en: str, zh: str, children: Sequence[list[Case]], facts: Callable[[list[Case]], object]) -> Group:
    sizes = Counter(repr(facts(visits)) for visits in children)
    small = [n for n in sizes.values() if n < SMALL]
    return Group(
        facts=en,
        zh=zh,
        patients=len(children),
        smallest_k=min(sizes.values(), default=0),
        alone=sum(n == 1 for n in sizes.values()),
        below_5=sum(small),
        mean_risk=round(len(sizes) / len(children), 4) if children else 0.0,
    )


def _first_day(case: Case) -> str:
    return min(_days([case]), default="")


def _days(visits: Iterable[Case]) -> list[str]:
    days = {s.study_date for c in visits for s in c.studies} | {
        r.authored_on for c in visits for r in c.records
    }
    return sorted(str(d) for d in days if d)


def _age(visits: Sequence[Case], unit_days: float) -> int | None:
    age = visits[0].patient.age_days
    return None if age is None else int(age / unit_days)


def _intervals(visits: Sequence[Case]) -> list[int]:
    days = sorted({d for c in visits for s in c.studies if (d := s.study_date)})
    days = sorted({*days, *(d for c in visits for r in c.records if (d := r.authored_on))})
    return [(b - a).days for a, b in zip(days, days[1:], strict=False)]


def _sex(visits: Sequence[Case]) -> str | None:
    return visits[0].patient.sex


FACTS: tuple[tuple[str, str, Callable[[list[Case]], object]], ...] = (
    ("sex, age in years", "性别、周岁", lambda v: (_sex(v), _age(v, DAYS_A_YEAR))),
    ("sex, age in months", "性别、月龄", lambda v: (_sex(v), _age(v, DAYS_A_MONTH))),
    ("sex, age in days", "性别、日龄", lambda v: (_sex(v), _age(v, 1))),
    (
        "sex, age in years, diagnoses",
        "性别、周岁、诊断",
        lambda v: (_sex(v), _age(v, DAYS_A_YEAR), sorted({d for c in v for d in c.diagnoses})),
    ),
    (
        "sex, age in years, days between visits",
        "性别、周岁、就诊间隔天数",
        lambda v: (_sex(v), _age(v, DAYS_A_YEAR), _intervals(v)),
    ),
)
