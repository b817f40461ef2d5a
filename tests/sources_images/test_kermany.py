"""The films' source: what the labels say is what is asked and reported, by patient, without copies."""

import csv
import gzip
from collections import Counter
from pathlib import Path

import pytest

from p2med import store
from p2med.clinical.diagnoses import extract
from p2med.clinical.findings import extract_findings
from p2med.errors import DataError, RecipeError
from p2med.ingest.sources import kermany
from p2med.schema.identified import IdentifiedCase
from p2med.schema.terms import Section
from p2med.store import Rejected

SHARED = store.data_folder() / "kermany_pediatric_cxr_224"
LABEL = {"normal": "正常", "bacteria": "细菌性肺炎", "virus": "病毒性肺炎"}


def write_labels(path: Path, rows: list[dict[str, str]]) -> kermany.Options:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return kermany.Options(labels=str(path), val=0.25)


def film(n: int, kind: str, patient: str, sha1: str | None = None) -> dict[str, str]:
    digest = sha1 or f"{(n * 2654435761) % 2**32:08x}"
    return {"file": f"X/{kind}{n}.jpeg", "subtype": kind, "patient": patient, "sha1": digest}


@pytest.fixture()
def made(tmp_path) -> list[IdentifiedCase | Rejected]:
    rows = [film(i * 3 + k, kind, f"p{i // 2}") for i in range(80) for k, kind in enumerate(LABEL)]
    return list(kermany.read(write_labels(tmp_path / "labels.csv.gz", rows), tmp_path))


def test_no_patient_is_on_both_sides_and_each_kind_is_held_out(made):
    splits: dict[str, set[str]] = {}
    for case in made:
        splits.setdefault(case.patient.patient_id, set()).add(case.split)
    assert all(len(s) == 1 for s in splits.values())
    held_out = Counter(p.split("/")[0] for p, s in splits.items() if s == {"val"})
    assert held_out == {"normal": 10, "bacteria": 10, "virus": 10}


def test_the_same_number_in_another_kind_is_another_patient(made):
    assert len({c.patient.patient_id for c in made}) == 3 * 40


def test_a_copy_is_rejected_once(tmp_path):
    rows = [film(0, "normal", "a", "f" * 8), film(1, "normal", "b", "f" * 8), film(2, "virus", "c")]
    made = list(kermany.read(write_labels(tmp_path / "labels.csv.gz", rows), tmp_path))
    assert [m.reason for m in made if isinstance(m, Rejected)] == ["duplicate_image"]
    assert len(made) == 3


def test_answers_and_reports_say_what_the_label_says(made):
    for case in made:
        kind = case.patient.patient_id.split("/")[0]
        sections = case.records[0].sections
        assert extract(sections[Section.IMPRESSION]) == (LABEL[kind],)
        assert bool(extract_findings(sections[Section.FINDINGS])) == (kind != "normal")
        for question in case.questions:
            assert question.answer in question.choices
            chinese = question.answer == LABEL[kind] or (question.answer == "肺炎" and kind != "normal")
            english = {"normal": "normal", "bacteria": "bacterial", "virus": "viral"}[kind]
            assert chinese or question.answer.startswith(english) or question.answer == "pneumonia"


def test_equal_numbers_of_diagnoses_leave_no_prior(made):
    """With as many questions of each diagnosis, each answer of each question is right equally often."""
    share: dict[str, Counter[str]] = {}
    for case in made:
        assert case.split == "val" or len(case.questions) == 3
        for question in case.questions if case.split == "train" else ():
            share.setdefault("/".join(sorted(question.choices)), Counter())[question.answer] += 1
    both = Counter(share["正常/肺炎"]) + Counter(share["normal/pneumonia"])
    normal = both["正常"] + both["normal"]
    assert normal == both["肺炎"] + both["pneumonia"]


def test_the_order_of_the_options_tells_nothing(made):
    first = Counter(
        (q.answer == q.choices[0]) for c in made for q in c.questions if set(q.choices) == {"正常", "肺炎"}
    )
    assert 0.35 < first[True] / first.total() < 0.65


def test_held_out_films_are_asked_everything(made):
    questions = {
        c.patient.patient_id.split("/")[0]: {frozenset(q.choices) for q in c.questions}
        for c in made
        if c.split == "val"
    }
    assert {k: len(v) for k, v in questions.items()} == {"normal": 4, "bacteria": 6, "virus": 6}


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-30]), "table_unreadable"),
        (lambda p: p.write_bytes(b"no gzip"), "table_unreadable"),
        (lambda p: p.write_bytes(gzip.compress(b"file,kind\na,b\n")), "columns_missing"),
        (
            lambda p: p.write_bytes(gzip.compress(b"file,subtype,patient,sha1\na,healthy,p,0\n")),
            "label_unknown",
        ),
    ],
)
def test_a_broken_table_is_named(tmp_path, spoil, reason):
    options = write_labels(tmp_path / "labels.csv.gz", [film(n, "normal", "a") for n in range(50)])
    spoil(tmp_path / "labels.csv.gz")
    with pytest.raises(DataError) as caught:
        list(kermany.read(options, tmp_path))
    assert caught.value.reason == reason


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(RecipeError, match="P2MED_DATA"):
        list(kermany.read(kermany.Options(labels=str(tmp_path / "none.csv.gz")), tmp_path))


@pytest.mark.data
@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not here")
def test_the_real_set_is_read_whole():
    made = list(kermany.read(kermany.Options(), Path()))
    assert len(made) == 5216
    assert sum(isinstance(m, Rejected) for m in made) == 26
    held_out = [c for c in made if isinstance(c, IdentifiedCase) and c.split == "val"]
    assert 700 < len(held_out) < 900
