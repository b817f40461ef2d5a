"""`p2med dedup` from outside: JSON lines and Parquet, what is kept, what goes, what is refused."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from p2med.cli import app
from p2med.curate.config import DedupConfig
from p2med.curate.dedup import deduplicate
from p2med.curate.dedup_files import run
from p2med.errors import P2MedError

CONFIG = DedupConfig()


def records(count: int = 60) -> list[dict]:
    """Records, every third one nearly equal to the one before, and one with next to nothing in it."""
    rng = random.Random(1)
    rows: list[dict] = []
    for n in range(count):
        if n % 3 == 2:
            text = rows[-1]["text"][:-2]
        else:
            text = "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(150))
        rows.append({"n": n, "text": text, "labels": ["支气管炎"] if n % 2 else ["哮喘", "支气管炎"]})
    rows.append({"n": count, "text": "无殊", "labels": ["哮喘"]})
    return rows


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text(
        "".join(json.dumps(r, ensure_ascii=r["n"] % 2 == 0) + "\n" for r in rows), encoding="utf-8"
    )
    return path


def test_what_is_kept_is_copied_byte_for_byte_and_the_rest_stands_beside_its_original(tmp_path):
    rows = records()
    source = jsonl(tmp_path / "in.jsonl", rows)
    out, pairs = tmp_path / "kept.jsonl", tmp_path / "pairs.jsonl"
    report = run(source, "text", out, CONFIG, pairs, by="labels", threads=1)
    lines = source.read_bytes().splitlines(keepends=True)
    gone = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    kept = [n for n in range(len(rows)) if n not in {p["row"] for p in gone}]
    assert out.read_bytes() == b"".join(lines[n] for n in kept)
    assert len(kept) == 40 and len(gone) == 21
    near = [p for p in gone if p["reason"] == "near_duplicate"]
    assert [p["kept_row"] for p in near] == [p["row"] - 1 for p in near] and len(near) == 20
    assert all(p["text"] == rows[p["row"]]["text"] for p in gone)
    assert all(p["kept_text"] == rows[p["kept_row"]]["text"] and p["jaccard"] >= 0.85 for p in near)
    assert gone[-1]["reason"] == "too_few_ngrams" and gone[-1]["kept_row"] is None
    assert "61 records: 40 kept, 20 near-duplicates, 1 with fewer than 5" in report
    assert [line.split() for line in report.splitlines()[2:]] == [
        ["40", "20", "支气管炎"],
        ["20", "11", "哮喘"],
    ]


def test_parquet_gives_what_jsonl_gives(tmp_path):
    rows = records()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet", row_group_size=7)
    run(tmp_path / "in.parquet", "text", tmp_path / "kept.parquet", CONFIG, tmp_path / "pairs.parquet")
    run(jsonl(tmp_path / "in.jsonl", rows), "text", tmp_path / "kept.jsonl", CONFIG, tmp_path / "pairs.jsonl")
    kept = pq.read_table(tmp_path / "kept.parquet").to_pylist()
    assert kept == [json.loads(line) for line in (tmp_path / "kept.jsonl").open(encoding="utf-8")]
    pairs = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert pairs == [json.loads(line) for line in (tmp_path / "pairs.jsonl").open(encoding="utf-8")]


def test_pairs_as_a_page_mark_the_difference(tmp_path):
    rows = [{"n": 0, "text": "患儿咳嗽三天，伴<发热>，" * 9 + "予雾化。"}]
    rows.append({"n": 1, "text": rows[0]["text"].replace("予雾化", "予口服")})
    page = tmp_path / "pairs.html"
    run(
        jsonl(tmp_path / "in.jsonl", rows),
        "text",
        tmp_path / "kept.jsonl",
        DedupConfig(min_jaccard=0.5, rows=2),
        page,
    )
    text = page.read_text(encoding="utf-8")
    assert ("<del>雾化</del>" in text and "<ins>口服</ins>" in text) or (
        "<ins>雾化</ins>" in text and "<del>口服</del>" in text
    )
    assert "&lt;发热&gt;" in text and "<发热>" not in text


def test_the_command_takes_every_setting(tmp_path):
    source = jsonl(tmp_path / "in.jsonl", records())
    command = ["dedup", str(source), "--column", "text", "--out", str(tmp_path / "kept.jsonl")]
    done = CliRunner().invoke(app, [*command, "--threshold", "0.999", "--threads", "2"])
    assert done.exit_code == 0 and "60 kept, 0 near-duplicates" in done.stdout
    done = CliRunner().invoke(
        app, [*command, "--no-verify", "--bands", "20", "--rows", "4", "--unit", "word", "--digits", "mask"]
    )
    assert done.exit_code == 0 and "40 kept, 20 near-duplicates" in done.stdout


def test_masked_digits_and_words_are_settings():
    temperature = ["患儿咳嗽3天，体温最高38.5℃，予雾化吸入治疗", "患儿咳嗽5天，体温最高39.2℃，予雾化吸入治疗"]
    assert deduplicate(temperature, CONFIG).kept.all()
    assert deduplicate(temperature, DedupConfig(digits="mask")).kept.sum() == 1
    punctuated = ["no focal consolidation, no effusion, no pneumothorax or edema", None]
    punctuated[1] = punctuated[0].replace(",", " ;")
    assert deduplicate(punctuated, DedupConfig(ngram=2, min_jaccard=1)).kept.all()
    assert deduplicate(punctuated, DedupConfig(ngram=2, min_jaccard=1, unit="word")).kept.sum() == 1


@pytest.mark.parametrize(
    "content, words",
    [
        ('{"text": "甲"}\n{"text": "秘密\n', "line 2"),
        ('{"text": "甲"}\n{"text": ["秘密"]}\n', "is no text"),
        ('{"other": "秘密"}\n', "no column 'text'"),
        ("[1, 2]\n", "no column 'text'"),
        ("\n\n", "damaged"),
        ('{"text": "\\ud800秘密"}\n', "text"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line_without_its_contents(tmp_path, content, words):
    (tmp_path / "in.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(P2MedError) as caught:
        run(tmp_path / "in.jsonl", "text", tmp_path / "kept.jsonl", CONFIG)
    assert words in str(caught.value) and "秘密" not in str(caught.value)
    assert (
        caught.value.__cause__ is None
        and caught.value.__suppress_context__
        or caught.value.__context__ is None
    )
    assert not (tmp_path / "kept.jsonl").exists()


def test_text_that_is_no_utf8_is_refused(tmp_path):
    broken = pa.array([b"\xe5\x92", b"abc"], pa.binary()).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"text": broken}), tmp_path / "in.parquet")
    with pytest.raises(P2MedError, match="no UTF-8 text"):
        run(tmp_path / "in.parquet", "text", tmp_path / "kept.parquet", CONFIG)


def test_names_that_cannot_be_are_refused(tmp_path):
    source = jsonl(tmp_path / "in.jsonl", records(3))
    for out, pairs, words in (
        ("kept.parquet", None, "must end in .jsonl"),
        ("kept.jsonl", "pairs.txt", "must end in"),
        ("in.jsonl", None, "different files"),
    ):
        with pytest.raises(P2MedError, match=words):
            run(source, "text", tmp_path / out, CONFIG, pairs and tmp_path / pairs)
    with pytest.raises(P2MedError, match="no file"):
        run(tmp_path / "absent.jsonl", "text", tmp_path / "kept.jsonl", CONFIG)


def test_an_empty_file_gives_an_empty_file(tmp_path):
    (tmp_path / "in.jsonl").touch()
    assert run(tmp_path / "in.jsonl", "text", tmp_path / "kept.jsonl", CONFIG).startswith("0 records")
    assert (tmp_path / "kept.jsonl").read_bytes() == b""
