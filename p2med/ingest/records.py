"""The hospital's tables -> checked rows; a row that cannot be used is refused by name, never guessed at."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from p2med.errors import DataError
from p2med.ingest.dates import read_date
from p2med.ingest.emr import Row, read_table
from p2med.ingest.link import TextRow
from p2med.schema.base import Frozen
from p2med.schema.case import Sex
from p2med.schema.terms import RecordKind, Section
from p2med.store import Rejected

PATIENT_FIELDS = (
    "patient_id", "patient_name", "sex", "birth_date", "id_number", "guardian_name", "phone", "address",
)  # fmt: skip
RECORD_FIELDS = (
    "patient_id", "patient_name", "visit_number", "authored_on", "doctor_name", "accession_number",
    "modality",
)  # fmt: skip
IDENTITY = {
    "patient_name": "names", "guardian_name": "names", "doctor_name": "names", "patient_id": "ids",
    "id_number": "ids", "visit_number": "ids", "accession_number": "ids", "phone": "phones",
    "address": "addresses",
}  # fmt: skip
"""Fields whose values deid must search for, and the kind of identity they are."""
_SEX: dict[str, Sex] = {"男": "M", "女": "F", "M": "M", "F": "F", "男性": "M", "女性": "F", "O": "O"}
_SEVERAL = re.compile(r"[、,，;；/|\n]+")

Kind = Literal[
    "patient",
    "outpatient_record",
    "radiology_report",
    "first_course_record",
    "attending_round_record",
    "chief_round_record",
]


class TableOptions(Frozen):
    """One export: its file inside `exports_dir`, what its rows are, and heading -> field."""

    file: str
    kind: Kind
    columns: dict[str, str]

    @field_validator("columns")
    @classmethod
    def _names_each_field_once(cls, columns: dict[str, str]) -> dict[str, str]:
        twice = sorted({f for f in columns.values() if list(columns.values()).count(f) > 1})
        if twice:
            raise ValueError(f"two columns are mapped to {', '.join(twice)}")
        return columns

    @model_validator(mode="after")
    def _maps_known_fields(self) -> "TableOptions":
        known = PATIENT_FIELDS if self.kind == "patient" else (*RECORD_FIELDS, *(s.value for s in Section))
        unknown = [f for f in self.columns.values() if f not in known]
        if unknown:
            raise ValueError(f"{self.file}: no field {', '.join(unknown)}; there are: {', '.join(known)}")
        needed = ["patient_id"] if self.kind == "patient" else ["patient_id", "authored_on"]
        if self.kind not in ("patient", "radiology_report"):
            needed.append("visit_number")
        missing = [f for f in needed if f not in self.columns.values()]
        if missing:
            raise ValueError(f"{self.file}: a {self.kind} table needs a column for {', '.join(missing)}")
        return self


@dataclass
class Person:
    """What the tables say of one patient. The sets are dictionaries, to keep the order of the files."""

    sex: Sex | None = None
    birth_date: date | None = None
    registered: bool = False
    """True when a patient table lists the patient."""
    values: dict[str, dict[str, None]] = field(default_factory=dict)

    def learn(self, row: Row) -> None:
        """Remember the identities that a row holds."""
        for name, kind in IDENTITY.items():
            text = row.values.get(name, "")
            for value in [text] if kind == "addresses" else _SEVERAL.split(text):
                if value.strip():
                    self.values.setdefault(kind, {}).setdefault(value.strip())


@dataclass
class Tables:
    """Everything that was read. `entered` counts rows, headings not."""

    people: dict[str, Person] = field(default_factory=dict)
    rows: list[TextRow] = field(default_factory=list)
    patients_passed: int = 0
    entered: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    where: dict[str, str] = field(default_factory=dict)
    """Record id -> `file:row`, for what is refused later."""

    def refuse(self, where: str, reason: str, detail: str = "") -> None:
        self.rejected.append(Rejected(noun="record_row", id=where, reason=reason, detail=detail))


def read_tables(tables: Sequence[TableOptions], folder: Path) -> Tables:
    """Read every table, patients first.

    Raises:
      RecipeError: a file or a mapped column does not exist.
      DataError: `table_unreadable`.
    """
    found = Tables()
    has_patients = any(t.kind == "patient" for t in tables)
    for n, table in sorted(enumerate(tables), key=lambda nt: (nt[1].kind != "patient", nt[0])):
        for row in _usable(table, folder, found):
            try:
                if table.kind == "patient":
                    _take_patient(row, found)
                else:
                    record = _record(row, table, n, has_patients, found)
                    found.rows.append(record)
                    found.where[record.record_id] = f"{table.file}:{row.number}"
            except DataError as error:
                found.refuse(f"{table.file}:{row.number}", error.reason, error.detail)
    return found


def _usable(table: TableOptions, folder: Path, found: Tables) -> Iterator[Row]:
    seen: set[tuple[str, ...]] = set()
    for row in read_table(folder / table.file, table.columns):
        found.entered += 1
        key = tuple(row.values.values())
        if row.fault is not None:
            found.refuse(f"{table.file}:{row.number}", row.fault)
        elif key in seen:
            found.refuse(f"{table.file}:{row.number}", "duplicate_row")
        else:
            seen.add(key)
            yield row


def _take_patient(row: Row, found: Tables) -> None:
    patient_id = row.values["patient_id"]
    if not patient_id:
        raise DataError("patient_id_missing")
    birth_date = read_date(row.values.get("birth_date", ""))
    person = found.people.setdefault(patient_id, Person())
    # A second row may hold the new name or address, so it is learned from although it is refused.
    person.learn(row)
    if person.registered:
        raise DataError("duplicate_patient")
    person.registered = True
    person.sex = _SEX.get(row.values.get("sex", "").upper())
    person.birth_date = birth_date
    found.patients_passed += 1


def _record(row: Row, table: TableOptions, number: int, has_patients: bool, found: Tables) -> TextRow:
    patient_id, visit_number = row.values["patient_id"], row.values.get("visit_number", "")
    if not patient_id:
        raise DataError("patient_id_missing")
    if has_patients and not (patient_id in found.people and found.people[patient_id].registered):
        # Whose name and guardians are unknown cannot be searched for by deid.
        raise DataError("patient_unknown", "the patient table does not list this row's patient")
    if not visit_number and table.kind != "radiology_report":
        raise DataError("visit_number_missing")
    found.people.setdefault(patient_id, Person()).learn(row)
    sections = {s: row.values[s.value] for s in Section if row.values.get(s.value)}
    if not sections:
        raise DataError("empty_record")
    return TextRow(
        record_id=f"{table.kind}/{number}/{row.number}",
        kind=RecordKind(table.kind),
        patient_id=patient_id,
        visit_number=visit_number,
        authored_on=read_date(row.values["authored_on"]),
        sections=sections,
        accession_number=row.values.get("accession_number", ""),
        examination=row.values.get("modality", ""),
    )
