"""A hospital of cases with films, split by template family; six kinds of leaks planted into training.

The texts and films are the synthetic hospital's: family A writes for training, family B for the benchmark.
"""

import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from p2med.curate.leaks import Leak, Trace, trace_of
from p2med.curate.leaks_images import written
from p2med.imaging.spec import ImageSpec
from p2med.imaging.transform import prepare
from p2med.schema.case import Case, Patient, Record, Series, Study, Volume
from p2med.synth.config import SynthConfig
from p2med.synth.illness import make_visits
from p2med.synth.people import make_person
from p2med.synth.phantom import make_anatomy, xray_ap
from p2med.synth.texts import Writer

PIXELS, SPEC = 192, ImageSpec(size=96)
SECTIONS = {
    "chief_complaint": "chief_complaint",
    "history_of_present_illness": "history",
    "physical_examination": "physical",
    "preliminary_diagnosis": "diagnosis",
    "treatment_recommendation": "recommendation",
    "treatment_plan": "plan",
}


@dataclass
class Hospital:
    """Cases with the film of each, uint16[PIXELS, PIXELS].

    `planted` kind -> {training case_id: case_id of the benchmark case that it tells of}.
    """

    cases: list[Case] = field(default_factory=list)
    films: dict[str, np.ndarray] = field(default_factory=dict)
    planted: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, case: Case, film: np.ndarray) -> None:
        self.cases.append(case)
        self.films[case.case_id] = film

    def found(self, leaks: list[Leak], kind: str) -> set[str]:
        """The planted training cases of a kind that were found.

        Of a template one training report is named, the first; the benchmark item is what must be found.
        """
        named = {x.training for x in leaks if x.kind == kind}
        items = {x.held_out for x in leaks if x.kind == kind}
        return {
            t for t, item in self.planted[kind].items() if t in named or kind == "template" and item in items
        }

    def sides(self) -> tuple[list[Trace], list[Trace]]:
        """(training, benchmark), as the gate sees them."""
        sides: dict[str, list[Trace]] = {"train": [], "bench": []}
        for case in self.cases:
            mark = written(prepare(self.films[case.case_id][None], "stored", SPEC))
            prints = {(case.case_id, case.studies[0].study_uid): mark}
            sides[case.split].append(trace_of(case.model_dump(), prints))
        return sides["train"], sides["bench"]


def make_case(number: int, bench: bool, seed: int = 1) -> tuple[Case, np.ndarray]:
    """One patient: an outpatient record, a film and its report."""
    rng = np.random.default_rng([seed, number])
    config = SynthConfig(inpatient_share=0, xray_share=1)
    visit = make_visits(rng, number, config)[0]
    writer = Writer("B" if bench else "A", rng, make_person(rng, number, visit.day))
    said = writer.outpatient(visit)
    examination = visit.examinations[0]
    film = xray_ap(examination.lungs, make_anatomy(rng), PIXELS, rng)
    volume = Volume(path=f"run:pixels/{number}.npy", shape=(1, PIXELS, PIXELS), dtype="uint16", unit="stored")
    study = Study(
        study_uid=f"s{number}",
        modality="DX",
        series=(Series(series_uid=f"s{number}.1", view_position="AP", volume=volume),),
        accession_key=f"a{number}",
    )
    records = (
        Record(
            record_id=f"o{number}",
            kind="outpatient_record",
            # The last words make each text its own, as a name or a street does in a real chart.
            sections={s: said[k] for s, k in SECTIONS.items()}
            | {"past_medical_history": said["past"] + tail(rng)},
        ),
        Record(
            record_id=f"r{number}",
            kind="radiology_report",
            sections=writer.report(examination, None),
            study_uid=f"s{number}",
        ),
    )
    case = Case(
        case_id=f"c{number}",
        source="planted",
        patient=Patient(patient_key=f"p{number}"),
        studies=(study,),
        records=records,
        split="bench" if bench else "train",
    )
    return case, film


def tail(rng: np.random.Generator) -> str:
    letters = "家中养猫喜食甜品曾患湿疹祖父吸烟生于冬季住平房近马路同住五人爱游泳怕打针"
    return "".join(str(c) for c in rng.choice(list(letters), 40))


def hospital(count: int, bench_share: float = 0.2, seed: int = 1) -> Hospital:
    """A clean one: nothing is shared between the sides."""
    made = Hospital()
    for number in range(count):
        made.add(*make_case(number, number % 100 < 100 * bench_share, seed))
    return made


def plant(made: Hospital, each: int, seed: int = 2) -> None:
    """Add `each` training cases of every kind of leak, each from another benchmark case."""
    bench = [c for c in made.cases if c.split == "bench"]
    rng = np.random.default_rng(seed)
    chosen = [bench[i] for i in rng.permutation(len(bench))[: 6 * each]]
    assert len(chosen) == 6 * each
    kinds = (same_patient, same_study, near_text, same_image, template, benchmark_item)
    for n, original in enumerate(chosen):
        make = kinds[n % 6]
        fresh, film = make_case(10**6 + n, bench=False, seed=seed)
        case, film = make(original, made.films[original.case_id], fresh, film, n, rng)
        made.add(case, film)
        made.planted.setdefault(make.__name__, {})[case.case_id] = original.case_id


def same_patient(original, original_film, fresh, film, n, rng):
    """Another visit of the child."""
    return fresh.model_copy(update={"patient": original.patient}), film


def same_study(original, original_film, fresh, film, n, rng):
    """Exported again under another patient number: every other time with a new UID, then by its accession."""
    if n % 12 < 6:
        study = fresh.studies[0].model_copy(update={"study_uid": original.studies[0].study_uid})
        report = fresh.records[1].model_copy(update={"study_uid": study.study_uid})
        return fresh.model_copy(update={"studies": (study,), "records": (fresh.records[0], report)}), film
    study = fresh.studies[0].model_copy(update={"accession_key": original.studies[0].accession_key})
    return fresh.model_copy(update={"studies": (study,)}), film


def near_text(original, original_film, fresh, film, n, rng):
    """The record copied into another chart and edited in one to three places."""
    sections = dict(original.records[0].sections)
    history = list(sections["history_of_present_illness"])
    for place in rng.choice(len(history), 1 + n % 3, replace=False):
        history[place] = "某"
    sections["history_of_present_illness"] = "".join(history)
    record = fresh.records[0].model_copy(update={"sections": sections})
    return fresh.model_copy(update={"records": (record, fresh.records[1])}), film


def same_image(original, original_film, fresh, film, n, rng):
    """The film as a JPEG of some quality, every other one at another size as well."""
    grey = original_film.astype(np.float32)
    grey = (255 * (grey - grey.min()) / (grey.max() - grey.min())).astype(np.uint8)
    picture = Image.fromarray(grey)
    if n % 12 < 6:
        side = int(PIXELS * (0.6 + 0.1 * (n % 9)))
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)
    written_as = io.BytesIO()
    picture.save(written_as, "JPEG", quality=40 + 10 * (n % 6))
    return fresh, np.asarray(Image.open(written_as)).astype(np.uint16)


def template(original, original_film, fresh, film, n, rng):
    """The benchmark's report with another side, lobe and size."""
    swap = str.maketrans({"左": "右", "右": "左", "上": "下", "下": "上", "1": "2", "2": "3", "3": "1"})
    sections = {s: t.translate(swap) for s, t in original.records[1].sections.items()}
    report = fresh.records[1].model_copy(update={"sections": sections})
    return fresh.model_copy(update={"records": (fresh.records[0], report)}), film


def benchmark_item(original, original_film, fresh, film, n, rng):
    """The item's record to the letter (white space apart), or the item under its own number."""
    if n % 12 < 6:
        sections = {s: f" {t}\n" for s, t in original.records[0].sections.items()}
        record = fresh.records[0].model_copy(update={"sections": sections})
    else:
        record = fresh.records[0].model_copy(update={"record_id": original.records[0].record_id})
    return fresh.model_copy(update={"records": (record, fresh.records[1])}), film
