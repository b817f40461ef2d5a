"""Which report belongs to which study, which record and study to which visit; each join says its rule.

report -> study   study_instance_uid, accession_number, patient_and_date, patient_and_window
record -> visit   visit_number, patient_and_date, patient_and_window, own_visit
study  -> visit   report_visit_number, imaging_study, record_accession_number, patient_and_window, alone
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from p2med.schema.identified import IdentifiedStudy
from p2med.schema.terms import Modality, RecordKind, Section

_CT_WORDS = re.compile(r"CT", re.IGNORECASE)
_XRAY_WORDS = re.compile(r"X|DR|CR|DX|平片|胸片|摄片", re.IGNORECASE)
JoinRule = Literal["study_instance_uid", "accession_number", "patient_and_date", "patient_and_window"]
VisitRule = Literal[
    "visit_number", "patient_and_date", "patient_and_window", "own_visit",
    "report_visit_number", "imaging_study", "record_accession_number", "alone",
]  # fmt: skip


@dataclass(frozen=True)
class TextRow:
    """A row of a record table, checked."""

    record_id: str
    kind: RecordKind
    patient_id: str
    visit_number: str
    authored_on: date | None
    sections: dict[Section, str]
    accession_number: str = ""
    examination: str = ""
    """The hospital's word for what was done: X光, DR, CT平扫."""
    study_uid: str = ""


@dataclass
class Visit:
    patient_id: str
    visit_number: str
    encounter_class: Literal["AMB", "IMP"] | None = None
    start: date | None = None
    rows: list[TextRow] = field(default_factory=list)
    study_uids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Join:
    study_uid: str
    rule: JoinRule


def fits_modality(examination: str, modality: Modality) -> bool:
    """False only when the hospital's word names the other kind of examination."""
    is_ct, is_xray = _CT_WORDS.search(examination), _XRAY_WORDS.search(examination)
    if modality is Modality.CT:
        return bool(is_ct) or not is_xray
    return not is_ct


class _Reports:
    """Studies by what may name them, and what was joined so far."""

    def __init__(self, studies: Mapping[str, IdentifiedStudy], patient_of: Mapping[str, str]):
        self.studies, self.patient_of = studies, patient_of
        self.joins: dict[str, Join] = {}
        self.refused: dict[str, str] = {}
        self.taken: set[str] = set()
        self.by_accession: dict[str, list[str]] = {}
        self.by_day: dict[tuple[str, date], list[str]] = {}
        for uid, s in studies.items():
            if s.accession_number:
                self.by_accession.setdefault(s.accession_number, []).append(uid)
            if s.study_date:
                self.by_day.setdefault((patient_of[uid], s.study_date), []).append(uid)

    def settle(self, report: TextRow, candidates: list[str], rule: JoinRule) -> None:
        if len(candidates) > 1:
            candidates = [u for u in candidates if u not in self.taken]
        if len(candidates) > 1:
            self.refused[report.record_id] = "ambiguous_study"
        elif not candidates or candidates[0] in self.taken:
            self.refused[report.record_id] = "second_report_of_study"
        else:
            self.joins[report.record_id] = Join(candidates[0], rule)
            self.taken.add(candidates[0])

    def by_number(self, report: TextRow) -> bool:
        """Join or refuse a report that names its study; False when no study has that name."""
        if report.study_uid:
            named, rule = [report.study_uid] if report.study_uid in self.studies else [], "study_instance_uid"
        else:
            named, rule = self.by_accession.get(report.accession_number, []), "accession_number"
        own = [u for u in named if self.patient_of[u] == report.patient_id]
        if named and not own:
            self.refused[report.record_id] = f"{rule.partition('_')[0]}_of_another_patient"
        elif own:
            closer = [u for u in own if fits_modality(report.examination, self.studies[u].modality)]
            self.settle(report, closer if len(own) > 1 else own, rule)  # type: ignore[arg-type]
        return bool(named)

    def on_days(self, report: TextRow, days: Iterable[int]) -> list[str]:
        """Free studies of the patient so many days before the report, of a fitting modality."""
        found = []
        for days_before in days if report.authored_on else ():
            day = report.authored_on - timedelta(days_before)  # type: ignore[operator]
            found += self.by_day.get((report.patient_id, day), [])
        # A study that another accession number names is not this report's.
        return [
            u
            for u in found
            if u not in self.taken
            and fits_modality(report.examination, self.studies[u].modality)
            and not _other_number(report, self.studies[u])
        ]


def join_reports(
    reports: Sequence[TextRow],
    studies: Mapping[str, IdentifiedStudy],
    patient_of: Mapping[str, str],
    window_days: tuple[int, int] = (0, 0),
) -> tuple[dict[str, Join], dict[str, str]]:
    """Report -> study: by UID or accession number, then by patient, date and modality, then in a window.

    Args:
      studies, patient_of: by study UID.
      window_days: a report may be written so many days after its study.

    Returns:
      Joins by record id; and by record id the reason for every report that does not join:
      `study_of_another_patient`, `accession_of_another_patient`, `ambiguous_study`,
      `second_report_of_study`, `report_without_study`.
    """
    at = _Reports(studies, patient_of)
    without = [r for r in reports if not at.by_number(r)]
    later = []
    for report in without:
        if report.study_uid:
            at.refused[report.record_id] = "report_without_study"
        elif free := at.on_days(report, (0,)):
            at.settle(report, free, "patient_and_date")
        else:
            later.append(report)
    near = {r.record_id: at.on_days(r, range(window_days[0], window_days[1] + 1)) for r in later}
    wanted = Counter(u for found in near.values() for u in found)
    for report in later:
        free = near[report.record_id]
        if not free:
            at.refused[report.record_id] = "report_without_study"
        elif len(free) > 1 or wanted[free[0]] > 1:
            at.refused[report.record_id] = "ambiguous_study"
        else:
            at.settle(report, free, "patient_and_window")
    return at.joins, at.refused


def _other_number(report: TextRow, study: IdentifiedStudy) -> bool:
    numbers = (report.accession_number, study.accession_number)
    return all(numbers) and numbers[0] != numbers[1]


@dataclass
class Visits:
    """The visits that the records tell of, and how each record came to its own."""

    of: dict[tuple[str, str], Visit] = field(default_factory=dict)
    """By patient and visit number."""
    of_patient: dict[str, list[Visit]] = field(default_factory=dict)
    rules: dict[str, VisitRule] = field(default_factory=dict)
    """By record id."""
    refused: dict[str, str] = field(default_factory=dict)

    def open(self, patient_id: str, number: str, start: date | None = None) -> Visit:
        """The visit of this number; a new one when there is none."""
        if (patient_id, number) not in self.of:
            self.of[patient_id, number] = visit = Visit(patient_id, number, start=start)
            self.of_patient.setdefault(patient_id, []).append(visit)
        return self.of[patient_id, number]

    def add(self, row: TextRow, number: str, rule: VisitRule) -> None:
        visit = self.open(row.patient_id, number)
        visit.encounter_class = "AMB" if row.kind is RecordKind.OUTPATIENT_RECORD else "IMP"
        visit.rows.append(row)
        self.rules[row.record_id] = rule
        if row.authored_on and (visit.start is None or row.authored_on < visit.start):
            visit.start = row.authored_on


def visits_of(rows: Iterable[TextRow], stay_days: int = 60) -> Visits:
    """Visits as the records (not the reports) tell them.

    A record with a number belongs to that visit. Of those without, an outpatient or first course record is a
    visit of its day; a later record of a stay belongs to the nearest stay begun at most `stay_days` before.
    Refused are `record_without_date`, `record_without_visit`, `ambiguous_visit`.
    """
    visits, without = Visits(), []
    for row in rows:
        if row.kind is RecordKind.RADIOLOGY_REPORT:
            continue
        if row.visit_number:
            visits.add(row, row.visit_number, "visit_number")
        else:
            without.append(row)
    opening = (RecordKind.OUTPATIENT_RECORD, RecordKind.FIRST_COURSE_RECORD)
    for row in sorted(without, key=lambda r: r.kind not in opening):
        if row.authored_on is None:
            visits.refused[row.record_id] = "record_without_date"
            continue
        kind = "AMB" if row.kind is RecordKind.OUTPATIENT_RECORD else "IMP"
        own = [v for v in visits.of_patient.get(row.patient_id, ()) if v.encounter_class == kind]
        same = [v for v in own if v.start == row.authored_on]
        if row.kind in opening and not same:
            visits.add(row, f"{kind}/{row.authored_on}", "own_visit")
        elif len(same) == 1:
            visits.add(row, same[0].visit_number, "patient_and_date")
        else:
            found = None if same else visit_by_time(own, row.authored_on, (0, stay_days))
            if found is None:
                visits.refused[row.record_id] = "ambiguous_visit" if same else "record_without_visit"
            else:
                visits.add(row, found.visit_number, "patient_and_window")
    return visits


def visit_by_time(visits: Sequence[Visit], day: date | None, window_days: tuple[int, int]) -> Visit | None:
    """The patient's visit whose start is nearest to `day`, the day lying in the window after the start.

    Of two equally near the earlier; None also when two begin on one day: neither is chosen by chance.
    """
    if day is None:
        return None
    near: dict[tuple[int, date], list[Visit]] = {}
    for v in visits:
        if v.start is not None and window_days[0] <= (day - v.start).days <= window_days[1]:
            near.setdefault((abs((day - v.start).days), v.start), []).append(v)
    nearest = near[min(near)] if near else []
    return nearest[0] if len(nearest) == 1 else None
