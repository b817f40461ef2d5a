"""`p2med map` proposes the mapping that a person would write, and shows no value."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from hospital_maker import TABLES, csv_bytes, write_hospital

from p2med.errors import RecipeError
from p2med.ingest.propose import as_yaml, hide, propose
from p2med.ingest.records import TableOptions

REPOSITORY = Path(__file__).parents[2]


def proposed(export) -> dict[str, TableOptions]:
    tables = yaml.safe_load(as_yaml(propose(str(export))))["tables"] or []
    return {t.label: t for t in map(TableOptions.model_validate, tables)}


def test_the_tables_of_a_hospital_are_proposed_as_its_recipe_has_them(tmp_path):
    write_hospital(tmp_path)
    found = proposed(tmp_path / "exports")
    assert found == {t["file"]: TableOptions.model_validate(t) for t in TABLES}


def test_no_value_is_shown(tmp_path):
    write_hospital(tmp_path)
    shown = as_yaml(propose(str(tmp_path / "exports")))
    for value in (
        "林小豆",
        "林大山",
        "何小草",
        "13900000001",
        "云南路",
        "2019",
        "MZ1",
        "DR0001",
        "咳嗽",
        "两肺",
        "周大夫",
    ):
        assert value not in shown
    assert "字字字" in shown and "99999999999" in shown
    assert hide(["张三", "阿依古丽", "2022-10-29", "A1"]) == "字字, 字字字字, 9999-99-99"
    assert hide(["长" * 30] * 3) == "text of 30 to 30 characters" and hide([]) == "empty"


def test_headings_that_lie_and_headings_that_nobody_knows(tmp_path):
    rows = [["1", "女", "昨天", "2022-10-29", "13900000001", "甲"]] * 3
    (tmp_path / "患者.csv").write_bytes(
        csv_bytes(["病案号", "性别", "出生日期", "生日", "列五", "列六"], rows)
    )
    (found,) = propose(str(tmp_path))
    assert found.columns == {"病案号": "patient_id", "性别": "sex", "生日": "birth_date", "列五": "phone"}
    assert found.remarks == {"出生日期": "birth_date? but 0% of its values are such"}
    assert "# not read: 列六 (字)" in as_yaml([found])


def test_a_free_text_column_is_found_by_its_headings(tmp_path):
    note = "主诉：咳嗽。现病史：患儿4天前咳嗽，外院就诊。\n既往史：体健。"
    frame = pl.DataFrame({"ID": ["1"], "病案号": ["7"], "就诊时间": ["2022-10-29"], "列": [note]})
    frame.write_parquet(tmp_path / "门诊.parquet")
    (table,) = proposed(tmp_path / "门诊.parquet").values()
    assert table.kind == "outpatient_record" and table.columns["列"] == "text"


def test_what_is_missing_and_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "门诊.csv").write_bytes(csv_bytes(["主诉"], [["咳嗽"]]))
    (tmp_path / "x.csv").write_bytes(csv_bytes(["甲", "乙"], [["1", "2"]]))
    (tmp_path / "torn.xlsx").write_bytes(b"PK\x03\x04")
    shown = as_yaml(propose(str(tmp_path)))
    assert "# missing: a outpatient_record table needs a column for patient_id" in shown
    assert "# x.csv: no heading is known: 甲, 乙" in shown and "# torn.xlsx: table_unreadable" in shown
    with pytest.raises(RecipeError, match="there is no export"):
        propose(str(tmp_path / "none"))


def test_a_database_is_proposed_by_its_tables(tmp_path):
    pytest.importorskip("sqlalchemy")
    with sqlite3.connect(tmp_path / "his.db") as db:
        db.execute("CREATE TABLE 门诊病历 (病案号 TEXT, 就诊日期 TEXT, 主诉 TEXT)")
        db.execute("INSERT INTO 门诊病历 VALUES ('1', '2022-10-29', '咳嗽')")
    (table,) = proposed(f"sqlite:///{tmp_path}/his.db").values()
    assert table.query == "门诊病历" and not table.file
    assert table.columns == {"病案号": "patient_id", "就诊日期": "authored_on", "主诉": "chief_complaint"}


def test_the_command_prints_what_a_recipe_takes(tmp_path):
    write_hospital(tmp_path)
    shutil.rmtree(tmp_path / "pacs")
    command = [sys.executable, "-m", "p2med.cli", "map", str(tmp_path / "exports")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert len(yaml.safe_load(done.stdout)["tables"]) == len(TABLES) and "林" not in done.stdout
    wrong = subprocess.run([*command[:-1], "none"], cwd=REPOSITORY, capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
