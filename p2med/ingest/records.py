"""The hospital's tables -> checked rows; a row that cannot be used is refused by name, never guessed at."""

import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from p2med.errors import DataError
from p2med.imaging.identity import canonical_id
from p2med.ingest.dates import read_date
from p2med.ingest.emr import Row, read_table
from p2med.ingest.link import TextRow
from p2med.ingest.sections import split
from p2med.schema.base import Frozen
from p2med.schema.case import Sex
from p2med.schema.terms import RecordKind, Section
from p2med.store import Rejected

PATIENT_FIELDS = (
    "patient_id", "patient_name", "sex", "birth_date", "id_number", "guardian_name", "phone", "address",
)  # fmt: skip
RECORD_FIELDS = (
    "patient_id", "patient_name", "visit_number", "authored_on", "doctor_name", "accession_number",
    "modality", "study_uid", "text",
)  # fmt: skip
IDENTITY = {
    "patient_name": "names", "guardian_name": "names", "doctor_name": "names", "patient_id": "ids",
    "id_number": "ids", "visit_number": "ids", "accession_number": "ids", "phone": "phones",
    "address": "addresses",
}  # fmt: skip
"""Fields whose values deid must search for, and the kind of identity they are."""
SEX: dict[str, Sex] = {"男": "M", "女": "F", "M": "M", "F": "F", "男性": "M", "女性": "F", "O": "O"}
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
    """One export or query, what its rows are, and heading -> field."""

    file: str = ""
    """Inside `exports_dir`."""
    sheet: str = ""
    """Of a workbook; "" for the first."""
    query: str = ""
    """Instead of a file: a table or view of `database`, or a SELECT."""
    kind: Kind
    columns: dict[str, str]
    headings: dict[str, Section] = {}
    """Further headings of the column `text`, and the section that each begins."""

    @property
    def label(self) -> str:
        """How rejected rows name this table."""
        return f"{self.file}{self.sheet and '!' + self.sheet}" or self.query.split("\n")[0][:60]

    @field_validator("columns")
    @classmethod
    def _names_each_field_once(cls, columns: dict[str, str]) -> dict[str, str]:
        twice = sorted({f for f in columns.values() if list(columns.values()).count(f) > 1})
        if twice:
            raise ValueError(f"two columns are mapped to {', '.join(twice)}")
        return columns

    @model_validator(mode="after")
    def _maps_known_fields(self) -> "TableOptions":
        if bool(self.file) == bool(self.query):
            raise ValueError("a table has either a `file` or a `query`")
        known = PATIENT_FIELDS if self.kind == "patient" else (*RECORD_FIELDS, *(s.value for s in Section))
        unknown = [f for f in self.columns.values() if f not in known]
        if unknown:
            raise ValueError(f"{self.label}: no field {', '.join(unknown)}; there are: {', '.join(known)}")
        needed = ["patient_id"] if self.kind == "patient" else ["patient_id", "authored_on"]
        missing = [f for f in needed if f not in self.columns.values()]
        if missing:
            raise ValueError(f"{self.label}: a {self.kind} table needs a column for {', '.join(missing)}")
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
    noun: str = "record_row"
    alias: dict[str, str] = field(default_factory=dict)
    """Other numbers of a patient -> the number that the case bears."""
    visit_of_study: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Study UID -> patient and visit number, where the records name the image's study."""

    def refuse(self, where: str, reason: str, detail: str = "") -> None:
        self.rejected.append(Rejected(noun=self.noun, id=where, reason=reason, detail=detail))


Reader = Callable[[TableOptions], list[Row]]


def reader(folder: Path, database: str | None, root: Path) -> Reader:
    """Reads the rows of a table, from its file in `folder` or by its query in `database`."""

    def rows(table: TableOptions) -> list[Row]:
        if table.file:
            return read_table(folder / table.file, table.columns, table.sheet)
        # SQLAlchemy is an extra: it is imported when a recipe asks for it.
        sql = importlib.import_module("p2med.ingest.sql")
        return sql.read_query(database, table.query, table.columns, root)

    return rows


def read_tables(tables: Sequence[TableOptions], rows_of: Reader) -> Tables:
    """Read every table, patients first.

    Raises:
      RecipeError: a file or a mapped column does not exist.
      DataError: `table_unreadable`.
    """
    found = Tables()
    has_patients = any(t.kind == "patient" for t in tables)
    for n, table in sorted(enumerate(tables), key=lambda nt: (nt[1].kind != "patient", nt[0])):
        for row in _usable(table, rows_of, found):
            try:
                if table.kind == "patient":
                    _take_patient(row, found)
                else:
                    record = _record(row, table, n, has_patients, found)
                    found.rows.append(record)
                    found.where[record.record_id] = f"{table.label}:{row.number}"
            except DataError as error:
                found.refuse(f"{table.label}:{row.number}", error.reason, error.detail)
    return found


def _usable(table: TableOptions, rows_of: Reader, found: Tables) -> Iterator[Row]:
    seen: set[tuple[str, ...]] = set()
    for row in rows_of(table):
        found.entered += 1
        key = tuple(row.values.values())
        if row.fault is not None:
            found.refuse(f"{table.label}:{row.number}", row.fault)
        elif key in seen:
            found.refuse(f"{table.label}:{row.number}", "duplicate_row")
        else:
            seen.add(key)
            yield row


def _take_patient(row: Row, found: Tables) -> None:
    patient_id = canonical_id(row.values["patient_id"])
    if not patient_id:
        raise DataError("patient_id_missing")
    birth_date = read_date(row.values.get("birth_date", ""))
    person = found.people.setdefault(patient_id, Person())
    # A second row may hold the new name or address, so it is learned from although it is refused.
    person.learn(row)
    if person.registered:
        raise DataError("duplicate_patient")
    person.registered = True
    person.sex = SEX.get(row.values.get("sex", "").upper())
    person.birth_date = birth_date
    found.patients_passed += 1


def _record(row: Row, table: TableOptions, number: int, has_patients: bool, found: Tables) -> TextRow:
    patient_id, visit_number = (canonical_id(row.values.get(k, "")) for k in ("patient_id", "visit_number"))
    if not patient_id:
        raise DataError("patient_id_missing")
    if has_patients and not (patient_id in found.people and found.people[patient_id].registered):
        # Whose name and guardians are unknown cannot be searched for by deid.
        raise DataError("patient_unknown", "the patient table does not list this row's patient")
    if not visit_number and "visit_number" in row.values and table.kind != "radiology_report":
        raise DataError("visit_number_missing")
    found.people.setdefault(patient_id, Person()).learn(row)
    kind = RecordKind(table.kind)
    sections = {s: row.values[s.value] for s in Section if row.values.get(s.value)}
    if text := row.values.get("text"):
        sections = split(text, kind, table.headings) | sections
        if not sections:
            raise DataError("no_headings", "the text has no heading of its kind")
    if not sections:
        raise DataError("empty_record")
    return TextRow(
        record_id=f"{table.kind}/{number}/{row.number}",
        kind=kind,
        patient_id=patient_id,
        visit_number=visit_number,
        authored_on=read_date(row.values["authored_on"]),
        sections=sections,
        accession_number=canonical_id(row.values.get("accession_number", "")),
        examination=row.values.get("modality", ""),
        study_uid=row.values.get("study_uid", ""),
    )
