"""What is planted where: a new identity for every sampled patient, and sentences for their texts.

IdentifiedCase of the run -> the same case of an invented child, with ◇marked◇ sentences in its sections
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from p2med.certify.canary import Canary, Maker, Name
from p2med.certify.sentences import TEMPLATES, clinical_sentence, disguised, marked, written
from p2med.schema.identified import IdentifiedCase, IdentifiedPatient, IdentifiedRecord
from p2med.store import read_items

KNOWN = (
    "patient_name", "relative_name", "staff_name", "pinyin", "patient_number", "visit_number",
    "accession_number", "id_number", "phone", "address",
)  # fmt: skip
UNKNOWN = (
    "patient_name", "relative_name", "staff_name", "patient_number", "visit_number", "accession_number",
    "id_number", "phone", "address", "institution", "contact", "date",
)  # fmt: skip
SHORTEST_SWAP = 2
OLD_YEARS = (1905, 1930)


@dataclass
class Own:
    """The invented identity of one sampled patient; `swaps` replaces the real values in the texts."""

    name: Name
    relative: Name
    staff: Name
    patient_number: str
    id_number: str
    phone: str
    address: str
    swaps: dict[str, str] = field(default_factory=dict)
    more_names: list[str] = field(default_factory=list)
    more_ids: list[str] = field(default_factory=list)
    visit_numbers: dict[str, str] = field(default_factory=dict)
    accession_numbers: dict[str, str] = field(default_factory=dict)

    def value(self, kind: str, case_id: str, study_uid: str | None) -> str:
        """This patient's value of a kind, in the texts of a case."""
        found: dict[str, str] = {
            "patient_name": self.name.chinese,
            "relative_name": self.relative.chinese,
            "staff_name": self.staff.chinese,
            "pinyin": self.name.pinyin,
            "patient_number": self.patient_number,
            "visit_number": self.visit_numbers[case_id],
            "accession_number": self.accession_numbers.get(study_uid or "", self.visit_numbers[case_id]),
            "id_number": self.id_number,
            "phone": self.phone,
            "address": self.address,
        }
        return found[kind]


@dataclass(frozen=True)
class Sentence:
    """A planted sentence. `value` is what is written of the canary; empty in a clinical sentence."""

    number: int
    before: str
    value: str
    after: str
    canary: int | None
    terms: tuple[str, ...]
    authored_on: date | None
    """The true date of its record."""
    study_date: date | None
    """The true date of the examination that the record reports."""

    @property
    def text(self) -> str:
        return self.before + self.value + self.after


@dataclass
class Plan:
    """Everything that is planted. `cases` are the run's own, their texts changed."""

    maker: Maker
    cases: list[IdentifiedCase]
    own: dict[str, Own]
    """By the real patient number with its source."""
    canaries: list[Canary] = field(default_factory=list)
    sentences: dict[int, Sentence] = field(default_factory=dict)

    def add(
        self,
        kind: str,
        place: str,
        value: str,
        known: bool,
        sentence: int | None = None,
        day: date | None = None,
    ) -> int:
        """Register a canary; returns its number."""
        self.canaries.append(Canary(kind, place, value, known, sentence, day))
        return len(self.canaries) - 1


def patient_of(case: IdentifiedCase) -> str:
    return f"{case.source}/{case.patient.patient_id}"


def sample(folder: Path, patients: int, seed: int) -> list[IdentifiedCase]:
    """All cases of a random choice of patients, those with texts and DICOM first.

    Args:
      folder: a finished `1_ingest`; it is read twice, so that not all of it is held at once.
    """
    has: dict[str, list[bool]] = {}
    for case in read_items(folder, IdentifiedCase):
        texts, dicom = has.setdefault(patient_of(case), [False, False])
        dicom = dicom or any(s.format == "dicom" for study in case.studies for s in study.series)
        has[patient_of(case)] = [texts or bool(case.records), dicom]
    names = sorted(has)
    random.Random(seed).shuffle(names)
    chosen = set(sorted(names, key=lambda n: -sum(has[n]))[:patients])
    found = [c for c in read_items(folder, IdentifiedCase) if patient_of(c) in chosen]
    return sorted(found, key=lambda c: (patient_of(c), c.case_id))


def make_plan(cases: Sequence[IdentifiedCase], per_class: int, seed: int) -> Plan:
    """Invent identities and sentences.

    Args:
      per_class: how many sentences of each kind whose value the tables hold, and how many of others.
    """
    taken = "\n".join(str(c) for c in cases)
    plan = Plan(Maker(seed, taken), [], {})
    for case in cases:
        if patient_of(case) not in plan.own:
            plan.own[patient_of(case)] = _own(plan.maker, case.patient)
        own = plan.own[patient_of(case)]
        own.visit_numbers[case.case_id] = plan.maker.like("MZ0000000")
        for study in case.studies:
            number = plan.maker.like(study.accession_number or "00000000")
            own.accession_numbers[study.study_uid] = number
            if study.accession_number:
                own.swaps.setdefault(study.accession_number, number)
    for own in plan.own.values():
        _add_identity(plan, own)
    texts = _plan_sentences(plan, cases, per_class)
    plan.cases = [_with_texts(c, plan.own[patient_of(c)], texts, plan.maker.random) for c in cases]
    return plan


def _own(maker: Maker, real: IdentifiedPatient) -> Own:
    own = Own(
        maker.name(), maker.name(), maker.name(), maker.like(real.patient_id),
        maker.id_number(real.birth_date), maker.phone(), maker.address(),
    )  # fmt: skip
    own.swaps[real.patient_id] = own.patient_number
    for name in real.names:
        if name.isascii():
            own.swaps[name] = own.name.pinyin
        else:
            own.more_names.append(maker.name().chinese)
            own.swaps[name] = own.more_names[-1]
    for value in real.ids:
        if value not in own.swaps:
            own.more_ids.append(maker.like(value))
            own.swaps[value] = own.more_ids[-1]
    own.swaps |= {value: own.phone for value in real.phones} | {
        value: own.address for value in real.addresses
    }
    return own


def _add_identity(plan: Plan, own: Own) -> None:
    """The values of the tables' own columns."""
    values = {
        "patient_name": [own.name.chinese],
        "relative_name": [own.relative.chinese, *own.more_names],
        "staff_name": [own.staff.chinese],
        "patient_number": [own.patient_number],
        "visit_number": [*own.visit_numbers.values()],
        "accession_number": [*own.accession_numbers.values()],
        "id_number": [own.id_number, *own.more_ids],
        "phone": [own.phone],
        "address": [own.address],
    }
    for kind, many in values.items():
        for value in many:
            plan.add(kind, "table", value, known=True)


# ---------------------------------------------------------------- texts

Texts = dict[tuple[str, str], list[str]]
"""Sentences by (record_id, section)."""


def _plan_sentences(plan: Plan, cases: Sequence[IdentifiedCase], per_class: int) -> Texts:
    places = [(c, r, s) for c in cases for r in c.records for s in r.sections]
    rng = plan.maker.random
    rng.shuffle(places)
    if not places:
        return {}
    jobs = [(k, True) for k in KNOWN for _ in range(per_class)]
    jobs += [(k, False) for k in UNKNOWN for _ in range(per_class)]
    jobs += [("clinical", False)] * (2 * per_class)
    rng.shuffle(jobs)
    texts: Texts = {}
    for number, (kind, known) in enumerate(jobs):
        case, record, section = places[number % len(places)]
        if kind == "clinical":
            text, terms = clinical_sentence(rng)
            sentence = Sentence(number, text, "", "", None, terms, *_days(case, record))
        else:
            sentence = _sentence(plan, number, kind, known, case, record)
        plan.sentences[number] = sentence
        texts.setdefault((record.record_id, section), []).append(marked(number, sentence.text))
    return texts


def _sentence(
    plan: Plan, number: int, kind: str, known: bool, case: IdentifiedCase, record: IdentifiedRecord
) -> Sentence:
    maker, own, day = plan.maker, plan.own[patient_of(case)], None
    if kind == "date":
        recent = record.authored_on is not None and maker.random.random() < 0.8
        day = maker.day(record.authored_on) if recent and record.authored_on else maker.old_day(*OLD_YEARS)
        value = shown = written(day, maker.random, full=not recent)
    else:
        value = own.value(kind, case.case_id, record.study_uid) if known else stranger(maker, kind)
        shown = disguised(kind, value, maker.random)
    before, after = maker.random.choice(TEMPLATES[kind]).split("{}")
    canary = plan.add(kind, "text", value, known, number, day)
    return Sentence(number, before, shown, after, canary, (), *_days(case, record))


def _days(case: IdentifiedCase, record: IdentifiedRecord) -> tuple[date | None, date | None]:
    studies = {s.study_uid: s.study_date for s in case.studies}
    return record.authored_on, studies.get(record.study_uid or "")


def stranger(maker: Maker, kind: str) -> str:
    """A value of nobody whom the tables know."""
    if kind.endswith("_name"):
        return maker.name().chinese
    if kind in ("patient_number", "accession_number"):
        return maker.like("00000000")
    made = {
        "visit_number": lambda: maker.like("MZ0000000"),
        "id_number": maker.id_number,
        "phone": maker.phone,
        "address": maker.address,
        "institution": maker.institution,
        "contact": maker.contact,
    }
    return made[kind]()


def _with_texts(case: IdentifiedCase, own: Own, texts: Texts, rng: random.Random) -> IdentifiedCase:
    """The case with real values swapped for invented ones and the sentences between its own."""
    swaps = sorted((s for s in own.swaps.items() if len(s[0]) >= SHORTEST_SWAP), key=lambda s: -len(s[0]))
    records = []
    for record in case.records:
        sections = {}
        for name, text in record.sections.items():
            for real, invented in swaps:
                text = text.replace(real, invented)
            pieces = re.split(r"(?<=[。\n])", text)
            for sentence in texts.get((record.record_id, name), ()):
                pieces.insert(rng.randrange(len(pieces) + 1), sentence)
            sections[name] = "".join(pieces)
        records.append(record.model_copy(update={"sections": sections}))
    return case.model_copy(update={"records": tuple(records)})
