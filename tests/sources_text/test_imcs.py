"""The consultations' source: every row is a case or a rejection, and nothing of the report changes."""

import gzip
import json
from pathlib import Path

import pytest

from p2med import store
from p2med.errors import DataError
from p2med.ingest.sources import imcs
from p2med.ingest.tally import Tally
from p2med.schema.identified import IdentifiedCase
from p2med.schema.terms import Section
from p2med.store import Rejected

SHARED = store.data_folder() / "imcs_mrg_dialogue2report"
REPORT = {
    "主诉": "腹泻3天。",
    "现病史": "患儿腹泻3天。",
    "辅助检查": "暂缺。",
    "既往史": "不详。",
    "诊断": "小儿腹泻。",
    "建议": "蒙脱石散。",
}


def row(n: int, **changes: object) -> dict[str, object]:
    return {"sample_id": f"s{n}", "dialogue": "患者：拉肚子三天了\n医生：几次", "report": REPORT, **changes}


def write(path: Path, rows: list[object]) -> imcs.Options:
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    return imcs.Options(file=str(path))


def test_a_whole_row_becomes_a_case_with_the_text_as_it_is(tmp_path):
    found = list(imcs.read(write(tmp_path / "r.gz", [row(1)]), tmp_path))
    (case,) = [x for x in found if isinstance(x, IdentifiedCase)]
    sections = case.records[0].sections
    assert sections[Section.DIALOGUE] == "患者：拉肚子三天了\n医生：几次"
    assert {s.zh: t for s, t in sections.items() if s is not Section.DIALOGUE} == REPORT
    assert case.public and case.split is None


@pytest.mark.parametrize(
    "broken",
    [
        row(1, dialogue=" "),
        row(1, report={**REPORT, "诊断": ""}),
        row(1, report={k: v for k, v in REPORT.items() if k != "建议"}),
        row(1, report=None),
        {"sample_id": "s1"},
        7,
    ],
)
def test_a_row_that_lacks_something_is_rejected_and_counted(tmp_path, broken):
    found = list(imcs.read(write(tmp_path / "r.gz", [broken, row(2)]), tmp_path))
    assert [x.reason for x in found if isinstance(x, Rejected)] == ["row_incomplete"]
    assert len([x for x in found if isinstance(x, IdentifiedCase)]) == 1
    (tally,) = [x for x in found if isinstance(x, Tally)]
    assert (tally.entered, tally.passed) == (2, 1)


def test_a_missing_or_broken_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match="P2MED_DATA"):
        list(imcs.read(imcs.Options(file=str(tmp_path / "none.gz")), tmp_path))
    (tmp_path / "half.gz").write_bytes(gzip.compress(b"{}\n" * 500)[:20])
    with pytest.raises(DataError, match="EOFError"):
        list(imcs.read(imcs.Options(file=str(tmp_path / "half.gz")), tmp_path))


@pytest.mark.data
@pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not there (P2MED_DATA)")
def test_the_shared_pairs_are_all_read(tmp_path):
    found = list(imcs.read(imcs.Options(), tmp_path))
    assert sum(isinstance(x, IdentifiedCase) for x in found) == 797
    assert not [x for x in found if isinstance(x, Rejected)]
