"""Case: everything known about one visit of one patient, after de-identification.

There is deliberately no field for a name, an ID number, a phone, an address or a birth date: what has no
field cannot leak. Free text and pixels still can; that is what deid/ is for.
"""

from datetime import date
from typing import Literal

from pydantic import Field

from p2med.schema.base import Frozen
from p2med.schema.terms import Modality, RecordKind, Section

Sex = Literal["M", "F", "O"]
Split = Literal["train", "val", "bench"]
View = Literal["AP", "PA", "LL", "RL"]


class Patient(Frozen):
    """`patient_key` is a pseudonym (HMAC). `age_days` is the age at the visit, None when unknown."""

    patient_key: str
    sex: Sex | None = None
    age_days: int | None = Field(None, ge=0)


class Volume(Frozen):
    """Pixels on disk, an .npy file of shape [D, H, W]; D is 1 for a radiograph.

    `path` is written as `run:<n>_<verb>/volumes/...` (see store.resolve).
    Units: HU (CT), stored (grey values of a radiograph, bright = dense after MONOCHROME1 is undone),
    unit_interval (after curate: windowed, resized, in [0, 1]).
    """

    path: str
    shape: tuple[int, int, int]
    dtype: str
    unit: Literal["HU", "stored", "unit_interval"]
    spacing_mm: tuple[float, float, float] | None = None  # z, y, x


class Series(Frozen):
    """One acquisition of a study. Technical facts only, each through a validator of deid/header.py."""

    series_uid: str
    view_position: View | None = None
    contrast: bool = False
    slice_thickness_mm: float | None = None
    convolution_kernel: str | None = None
    volume: Volume
    chosen_because: str | None = None  # the rule of imaging/select.py, written by curate


class Study(Frozen):
    study_uid: str
    study_date: date | None = None  # shifted; None when the source has no date
    modality: Modality
    series: tuple[Series, ...]
    accession_key: str | None = None
    """A pseudonym of the accession number: the same study exported twice keeps it under new UIDs."""


class Record(Frozen):
    """One text of the chart. A radiology report names its study in `study_uid`."""

    record_id: str
    kind: RecordKind
    authored_on: date | None = None
    sections: dict[Section, str]
    study_uid: str | None = None
    diagnoses: tuple[str, ...] = ()
    """Disease labels of this text alone, written by curate: what samplers count for it (spec 8)."""


class QuestionAnswer(Frozen):
    """A question with its answer; with `choices` it is a classification (the answer is one of them)."""

    question: str
    answer: str
    choices: tuple[str, ...] = ()
    study_uid: str | None = None


class Box(Frozen):
    """A labelled rectangle, pixel units of the stored image, origin top left."""

    label: str
    xyxy: tuple[float, float, float, float]
    series_uid: str


class Case(Frozen):
    """One visit. `split` may be preset by a source (an official split); curate fills it otherwise."""

    case_id: str
    source: str
    encounter_class: Literal["AMB", "IMP"] | None = None  # HL7 v3 ActCode: outpatient, inpatient
    patient: Patient
    studies: tuple[Study, ...] = ()
    records: tuple[Record, ...] = ()
    questions: tuple[QuestionAnswer, ...] = ()
    boxes: tuple[Box, ...] = ()
    diagnoses: tuple[str, ...] = ()
    split: Split | None = None

    def report_of(self, study: Study) -> Record | None:
        """The radiology report of a study, or None."""
        return next((r for r in self.records if r.study_uid == study.study_uid), None)
