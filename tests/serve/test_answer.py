"""`p2med answer`: one line for each input, nothing lost, one line for each fault."""

import json
from pathlib import Path

import pytest
from PIL import Image
from small_server import png

from p2med.errors import P2MedError
from p2med.serve.answer import answer
from p2med.synth.config import SynthConfig
from p2med.synth.run import run as synth


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_pictures_of_a_folder_get_probabilities_and_a_broken_one_a_reason(checkpoint, tmp_path):
    films = tmp_path / "films"
    (films / "NORMAL").mkdir(parents=True)
    (films / "a.png").write_bytes(png(1))
    Image.new("RGB", (40, 50)).save(films / "NORMAL" / "b.jpeg")
    (films / "broken.jpg").write_bytes(png(1)[:60])
    (films / "notes.txt").write_text("not an input")
    out = tmp_path / "out.jsonl"
    counts = answer(checkpoint, "classification", films, out, labels=("正常", "肺炎"), device="cpu")
    assert counts == {"in": 3, "answered": 2, "rejected": 1}
    found = lines(out)
    assert [f["id"] for f in found] == ["NORMAL/b.jpeg", "a.png"]
    assert all(abs(sum(f["probabilities"].values()) - 1) < 1e-6 for f in found)
    (lost,) = lines(tmp_path / "out.jsonl.rejected.jsonl")
    assert lost["id"] == "broken.jpg" and lost["reason"].startswith("picture")


def test_rows_of_sections_in_either_language(checkpoint, tmp_path):
    rows = [
        {"id": "a", "主诉": "咳嗽", "现病史": "发热", "体格检查": "神清"},
        {"sample_id": 7, "sections": {"chief_complaint": "咳嗽", "现病史": "x", "Physical examination": "y"}},
        {"id": "c", "主诉": "咳嗽"},
    ]
    source = tmp_path / "in.jsonl"
    source.write_text(
        "\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n{broken\n", encoding="utf-8"
    )
    counts = answer(
        checkpoint, "outpatient_record", source, tmp_path / "o.jsonl", max_new_tokens=6, device="cpu"
    )
    assert counts == {"in": 4, "answered": 2, "rejected": 2}
    assert [f["id"] for f in lines(tmp_path / "o.jsonl")] == ["a", "7"]
    reasons = {f["id"]: f["reason"] for f in lines(tmp_path / "o.jsonl.rejected.jsonl")}
    assert reasons == {"c": "input_incomplete", "4": "not_json"}


def test_the_dicom_files_of_a_study_are_one_input(checkpoint, tmp_path):
    synth(
        SynthConfig(patients=6, inpatient_share=1.0, xray_pixels=64, ct_pixels=64, ct_slices=6),
        tmp_path / "h",
    )
    truth = [json.loads(line) for line in (tmp_path / "h" / "truth.jsonl").read_text().splitlines()]
    studies = sum(len(p["studies"]) for p in truth)
    out = tmp_path / "o.jsonl"
    counts = answer(checkpoint, "ct_report", tmp_path / "h" / "pacs", out, max_new_tokens=4, device="cpu")
    assert counts["answered"] == studies and counts["rejected"] == 0
    assert all(f["id"].count("/") >= 2 for f in lines(out))


FAULTS = [
    ({"task": "clasification"}, "classification"),
    ({"labels": ("正常",)}, "two options"),
    ({"source": Path("nowhere")}, "no such file"),
    ({"out": Path("nowhere/o.jsonl")}, "does not exist"),
    ({"language": "de"}, "zh or en"),
]


@pytest.mark.parametrize("change, words", FAULTS, ids=[f[1] for f in FAULTS])
def test_a_wrong_argument_is_one_line(checkpoint, tmp_path, change, words):
    (tmp_path / "a.png").write_bytes(png())
    given = {
        "checkpoint": checkpoint,
        "task": "classification",
        "source": tmp_path / "a.png",
        "out": tmp_path / "o.jsonl",
        "labels": ("正常", "肺炎"),
        "device": "cpu",
    }
    with pytest.raises(P2MedError, match=words) as error:
        answer(**(given | change))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "o.jsonl").exists()


def test_a_text_model_does_not_guess_at_pictures(text_checkpoint, tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(P2MedError, match="no input could be answered"):
        answer(
            text_checkpoint,
            "question_answering",
            tmp_path / "a.png",
            tmp_path / "o.jsonl",
            question="?",
            device="cpu",
        )


def test_rows_that_are_no_text_are_rejected_and_odd_line_ends_inside_a_text_are_kept(checkpoint, tmp_path):
    rows = [
        '{"id": "separator", "question": "咳嗽\u2028三天\u0085？"}'.encode(),
        b'{"id": "half", "question": "\\ud800"}',
        '{"id": "gb", "question": "咳嗽"}'.encode("gb18030"),
        b"[" * 100_000,
    ]
    source, out = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    source.write_bytes(b"\xef\xbb\xbf" + b"\n".join(rows))
    counts = answer(checkpoint, "question_answering", source, out, max_new_tokens=2, device="cpu")
    assert counts == {"in": 4, "answered": 1, "rejected": 3}
    assert json.loads(out.read_text())["id"] == "separator"
    with pytest.raises(P2MedError, match="is a folder"):
        answer(checkpoint, "question_answering", source, tmp_path)


def test_options_of_a_row_may_be_numbers(checkpoint, tmp_path):
    source, out = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    source.write_text('{"id": "1", "question": "几天？", "labels": [3, "4"]}\n')
    answer(checkpoint, "classification", source, out, device="cpu")
    assert set(json.loads(out.read_text())["probabilities"]) == {"3", "4"}


def test_several_readings_and_checkpoints_give_one_answer(checkpoint, tmp_path):
    source = tmp_path / "in.jsonl"
    row = {"id": "a", "主诉": "咳嗽", "现病史": "发热\n咳\n喘", "体格检查": "神清"}
    source.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    out = tmp_path / "o.jsonl"
    counts = answer(
        checkpoint, "outpatient_record", source, out, max_new_tokens=6, readings=3, members=[checkpoint]
    )
    assert counts == {"in": 1, "answered": 1, "rejected": 0}
    assert [f["id"] for f in lines(out)] == ["a"]
