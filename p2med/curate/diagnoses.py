"""The disease labels of a case, which the samplers balance and the reports count."""

from collections.abc import Sequence
from typing import Literal

from p2med.clinical.diagnoses import extract, simplify
from p2med.schema.case import Case, Record
from p2med.schema.terms import Section

SECTIONS = (
    Section.IMPRESSION,
    Section.PRELIMINARY_DIAGNOSIS,
    Section.ADMISSION_DIAGNOSIS,
    Section.CURRENT_DIAGNOSIS,
    Section.DIAGNOSIS,
)


def diagnoses_of(case: Case, records: Sequence[Record], how: Literal["extract", "given"]) -> tuple[str, ...]:
    """The union over the kept records' impressions and diagnoses, or the source's own labels."""
    if how == "given":
        return case.diagnoses
    texts = [r.sections[s] for r in records for s in SECTIONS if s in r.sections]
    return simplify([label for text in texts for label in extract(text)])


def label_record(record: Record) -> Record:
    """The record with the disease labels of its own impression or diagnosis."""
    labels = [label for s in SECTIONS if s in record.sections for label in extract(record.sections[s])]
    return record.model_copy(update={"diagnoses": simplify(labels)})
