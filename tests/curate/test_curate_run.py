"""The verb on a folder made by hand: every loss is named, nothing is lost twice, a kill changes nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from curate_cases import case, contents, hospital, outpatient, report, sentence, write_deid, xray

from p2med.curate.config import CurateConfig
from p2med.curate.run import run
from p2med.errors import P2MedError, RecipeError
from p2med.imaging.spec import ImageSpec
from p2med.schema.case import Case, Series, Study, Volume
from p2med.store import read_items, read_volume, verb_folder, write_volume

CONFIG = CurateConfig(image=ImageSpec(size=32), workers=1, contact_sheets=True)


@pytest.fixture
def curated(tmp_path):
    write_deid(tmp_path, hospital(tmp_path, 24))
    return tmp_path, run(CONFIG, tmp_path)


def rejected(root: Path) -> set[tuple[str, str, str]]:
    rows = pq.read_table(verb_folder(root, "curate") / "rejected.parquet").to_pylist()
    return {(r["noun"], r["id"], r["reason"]) for r in rows}


def test_every_planted_fault_is_named_and_nothing_else_is_lost(curated):
    root, manifest = curated
    lost = rejected(root)
    assert lost >= {
        ("series", "blank.1", "blank_image"),
        ("study", "blank", "no_series_left"),
        ("record", "rblank", "study_missing"),
        ("question", "c50/0", "study_missing"),
        ("case", "c50", "nothing_left"),
        ("series", "gone.1", "volume_missing"),
        ("study", "gone", "no_series_left"),
        ("record", "rgone", "study_missing"),
        ("record", "o52", "missing_section"),
        ("case", "c52", "nothing_left"),
        ("record", "o53", "too_long"),
        ("case", "c53", "nothing_left"),
    }
    twins = [x for x in lost if x[2] in ("near_duplicate", "duplicate_of_bench", "duplicate_of_val")]
    assert len(twins) == 1 and twins[0][1] in ("o3", "o54")
    # One more case goes when the duplicate was all it had.
    assert len(lost) == 13 + (twins[0][1] == "o54")
    for count in manifest.counts.values():
        assert count.entered == count.passed + count.rejected
    assert manifest.counts["series"].entered == 26 and manifest.counts["series"].passed == 24
    assert manifest.notes["dedup"]["records"] == 24 + 3


def test_volumes_are_ready_for_the_network(curated):
    root, _ = curated
    cases = list(read_items(verb_folder(root, "curate"), Case))
    volumes = [s.volume for c in cases for study in c.studies for s in study.series]
    assert len(volumes) == 24
    for volume in volumes:
        array = read_volume(volume.path, root)
        assert array.shape == volume.shape == (1, 32, 32) and array.dtype == np.float16
        assert 0 <= array.min() < array.max() <= 1
        assert volume.unit == "unit_interval"
    assert cases[0].studies[0].series[0].chosen_because == "frontal_pa"
    assert len(list(verb_folder(root, "curate").glob("sheets/*.png"))) == 24


def test_a_box_follows_its_image_to_the_new_size(curated):
    root, _ = curated
    (box,) = next(read_items(verb_folder(root, "curate"), Case)).boxes
    assert box.xyxy == pytest.approx((10 * 32 / 50, 20 * 32 / 40, 30 * 32 / 50, 40 * 32 / 40))


def test_labels_and_splits_are_set(curated):
    root, manifest = curated
    cases = {c.case_id: c for c in read_items(verb_folder(root, "curate"), Case)}
    assert cases["c5"].diagnoses == ("支气管炎", "支气管肺炎")
    assert cases["c1"].split == cases["c55"].split == "bench"  # one patient, one of his cases preset
    assert sum(manifest.notes["cases"].values()) == len(cases)
    assert manifest.notes["imbalance"] >= 1


def test_given_labels_are_kept(tmp_path):
    study = xray(tmp_path, "s1")
    given = case(1, studies=(study,), records=(report(study),), diagnoses=("bacterial",))
    write_deid(tmp_path, [given])
    run(CONFIG.model_copy(update={"diagnoses": "given"}), tmp_path)
    assert next(read_items(verb_folder(tmp_path, "curate"), Case)).diagnoses == ("bacterial",)


def test_a_ct_keeps_its_best_series_and_says_why(tmp_path):
    series = []
    for name, depth, kernel, thickness in (
        ("lung", 6, "B70f", 5.0),
        ("soft", 6, "B30f", 5.0),
        ("scout", 2, "", 5.0),
    ):
        array = (np.arange(depth * 400) % 1500 - 1000).reshape(depth, 20, 20).astype(np.int16)
        write_volume(tmp_path / f"pixels/{name}.npy", array)
        volume = Volume(
            path=f"run:pixels/{name}.npy",
            shape=array.shape,
            dtype="int16",
            unit="HU",
            spacing_mm=(5, 1, 1),
        )
        series.append(
            Series(
                series_uid=name,
                volume=volume,
                convolution_kernel=kernel or None,
                slice_thickness_mm=thickness,
            )
        )
    write_deid(tmp_path, [case(1, studies=(Study(study_uid="ct", modality="CT", series=tuple(series)),))])
    run(CONFIG.model_copy(update={"image": ImageSpec(size=16, max_slices=3)}), tmp_path)
    (kept,) = next(read_items(verb_folder(tmp_path, "curate"), Case)).studies[0].series
    assert kept.series_uid == "lung" and "lung_kernel" in kept.chosen_because
    assert kept.volume.shape == (3, 16, 16) and kept.volume.spacing_mm == pytest.approx((10, 1.25, 1.25))
    assert {("series", "soft", "another_fits_better"), ("series", "scout", "too_few_slices")} <= rejected(
        tmp_path
    )


def test_two_processes_write_what_one_writes(tmp_path):
    folders = []
    for count in (1, 2):
        root = tmp_path / str(count)
        write_deid(root, hospital(root))
        run(CONFIG.model_copy(update={"workers": count}), root)
        folders.append(contents(verb_folder(root, "curate")))
    for folder in folders:
        folder.pop("manifest.json")  # it records the number of workers
    assert folders[0] == folders[1]


KILLED = """
import os, signal, sys
from pathlib import Path
from p2med.curate.config import CurateConfig
from p2med.curate.run import run
left, replace = int(sys.argv[2]), os.replace
def counted(*args):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*args)
os.replace = counted
run(CurateConfig.model_validate_json(sys.argv[3]), Path(sys.argv[1]))
"""


def test_a_killed_run_continues_and_ends_byte_identical(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        write_deid(root, hospital(root))
    run(CONFIG, whole)
    codes = []
    for writes in (1, 7, 19, 12, 1000):
        command = [sys.executable, "-c", KILLED, str(killed), str(writes), CONFIG.model_dump_json()]
        codes.append(subprocess.run(command, capture_output=True).returncode)
    assert codes == [-9, -9, -9, -9, 0]
    assert contents(verb_folder(killed, "curate")) == contents(verb_folder(whole, "curate"))


def test_a_tokenizer_that_is_none_is_refused(tmp_path):
    write_deid(tmp_path, [case(1, records=(outpatient("o1", 1),))])
    with pytest.raises(RecipeError, match=r"curate\.tokenizer"):
        run(CONFIG.model_copy(update={"tokenizer": str(tmp_path / "absent.model")}), tmp_path)
    (tmp_path / "false.model").write_text(sentence(1))
    with pytest.raises(RecipeError, match="no sentencepiece model"):
        run(CONFIG.model_copy(update={"tokenizer": str(tmp_path / "false.model")}), tmp_path)


def test_without_deid_there_is_nothing_to_curate(tmp_path):
    with pytest.raises(P2MedError, match="p2med deid"):
        run(CONFIG, tmp_path)
