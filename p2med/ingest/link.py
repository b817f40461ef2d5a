"""Which report belongs to which study, and which study to which visit: pure functions, each says its rule."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from p2med.schema.identified import IdentifiedStudy
from p2med.schema.terms import Modality, RecordKind, Section

_CT_WORDS = re.compile(r"CT", re.IGNORECASE)
_XRAY_WORDS = re.compile(r"X|DR|CR|DX|平片|胸片|摄片", re.IGNORECASE)
JoinRule = Literal["accession_number", "patient_and_date"]


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


def join_reports(
    reports: Sequence[TextRow], studies: Mapping[str, IdentifiedStudy], patient_of: Mapping[str, str]
) -> tuple[dict[str, Join], dict[str, str]]:
    """Report -> study: by accession number, then by patient, date and modality.

    Args:
      studies, patient_of: by study UID.

    Returns:
      Joins by record id; and by record id the reason for every report that does not join:
      `accession_of_another_patient`, `ambiguous_study`, `second_report_of_study`, `report_without_study`.
    """
    joins: dict[str, Join] = {}
    refused: dict[str, str] = {}
    taken: set[str] = set()
    by_accession: dict[str, list[str]] = {}
    by_day: dict[tuple[str, date], list[str]] = {}
    for uid, s in studies.items():
        if s.accession_number:
            by_accession.setdefault(s.accession_number, []).append(uid)
        if s.study_date:
            by_day.setdefault((patient_of[uid], s.study_date), []).append(uid)

    def settle(report: TextRow, candidates: list[str], rule: JoinRule) -> None:
        if len(candidates) > 1:
            candidates = [u for u in candidates if u not in taken]
        if len(candidates) > 1:
            refused[report.record_id] = "ambiguous_study"
        elif not candidates or candidates[0] in taken:
            refused[report.record_id] = "second_report_of_study"
        else:
            joins[report.record_id] = Join(candidates[0], rule)
            taken.add(candidates[0])

    without: list[TextRow] = []
    for report in reports:
        named = by_accession.get(report.accession_number, []) if report.accession_number else []
        own = [u for u in named if patient_of[u] == report.patient_id]
        if named and not own:
            refused[report.record_id] = "accession_of_another_patient"
        elif own:
            closer = [u for u in own if fits_modality(report.examination, studies[u].modality)]
            settle(report, closer if len(own) > 1 else own, "accession_number")
        else:
            without.append(report)
    for report in without:
        same_day = by_day.get((report.patient_id, report.authored_on), []) if report.authored_on else []
        same = [u for u in same_day if fits_modality(report.examination, studies[u].modality)]
        # A study that another accession number names is not this report's.
        free = [u for u in same if u not in taken and not _other_number(report, studies[u])]
        if free:
            settle(report, free, "patient_and_date")
        else:
            refused[report.record_id] = "report_without_study"
    return joins, refused


def _other_number(report: TextRow, study: IdentifiedStudy) -> bool:
    numbers = (report.accession_number, study.accession_number)
    return all(numbers) and numbers[0] != numbers[1]


def visits_of(rows: Iterable[TextRow]) -> dict[tuple[str, str], Visit]:
    """Visits as the records (not the reports) tell them: one for each patient and visit number."""
    visits: dict[tuple[str, str], Visit] = {}
    for row in rows:
        if row.kind is RecordKind.RADIOLOGY_REPORT:
            continue
        visit = visits.setdefault((row.patient_id, row.visit_number), Visit(row.patient_id, row.visit_number))
        visit.encounter_class = "AMB" if row.kind is RecordKind.OUTPATIENT_RECORD else "IMP"
        visit.rows.append(row)
        if row.authored_on and (visit.start is None or row.authored_on < visit.start):
            visit.start = row.authored_on
    return visits


def visit_by_time(visits: Sequence[Visit], day: date | None, window_days: tuple[int, int]) -> Visit | None:
    """The patient's visit whose start is nearest to `day`, the day lying in the window after the start."""
    if day is None:
        return None
    near = []
    for v in visits:
        if v.start is not None and window_days[0] <= (day - v.start).days <= window_days[1]:
            near.append((abs((day - v.start).days), v.start, v.visit_number, v))
    return min(near, key=lambda n: n[:3])[3] if near else None
