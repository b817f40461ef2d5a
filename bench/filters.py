"""The cleaning filters of curate on invented charts: alarms on clean ones, planted faults that are found.

    python bench/filters.py --patients 12000        # the figures of bench/filters.md

Clean records are those of the synthetic hospital's writers (family A, and B whose wording the filters were
not written on); each fault changes one clean record in one way.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np

from p2med.curate.config import CurateConfig
from p2med.curate.filters import conflict_of
from p2med.curate.filters_subject import Subject
from p2med.schema.terms import RecordKind
from p2med.synth.config import SynthConfig
from p2med.synth.illness import make_visits
from p2med.synth.people import make_person
from p2med.synth.texts import Writer

NAMES = CurateConfig().filters
COLUMNS = {
    "chief_complaint": "chief_complaint", "history": "history_of_present_illness",
    "past": "past_medical_history", "physical": "physical_examination",
    "recommendation": "treatment_recommendation", "plan": "treatment_plan",
    "auxiliary": "auxiliary_examination", "features": "clinical_history_features",
    "basis": "diagnostic_basis", "additional": "additional_clinical_history_and_signs",
    "diagnosis": "current_diagnosis",
}  # fmt: skip
ELSEWHERE = (
    ("颅脑CT平扫示脑实质密度均匀，脑室形态正常。", "颅脑未见异常。"),
    ("右膝关节诸骨骨质完整，关节间隙存在。", "右膝未见骨折。"),
    ("腹部平片见肠管积气，未见液平。", "肠管积气。"),
    ("双侧上颌窦粘膜增厚，鼻中隔居中。", "双侧上颌窦炎。"),
)


def clean(patients: int, family: str, seed: int = 11) -> Iterator[Subject]:
    """Every record of so many invented children."""
    config = SynthConfig(patients=patients, seed=seed)
    for index in range(patients):
        rng = np.random.default_rng([seed, index])
        visits = make_visits(rng, index, config)
        person = make_person(rng, index, visits[0].day)
        writer = Writer(family, rng, person)
        for visit in visits:
            facts = {"sex": person.sex, "age_days": (visit.day - person.birth_date).days}
            for n, e in enumerate(visit.examinations):
                before = visit.examinations[n - 1].day if n else None
                facts |= {"modality": e.modality, "study_date": e.day}
                yield Subject(RecordKind.RADIOLOGY_REPORT, writer.report(e, before), e.day, **facts)
            if visit.inpatient:
                texts = (writer.first_course(visit), writer.senior_round(visit, False))
                kind = RecordKind.FIRST_COURSE_RECORD
            else:
                texts, kind = (writer.outpatient(visit),), RecordKind.OUTPATIENT_RECORD
            for text in texts:
                sections = {COLUMNS[k]: v for k, v in text.items()}
                yield Subject(kind, sections, visit.day, facts["sex"], facts["age_days"])


# ------------------------------------------------------- faults: a clean subject -> a broken one, or None


def _impression(s: Subject, words: str) -> Subject:
    return replace(s, sections={**s.sections, "impression": words})


def _findings(s: Subject, words: str) -> Subject:
    return replace(s, sections={**s.sections, "findings": words})


def _report(s: Subject) -> bool:
    return s.kind is RecordKind.RADIOLOGY_REPORT


def other_side(s: Subject, draw: random.Random) -> Subject | None:
    """Left and right exchanged in the impression."""
    words = s.sections.get("impression", "")
    turned = words.translate({ord("左"): "右", ord("右"): "左"})
    return _impression(s, turned) if turned != words else None


def denied_in_findings(s: Subject, draw: random.Random) -> Subject | None:
    """The sentence of the effusion is exchanged for its denial."""
    if "胸腔积液" not in s.sections.get("impression", ""):
        return None
    marks = ("积液", "液性", "水样", "液体", "肋膈角", "白影", "弧形")
    kept = [x for x in s.sections["findings"].split("。") if x and not any(m in x for m in marks)]
    denial = draw.choice(("未见胸腔积液", "双侧胸腔未见积液", "两侧胸膜腔内无积液"))
    return _findings(s, "。".join([*kept, denial]) + "。")


def denied_in_impression(s: Subject, draw: random.Random) -> Subject | None:
    """The impression says that there is no effusion."""
    words = s.sections.get("impression", "")
    return _impression(s, "支气管肺炎，未见胸腔积液。") if "胸腔积液" in words else None


def normal_impression(s: Subject, draw: random.Random) -> Subject | None:
    """The impression of a healthy child under the findings of a pneumonia."""
    if "肺炎" not in s.sections.get("impression", "") or not _report(s):
        return None
    return _impression(s, draw.choice(("心肺未见明显异常。", "两肺未见明显异常。", "胸部未见明显异常。")))


def stated_sex(s: Subject, draw: random.Random) -> Subject | None:
    """A sentence of the other sex at the head of the features or the history."""
    sections = ("clinical_history_features", "history_of_present_illness")
    section = next((k for k in sections if k in s.sections), "")
    other = "男" if s.sex == "F" else "女"
    start = draw.choice((f"患儿，{other}，", f"患儿{other}，", f"患儿系{other}孩，", f"性别：{other}，"))
    return replace(s, sections={**s.sections, section: start + s.sections[section]}) if section else None


def changed_sex(s: Subject, draw: random.Random) -> Subject | None:
    """The chart of a boy filed under a girl, where the chart says its sex."""
    words = s.sections.get("clinical_history_features")
    return replace(s, sex="M" if s.sex == "F" else "F") if words else None


def organ(s: Subject, draw: random.Random) -> Subject | None:
    """An examination of an organ that the patient does not have."""
    if "physical_examination" not in s.sections:
        return None
    words = "双侧睾丸已降。" if s.sex == "F" else "子宫附件未见异常。"
    return replace(
        s, sections={**s.sections, "physical_examination": s.sections["physical_examination"] + words}
    )


def changed_age(s: Subject, draw: random.Random) -> Subject | None:
    """The chart of a child of quite another age, where the chart says its age."""
    if "clinical_history_features" not in s.sections:
        return None
    years, change = s.age_days / 365.25, draw.uniform(3, 6)
    return replace(s, age_days=int(365.25 * (years + change if years < 7 else years - change)))


def other_kind(s: Subject, draw: random.Random) -> Subject | None:
    """The report of a film on a CT study, and the other way round."""
    return replace(s, modality="CT" if s.modality != "CT" else "DX") if _report(s) else None


def other_region(s: Subject, draw: random.Random) -> Subject | None:
    """The report of a head, a knee, a belly."""
    if not _report(s):
        return None
    findings, impression = draw.choice(ELSEWHERE)
    return replace(s, sections={"findings": findings, "impression": impression})


def other_date(s: Subject, draw: random.Random) -> Subject | None:
    """A report written before its images were made, or months after."""
    days = draw.choice((-400, -30, -2, 40, 90, 365))
    return replace(s, authored_on=s.study_date + timedelta(days=days)) if _report(s) else None


FAULTS: dict[str, tuple[Callable[[Subject, random.Random], Subject | None], str]] = {
    "left and right exchanged in the impression": (other_side, "conflict_side"),
    "effusion denied in the findings": (denied_in_findings, "conflict_negation"),
    "effusion denied in the impression": (denied_in_impression, "conflict_negation"),
    "normal impression over a pneumonia": (normal_impression, "conflict_negation"),
    "the other sex stated": (stated_sex, "conflict_sex"),
    "filed under the other sex": (changed_sex, "conflict_sex"),
    "an organ of the other sex": (organ, "conflict_sex"),
    "filed under another age": (changed_age, "conflict_age"),
    "report of another kind of examination": (other_kind, "wrong_pairing"),
    "report of another region": (other_region, "wrong_pairing"),
    "report of another date": (other_date, "wrong_pairing"),
}


def measure(subjects: list[Subject], each: int) -> tuple[Counter[str], dict[str, tuple[int, int, int]]]:
    """Alarms on the clean ones by reason; for each fault: planted, found, found with its reason."""
    alarms = Counter(fault[0] for s in subjects if (fault := conflict_of(s, NAMES)))
    found = {}
    for name, (break_, reason) in FAULTS.items():
        draw = random.Random(name)
        broken = [b for s in subjects if (b := break_(s, draw)) is not None]
        broken = draw.sample(broken, min(each, len(broken)))
        faults = [conflict_of(b, NAMES) for b in broken]
        named = sum(bool(f and f[0] == reason) for f in faults)
        found[name] = (len(broken), sum(f is not None for f in faults), named)
    return alarms, found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--each", type=int, default=1000)
    options = parser.parse_args(arguments)
    for family in "AB":
        subjects = list(clean(options.patients, family))
        start = time.perf_counter()
        for s in subjects:
            conflict_of(s, NAMES)
        seconds = time.perf_counter() - start
        alarms, found = measure(subjects, options.each)
        print(f"\nfamily {family}: {len(subjects)} clean records, alarms {dict(alarms)}, {seconds:.1f} s")
        print("| fault | planted | found | with its own reason |\n|---|---|---|---|")
        for name, row in found.items():
            print(f"| {name} | " + " | ".join(map(str, row)) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
