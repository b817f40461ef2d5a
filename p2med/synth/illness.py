"""The truth: what each child has, at each examination, and how it goes on."""

from datetime import date, timedelta
from typing import Literal

import numpy as np

from p2med.schema.base import Frozen
from p2med.synth.config import SynthConfig

Lobe = Literal["右肺上叶", "右肺中叶", "右肺下叶", "左肺上叶", "左肺下叶"]
LOBES: tuple[Lobe, ...] = ("右肺上叶", "右肺中叶", "右肺下叶", "左肺上叶", "左肺下叶")
Side = Literal["右", "左", "双"]
Pattern = Literal["normal", "bronchitis", "bronchopneumonia", "lobar"]
PATTERN_LABEL = {
    "normal": "正常",
    "bronchitis": "支气管炎",
    "bronchopneumonia": "支气管肺炎",
    "lobar": "大叶性肺炎",
}
Course = Literal["first", "absorbing", "same", "growing"]
FIRST_DAY = date(2021, 1, 4)


class Lungs(Frozen):
    """What a film shows. `size` and `effusion_amount` run from 0 to 1."""

    pattern: Pattern
    side: Side = "双"
    lobe: Lobe | None = None
    size: float = 0.0
    effusion_side: Literal["右", "左"] | None = None
    effusion_amount: float = 0.0
    hyperinflation: bool = False
    course: Course = "first"

    @property
    def labels(self) -> tuple[str, ...]:
        found = [PATTERN_LABEL[self.pattern]] if self.pattern != "normal" else []
        if self.effusion_side:
            found.append("胸腔积液")
        if self.hyperinflation:
            found.append("肺气肿")
        return tuple(found) or ("正常",)


class Examination(Frozen):
    modality: Literal["CR", "DX", "CT"]
    day: date
    accession_number: str
    lungs: Lungs
    enhanced: bool = False
    lateral: bool = False
    burned_in: bool = False
    burned_in_declared: bool = False
    monochrome1: bool = False
    reported: bool = True


class Visit(Frozen):
    visit_id: str
    inpatient: bool
    day: date
    diagnosis: str
    days_ill: int
    fever: float | None
    examinations: tuple[Examination, ...]


OUTPATIENT_ONLY = (
    "急性上呼吸道感染",
    "急性喉炎",
    "毛细支气管炎",
    "支气管哮喘",
    "急性扁桃体炎",
    "咳嗽变异性哮喘",
)
PNEUMONIA_AGENTS = ("支原体肺炎", "病毒性肺炎", "细菌性肺炎")


def make_visits(rng: np.random.Generator, index: int, config: SynthConfig) -> tuple[Visit, ...]:
    """One admission, or one or two outpatient visits."""
    day = FIRST_DAY + timedelta(days=int(rng.integers(0, 900)))
    if rng.random() < config.inpatient_share:
        return (_admission(rng, index, day, config),)
    visits = []
    for n in range(1 + int(rng.random() < 0.4)):
        visits.append(_outpatient(rng, index, n, day, config))
        day += timedelta(days=int(rng.integers(40, 200)))
    return tuple(visits)


def _lungs(rng: np.random.Generator, inpatient: bool) -> Lungs:
    patterns = ("normal", "bronchitis", "bronchopneumonia", "lobar")
    pattern = str(rng.choice(patterns, p=(0.08, 0.1, 0.42, 0.4) if inpatient else (0.25, 0.25, 0.26, 0.24)))
    lobe = LOBES[int(rng.integers(0, 5))] if pattern == "lobar" else None
    side: Side = ("右", "左", "双")[int(rng.integers(0, 3))] if pattern == "bronchopneumonia" else "双"
    if lobe:
        side = "右" if lobe.startswith("右") else "左"
    effusion = None
    if pattern in ("lobar", "bronchopneumonia") and rng.random() < 0.45:
        effusion = side if side != "双" else ("右", "左")[int(rng.integers(0, 2))]
    return Lungs(
        pattern=pattern,
        side=side,
        lobe=lobe,
        size=float(rng.uniform(0.6, 1.0)) if pattern != "normal" else 0.0,
        effusion_side=effusion,
        effusion_amount=float(rng.uniform(0.55, 1.0)) if effusion else 0.0,
        hyperinflation=bool(pattern in ("normal", "bronchitis", "bronchopneumonia") and rng.random() < 0.28),
    )


def _follow_up(rng: np.random.Generator, before: Lungs) -> Lungs:
    """Most pneumonias shrink; some stay, a few grow."""
    course = str(rng.choice(("absorbing", "same", "growing"), p=(0.7, 0.15, 0.15)))
    factor = {"absorbing": 0.75, "same": 1.0, "growing": 1.25}[course]
    return before.model_copy(
        update={
            "course": course,
            "size": min(1.0, max(0.55, before.size * factor)) if before.pattern != "normal" else 0.0,
            "effusion_amount": min(1.0, max(0.5, before.effusion_amount * factor))
            if before.effusion_side
            else 0.0,
        }
    )


def _film(rng: np.random.Generator, day: date, accession: str, lungs: Lungs, c: SynthConfig) -> Examination:
    burned_in = bool(rng.random() < c.burned_in_share)
    return Examination(
        modality="CR" if rng.random() < 0.4 else "DX",
        day=day,
        accession_number=accession,
        lungs=lungs,
        lateral=bool(rng.random() < 0.4),
        burned_in=burned_in,
        burned_in_declared=burned_in and bool(rng.random() < 0.4),
        monochrome1=bool(rng.random() < 0.2),
    )


def _admission(rng: np.random.Generator, index: int, day: date, config: SynthConfig) -> Visit:
    lungs = _lungs(rng, inpatient=True)
    examinations = []
    when, n = day, 0
    for k in range(2 + int(rng.random() < 0.5)):
        seen = lungs if k == 0 else _follow_up(rng, lungs)
        examinations.append(_film(rng, when, f"DR{index:06d}{n:02d}", seen, config))
        if k == 0 and rng.random() < config.ct_share:
            examinations.append(_ct(rng, when + timedelta(days=1), f"CT{index:06d}{n:02d}", lungs))
        if k == 1 and rng.random() < 0.5 * config.ct_share:
            examinations.append(_ct(rng, when + timedelta(days=1), f"CT{index:06d}{n:02d}", seen))
        lungs, n, when = seen, n + 1, when + timedelta(days=int(rng.integers(3, 7)))
    return Visit(
        visit_id=f"ZY{index:07d}",
        inpatient=True,
        day=day,
        diagnosis=_diagnosis(rng, examinations[0].lungs),
        days_ill=int(rng.integers(2, 12)),
        fever=round(float(rng.uniform(38.0, 40.2)), 1) if rng.random() < 0.85 else None,
        examinations=tuple(examinations),
    )


def _ct(rng: np.random.Generator, day: date, accession: str, lungs: Lungs) -> Examination:
    return Examination(
        modality="CT", day=day, accession_number=accession, lungs=lungs, enhanced=bool(rng.random() < 0.3)
    )


def _outpatient(rng: np.random.Generator, index: int, n: int, day: date, config: SynthConfig) -> Visit:
    examinations: tuple[Examination, ...] = ()
    lungs = _lungs(rng, inpatient=False)
    if rng.random() < config.xray_share:
        examinations = (_film(rng, day, f"DR{index:06d}{50 + n:02d}", lungs, config),)
    return Visit(
        visit_id=f"MZ{index:07d}{n}",
        inpatient=False,
        day=day,
        diagnosis=_diagnosis(rng, lungs),
        days_ill=int(rng.integers(1, 10)),
        fever=round(float(rng.uniform(37.8, 39.8)), 1) if rng.random() < 0.6 else None,
        examinations=examinations,
    )


def _diagnosis(rng: np.random.Generator, lungs: Lungs) -> str:
    if lungs.pattern == "normal":
        return str(rng.choice(OUTPATIENT_ONLY))
    if lungs.pattern == "bronchitis":
        return "急性支气管炎"
    if rng.random() < 0.25:
        return str(rng.choice(PNEUMONIA_AGENTS))
    return PATTERN_LABEL[lungs.pattern]
