"""The whole verb on the synthetic hospital, against its truth table; and kill -9 at random moments."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from p2med.imaging.dicom import read_series
from p2med.ingest.propose import as_yaml, propose
from p2med.ingest.records import TableOptions
from p2med.ingest.run import run
from p2med.recipe import read_recipe
from p2med.schema.identified import IdentifiedCase
from p2med.store import read_items, resolve
from p2med.synth.config import SynthConfig
from p2med.synth.run import run as synth

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "recipes" / "demo.yaml"
SMALL = SynthConfig(patients=12, xray_pixels=64, ct_pixels=64, ct_slices=6, seed=3)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs") / "demo"
    synth(SMALL, root / "0_synth")
    return root


@pytest.fixture(scope="module")
def manifest(root):
    return run(read_recipe(DEMO).ingest, root)


@pytest.fixture(scope="module")
def cases(root, manifest):
    return list(read_items(root / "1_ingest", IdentifiedCase))


@pytest.fixture(scope="module")
def truth(root):
    lines = (root / "0_synth" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return {p["patient_id"]: p for p in map(json.loads, lines)}


def test_every_study_is_at_the_visit_that_the_truth_names(cases, truth):
    found = {
        s.study_uid: (c.patient.patient_id, c.case_id.rpartition("/")[2]) for c in cases for s in c.studies
    }
    told = {s["study_uid"]: (p, s["visit_id"]) for p, t in truth.items() for s in t["studies"]}
    assert found == told and len(told) > 10


def test_every_reported_study_has_its_report(cases, truth):
    joined = {r.study_uid: r.joined_by for c in cases for r in c.records if r.study_uid}
    reported = {s["study_uid"] for t in truth.values() for s in t["studies"] if s["reported"]}
    assert set(joined) == reported
    assert set(joined.values()) <= {"accession_number", "patient_and_date"}


def test_visits_patients_and_the_benchmark_are_the_truths(cases, truth):
    inpatient = {(p, v["visit_id"]): v["inpatient"] for p, t in truth.items() for v in t["visits"]}
    for c in cases:
        told = truth[c.patient.patient_id]
        assert (c.patient.sex, str(c.patient.birth_date)) == (told["sex"], told["birth_date"])
        assert (c.split == "bench") is told["bench"]
        kind = inpatient[c.patient.patient_id, c.case_id.rpartition("/")[2]]
        assert c.encounter_class in ("IMP" if kind else "AMB", None)
    assert len({c.case_id for c in cases}) == len(cases)


def test_everything_that_came_in_is_out_or_rejected(root, manifest):
    counts = manifest.counts
    assert all(c.entered == c.passed + c.rejected for c in counts.values())
    assert counts["dicom_file"].entered == sum(p.is_file() for p in (root / "0_synth/pacs").rglob("*"))
    assert counts["record_row"].passed > 20
    assert set(manifest.rejected_reasons.get("dicom_file", {})) <= {"not_an_image", "localizer"}


def test_planted_identities_are_known_to_the_patients_cases(root, cases):
    known = {c.patient.patient_id: c.patient for c in cases}
    lines = (root / "0_synth" / "identities.jsonl").read_text(encoding="utf-8").splitlines()
    always = {"name", "patient_id", "id_number", "guardian", "phone", "address"}
    checked = set()
    for planted in map(json.loads, lines):
        patient = known.get(planted["patient_id"])
        if patient is not None and planted.get("kind") in always:
            values = {*patient.names, *patient.ids, *patient.phones, *patient.addresses}
            assert planted["value"] in values, planted["kind"]
            checked.add(planted["kind"])
    assert checked == always


def test_ct_series_are_in_hounsfield_units_and_in_order(root, cases):
    read = 0
    for series in (s for c in cases for study in c.studies for s in study.series if s.modality == "CT"):
        pixels = read_series([resolve(f, root) for f in series.files])
        assert pixels.unit == "HU" and pixels.order_rule == "image_position_patient" and pixels.even
        assert pixels.array.min() >= -1100 and 100 < pixels.array.max() < 3100
        assert np.median(pixels.array[:, 0, 0]) < -900  # a corner is air
        assert pixels.spacing_mm[0] == pytest.approx(5.0)
        read += 1
    assert read >= 1


def test_map_proposes_the_tables_of_the_demos_recipe(root):
    (source,) = read_recipe(DEMO).ingest.sources
    written = [TableOptions.model_validate(t) for t in source.tables]
    tables = yaml.safe_load(as_yaml(propose(str(root / "0_synth" / "exports"))))["tables"]
    proposed = [TableOptions.model_validate(t) for t in tables]
    assert sorted(proposed, key=lambda t: t.file) == sorted(written, key=lambda t: t.file)


def test_a_killed_ingest_ends_byte_identical(root, manifest, tmp_path):
    shutil.copytree(root / "0_synth", tmp_path / "demo" / "0_synth")
    options = ["--runs", str(tmp_path), "--set", "ingest.shard_size=1"]
    command = [sys.executable, "-m", "p2med.cli", "ingest", str(DEMO), *options]
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True).returncode == 0
    folder = tmp_path / "demo" / "1_ingest"
    whole = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    shutil.rmtree(folder)
    moments, kills, resumed = random.Random(1), 0, 0
    for _ in range(30):
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=-3, stderr=-3)
        deadline = time.monotonic() + 20
        while not (folder / "parts").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)  # past the imports: wait until it writes
        time.sleep(moments.uniform(0, 0.12))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        resumed += (folder / "parts").exists() and any((folder / "parts").iterdir())
        if process.returncode == 0 or kills == 8:
            break
    assert kills and resumed
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True).returncode == 0
    assert {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == whole
