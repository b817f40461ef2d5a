"""What a hospital's tables and images say -> cases, one a visit; what does not join is refused by name.

Tables (rows by patient and visit) + Instances (files by study)  ->  IdentifiedCase, Rejected
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from p2med.ingest.charset_log import rereads
from p2med.ingest.header import Instance
from p2med.ingest.link import Join, TextRow, Visit, VisitRule, Visits, join_reports, visit_by_time, visits_of
from p2med.ingest.records import Person, Tables
from p2med.ingest.scan import Found, studies_of, study_of
from p2med.ingest.tally import Tally, Yield
from p2med.schema.base import Frozen
from p2med.schema.identified import IdentifiedCase, IdentifiedPatient, IdentifiedRecord, IdentifiedStudy
from p2med.schema.terms import RecordKind
from p2med.store import Rejected


class JoinOptions(Frozen):
    """How far apart in time what belongs together may lie."""

    window_days: tuple[int, int] = (-1, 30)
    """An examination without a visit number belongs to a visit begun so many days before it."""
    report_days: tuple[int, int] = (0, 1)
    """A report without a number belongs to a study so many days before it."""
    stay_days: int = 60
    """A round's record without a visit number belongs to a stay begun at most so many days before it."""


@dataclass
class _Hospital:
    """What was read, before it is joined."""

    tables: Tables
    studies: dict[str, IdentifiedStudy]
    instances: dict[str, list[Instance]]
    patient_of: dict[str, str]
    """Patient number by study UID."""


def joined(
    source: str, tables: Tables, found: Sequence[Found], bench: frozenset[str], options: JoinOptions
) -> Yield:
    """Everything that a source yields, once its tables and headers are read."""
    hospital, unowned = _hospital(tables, [i for i in found if isinstance(i, Instance)])
    cases = _cases(source, hospital, bench, options)
    yield from rereads(i for i in found if isinstance(i, Instance))
    yield from tables.rejected
    records = sum(len(c.records) for c in cases)
    yield Tally(tables.noun, tables.entered, tables.patients_passed + records)
    yield from (f for f in found if isinstance(f, Rejected))
    yield from unowned
    files = sum(len(s.files) for c in cases for study in c.studies for s in study.series)
    yield Tally("dicom_file", len(found), files)
    yield from cases


def _hospital(tables: Tables, instances: list[Instance]) -> tuple[_Hospital, list[Rejected]]:
    """Group files to studies; files whose study has no patient, or two, are refused."""
    hospital = _Hospital(tables, {}, {}, {})
    refused: list[Rejected] = []
    for uid, members in studies_of(instances).items():
        patients = {tables.alias.get(i.patient_id, i.patient_id) for i in members}
        patients |= {tables.visit_of_study[uid][0]} if uid in tables.visit_of_study else set()
        if len(patients) > 1 or "" in patients:
            reason = "patient_id_missing" if "" in patients else "study_of_two_patients"
            refused += [Rejected(noun="dicom_file", id=i.file, reason=reason) for i in members]
            continue
        hospital.studies[uid] = study_of(members)
        hospital.instances[uid] = members
        hospital.patient_of[uid] = patients.pop()
    return hospital, refused


def _cases(
    source: str, hospital: _Hospital, bench: frozenset[str], options: JoinOptions
) -> list[IdentifiedCase]:
    tables = hospital.tables
    reports = [r for r in tables.rows if r.kind is RecordKind.RADIOLOGY_REPORT]
    joins, refused = join_reports(reports, hospital.studies, hospital.patient_of, options.report_days)
    visits = visits_of(tables.rows, options.stay_days)
    for record_id, reason in (refused | visits.refused).items():
        tables.refuse(tables.where[record_id], reason)
    by_study = {joins[r.record_id].study_uid: r for r in reports if r.record_id in joins}
    named = _named_visits(hospital, visits)
    for uid, study in hospital.studies.items():
        report, patient = by_study.get(uid), hospital.patient_of[uid]
        own = visits.of_patient.get(patient, [])
        number, rule = _visit_number(study, report, named.get(uid), own, options.window_days)
        visit = visits.open(patient, number, study.study_date)
        visit.study_uids.append(uid)
        hospital.studies[uid] = study.model_copy(update={"joined_by": rule})
        if report is not None:
            visit.rows.append(report)
    people = _people(hospital)
    rules: dict[str, str] = visits.rules | {r: j.rule for r, j in joins.items()}
    return [
        _case(
            source,
            v,
            hospital,
            joins,
            rules,
            people[v.patient_id],
            "bench" if v.patient_id in bench else None,
        )
        for v in sorted(visits.of.values(), key=lambda v: (v.patient_id, str(v.start), v.visit_number))
    ]


def _named_visits(hospital: _Hospital, visits: Visits) -> dict[str, tuple[str, VisitRule]]:
    """The visit of every study that a record names: by its UID, or by an accession number of one visit."""
    ordered: dict[tuple[str, str], set[str]] = {}
    for visit in visits.of.values():
        for number in (r.accession_number for r in visit.rows if r.accession_number):
            ordered.setdefault((visit.patient_id, number), set()).add(visit.visit_number)
    named: dict[str, tuple[str, VisitRule]] = {}
    for uid, study in hospital.studies.items():
        found = ordered.get((hospital.patient_of[uid], study.accession_number or ""), set())
        if uid in hospital.tables.visit_of_study:
            named[uid] = hospital.tables.visit_of_study[uid][1], "imaging_study"
        elif len(found) == 1:
            named[uid] = next(iter(found)), "record_accession_number"
    return named


def _visit_number(
    study: IdentifiedStudy,
    report: TextRow | None,
    named: tuple[str, VisitRule] | None,
    own: Sequence[Visit],
    window_days: tuple[int, int],
) -> tuple[str, VisitRule]:
    """The study's visit: by its report, by another record, by time, or one of its own."""
    if report is not None and report.visit_number:
        return report.visit_number, "report_visit_number"
    if named is not None:
        return named
    near = visit_by_time(own, study.study_date, window_days)
    if near is not None:
        return near.visit_number, "patient_and_window"
    return f"study/{study.study_uid}", "alone"


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
    source: str,
    visit: Visit,
    hospital: _Hospital,
    joins: Mapping[str, Join],
    rules: Mapping[str, str],
    patient: IdentifiedPatient,
    bench: bool,
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
        case_id=f"{source}/{visit.patient_id}/{visit.visit_number}",
        source=source,
        encounter_class=visit.encounter_class,
        patient=patient,
        studies=tuple(studies),
        records=tuple(_record(r, joins.get(r.record_id), rules.get(r.record_id)) for r in rows),
        split="bench" if bench else None,
    )


def _record(row: TextRow, join: Join | None, rule: str | None) -> IdentifiedRecord:
    return IdentifiedRecord(
        record_id=row.record_id,
        kind=row.kind,
        authored_on=row.authored_on,
        sections=row.sections,
        study_uid=join.study_uid if join else None,
        joined_by=rule,
    )
