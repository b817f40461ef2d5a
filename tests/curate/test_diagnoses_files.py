"""`p2med diagnoses`: one JSON line a line, certainty, code and place; errors that quote nothing."""

import json

import pytest
from typer.testing import CliRunner

from p2med.cli import app
from p2med.curate.diagnoses_files import run
from p2med.errors import P2MedError

TEXT = "支气管肺炎，右侧少量胸腔积液；未见气胸。\n\n肺炎？心膈未见异常\n既往哮喘"


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_line_has_its_labels_certainty_code_and_place(tmp_path):
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text(TEXT, encoding="utf-8")
    done = CliRunner().invoke(app, ["diagnoses", str(source), "--out", str(out)])
    assert done.exit_code == 0 and "4 lines, 1 with a label" in done.output
    first, empty, doubt, past = rows(out)
    assert first["labels"] == ["支气管肺炎", "胸腔积液"]
    said = [(m["label"], m["icd10"], m["certainty"]) for m in first["mentions"]]
    assert said == [
        ("支气管肺炎", "J18.0", "affirmed"),
        ("胸腔积液", "J90", "affirmed"),
        ("气胸", "J93.9", "negated"),
    ]
    assert all(first["text"][m["start"] : m["end"]] == m["words"] for m in first["mentions"])
    assert empty == {"text": "", "labels": [], "mentions": []}
    assert doubt["labels"] == [] and doubt["mentions"][0]["certainty"] == "uncertain"
    assert past["mentions"][0]["certainty"] == "history"


def test_json_rows_keep_their_fields_and_windows_files_are_read(tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes('\ufeff{"id": 7, "dx": "急性支气管炎"}\r\n{"id": 8, "dx": ""}\r\n'.encode())
    run(source, out, "dx")
    first, second = rows(out)
    assert (first["id"], first["dx"], first["labels"]) == (7, "急性支气管炎", ["支气管炎"])
    assert second["id"] == 8 and second["labels"] == []


@pytest.mark.parametrize(
    "content, words",
    [
        (b'{"text": "\xe8\x82\xba\xe7\x82\x8e"}\nsecret words\n', "line 2 is no JSON"),
        (b'{"note": "secret words"}\n', "line 1 has no text in 'text'"),
        (b'{"text": 5}\n', "line 1 has no text in 'text'"),
        (b'{"text": "secret words", "labels": []}\n', "line 1 already has 'labels'"),
        (b"\xff\xfesecret words", "no UTF-8"),
    ],
)
def test_a_bad_line_is_named_not_quoted_and_nothing_is_written(tmp_path, content, words):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(content)
    with pytest.raises(P2MedError, match=words) as error:
        run(source, out)
    assert "secret" not in str(error.value) and error.value.__cause__ is None and not out.exists()


def test_a_file_is_not_written_over_itself_and_must_be_there(tmp_path):
    source = tmp_path / "in.txt"
    with pytest.raises(P2MedError, match="no file"):
        run(source, tmp_path / "out.jsonl")
    source.write_text("肺炎", encoding="utf-8")
    with pytest.raises(P2MedError, match="two different"):
        run(source, source)
