"""COV-CTR: single key images of adult chest CT, each with a Chinese report and a COVID flag.

records.jsonl.gz   {"image": "d94a.jpg", "covid": 0, "source_group": "0", "report_zh": "胸廓对称，…", …}
-> one case an image: one CT study of one picture (grey, no Hounsfield units), its report, one question.

Several images of one paper are one `source_group`; the split is by that, or the test would be known (the
random split of ZeroMRG leaks so). The report has no impression of its own: the flag is written as one.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from p2med.errors import DataError, RecipeError
from p2med.ingest.tally import Yield
from p2med.schema.base import Frozen
from p2med.schema.case import QuestionAnswer
from p2med.schema.identified import (
    IdentifiedCase,
    IdentifiedPatient,
    IdentifiedRecord,
    IdentifiedSeries,
    IdentifiedStudy,
)
from p2med.schema.terms import Modality, RecordKind, Section
from p2med.store import Rejected, resolve

IMPRESSION = ("不考虑新型冠状病毒肺炎。", "新型冠状病毒肺炎。")
CHOICE = ("非新型冠状病毒肺炎", "新型冠状病毒肺炎")
QUESTION = "该CT图像是否为新型冠状病毒肺炎？"


class Options(Frozen):
    images: str = "data:cov_ctr_ct_reports/images.zip"
    records: str = "data:cov_ctr_ct_reports/records.jsonl.gz"
    val: float = Field(0.2, gt=0, lt=1, description="share of the source groups with and without COVID")
    seed: int = 0


class Row(Frozen):
    image: str
    covid: bool
    source_group: str
    report: str


def read(options: Options, root: Path) -> Yield:
    """One case an image.

    Raises:
      RecipeError: the records are not there.
      DataError: `records_unreadable`, `record_incomplete`.
    """
    rows = list(_rows(resolve(options.records, root)))
    held_out = _held_out(rows, options)
    for row in rows:
        if row.report:
            yield _case(row, options, row.source_group in held_out)
        else:
            yield Rejected(noun="case", id=_case_id(row), reason="report_missing")


def _rows(path: Path) -> Iterator[Row]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield _row(line, f"{path} line {number}")
    except FileNotFoundError:
        raise RecipeError(f"there are no records {path}; set P2MED_DATA to the folder of the data") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError("records_unreadable", f"{path}: {type(error).__name__}; is it whole?") from None


def _row(line: str, where: str) -> Row:
    try:
        record = json.loads(line)
        return Row(
            image=record["image"],
            covid=bool(record["covid"]),
            source_group=str(record["source_group"]),
            report=record["report_zh"].strip(),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError("record_incomplete", f"{where}: {type(error).__name__}") from None


def _held_out(rows: list[Row], options: Options) -> set[str]:
    """The same share of the groups that have a COVID image and of those that have none, by a hash."""
    with_covid = {r.source_group for r in rows if r.covid}
    without = {r.source_group for r in rows} - with_covid
    found: set[str] = set()
    for groups in (with_covid, without):
        ordered = sorted(groups, key=lambda g: hashlib.sha256(f"{options.seed}|{g}".encode()).digest())
        found.update(ordered[: round(len(ordered) * options.val)])
    return found


def _case(row: Row, options: Options, is_held_out: bool) -> IdentifiedCase:
    case_id = _case_id(row)
    series = IdentifiedSeries(
        series_uid=f"{case_id}/series",
        files=(f"{options.images}!{row.image}",),
        format="picture",
        modality=Modality.CT,
    )
    record = IdentifiedRecord(
        record_id=f"{case_id}/report",
        kind=RecordKind.RADIOLOGY_REPORT,
        sections={Section.FINDINGS: row.report, Section.IMPRESSION: IMPRESSION[row.covid]},
        study_uid=case_id,
        joined_by="given",
    )
    answer = CHOICE[row.covid]
    choices = CHOICE if row.image < "8" else CHOICE[::-1]
    return IdentifiedCase(
        case_id=case_id,
        source="cov_ctr",
        patient=IdentifiedPatient(patient_id=f"paper {row.source_group}"),
        studies=(IdentifiedStudy(study_uid=case_id, modality=Modality.CT, series=(series,)),),
        records=(record,),
        questions=(QuestionAnswer(question=QUESTION, answer=answer, choices=choices, study_uid=case_id),),
        split="val" if is_held_out else "train",
        public=True,
    )


def _case_id(row: Row) -> str:
    return f"cov_ctr/{row.image.rsplit('.', 1)[0]}"
