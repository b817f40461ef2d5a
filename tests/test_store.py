"""The store's promises: atomic, resumable, nothing lost."""

from datetime import date
from pathlib import Path

import pytest

from p2med.arrow import from_table, to_table
from p2med.errors import P2MedError
from p2med.schema.base import Frozen
from p2med.schema.case import Case, Patient, Record, Series, Study, Volume
from p2med.store import FolderWriter, Rejected, read_items, read_manifest, resolve, write_bytes

VOLUME = Volume(path="run:x.npy", shape=(1, 2, 3), dtype="int16", unit="HU", spacing_mm=(5, 1, 0.5))
CASE = Case(
    case_id="c1",
    source="test",
    encounter_class="AMB",
    patient=Patient(patient_key="p1", sex="F", age_days=1200),
    studies=(
        Study(
            study_uid="1.2",
            study_date=date(1900, 1, 2),
            modality="CT",
            series=(Series(series_uid="1.2.3", volume=VOLUME),),
        ),
    ),
    records=(Record(record_id="r", kind="radiology_report", sections={"findings": "两肺纹理增多"}),),
)


class Section(Frozen):
    number: int = 1


def writer(root: Path, number: int = 1) -> FolderWriter:
    return FolderWriter(root / "1_ingest", "ingest", Section(number=number), [])


def test_a_case_survives_the_trip_to_disk():
    assert list(from_table(to_table([CASE], Case), Case)) == [CASE]


def test_in_is_out_plus_rejected_or_nothing_is_written(tmp_path):
    w = writer(tmp_path)
    with pytest.raises(P2MedError, match="do not add up"):
        w.write(0, [CASE], Case, entered={"case": 2})
    assert not list((tmp_path / "1_ingest").glob("*.parquet"))
    w.write(0, [CASE], Case, [Rejected(noun="case", id="c2", reason="bad")], entered={"case": 2})
    manifest = w.finish()
    assert manifest.counts["case"].rejected == 1
    assert manifest.rejected_reasons == {"case": {"bad": 1}}


def test_a_finished_folder_is_skipped_and_a_changed_recipe_runs_again(tmp_path):
    w = writer(tmp_path)
    w.write(0, [CASE], Case, entered={"case": 1})
    w.finish()
    assert writer(tmp_path).finished
    assert not writer(tmp_path, number=2).finished
    assert read_manifest(tmp_path / "1_ingest") is None


def test_a_killed_folder_continues_and_ends_byte_identical(tmp_path):
    for name, killed in (("whole", False), ("killed", True)):
        root = tmp_path / name
        w = writer(root)
        w.write(0, [CASE], Case, entered={"case": 1})
        if killed:
            (root / "1_ingest" / "items-00001.parquet.writing").write_bytes(b"half")
            w = writer(root)
            assert w.has(0) and not w.has(1)
        w.write(1, [CASE], Case, entered={"case": 1})
        w.finish()
    files = [
        {p.relative_to(r): p.read_bytes() for p in r.rglob("*") if p.is_file()}
        for r in (tmp_path / "whole", tmp_path / "killed")
    ]
    assert files[0] == files[1]
    assert len(list(read_items(tmp_path / "killed" / "1_ingest", Case))) == 2


def test_a_users_folder_is_never_cleared(tmp_path):
    foreign = tmp_path / "1_ingest" / "thesis.docx"
    write_bytes(foreign, b"years of work")
    with pytest.raises(P2MedError, match="did not write"):
        writer(tmp_path)
    assert foreign.exists()


def test_paths_are_resolved_against_run_and_data(tmp_path, monkeypatch):
    monkeypatch.setenv("P2MED_DATA", str(tmp_path / "d"))
    assert resolve("run:2_deid/a.npy", tmp_path) == tmp_path / "2_deid/a.npy"
    assert resolve("data:set/a.zip", tmp_path) == tmp_path / "d/set/a.zip"


def test_a_kill_before_the_first_rename_is_no_foreign_folder(tmp_path):
    folder = tmp_path / "1_ingest"
    folder.mkdir()
    (folder / "begun.json.writing").write_bytes(b"{")
    w = writer(tmp_path)
    w.write(0, [CASE], Case, entered={"case": 1})
    w.finish()
    assert sorted(p.name for p in folder.iterdir()) == [
        "items-00000.parquet",
        "manifest.json",
        "rejected.parquet",
    ]
