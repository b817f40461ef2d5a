"""Records that contradict themselves, their patient or their images; each filter returns a reason.

    conflict_side      an effusion on the right in the findings, on the left in the impression
    conflict_negation  the findings deny what the impression affirms, or the other way round
    conflict_sex       患儿，男 in the text of a girl; an organ that the patient does not have
    conflict_age       3岁 in the text of a child of eight months
    wrong_pairing      a CT report on an X-ray study, on another region, or older than its images

A filter speaks only where both places say something: what a record leaves out is no contradiction. Missing
sections and length are in records.py. A dropped record stays in 2_deid, rejected.parquet has id and reason.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from p2med.curate import filters_person, filters_report
from p2med.curate.config import FilterName
from p2med.curate.filters_subject import Subject
from p2med.curate.records import Fault
from p2med.schema.terms import RecordKind

_FILTERS: dict[FilterName, Callable[[Subject], str | None]] = {
    "side": filters_report.side,
    "negation": filters_report.negation,
    "sex": filters_person.sex,
    "age": filters_person.age,
    "pairing": filters_report.pairing,
}
REASONS: dict[FilterName, str] = {
    "side": "conflict_side",
    "negation": "conflict_negation",
    "sex": "conflict_sex",
    "age": "conflict_age",
    "pairing": "wrong_pairing",
}


def conflict_of(subject: Subject, names: Iterable[FilterName]) -> Fault | None:
    """The first contradiction that these filters find, or None."""
    for name in names:
        detail = _FILTERS[name](subject)
        if detail is not None:
            return REASONS[name], detail
    return None


def subject_of(record: Mapping[str, Any], case: Mapping[str, Any]) -> Subject:
    """The facts of a row of 2_deid that a record can contradict.

    Args:
      record: one of the case's records.
      case: a row with `patient` and `studies`.
    """
    uid = record["study_uid"]
    study = next((s for s in case["studies"] if uid is not None and s["study_uid"] == uid), None)
    return Subject(
        kind=RecordKind(record["kind"]),
        sections=record["sections"],
        authored_on=record["authored_on"],
        sex=case["patient"]["sex"],
        age_days=case["patient"]["age_days"],
        modality=study["modality"] if study else None,
        study_date=study["study_date"] if study else None,
    )
