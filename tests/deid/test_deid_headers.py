"""No planted header value comes out; what comes out is valid, dated consistently, and the same each time."""

import re
import shutil
import subprocess
from io import BytesIO

import numpy as np
import planted_headers as planted
import pydicom
import pytest
from pydicom.dataset import Dataset

from p2med.deid import dicom_allowed
from p2med.deid.dicom_out import Person, age_string, clean_dicom, clean_stranger
from p2med.deid.dicom_values import Secrets, directions, public_tags, read_age_days
from p2med.deid.folder_file import LOOK_AT
from p2med.deid.pseudonym import Pseudonyms
from p2med.errors import DataError, PhiError
from p2med.imaging.dicom import read_series
from p2med.ingest.header import read_instance

NAMES, OTHER = Pseudonyms(b"k" * 32), Pseudonyms(b"x" * 32)
needs_table = pytest.mark.skipif(not planted.table_is_there(), reason="the shared table E.1-1 is not here")
needs_dciodvfy = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")


def clean(content: bytes, names: Pseudonyms = NAMES) -> Dataset:
    return pydicom.dcmread(BytesIO(clean_stranger(content, names, 365).content))


def film(modality: str = "CR", **values) -> bytes:
    ds = planted.base(modality, 1)
    ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = (
        "P1",
        "1.2.3",
        "1.2.4",
        "1.2.5",
    )
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.add_new(0x7FE00010, "OW", planted.pixels(modality).tobytes())
    return planted.encoded(ds, planted.Planter("utf8", 1))


# ---------------------------------------------------------------- leaks


@needs_table
@pytest.mark.parametrize("charset", planted.CHARSETS)
@pytest.mark.parametrize("modality", ["CR", "CT"])
def test_no_planted_value_comes_out(charset, modality):
    start = 100_000 * (1 + list(planted.CHARSETS).index(charset))
    file = planted.planted_file(charset, modality, start, implicit=charset != "utf8", nest=modality == "CT")
    assert file.places > 2600
    out = clean_stranger(file.content, NAMES, 365)
    assert file.left_in(out.content) == []
    assert file.left_in(f"{out.patient_key} {out.series_uid} {out.instance_uid}".encode()) == []
    assert out == clean_stranger(file.content, NAMES, 365)
    other = clean_stranger(file.content, OTHER, 365)
    assert other.content != out.content and file.left_in(other.content) == []


@needs_table
def test_a_rule_that_lets_text_pass_is_found(monkeypatch):
    """The search must be able to find: an allow-list with a hole leaks at once."""
    monkeypatch.setitem(dicom_allowed.GENERAL, "StationName", lambda values, _: list(values))
    file = planted.planted_file("utf8", "CR", 100_000)
    found = file.left_in(clean_stranger(file.content, NAMES, 365).content)
    assert found == ["(0008,1010) Station Name depth 0"]


def test_a_number_of_the_patient_in_a_technical_element_is_refused():
    with pytest.raises(PhiError, match="known_value_left") as error:
        clean(film(PatientID="1388217", ExposureInuAs=1388217))
    assert "1388217" not in str(error.value)


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "burned_in_secondary_capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, "sop_class_not_accepted"),
        ({"BurnedInAnnotation": "YES"}, "burned_in_annotation"),
        ({"PatientID": ""}, "no_patient_id"),
        ({"ModalityLUTSequence": [Dataset()]}, "modality_lut_not_supported"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "photometric_not_supported"),
        ({"Modality": "US"}, "modality_not_supported"),
    ],
)
def test_what_cannot_be_cleaned_is_refused_by_name(values, reason):
    with pytest.raises(DataError) as error:
        clean(film(**values))
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "declared, codec",
    [("GB18030", "gb18030"), ("ISO_IR 192", "utf-8"), ("ISO_IR 100", "gb18030"), ("ISO_IR 100", "utf-8"),
     ("GB18030", "utf-8"), ("ISO_IR 192", "gb18030"), (r"\GB18030", "gb18030")],
)  # fmt: skip
def test_a_chinese_patient_number_is_one_pseudonym_under_every_label(declared, codec):
    blob = film_of("门诊0012", declared, codec)
    assert read_instance(blob, "x").patient_id == "门诊0012"  # as ingest reads it
    out = clean_stranger(blob, NAMES, 365)
    assert out.patient_key == NAMES.patient("hospital", "门诊0012")
    assert "门诊".encode(codec) not in out.content and b"0012" not in out.content


@pytest.mark.parametrize(
    "number, reason", [("薛小小", "charset_undecidable"), ("锟斤拷锟斤拷", "characters_lost")]
)
def test_a_patient_number_that_may_be_another_is_refused(number, reason):
    for read in (lambda b: clean_stranger(b, NAMES, 365), lambda b: read_instance(b, "x")):
        with pytest.raises(DataError) as error:
            read(film_of(number, "ISO_IR 192", "gb18030"))
        assert error.value.reason == reason and reason in LOOK_AT


def film_of(number: str, declared: str, codec: str) -> bytes:
    """A film whose PatientID holds these very bytes."""
    content = number.encode(codec)
    content += b" " * (len(content) % 2)
    mark = "Q" * len(content)
    return film(PatientID=mark, SpecificCharacterSet=declared).replace(mark.encode(), content)


# ---------------------------------------------------------------- what stays


def test_the_new_file_is_new_from_its_first_byte():
    blob = clean_stranger(film(), NAMES, 365).content
    assert blob[:132] == b"\0" * 128 + b"DICM"
    ds = pydicom.dcmread(BytesIO(blob))
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID == NAMES.uid("1.2.5")
    assert ds.PatientIdentityRemoved == "YES" and ds.BurnedInAnnotation == "NO"
    codes = {i.CodeValue for i in ds.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113101", "113107", "113108"}
    assert ds.PatientID == ds.PatientName == NAMES.patient("hospital", "P1")
    assert not [e for e in ds.iterall() if e.tag.is_private or e.tag.group & 0xFF00 in (0x5000, 0x6000)]
    kept = clean_dicom(film(), NAMES, Person("p1", -3), "keep").content
    assert "113101" not in {
        i.CodeValue for i in pydicom.dcmread(BytesIO(kept)).DeidentificationMethodCodeSequence
    }


def test_what_medicine_needs_stays():
    values = {
        "PixelSpacing": ["0.603515625", "0.603515625"],
        "ImagePositionPatient": ["-162.1982421875", "-293.19", "-199.7"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "SliceThickness": "5",
        "ConvolutionKernel": "B60f",
        "BodyPartExamined": "chest",
        "KVP": "100.0",
        "SeriesDescription": "Thorax 5.0 CE",
        "PatientSex": "F",
    }
    before, after = film("CT", **values), clean(film("CT", **values))
    assert (
        after.PixelSpacing == [0.603515625, 0.603515625] and after.ImagePositionPatient[0] == -162.1982421875
    )
    assert (after.SliceThickness, after.KVP, after.ConvolutionKernel) == (5, 100, "B60f")
    assert after.BodyPartExamined == "CHEST" and after.PatientSex == "F" and "SeriesDescription" not in after
    assert after.ContrastBolusAgent == "CONTRAST"
    old, new = read_series([before]), read_series([clean_stranger(before, NAMES, 365).content])
    assert np.array_equal(old.array, new.array) and old.spacing_mm == new.spacing_mm


def test_a_code_keeps_its_meaning_from_the_table_only():
    known, unknown = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "T-D3000", "SRT", "Chest of Zhang San"
    unknown.CodeValue, unknown.CodingSchemeDesignator, unknown.CodeMeaning = "ZS-1", "99HOSP", "Zhang San"
    after = clean(film("DX", AnatomicRegionSequence=[known, unknown]))
    assert [i.CodeMeaning for i in after.AnatomicRegionSequence] == ["Chest"]


# ---------------------------------------------------------------- time


def test_every_interval_of_a_patient_stays_and_the_age_is_told_before_the_shift():
    days = {
        "StudyDate": "20220914",
        "SeriesDate": "20220915",
        "ContentDate": "20231231",
        "AcquisitionDate": "20200229",
    }
    after = clean(film(PatientBirthDate="20220901", AcquisitionTime="101112", **days))
    shifts = {day_number(after[k].value) - day_number(v) for k, v in days.items()}
    assert shifts == {NAMES.offset_days("hospital", "P1", 365)}
    assert after.PatientAge == "013D" and after.PatientBirthDate == ""
    assert "AcquisitionTime" not in after and after.StudyTime == ""
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"


def test_dates_with_times_inside_sequences_move_with_the_others():
    inside = Dataset()
    inside.FrameReferenceDateTime = "20220914101112.5+0800"
    inside.FrameAcquisitionDateTime = "20220916"
    group = Dataset()
    group.FrameContentSequence = [inside]
    values = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1", "PerFrameFunctionalGroupsSequence": [group]}
    after = clean(film("CT", StudyDate="20220914", AcquisitionDateTime="20220913235959", **values))
    content = after.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0]
    shift = NAMES.offset_days("hospital", "P1", 365)
    for value, original in (
        (content.FrameReferenceDateTime, "20220914"),
        (content.FrameAcquisitionDateTime, "20220916"),
        (after.AcquisitionDateTime, "20220913"),
        (after.StudyDate, "20220914"),
    ):
        assert day_number(value[:8]) - day_number(original) == shift


def test_the_offset_depends_on_the_secret_key_alone():
    """Two keys move the same child differently: without the key, its number says nothing."""
    offsets = {Pseudonyms(bytes([n]) * 32).offset_days("hospital", "P1", 365) for n in range(200)}
    assert len(offsets) > 130


def day_number(text: str) -> int:
    return pydicom.valuerep.DA(text).toordinal()


@pytest.mark.parametrize(
    "days, text", [(0, "000D"), (27, "027D"), (28, "000M"), (400, "013M"), (731, "002Y"), (40000, "089Y")]
)
def test_ages_by_band(days, text):
    assert age_string(days) == text


def test_ages_are_read():
    assert [read_age_days(v) for v in ("012D", "002W", "018M", "009Y", "9", "ZHANG")] == [
        12,
        14,
        548,
        3287,
        None,
        None,
    ]


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize(
    "keyword, value",
    [
        ("KVP", ["ZHANG"]),
        ("KVP", ["13812345678"]),
        ("KVP", ["nan"]),
        ("BodyPartExamined", ["ZHANG SAN"]),
        ("SeriesNumber", ["310101201503072212"]),
        ("ImageType", ["ORIGINAL", "ZHANG"]),
        ("StudyDate", ["ZHANG"]),
        ("StudyDate", ["20221399"]),
        ("PatientOrientation", ["L", "ZHANG"]),
    ],
)
def test_a_value_that_is_not_understood_does_not_pass(keyword, value):
    assert not dicom_allowed.GENERAL[keyword](value, Secrets(NAMES, -5))


def test_directions_and_tags():
    secrets = Secrets(NAMES, -5)
    assert directions(["1", "0", "0", "0", "1", "0"], secrets) and not directions(["1"] * 6, secrets)
    assert public_tags([0x00209057], secrets) and not public_tags([0x00091001], secrets)


# ---------------------------------------------------------------- validity


@needs_dciodvfy
@pytest.mark.parametrize("modality", ["CR", "DX", "CT"])
def test_the_output_has_no_error_that_the_input_had_not(modality, tmp_path):
    values = {"StudyDate": "20220914", "KVP": "100", "BodyPartExamined": "CHEST", "SeriesNumber": "1"}
    before = film(modality, **values)
    after = clean_stranger(before, NAMES, 365).content
    assert errors(after, tmp_path) - errors(before, tmp_path) == set()


def errors(blob: bytes, folder) -> set[str]:
    (folder / "a.dcm").write_bytes(blob)
    done = subprocess.run(
        ["dciodvfy", str(folder / "a.dcm")], capture_output=True, text=True, errors="replace"
    )
    lines = (done.stdout + done.stderr).splitlines()
    return {re.sub(r" = .*", "", line) for line in lines if line.startswith("Error")}
