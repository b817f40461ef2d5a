"""What ingest knows: a case with the patient's identity. Only ingest and deid may import this file."""

from datetime import date
from typing import Literal

from p2med.schema.base import Frozen
from p2med.schema.case import QuestionAnswer, Sex, Split
from p2med.schema.terms import Modality, RecordKind, Section


class IdentifiedPatient(Frozen):
    """Every value of the patient that must not appear in any text, header or pixel after deid.

    `patient_id` is the hospital's number (or a public set's patient number); pseudonyms derive from it.
    """

    patient_id: str
    sex: Sex | None = None
    birth_date: date | None = None
    age_days: int | None = None
    """Age at the visit when the source gives it and no birth date."""
    names: tuple[str, ...] = ()
    """The child's, guardians' and doctors' names, as written."""
    ids: tuple[str, ...] = ()
    """Identity card, medical card, accession and any other number."""
    phones: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    """Street, village, school, employer."""


class IdentifiedSeries(Frozen):
    """Pointers to the pixels; nothing is copied by ingest.

    `files` are `run:`/`data:` paths or plain paths; `archive.zip!member` points into a zip archive.
    A DICOM series lists its files in the order of the series (imaging sorts by position again).
    """

    series_uid: str
    files: tuple[str, ...]
    format: Literal["dicom", "picture"]
    modality: Modality
    view_position: str | None = None
    contrast: bool | None = None  # None: read it from the header


class IdentifiedStudy(Frozen):
    study_uid: str
    accession_number: str | None = None
    study_date: date | None = None
    modality: Modality
    series: tuple[IdentifiedSeries, ...]
    joined_by: str | None = None
    """The rule that joined it to its visit (ingest/link.py)."""


class IdentifiedRecord(Frozen):
    record_id: str
    kind: RecordKind
    authored_on: date | None = None
    sections: dict[Section, str]
    study_uid: str | None = None
    joined_by: str | None = None
    """The rule that joined a report to its study, a record to its visit (ingest/link.py), or `given`."""


class IdentifiedCase(Frozen):
    case_id: str
    source: str
    encounter_class: Literal["AMB", "IMP"] | None = None
    patient: IdentifiedPatient
    studies: tuple[IdentifiedStudy, ...] = ()
    records: tuple[IdentifiedRecord, ...] = ()
    questions: tuple[QuestionAnswer, ...] = ()
    split: Split | None = None
    public: bool = False
    """The source is a public, already de-identified set: its patient numbers are still replaced."""
