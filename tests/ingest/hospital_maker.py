"""A tiny hospital on disk for tests; every person is invented."""

import csv
import io
from pathlib import Path

import numpy as np
import polars as pl
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, ExplicitVRLittleEndian

PATIENTS = {
    "file": "患者信息.xlsx",
    "kind": "patient",
    "columns": {
        "病案号": "patient_id",
        "姓名": "patient_name",
        "性别": "sex",
        "出生日期": "birth_date",
        "家长姓名": "guardian_name",
        "联系电话": "phone",
        "家庭住址": "address",
    },
}
OUTPATIENT = {
    "file": "门诊病历.csv",
    "kind": "outpatient_record",
    "columns": {
        "门诊号": "visit_number",
        "病案号": "patient_id",
        "就诊日期": "authored_on",
        "主诉": "chief_complaint",
        "处理意见": "treatment_plan",
        "医师": "doctor_name",
    },
}
REPORTS = {
    "file": "影像报告.csv",
    "kind": "radiology_report",
    "columns": {
        "检查号": "accession_number",
        "就诊号": "visit_number",
        "病案号": "patient_id",
        "检查日期": "authored_on",
        "检查类型": "modality",
        "影像表现": "findings",
    },
}
COURSE = {
    "file": "首次病程记录.jsonl",
    "kind": "first_course_record",
    "columns": {
        "住院号": "visit_number",
        "病案号": "patient_id",
        "记录时间": "authored_on",
        "诊断依据": "diagnostic_basis",
    },
}
TABLES = [PATIENTS, OUTPATIENT, REPORTS, COURSE]


def dicom(path: Path, study: str, series: str, number: int, modality: str = "CR", **elements) -> None:
    """Write one small image."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "GB18030"
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = study, series, number
    ds.Modality, ds.PatientID, ds.StudyDate = modality, "1001", "20221029"
    ds.PatientName = "Lin^Xiaodou=林^小豆"
    ds.Rows = ds.Columns = 4
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    if modality == "CT":
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 5 * number]
    ds.PixelData = np.full((4, 4), number, np.uint16).tobytes()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def csv_bytes(headings: list[str], rows: list[list[str]], encoding: str = "utf-8-sig") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([headings, *rows])
    return out.getvalue().encode(encoding)


def write_hospital(root: Path) -> None:
    """Two patients: one with an X-ray at an outpatient visit and a CT in hospital, one without images."""
    pacs, exports = root / "pacs", root / "exports"
    exports.mkdir(parents=True)
    extra = {
        "AccessionNumber": "DR0001",
        "ReferringPhysicianName": "周^大夫",
        "InstitutionName": "阳光儿童医院",
    }
    dicom(pacs / "b.dcm", "1.1", "1.1.1", 1, ViewPosition="AP", **extra)
    dicom(pacs / "a.dcm", "1.1", "1.1.1", 2, ViewPosition="LL", **extra)
    for n in (3, 1, 2):
        later = {"StudyDate": "20221103", "AccessionNumber": "CT0001"}
        dicom(pacs / "ct" / f"{n}.dcm", "1.2", "1.2.1", n, "CT", **later)
    (pacs / "readme.txt").write_text("no DICOM")
    people = [
        ["1001", "林小豆", "男", "2019/3/2", "林大山、何小草", "13900000001", "云南路8号"],
        ["1002", "石小满", "女", "20200615", "石头", "13900000002", "海棠村2组"],
    ]
    pl.DataFrame(people, schema=list(PATIENTS["columns"]), orient="row").write_excel(
        exports / PATIENTS["file"]
    )
    visits = [
        ["MZ1", "1001", "2022年10月29日 08:30", "咳嗽4天\n发热1天", "口服药物", "周大夫"],
        ["MZ2", "1002", "2022-10-30", "流涕", "观察", "周大夫"],
        ["MZ3", "9999", "2022-10-30", "流涕", "观察", "周大夫"],
    ]
    (exports / OUTPATIENT["file"]).write_bytes(csv_bytes(list(OUTPATIENT["columns"]), visits, "gb18030"))
    reports = [
        ["DR0001", "MZ1", "1001", "2022-10-29", "DR", "两肺纹理增多"],
        ["", "", "1001", "2022-11-03", "CT平扫", "右肺下叶实变"],
        ["DR0009", "MZ2", "1002", "2022-10-30", "DR", "未见异常"],
    ]
    (exports / REPORTS["file"]).write_bytes(csv_bytes(list(REPORTS["columns"]), reports))
    course = '{"住院号":"ZY1","病案号":"1001","记录时间":"20221101","诊断依据":"发热咳嗽"}\n'
    (exports / COURSE["file"]).write_text(course, encoding="utf-8")
    (root / "bench.txt").write_text("1002\n")


def section(root: Path, **changes) -> dict:
    """The recipe's `ingest` section for this hospital."""
    source = {
        "kind": "hospital",
        "dicom_dir": str(root / "pacs"),
        "exports_dir": str(root / "exports"),
        "tables": TABLES,
        "bench_patients": str(root / "bench.txt"),
    }
    return {"sources": [source | changes], "shard_size": 2}
