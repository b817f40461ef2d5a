"""One identified case -> one case without identity, its pixels written, and what did not pass."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from p2med.deid.clean_pixels import read_clean
from p2med.deid.dicom_out import Person
from p2med.deid.dicom_pixels import BurnedIn
from p2med.deid.header import spacing_mm, technical_facts, view_position
from p2med.deid.pseudonym import Pseudonyms
from p2med.deid.text import Known, scrub
from p2med.deid.told_names import told_names
from p2med.errors import DataError, PhiError
from p2med.imaging.pixels import Pixels
from p2med.imaging.source import split_pointer
from p2med.schema.case import Case, Patient, QuestionAnswer, Record, Series, Study, Volume
from p2med.schema.identified import IdentifiedCase, IdentifiedRecord, IdentifiedSeries, IdentifiedStudy
from p2med.schema.terms import Modality
from p2med.store import Rejected, resolve, write_volume

NOUNS = ("case", "study", "series", "record")


@dataclass
class Cleaned:
    """The outcome of one case; `entered` and `passed` count each noun."""

    case: Case | None = None
    rejected: list[Rejected] = field(default_factory=list)
    entered: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)


class Cleaner:
    """Cleans cases with one key; holds no state of any patient."""

    def __init__(
        self, key: bytes, root: Path, max_date_shift_days: int, burned_in: BurnedIn, ocr: bool = False
    ):
        self.names = Pseudonyms(key)
        self.root = root
        self.most_days = max_date_shift_days
        self.burned_in: BurnedIn = burned_in
        self.ocr = ocr

    def clean(self, case: IdentifiedCase) -> Cleaned:
        """Everything of the case that can be proven clean; the rest is rejected by name."""
        done = Cleaned()
        patient = case.patient
        key = self.names.patient(case.source, patient.patient_id)
        offset = self.names.offset_days(case.source, patient.patient_id, self.most_days)
        known = Known.of(patient.names, (patient.patient_id, *patient.ids), patient.phones, patient.addresses)
        known = known.with_names(told_names(_texts(case)))
        case_id = self.names.name("case", case.case_id)
        done.entered.update(
            {
                "case": 1,
                "study": len(case.studies),
                "series": sum(len(s.series) for s in case.studies),
                "record": len(case.records),
            }
        )
        person = Person(key, offset)
        studies = [s for x in case.studies if (s := self._study(x, case.source, person, done)) is not None]
        kept = {s.study_uid for s in studies}
        records = [r for x in case.records if (r := self._record(x, known, offset, kept, done)) is not None]
        try:
            questions = tuple(self._question(q, known, offset, kept, done) for q in case.questions)
        except PhiError as error:
            done.rejected.append(Rejected(noun="case", id=case_id, reason=error.reason))
            self._withdraw(done, studies, records)
            return done
        if not (studies or records or questions):
            done.rejected.append(Rejected(noun="case", id=case_id, reason="nothing_left"))
            return done
        done.passed["case"] = 1
        done.case = Case(
            case_id=case_id,
            source=case.source,
            encounter_class=case.encounter_class,
            patient=Patient(patient_key=key, sex=patient.sex, age_days=_age_days(case)),
            studies=tuple(studies),
            records=tuple(records),
            questions=questions,
            split=case.split,
        )
        return done

    def _withdraw(self, done: Cleaned, studies: list[Study], records: list[Record]) -> None:
        """The case goes as a whole, so what was counted as passed is rejected with it."""
        gone = [("study", s.study_uid) for s in studies] + [("record", r.record_id) for r in records]
        gone += [("series", x.series_uid) for s in studies for x in s.series]
        done.rejected += [Rejected(noun=n, id=i, reason="case_rejected") for n, i in gone]
        for noun, _ in gone:
            done.passed[noun] -= 1

    # ------------------------------------------------------------ images

    def _study(self, study: IdentifiedStudy, source: str, person: Person, done: Cleaned) -> Study | None:
        uid = self.names.uid(study.study_uid)
        series, faults = [], []
        for one in study.series:
            series_uid = self.names.uid(one.series_uid)
            try:
                series.append(self._series(one, series_uid, person))
            except DataError as error:
                faults.append(Rejected(noun="series", id=series_uid, reason=error.reason))
        burned_in = [f for f in faults if f.reason.startswith("burned_in")]
        if burned_in:
            # Text on one film says that its neighbours of the same examination are not to be trusted either.
            faults += [Rejected(noun="series", id=s.series_uid, reason="burned_in_in_study") for s in series]
            for s in series:
                resolve(s.volume.path, self.root).unlink(missing_ok=True)
            series = []
        done.rejected += faults
        done.passed["series"] += len(series)
        if not series:
            reason = burned_in[0].reason if burned_in else "no_series_left"
            done.rejected.append(Rejected(noun="study", id=uid, reason=reason))
            return None
        done.passed["study"] += 1
        day, number = study.study_date, (study.accession_number or "").strip()
        return Study(
            study_uid=uid,
            study_date=day + timedelta(person.offset_days) if day else None,
            modality=study.modality,
            series=tuple(series),
            accession_key=self.names.name("accession", f"{source}/{number}") if number else None,
        )

    def _series(self, series: IdentifiedSeries, uid: str, person: Person) -> Series:
        pixels = self._pixels(series, person)
        header = pixels.header
        path = f"run:2_deid/volumes/{uid}.npy"
        write_volume(resolve(path, self.root), pixels.array)
        depth, height, width = pixels.array.shape
        facts = technical_facts(header)
        if not facts.get("view_position"):
            facts |= {"view_position": view_position(series.view_position)}
        if series.contrast is not None:
            facts["contrast"] = series.contrast
        return Series(
            series_uid=uid,
            volume=Volume(
                path=path,
                shape=(depth, height, width),
                dtype=str(pixels.array.dtype),
                unit=pixels.unit,
                spacing_mm=spacing_mm(pixels.spacing_mm),
            ),
            **facts,
        )

    def _pixels(self, series: IdentifiedSeries, person: Person) -> Pixels:
        files = [self._real(f) for f in series.files]
        ct = series.modality == Modality.CT
        return read_clean(series.format, files, person, ct, self.names, self.burned_in, self.ocr)

    def _real(self, pointer: str) -> str:
        file, member = split_pointer(pointer)
        real = str(resolve(file, self.root))
        return f"{real}!{member}" if member else real

    # ------------------------------------------------------------ texts

    def _record(
        self, record: IdentifiedRecord, known: Known, offset: int, kept: set[str], done: Cleaned
    ) -> Record | None:
        record_id = self.names.name("record", record.record_id)
        study_uid = self.names.uid(record.study_uid) if record.study_uid else None
        try:
            if study_uid and study_uid not in kept:
                raise PhiError("study_rejected", "the report's examination did not pass")
            sections = {}
            for section, text in record.sections.items():
                scrubbed = scrub(text, known, offset, record.authored_on)
                done.replaced.update(r.kind for r in scrubbed.replaced)
                sections[section] = scrubbed.text
        except PhiError as error:
            done.rejected.append(Rejected(noun="record", id=record_id, reason=error.reason))
            return None
        done.passed["record"] += 1
        day = record.authored_on
        return Record(
            record_id=record_id,
            kind=record.kind,
            authored_on=day + timedelta(offset) if day else None,
            sections=sections,
            study_uid=study_uid,
        )

    def _question(
        self, question: QuestionAnswer, known: Known, offset: int, kept: set[str], done: Cleaned
    ) -> QuestionAnswer:
        study_uid = self.names.uid(question.study_uid) if question.study_uid else None
        if study_uid and study_uid not in kept:
            raise PhiError("study_rejected", "the question's examination did not pass")
        asked = scrub(question.question, known, offset)
        answered = scrub(question.answer, known, offset) if not question.choices else None
        done.replaced.update(r.kind for s in (asked, answered) if s for r in s.replaced)
        return QuestionAnswer(
            question=asked.text,
            answer=answered.text if answered else question.answer,
            choices=question.choices,
            study_uid=study_uid,
        )


def _texts(case: IdentifiedCase) -> Iterator[str]:
    """Every free text of the case."""
    for record in case.records:
        yield from record.sections.values()
    for question in case.questions:
        yield question.question
        yield question.answer


def _age_days(case: IdentifiedCase) -> int | None:
    """Age at the visit, from the true dates, before anything is shifted."""
    patient = case.patient
    days: list[date] = [
        d for d in (*(s.study_date for s in case.studies), *(r.authored_on for r in case.records)) if d
    ]
    if patient.birth_date and days:
        age = (min(days) - patient.birth_date).days
        return age if age >= 0 else None
    return patient.age_days
