"""A hospital's dump becomes cases; what does not fit is refused by name."""

import shutil

import pyarrow.parquet as pq
import pytest
from hospital_maker import OUTPATIENT, PATIENTS, REPORTS, TABLES, csv_bytes, dicom, section, write_hospital

from p2med.errors import DataError, RecipeError
from p2med.ingest import scan
from p2med.ingest.config import IngestConfig
from p2med.ingest.run import run
from p2med.schema.identified import IdentifiedCase
from p2med.store import read_items


@pytest.fixture
def hospital(tmp_path):
    write_hospital(tmp_path)
    return tmp_path


def ingest(root, **changes):
    manifest = run(IngestConfig.model_validate(section(root, **changes)), root / "run")
    cases = list(read_items(root / "run" / "1_ingest", IdentifiedCase))
    return manifest, {c.case_id.removeprefix("hospital/"): c for c in cases}


def test_reports_and_studies_find_their_visits(hospital):
    manifest, cases = ingest(hospital)
    assert list(cases) == ["1001/MZ1", "1001/ZY1", "1002/MZ2"]
    first, second, third = cases.values()
    assert [c.encounter_class for c in cases.values()] == ["AMB", "IMP", "AMB"]
    assert [(r.kind, r.joined_by, r.study_uid) for r in first.records] == [
        ("radiology_report", "accession_number", "1.1"),
        ("outpatient_record", "visit_number", None),
    ]
    by_date = [r for r in second.records if r.study_uid]
    assert [(r.joined_by, r.study_uid) for r in by_date] == [("patient_and_date", "1.2")]
    assert third.split == "bench" and first.split is None and not third.studies
    assert [c.entered - c.passed - c.rejected for c in manifest.counts.values()] == [0, 0, 0]
    assert manifest.rejected_reasons == {
        "record_row": {"patient_unknown": 1, "report_without_study": 1},
        "dicom_file": {"not_dicom": 1},
    }


def test_two_views_in_one_series_become_two_series(hospital):
    _, cases = ingest(hospital)
    views = [(s.view_position, len(s.files)) for s in cases["1001/MZ1"].studies[0].series]
    assert views == [("AP", 1), ("LL", 1)]
    assert [len(s.files) for s in cases["1001/ZY1"].studies[0].series] == [3]


def test_every_identity_is_known_to_the_case(hospital):
    _, cases = ingest(hospital)
    patient = cases["1001/ZY1"].patient
    names = {"林小豆", "Lin Xiaodou", "LinXiaodou", "林大山", "何小草", "周大夫"}
    assert names <= set(patient.names)
    assert {"1001", "DR0001", "CT0001"} <= set(patient.ids) and "13900000001" in patient.phones
    assert {"云南路8号", "阳光儿童医院"} <= set(patient.addresses)
    assert (patient.sex, patient.birth_date.isoformat()) == ("M", "2019-03-02")


def test_a_name_under_the_wrong_character_set_is_known_too(hospital):
    path = hospital / "pacs" / "b.dcm"
    raw = path.read_bytes()
    gbk = "林^小豆".encode("gb18030")
    assert gbk in raw
    path.write_bytes(raw.replace(b"GB18030 ", b"ISO_IR 6"))
    manifest, cases = ingest(hospital)
    assert "林小豆" in cases["1001/MZ1"].patient.names
    (row,) = [r for r in rows(hospital) if r["keyword"] == "PatientName"]
    assert (row["where"], row["declared"], row["read_as"]) == ("series 1.1.1", "ISO_IR 6", "gb18030")
    assert (row["why"], row["files"]) == ("declared_wrong", 1) and row["margin_bits"] > 3
    assert manifest.notes["charset"]["declared_wrong"] >= 1
    assert "小豆" not in str(rows(hospital)) + str(manifest)


def rows(hospital):
    return pq.read_table(hospital / "run" / "1_ingest" / "charset.parquet").to_pylist()


def test_a_folder_that_is_up_to_date_is_left_alone_and_a_changed_export_is_read_again(hospital):
    ingest(hospital)
    manifest = hospital / "run" / "1_ingest" / "manifest.json"
    before = manifest.stat().st_mtime_ns
    ingest(hospital)
    assert manifest.stat().st_mtime_ns == before
    reports = hospital / "exports" / REPORTS["file"]
    reports.write_bytes(reports.read_bytes().replace("两肺".encode(), "双肺".encode()))
    _, cases = ingest(hospital)
    assert any("双肺" in t for r in cases["1001/MZ1"].records for t in r.sections.values())


def test_the_same_hospital_elsewhere_gives_the_same_cases(hospital, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(hospital, other, dirs_exist_ok=True)
    relative = {
        "dicom_dir": "run:../pacs",
        "exports_dir": "run:../exports",
        "bench_patients": "run:../bench.txt",
    }
    ingest(hospital, **relative)
    ingest(other, **relative)
    folders = [r / "run" / "1_ingest" for r in (hospital, other)]
    files = [{p.name: p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders]
    assert files[0] == files[1] and len(files[0]) == 5


def test_many_processes_find_what_one_finds(hospital, monkeypatch):
    alone = scan.scan(str(hospital / "pacs"), hospital)
    monkeypatch.setattr(scan, "FILES_A_PROCESS", 1)
    assert scan.scan(str(hospital / "pacs"), hospital) == alone and len(alone) == 6


# ---------------------------------------------------------------- what goes wrong


def reasons(root, noun, **changes):
    return ingest(root, **changes)[0].rejected_reasons.get(noun, {})


def append(root, table, *rows):
    path = root / "exports" / table["file"]
    encoding = "gb18030" if table is OUTPATIENT else "utf-8"
    added = csv_bytes([], [list(r) for r in rows], encoding).split(b"\r\n", 1)[1]
    path.write_bytes(path.read_bytes() + added)


def test_bad_rows_are_refused_by_name(hospital):
    good = ["MZ4", "1002", "2022-11-30", "流涕", "观察", "周大夫"]
    append(
        hospital,
        OUTPATIENT,
        good,
        good,
        ["MZ5", "1002", "不详", "流涕", "观察", "周大夫"],
        ["MZ6", "", "2022-11-30", "流涕", "观察", "周大夫"],
        ["", "1002", "2022-11-30", "流涕", "观察", "周大夫"],
        ["MZ7", "1002", "2022-11-30", "", "", "周大夫"],
        ["MZ8", "1002"],
    )
    found = reasons(hospital, "record_row")
    names = ["duplicate_row", "bad_date", "patient_id_missing", "visit_number_missing", "empty_record"]
    assert [found[n] for n in (*names, "wrong_field_count")] == [1] * 6


def test_reports_that_do_not_join_are_refused_by_name(hospital):
    append(
        hospital,
        REPORTS,
        ["DR0001", "MZ1", "1001", "2022-10-29", "DR", "第二份"],
        ["DR0001", "MZ2", "1002", "2022-10-29", "DR", "别人的"],
    )
    for n in (1, 2):
        same_day = {"StudyDate": "20221101", "PatientID": "1002"}
        dicom(hospital / "pacs" / f"x{n}.dcm", f"1.7{n}", f"1.7{n}.1", 1, **same_day)
    append(hospital, REPORTS, ["", "", "1002", "2022-11-01", "DR", "哪一张"])
    found = reasons(hospital, "record_row")
    assert found["second_report_of_study"] == found["accession_of_another_patient"] == 1
    assert found["ambiguous_study"] == 1


def test_bad_dicom_files_are_refused_by_name(hospital):
    pacs = hospital / "pacs"
    shutil.copy(pacs / "a.dcm", pacs / "copy.dcm")
    dicom(pacs / "two.dcm", "1.2", "1.2.1", 9, "CT", PatientID="1002")
    dicom(pacs / "none.dcm", "1.8", "1.8.1", 1, PatientID="")
    dicom(pacs / "scout.dcm", "1.9", "1.9.1", 1, "CT", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    dicom(pacs / "mr.dcm", "1.9", "1.9.2", 1, "MR")
    (pacs / "torn.dcm").write_bytes((pacs / "a.dcm").read_bytes()[:200])
    found = reasons(hospital, "dicom_file")
    assert found.pop("not_dicom") == 1 and found.pop("study_of_two_patients") == 4
    assert found == {
        "duplicate_instance": 1,
        "patient_id_missing": 1,
        "localizer": 1,
        "modality_not_supported": 1,
        "length_beyond_file": 1,
    }


def test_a_study_without_report_joins_by_time_or_stands_alone(hospital):
    dicom(hospital / "pacs" / "t.dcm", "1.5", "1.5.1", 1, PatientID="1002", StudyDate="20221101")
    dicom(hospital / "pacs" / "u.dcm", "1.6", "1.6.1", 1, PatientID="1002", StudyDate="20230601")
    _, cases = ingest(hospital)
    assert [s.study_uid for s in cases["1002/MZ2"].studies] == ["1.5"]
    alone = cases["1002/study/1.6"]
    assert alone.encounter_class is None and not alone.records and alone.split == "bench"
    _, narrow = ingest(hospital, window_days=(0, 1))
    assert "1002/study/1.5" in narrow


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"dicom_dir": "nowhere"}, "no DICOM folder"),
        ({"exports_dir": "nowhere"}, "no exports folder"),
        ({"bench_patients": "nowhere"}, "no file of benchmark patients"),
        ({"colour": 1}, "unknown key; known here: bench_patients, database, dicom_dir"),
        ({"tables": []}, "tables"),
        ({"tables": [OUTPATIENT | {"columns": {"门诊号": "number"}}]}, "no field number; there are"),
        ({"tables": [OUTPATIENT | {"columns": {"门诊号": "patient_id"}}]}, "needs a column for authored_on"),
        ({"tables": [PATIENTS | {"file": "none.xlsx"}]}, "there is no table"),
        ({"tables": [PATIENTS | {"columns": {"病案号": "patient_id", "乳名": "patient_name"}}]}, "乳名"),
        ({"tables": [PATIENTS | {"columns": {"病案号": "patient_id", "姓名": "patient_id"}}]}, "two columns"),
    ],
)
def test_a_wrong_recipe_is_one_line_and_writes_nothing(hospital, changes, words):
    with pytest.raises(RecipeError) as error:
        ingest(hospital, **changes)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not list((hospital / "run").rglob("*.parquet"))


def test_an_empty_hospital_is_refused(hospital):
    shutil.rmtree(hospital / "pacs")
    (hospital / "pacs").mkdir()
    only = [t for t in TABLES if t["kind"] == "patient"]
    with pytest.raises(DataError, match="no_cases"):
        ingest(hospital, tables=only)
