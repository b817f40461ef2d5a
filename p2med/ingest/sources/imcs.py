"""IMCS-21 pediatric consultations with the expert's six-part report (data set imcs_mrg_dialogue2report).

    {"sample_id": "…", "dialogue": "患者：宝宝拉肚子…\\n医生：…",
     "report": {"主诉": "…", "现病史": "…", "辅助检查": "…", "既往史": "…", "诊断": "…", "建议": "…"}}

Published: ProphetNet on the official test ROUGE-L 57.94, D-Acc 55.36 (lemuria-wchen/imcs21). Floors of the
data set's README: ROUGE-L .458 over sections and exact diagnosis .320 (nearest report).
"""

import gzip
import json
from pathlib import Path

from p2med.errors import DataError
from p2med.ingest.tally import Tally, Yield
from p2med.schema.base import Frozen
from p2med.schema.identified import IdentifiedCase, IdentifiedPatient, IdentifiedRecord
from p2med.schema.terms import SECTION_BY_HEADING, RecordKind, Section
from p2med.store import Rejected, resolve

REPORT = (
    Section.CHIEF_COMPLAINT,
    Section.HISTORY_OF_PRESENT_ILLNESS,
    Section.AUXILIARY_EXAMINATION,
    Section.PAST_MEDICAL_HISTORY,
    Section.DIAGNOSIS,
    Section.ADVICE,
)


class Options(Frozen):
    file: str = "data:imcs_mrg_dialogue2report/records.jsonl.gz"


def read(options: Options, root: Path) -> Yield:
    """One case a consultation; a row without dialogue or without one of the six sections is rejected."""
    path = resolve(options.file, root)
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    except FileNotFoundError:
        raise DataError("file_missing", f"{path}; set P2MED_DATA to the folder of the shared data") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError("file_unreadable", f"{path}: {type(error).__name__}") from None
    cases = []
    for number, line in enumerate(lines, 1):
        try:
            cases.append(_case(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            yield Rejected(noun="record_row", id=str(number), reason="row_incomplete")
    yield Tally("record_row", entered=len(lines), passed=len(cases))
    yield from cases


def _case(row: dict) -> IdentifiedCase:
    name = str(row["sample_id"])
    written = {SECTION_BY_HEADING[h]: str(t).strip() for h, t in row["report"].items()}
    sections = {Section.DIALOGUE: row["dialogue"].strip(), **{s: written[s] for s in REPORT}}
    if not all(sections.values()):
        raise ValueError("a section is empty")
    record = IdentifiedRecord(record_id=f"imcs/{name}", kind=RecordKind.CONSULTATION, sections=sections)
    return IdentifiedCase(
        case_id=f"imcs/{name}",
        source="imcs",
        encounter_class="AMB",
        patient=IdentifiedPatient(patient_id=name),
        records=(record,),
        public=True,
    )
