"""The key images' source: split by paper, the flag as impression, nothing of the report changed."""

import gzip
import json
from pathlib import Path

import pytest

from p2med import store
from p2med.clinical.diagnoses import extract
from p2med.errors import DataError, RecipeError
from p2med.ingest.sources import cov_ctr
from p2med.schema.identified import IdentifiedCase
from p2med.schema.terms import Section
from p2med.store import Rejected

SHARED = store.data_folder() / "cov_ctr_ct_reports"


def record(n: int, covid: int, group: str, report: str = "双肺内未见异常密度影。") -> dict[str, object]:
    return {"image": f"{n:04x}.jpg", "covid": covid, "source_group": group, "report_zh": report}


def write_records(path: Path, rows: list[dict[str, object]]) -> cov_ctr.Options:
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    return cov_ctr.Options(records=str(path))


def test_a_paper_is_on_one_side_and_both_flags_are_held_out(tmp_path):
    rows = [record(n, (n // 3) % 2, f"paper{n // 3}") for n in range(120)]
    cases = list(cov_ctr.read(write_records(tmp_path / "r.jsonl.gz", rows), tmp_path))
    splits: dict[str, set[str | None]] = {}
    for case in cases:
        splits.setdefault(case.patient.patient_id, set()).add(case.split)
    assert all(len(s) == 1 for s in splits.values())
    held_out = [c.questions[0].answer for c in cases if c.split == "val"]
    assert sorted(set(held_out)) == sorted(cov_ctr.CHOICE)
    assert len(held_out) == 24


@pytest.mark.parametrize("covid, labels", [(0, ()), (1, ("新型冠状病毒肺炎",))])
def test_the_flag_becomes_the_impression(tmp_path, covid, labels):
    report = "右肺下叶见片状磨玻璃影。"
    options = write_records(tmp_path / "r.jsonl.gz", [record(1, covid, "a", report)])
    case = next(iter(cov_ctr.read(options, tmp_path)))
    assert case.records[0].sections[Section.FINDINGS] == report
    assert extract(case.records[0].sections[Section.IMPRESSION]) == labels
    assert case.questions[0].answer in case.questions[0].choices
    assert case.questions[0].answer.startswith("非") == (covid == 0)


def test_a_record_without_a_report_is_rejected(tmp_path):
    options = write_records(tmp_path / "r.jsonl.gz", [record(1, 0, "a", " "), record(2, 1, "b")])
    made = list(cov_ctr.read(options, tmp_path))
    assert [m.reason for m in made if isinstance(m, Rejected)] == ["report_missing"]


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"no gzip", "records_unreadable"),
        (gzip.compress(b'{"image": "a.jpg"}\n'), "record_incomplete"),
        (gzip.compress(b"not json\n"), "record_incomplete"),
        (gzip.compress(b"[1, 2]\n"), "record_incomplete"),
        (gzip.compress(b'{"image": "a.jpg"}\n' * 500)[:-12], "record"),
    ],
    ids=["no gzip", "no report", "no json", "a list", "cut off"],
)
def test_broken_records_are_named(tmp_path, content, reason):
    (tmp_path / "r.jsonl.gz").write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(cov_ctr.read(cov_ctr.Options(records=str(tmp_path / "r.jsonl.gz")), tmp_path))
    assert caught.value.reason.startswith(reason)


def test_missing_records_are_named(tmp_path):
    with pytest.raises(RecipeError, match="P2MED_DATA"):
        list(cov_ctr.read(cov_ctr.Options(records=str(tmp_path / "none")), tmp_path))


@pytest.mark.data
@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")
def test_the_real_set_is_read_whole():
    made = [c for c in cov_ctr.read(cov_ctr.Options(), Path()) if isinstance(c, IdentifiedCase)]
    assert len(made) == 570
    assert sum(c.questions[0].answer == cov_ctr.CHOICE[1] for c in made) == 253
