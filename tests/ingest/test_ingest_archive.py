"""DICOM without records."""

import shutil
import zipfile
from pathlib import Path

import pytest
from hospital_maker import dicom

from p2med import store
from p2med.errors import RecipeError
from p2med.imaging.dicom import read_series
from p2med.ingest.config import IngestConfig
from p2med.ingest.run import run
from p2med.recipe import read_recipe
from p2med.schema.identified import IdentifiedCase
from p2med.store import read_items, resolve


def ingest(root, *archives, **options):
    source = {"kind": "dicom_archive", "archives": list(archives), **options}
    manifest = run(IngestConfig.model_validate({"sources": [source]}), root)
    return manifest, list(read_items(root / "1_ingest", IdentifiedCase))


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "set_a" / "images"
    for patient in ("p1", "p2"):
        for day in ("19001231", "19000925"):
            study = f"1.{patient[1]}.{day}"
            path = folder / patient / f"{day}.dcm"
            dicom(path, study, f"{study}.1", 1, "CT", PatientID="", PatientAge="005Y", StudyDate=day)
    with zipfile.ZipFile(tmp_path / "set_a" / "slices.zip", "w") as z:
        for path in sorted(folder.rglob("*.dcm")):
            z.write(path, path.relative_to(folder))
        z.writestr("annotations/1.xml", "<annotation/>")
    return tmp_path / "set_a" / "slices.zip"


def test_a_patient_is_a_case_with_studies_in_time(archive, tmp_path):
    manifest, cases = ingest(tmp_path / "run", str(archive))
    assert [c.case_id for c in cases] == ["set_a/p1", "set_a/p2"] and all(c.public for c in cases)
    assert [s.study_date.isoformat() for s in cases[0].studies] == ["1900-09-25", "1900-12-31"]
    assert cases[0].patient.age_days == 1826
    assert manifest.rejected_reasons == {"dicom_file": {"not_dicom": 1}}
    assert (manifest.counts["dicom_file"].entered, manifest.counts["dicom_file"].passed) == (5, 4)
    assert read_series(cases[0].studies[0].series[0].files).unit == "HU"


def test_a_study_can_be_a_case(archive, tmp_path):
    assert len(ingest(tmp_path / "run", str(archive), case_by="study")[1]) == 4


def test_the_same_numbers_in_two_sets_are_two_patients(archive, tmp_path):
    shutil.copytree(tmp_path / "set_a" / "images", tmp_path / "set_b")
    _, cases = ingest(tmp_path / "run", str(archive), str(tmp_path / "set_b"))
    assert [c.source for c in cases] == ["set_a", "set_a", "set_b", "set_b", "set_b", "set_b"] or len(
        cases
    ) >= 4
    assert len({c.patient.patient_id for c in cases}) == len(cases)


def test_files_without_uids_belong_to_their_folder(tmp_path):
    for n in (1, 2, 3):
        path = tmp_path / "set" / "p9" / f"{n}.dcm"
        dicom(path, "", "", n, "CT", SOPInstanceUID="", PatientID="")
    _, cases = ingest(tmp_path / "run", str(tmp_path / "set"))
    (study,) = [s for c in cases for s in c.studies]
    assert len(study.series) == 1 and len(study.series[0].files) == 3
    assert study.study_uid.startswith("2.25.")


def test_a_missing_archive_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match="no DICOM folder or .zip archive"):
        ingest(tmp_path / "run", str(tmp_path / "none.zip"))


@pytest.mark.data
def test_the_real_archives_are_read_in_order(tmp_path, monkeypatch):
    folder = store.data_folder()
    if not (folder / "chest_ct_covid_ct_md").exists():
        pytest.skip(f"{folder}/chest_ct_covid_ct_md is absent")
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / "real" / "ct_dicom.yaml")
    manifest = run(recipe.ingest, tmp_path)
    cases = list(read_items(tmp_path / "1_ingest", IdentifiedCase))
    assert manifest.counts["case"].passed == 21 and manifest.counts["dicom_file"].passed == 114
    assert manifest.rejected_reasons == {"dicom_file": {"not_dicom": 10}}
    wanted = {"chest_ct_covid_ct_md/cap002": (33, 8.0), "chest_ct_lung_pet_ct_dx/Lung_Dx-A0002": (24, 8.0)}
    for c in cases:
        if c.case_id in wanted:
            pixels = read_series([resolve(f, tmp_path) for f in c.studies[0].series[0].files])
            assert (pixels.array.shape[0], pixels.spacing_mm[0]) == pytest.approx(wanted[c.case_id])
            assert -1100 < pixels.array.min() <= -1000 and pixels.array.max() > 1000 and pixels.even
