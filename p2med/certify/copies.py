"""The planted copy on disk: tables in GB18030 and DICOM files, and the recipe's section that reads them.

planted/exports/patient.csv, outpatient_record.csv …   planted/pacs/00/00003.dcm
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2med.certify.films import Strokes, burn
from p2med.certify.headers import Together, encoded, parse, place, plant_header
from p2med.certify.plan import Own, Plan, patient_of
from p2med.files import resolve, write_bytes
from p2med.imaging.source import read_bytes, split_pointer
from p2med.ingest.config import IngestConfig
from p2med.progress import track
from p2med.schema.identified import IdentifiedCase, IdentifiedRecord, IdentifiedSeries
from p2med.schema.terms import RecordKind

FILES_A_SERIES = 8
TEXT_EVERY = 8
"""One film or CT series of eight gets a line of text."""
PATIENT = (
    "patient_id", "patient_name", "sex", "birth_date", "id_number", "guardian_name", "phone", "address",
)  # fmt: skip
RECORD = ("visit_number", "patient_id", "patient_name", "authored_on", "doctor_name")
REPORT = (*RECORD, "accession_number", "modality")


@dataclass(frozen=True)
class PlantedFile:
    """One DICOM file of the copy, and the canaries in it."""

    name: str
    canaries: tuple[int, ...]
    text: int | None
    """The canary that is drawn into its pixels."""
    strokes: Strokes | None


@dataclass
class Copy:
    section: IngestConfig
    files: list[PlantedFile]
    not_copied: dict[str, int]


def write_copy(plan: Plan, source_root: Path, root: Path) -> Copy:
    """Write the planted hospital below `root/planted`.

    Args:
      source_root: the run whose cases the plan holds; pixels are read there and never changed.
    """
    not_copied: dict[str, int] = {}
    files = _write_images(plan, source_root, root, not_copied)
    has_study = {(c.case_id, s.study_uid) for c in plan.cases for s in c.studies if _dicom(s.series)}
    tables = _tables(plan, has_study)
    folder = root / "planted" / "exports"
    options = []
    for name, rows in sorted(tables.items()):
        columns = list(dict.fromkeys(k for row in rows for k in row))
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, restval="", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
        write_bytes(folder / f"{name}.csv", out.getvalue().encode("gb18030"))
        options.append({"file": f"{name}.csv", "kind": name, "columns": {c: c for c in columns}})
    (root / "planted" / "pacs").mkdir(parents=True, exist_ok=True)
    source: dict[str, Any] = {
        "kind": "hospital",
        "dicom_dir": "run:planted/pacs",
        "exports_dir": "run:planted/exports",
        "tables": options,
    }
    return Copy(IngestConfig.model_validate({"sources": [source]}), files, not_copied)


# ---------------------------------------------------------------- tables


def _tables(plan: Plan, has_study: set[tuple[str, str]]) -> dict[str, list[dict[str, str]]]:
    tables: dict[str, list[dict[str, str]]] = {"patient": []}
    seen: set[str] = set()
    for case in plan.cases:
        own = plan.own[patient_of(case)]
        if own.patient_number not in seen:
            seen.add(own.patient_number)
            tables["patient"].append(_patient_row(case, own))
        for record in case.records:
            is_report = record.kind is RecordKind.RADIOLOGY_REPORT
            if is_report and (case.case_id, record.study_uid) not in has_study:
                is_report = (
                    False  # a report without its examination would be refused; its text can still be read
                )
            kind = record.kind if is_report or record.kind in _KINDS else RecordKind.OUTPATIENT_RECORD
            tables.setdefault(kind.value, []).append(_record_row(case, own, record, is_report))
    return tables


_KINDS = tuple(k for k in RecordKind if k not in (RecordKind.RADIOLOGY_REPORT, RecordKind.CONSULTATION))


def _patient_row(case: IdentifiedCase, own: Own) -> dict[str, str]:
    born = case.patient.birth_date
    values = (
        own.patient_number, own.name.chinese, case.patient.sex or "", str(born or ""),
        "、".join([own.id_number, *own.more_ids]), "、".join([own.relative.chinese, *own.more_names]),
        own.phone, own.address,
    )  # fmt: skip
    return dict(zip(PATIENT, values, strict=True))


def _record_row(case: IdentifiedCase, own: Own, record: IdentifiedRecord, is_report: bool) -> dict[str, str]:
    row = dict.fromkeys(REPORT if is_report else RECORD, "")
    row |= {
        "visit_number": own.visit_numbers[case.case_id],
        "patient_id": own.patient_number,
        "patient_name": own.name.chinese,
        "authored_on": str(record.authored_on or ""),
        "doctor_name": own.staff.chinese,
    }
    if is_report:
        row["accession_number"] = own.accession_numbers[record.study_uid or ""]
    return row | {s.value: text for s, text in record.sections.items()}


# ---------------------------------------------------------------- images


def _dicom(series: Sequence[IdentifiedSeries]) -> bool:
    return any(s.format == "dicom" for s in series)


def _write_images(plan: Plan, source: Path, root: Path, not_copied: dict[str, int]) -> list[PlantedFile]:
    jobs = [
        (plan.own[patient_of(c)], study.study_uid, series)
        for c in plan.cases
        for study in c.studies
        for series in study.series
    ]
    together = Together()
    files: list[PlantedFile] = []
    for number, (own, study_uid, series) in enumerate(track(jobs, "certify: planting")):
        if series.format != "dicom":
            not_copied["pictures_are_not_planted"] = not_copied.get("pictures_are_not_planted", 0) + 1
            continue
        pointers = _neighbours([_real(pointer, source) for pointer in series.files])
        for nth, pointer in enumerate(pointers):
            draws = number % TEXT_EVERY == 0 and nth == 0
            try:
                file, content = _planted(plan, own, study_uid, pointer, together, draws, len(files))
            except Exception as error:  # whatever the file holds that a copy of it cannot be written of
                reason = f"not_planted_{type(error).__name__}"
                not_copied[reason] = not_copied.get(reason, 0) + 1
                continue
            write_bytes(root / "planted" / "pacs" / file.name, content)
            files.append(file)
    return files


def _neighbours(pointers: Sequence[str]) -> list[str]:
    """At most FILES_A_SERIES files that lie side by side: a series with gaps would be refused."""
    if len(pointers) <= FILES_A_SERIES:
        return list(pointers)
    return sorted(pointers, key=lambda p: place(read_bytes(p)))[:FILES_A_SERIES]


def _planted(
    plan: Plan, own: Own, study_uid: str, pointer: str, together: Together, draws: bool, number: int
) -> tuple[PlantedFile, bytes]:
    dataset = parse(read_bytes(pointer))
    canaries: list[int] = []

    def add(kind: str, value: str, known: bool) -> None:
        canaries.append(plan.add(kind, "header", value, known))

    strokes, text = None, None
    dataset.AccessionNumber = own.accession_numbers[study_uid]
    if draws:
        value = f"{own.name.pinyin} {plan.maker.like('00000000')}"
        strokes = burn(dataset, value, plan.maker.random)
        text = plan.add("pixel_text", "pixels", value, True) if strokes else None
    plant_header(dataset, own, together, plan.maker, add)
    name = f"{number // 1000:02d}/{number:05d}.dcm"
    return PlantedFile(name, tuple(canaries), text, strokes), encoded(dataset)


def _real(pointer: str, root: Path) -> str:
    file, member = split_pointer(pointer)
    real = str(resolve(file, root))
    return f"{real}!{member}" if member else real
