"""A hospital: a folder of DICOM files and a folder of exported tables, joined to visits.

pacs/….dcm + 影像报告.csv (检查号 = AccessionNumber) + 门诊病历.csv (门诊号)  ->  one case a visit
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from p2med.errors import RecipeError
from p2med.ingest.charset_log import rereads
from p2med.ingest.emr import decode
from p2med.ingest.header import Instance
from p2med.ingest.link import Join, TextRow, Visit, join_reports, visit_by_time, visits_of
from p2med.ingest.records import Person, TableOptions, Tables, read_tables
from p2med.ingest.scan import scan, studies_of, study_of
from p2med.ingest.tally import Tally, Yield
from p2med.schema.base import Frozen
from p2med.schema.identified import IdentifiedCase, IdentifiedPatient, IdentifiedRecord, IdentifiedStudy
from p2med.schema.terms import RecordKind
from p2med.store import Rejected, resolve

SOURCE = "hospital"


class Options(Frozen):
    dicom_dir: str
    exports_dir: str
    tables: tuple[TableOptions, ...] = Field(min_length=1)
    bench_patients: str | None = None
    """A file of patient numbers, one a line: these patients are kept for the benchmark."""
    window_days: tuple[int, int] = (-1, 30)
    """An examination without a visit number belongs to a visit begun so many days before it."""


@dataclass
class _Hospital:
    """What was read, before it is joined."""

    tables: Tables
    studies: dict[str, IdentifiedStudy]
    instances: dict[str, list[Instance]]
    patient_of: dict[str, str]
    """Patient number by study UID."""


def read(options: Options, root: Path) -> Yield:
    """One case a visit, in the order of patients and visits; what does not join is refused by name."""
    exports = resolve(options.exports_dir, root)
    if not exports.is_dir():
        raise RecipeError(f"there is no exports folder {exports} (in the recipe: {options.exports_dir})")
    bench = _bench_patients(options.bench_patients, root)
    tables = read_tables(options.tables, exports)
    found = scan(options.dicom_dir, root)
    hospital, unowned = _hospital(tables, [i for i in found if isinstance(i, Instance)])
    cases = _cases(hospital, bench, options.window_days)
    yield from rereads(i for i in found if isinstance(i, Instance))
    yield from tables.rejected
    records = sum(len(c.records) for c in cases)
    yield Tally("record_row", tables.entered, tables.patients_passed + records)
    yield from (f for f in found if isinstance(f, Rejected))
    yield from unowned
    files = sum(len(s.files) for c in cases for study in c.studies for s in study.series)
    yield Tally("dicom_file", len(found), files)
    yield from cases


def _bench_patients(path: str | None, root: Path) -> frozenset[str]:
    if path is None:
        return frozenset()
    real = resolve(path, root)
    if not real.is_file():
        raise RecipeError(f"there is no file of benchmark patients {real} (in the recipe: {path})")
    lines = decode(real.read_bytes(), real)[0].splitlines()
    return frozenset(line.strip() for line in lines if line.strip())


def _hospital(tables: Tables, instances: list[Instance]) -> tuple[_Hospital, list[Rejected]]:
    """Group files to studies; files whose study has no patient, or two, are refused."""
    hospital = _Hospital(tables, {}, {}, {})
    refused: list[Rejected] = []
    for uid, members in studies_of(instances).items():
        patients = {i.patient_id for i in members}
        if len(patients) > 1 or "" in patients:
            reason = "patient_id_missing" if "" in patients else "study_of_two_patients"
            refused += [Rejected(noun="dicom_file", id=i.file, reason=reason) for i in members]
            continue
        hospital.studies[uid] = study_of(members)
        hospital.instances[uid] = members
        hospital.patient_of[uid] = patients.pop()
    return hospital, refused


def _cases(hospital: _Hospital, bench: frozenset[str], window_days: tuple[int, int]) -> list[IdentifiedCase]:
    tables = hospital.tables
    reports = [r for r in tables.rows if r.kind is RecordKind.RADIOLOGY_REPORT]
    joins, refused = join_reports(reports, hospital.studies, hospital.patient_of)
    for record_id, reason in refused.items():
        tables.refuse(tables.where[record_id], reason)
    visits = visits_of(tables.rows)
    of_patient: dict[str, list[Visit]] = {}
    for visit in visits.values():
        of_patient.setdefault(visit.patient_id, []).append(visit)
    by_study = {joins[r.record_id].study_uid: r for r in reports if r.record_id in joins}
    for uid, study in hospital.studies.items():
        report, patient = by_study.get(uid), hospital.patient_of[uid]
        visit = _visit(patient, study, report, visits, of_patient.get(patient, []), window_days)
        visit.study_uids.append(uid)
        if report is not None:
            visit.rows.append(report)
    people = _people(hospital)
    return [
        _case(v, hospital, joins, people[v.patient_id], "bench" if v.patient_id in bench else None)
        for v in sorted(visits.values(), key=lambda v: (v.patient_id, str(v.start), v.visit_number))
    ]


def _visit(
    patient: str,
    study: IdentifiedStudy,
    report: TextRow | None,
    visits: dict[tuple[str, str], Visit],
    own: list[Visit],
    window_days: tuple[int, int],
) -> Visit:
    """The study's visit: by the report's number, by time, or a visit that holds nothing else."""
    number = report.visit_number if report else ""
    if not number:
        near = visit_by_time(own, study.study_date, window_days)
        if near is not None:
            return near
        number = f"study/{study.study_uid}"
    return visits.setdefault((patient, number), Visit(patient, number, start=study.study_date))


def _people(hospital: _Hospital) -> dict[str, IdentifiedPatient]:
    """Every patient with all values of the tables and of all the patient's DICOM headers."""
    instances: dict[str, list[Instance]] = {}
    for uid, members in hospital.instances.items():
        instances.setdefault(hospital.patient_of[uid], []).extend(members)
    people = {}
    for patient_id in {*hospital.tables.people, *instances}:
        person = hospital.tables.people.get(patient_id, Person())
        own = instances.get(patient_id, [])
        people[patient_id] = IdentifiedPatient(
            patient_id=patient_id,
            sex=person.sex or next((i.sex for i in own if i.sex), None),
            birth_date=person.birth_date or next((i.birth_date for i in own if i.birth_date), None),
            names=_values(person.values.get("names", {}), (i.names for i in own)),
            ids=_values(person.values.get("ids", {}), (i.ids for i in own)),
            phones=_values(person.values.get("phones", {}), (i.phones for i in own)),
            addresses=_values(person.values.get("addresses", {}), (i.addresses for i in own)),
        )
    return people


def _values(told: Mapping[str, None], headers: Iterator[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({*told, *(v for many in headers for v in many)}))


def _case(
    visit: Visit,
    hospital: _Hospital,
    joins: Mapping[str, Join],
    patient: IdentifiedPatient,
    split: str | None,
) -> IdentifiedCase:
    studies = sorted(
        (hospital.studies[u] for u in visit.study_uids), key=lambda s: (str(s.study_date), s.study_uid)
    )
    if patient.birth_date is None:
        ages = [i.age_days for u in visit.study_uids for i in hospital.instances[u] if i.age_days is not None]
        patient = patient.model_copy(update={"age_days": min(ages) if ages else None})
    order = list(RecordKind)
    rows = sorted(visit.rows, key=lambda r: (str(r.authored_on), order.index(r.kind), r.record_id))
    return IdentifiedCase(
        case_id=f"{SOURCE}/{visit.patient_id}/{visit.visit_number}",
        source=SOURCE,
        encounter_class=visit.encounter_class,
        patient=patient,
        studies=tuple(studies),
        records=tuple(_record(r, joins.get(r.record_id)) for r in rows),
        split=split,  # type: ignore[arg-type]
    )


def _record(row: TextRow, join: Join | None) -> IdentifiedRecord:
    return IdentifiedRecord(
        record_id=row.record_id,
        kind=row.kind,
        authored_on=row.authored_on,
        sections=row.sections,
        study_uid=join.study_uid if join else None,
        joined_by=join.rule if join else None,
    )
