"""What the filters look at: one record, and what its case says of the patient and the images."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from p2med.schema.terms import RecordKind


@dataclass(frozen=True)
class Subject:
    """`modality` and `study_date` are those of the study that a report names, None without one."""

    kind: RecordKind
    sections: Mapping[str, str]
    authored_on: date | None = None
    sex: str | None = None
    age_days: int | None = None
    modality: str | None = None
    study_date: date | None = None
