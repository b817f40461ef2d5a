"""One case put together again from what passed; every loss is named."""

from collections import Counter
from collections.abc import Mapping

from p2med.curate.config import CurateConfig
from p2med.curate.diagnoses import diagnoses_of, label_record
from p2med.curate.images import Prepared
from p2med.curate.records import Fault
from p2med.schema.case import Box, Case, Record, Series, Study
from p2med.store import Rejected

Faults = Mapping[tuple[str, str], Fault]
"""(case_id, record_id) -> why the record is dropped."""
Images = Mapping[str, list[tuple[Series, Prepared]]]
"""study_uid -> the chosen series with what became of their pixels, in the order that the model sees."""


def parts_of(case: Case | None) -> Counter[str]:
    """How many of each noun a case holds."""
    if case is None:
        return Counter()
    return Counter(
        case=1,
        study=len(case.studies),
        series=sum(len(s.series) for s in case.studies),
        record=len(case.records),
        question=len(case.questions),
        box=len(case.boxes),
    )


def rejected_whole(case: Case, reason: str) -> list[Rejected]:
    """The case with all its parts."""
    parts = [("case", case.case_id)]
    parts += [("study", s.study_uid) for s in case.studies]
    parts += [("series", x.series_uid) for s in case.studies for x in s.series]
    parts += [("record", r.record_id) for r in case.records]
    parts += [("question", f"{case.case_id}/{n}") for n in range(len(case.questions))]
    parts += [("box", f"{case.case_id}/{n}") for n in range(len(case.boxes))]
    return [Rejected(noun=noun, id=name, reason=reason) for noun, name in parts]


def assemble(
    case: Case, images: Images, faults: Faults, split: str, config: CurateConfig
) -> tuple[Case | None, list[Rejected]]:
    """Join images, records, labels and split; None when nothing is left of the case."""
    rejected: list[Rejected] = []
    studies = [s for s in (_study(study, images, rejected) for study in case.studies) if s is not None]
    there = {s.study_uid for s in studies}
    kept = (r for r in case.records if _keeps_record(r, case, faults, there, rejected))
    records = tuple(map(label_record, kept))
    questions = []
    for n, question in enumerate(case.questions):
        if question.study_uid is None or question.study_uid in there:
            questions.append(question)
        else:
            rejected.append(Rejected(noun="question", id=f"{case.case_id}/{n}", reason="study_missing"))
    boxes = _boxes(case, studies, rejected)
    if not (studies or records or questions):
        return None, [*rejected, Rejected(noun="case", id=case.case_id, reason="nothing_left")]
    update = {
        "studies": tuple(studies),
        "records": records,
        "questions": tuple(questions),
        "boxes": boxes,
        "diagnoses": diagnoses_of(case, records, config.diagnoses),
        "split": split,
    }
    return case.model_copy(update=update), rejected


def _study(study: Study, images: Images, rejected: list[Rejected]) -> Study | None:
    kept = []
    for series, prepared in images[study.study_uid]:
        if prepared.volume is None:
            rejected.append(
                Rejected(noun="series", id=series.series_uid, reason=prepared.reason, detail=prepared.detail)
            )
        else:
            kept.append(series.model_copy(update={"volume": prepared.volume}))
    if not kept:
        rejected.append(Rejected(noun="study", id=study.study_uid, reason="no_series_left"))
        return None
    return study.model_copy(update={"series": tuple(kept)})


def _keeps_record(
    record: Record, case: Case, faults: Faults, there: set[str], rejected: list[Rejected]
) -> bool:
    fault = faults.get((case.case_id, record.record_id))
    if fault is None and record.study_uid is not None and record.study_uid not in there:
        fault = ("study_missing", "")  # a report whose images are gone would be taught without them
    if fault is not None:
        rejected.append(Rejected(noun="record", id=record.record_id, reason=fault[0], detail=fault[1]))
    return fault is None


def _boxes(case: Case, studies: list[Study], rejected: list[Rejected]) -> tuple[Box, ...]:
    """Boxes follow their image to its new size: pixel units of the volume that is stored now."""
    before = {s.series_uid: s.volume for study in case.studies for s in study.series}
    after = {s.series_uid: s.volume for study in studies for s in study.series}
    kept = []
    for n, box in enumerate(case.boxes):
        if box.series_uid not in after:
            rejected.append(Rejected(noun="box", id=f"{case.case_id}/{n}", reason="series_missing"))
            continue
        (_, h, w), (_, new_h, new_w) = before[box.series_uid].shape, after[box.series_uid].shape
        x0, y0, x1, y1 = box.xyxy
        scaled = (x0 * new_w / w, y0 * new_h / h, x1 * new_w / w, y1 * new_h / h)
        kept.append(box.model_copy(update={"xyxy": scaled}))
    return tuple(kept)
