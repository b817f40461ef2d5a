"""The synthetic hospital: repeatable, true, varied, and its two families do not share sentences."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest

from p2med.clinical.diagnoses import extract
from p2med.errors import P2MedError
from p2med.synth.config import SynthConfig
from p2med.synth.families import FAMILIES
from p2med.synth.illness import LOBES, Lungs
from p2med.synth.people import identity_number
from p2med.synth.phantom import ct_volume, make_anatomy, xray_ap
from p2med.synth.run import run

SMALL = SynthConfig(
    patients=12,
    xray_pixels=64,
    ct_pixels=64,
    ct_slices=6,
    inpatient_share=0.6,
    burned_in_share=0.2,
    workers=1,
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "hospital"
    run(SMALL, out)
    return out


def truth(hospital: Path) -> list[dict]:
    return [json.loads(line) for line in (hospital / "truth.jsonl").read_text(encoding="utf-8").splitlines()]


def reports(hospital: Path) -> dict[str, dict[str, str]]:
    text = (hospital / "exports" / "影像报告.csv").read_text(encoding="utf-8-sig")
    return {r["检查号"]: r for r in csv.DictReader(io.StringIO(text, newline=""))}


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(hospital, tmp_path):
    run(SMALL.model_copy(update={"workers": 2}), tmp_path / "again")
    assert contents(hospital) == contents(tmp_path / "again")
    run(SMALL.model_copy(update={"seed": 8}), tmp_path / "other")
    assert contents(hospital) != contents(tmp_path / "other")


def test_a_killed_run_continues_to_the_same_bytes(hospital, tmp_path):
    out = tmp_path / "killed"
    words = ", ".join(f"{k}={v!r}" for k, v in SMALL.model_dump().items())
    code = (
        "from pathlib import Path; from p2med.synth.config import SynthConfig; "
        "from p2med.synth.run import run; "
        f"run(SynthConfig({words}), Path({str(out)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not any(out.rglob("*.dcm")):
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "summary.json").exists()
    run(SMALL, out)
    assert contents(out) == contents(hospital)


def test_foreign_files_and_other_settings_are_refused(hospital, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(P2MedError, match="did not write"):
        run(SMALL, tmp_path)
    with pytest.raises(P2MedError, match="other settings"):
        run(SMALL.model_copy(update={"seed": 9}), hospital)


def test_every_report_says_what_the_truth_table_says(hospital):
    found = reports(hospital)
    studies = [s for p in truth(hospital) for s in p["studies"] if s["reported"]]
    assert len(studies) > 20
    for study in studies:
        said = set(extract(found[study["accession_number"]]["影像诊断"]))
        want = set(extract("，".join(study["labels"])))
        assert said == want, study["accession_number"]
        lobe = study["lungs"]["lobe"]
        if lobe:
            assert lobe in found[study["accession_number"]]["影像表现"]


def test_a_comparison_needs_a_prior(hospital):
    found = reports(hospital)
    for person in truth(hospital):
        seen: set[tuple[str, bool]] = set()
        for study in person["studies"]:
            key = (study["visit_id"], study["modality"] == "CT")
            report = found.get(study["accession_number"])
            if report and ("比较" in report["影像表现"] or "对照" in report["影像表现"]):
                assert key in seen
            seen.add(key)


def test_files_are_dicom_and_carry_the_identity_that_a_pacs_sends(hospital):
    names = set()
    charsets = set()
    for path in sorted(hospital.rglob("*.dcm")):
        ds = pydicom.dcmread(path)
        charsets.add(ds.SpecificCharacterSet)
        names.add(str(ds.PatientName).split("=")[1])
        assert (
            ds.PatientID
            and ds.PatientBirthDate
            and ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        )
    people = pl.read_excel(hospital / "exports" / "患者信息.xlsx")
    assert names == set(people["姓名"]) and charsets == {"GB18030", "ISO_IR 192"}


def test_exports_have_the_hospitals_headings_and_encodings(hospital):
    raw = (hospital / "exports" / "门诊病历.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(raw.decode("gb18030"), newline="")))
    assert rows and {"门诊号", "主诉", "处理意见"} <= set(rows[0])
    assert (hospital / "exports" / "影像报告.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_a_lesion_is_where_the_truth_says():
    anatomy = make_anatomy(np.random.default_rng(0))

    def film(lungs: Lungs) -> np.ndarray:
        return xray_ap(lungs, anatomy, 128, np.random.default_rng(1)).astype(float)

    normal = film(Lungs(pattern="normal"))
    for lobe in LOBES:
        ill = film(Lungs(pattern="lobar", lobe=lobe, size=0.8)) - normal
        y, x = np.unravel_index(np.argmax(ill), ill.shape)
        assert (x < 64) == lobe.startswith("右"), lobe  # the child's right is on the left of the film
        assert (y < 56) == lobe.endswith("上叶"), lobe
    fluid = film(Lungs(pattern="normal", effusion_side="左", effusion_amount=0.8)) - normal
    assert fluid[70:100, 80:110].mean() > 20 + abs(fluid[70:100, 18:48].mean())


def test_ct_is_in_hounsfield_units():
    anatomy = make_anatomy(np.random.default_rng(0))
    ct = ct_volume(Lungs(pattern="normal"), anatomy, 64, 8, False, np.random.default_rng(0))
    assert ct.dtype == np.int16 and ct[:, 0, 0].mean() == pytest.approx(-1000, abs=25)
    assert ct[4, 32, 19] < -700 and ct.max() > 300


def test_no_stored_ct_value_wraps_to_white(hospital):
    kinds = set()
    for path in sorted(hospital.rglob("*.dcm")):
        ds = pydicom.dcmread(path)
        if ds.Modality == "CT" and "LOCALIZER" not in ds.ImageType:
            hu = ds.pixel_array.astype(np.int32) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
            kinds.add((int(ds.PixelRepresentation), str(ds.ConvolutionKernel)))
            assert -1024 <= hu.min() and hu.max() <= 3071, path.name
    assert {unsigned for unsigned, _ in kinds} == {0, 1} and len({kernel for _, kernel in kinds}) > 1


def test_the_identity_number_has_its_check_digit():
    """The standard's own example: 11010519491231002 has the check digit X."""
    assert identity_number("110105", date(1949, 12, 31), 2) == "11010519491231002X"


def test_the_two_families_share_terms_and_not_sentences():
    def pieces(family: str) -> set[str]:
        joined = ["".join(c for c in s if c not in "{}|") for p in FAMILIES[family].values() for s in p]
        return {t[i : i + 8] for t in joined for i in range(len(t) - 7)}

    assert FAMILIES["A"].keys() >= FAMILIES["B"].keys()
    a, b = pieces("A"), pieces("B")
    assert len(a & b) <= 0.02 * min(len(a), len(b))
    for key in ("impression_bronchopneumonia", "impression_bronchitis"):
        assert FAMILIES["A"][key] == FAMILIES["B"][key]


def test_variety_is_measured(hospital):
    ratios = json.loads((hospital / "summary.json").read_text())["distinct_4_gram_ratio"]
    assert set(ratios) >= {"门诊病历.csv", "影像报告.csv"} and all(0 < r <= 1 for r in ratios.values())
