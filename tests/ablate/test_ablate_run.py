"""An ablation of the small road: what is shared, killed runs, stale rows, the table."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from small_recipe import small_recipe

from p2med import cli, store
from p2med.ablate.run import run
from p2med.ablate.share import link_folder
from p2med.errors import P2MedError
from p2med.recipe import read_recipe

FULL, OUT = "demo", "demo-small"
NO_STAGE3, SAVED, SINGLE = (f"demo-small-{v}" for v in ("without_stage3", "saved_oftener", "single_round"))
ABLATION = {
    "title": {"zh": "小消融", "en": "A small ablation"},
    "source": "Table II",
    "variants": {
        "without_stage3": {"title": {"zh": "无阶段3", "en": "w/o 3"}, "without_stages": ["stage3"]},
        "saved_oftener": {"title": {"zh": "常存", "en": "often"}, "set": {"train.stages.2.save_every": 1}},
        "single_round": {
            "title": {"zh": "单轮", "en": "single"},
            "set": {"mix.single_round": True, "bench.single_round": True},
        },
    },
}


class Place:
    """A folder with the base recipe, the ablation and the run folders."""

    def __init__(self, folder: Path):
        self.folder, self.runs, self.recipe = folder, folder / "runs", folder / "demo.yaml"

    def write(self) -> None:
        (self.folder / "ablations").mkdir(parents=True)
        said = {self.recipe: small_recipe(), self.folder / "ablations" / "small.yaml": ABLATION}
        for path, raw in said.items():
            path.write_text(yaml.safe_dump(raw, allow_unicode=True, sort_keys=False), encoding="utf-8")

    def ablate(self, *overrides: str, only_tables: bool = False) -> list[Path]:
        return run(
            "small", self.recipe, self.runs, overrides, self.folder / "ablations", cli._run_verb, only_tables
        )

    def words(self) -> list[str]:
        where = ["--runs", str(self.runs), "--ablations", str(self.folder / "ablations")]
        return [sys.executable, "-m", "p2med.cli", "ablate", "small", str(self.recipe), *where]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def lasting(folder: Path) -> dict[str, bytes]:
    """All but log/, which holds times."""
    return {n: b for n, b in contents(folder).items() if "/log/" not in n and not n.startswith("log/")}


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Place:
    place = Place(tmp_path_factory.mktemp("ablate"))
    place.write()
    place.ablate()
    return place


@pytest.fixture()
def copy(done, tmp_path) -> Place:
    """The finished runs again, as hard links, to be spoiled."""
    place = Place(tmp_path / "copy")
    place.write()
    link_folder(done.runs, place.runs)
    return place


def score(place: Path, row: str) -> list[dict]:
    table = json.loads((place / "table.json").read_text(encoding="utf-8"))
    return [s for s in table["scores"] if s["row"] == row]


def test_the_tables_say_that_they_are_not_clinical_in_every_form(done):
    out = done.runs / OUT
    for name in ("table.en.html", "table.en.md", "table.csv", "table.json"):
        assert "Not clinical: tiny models on synthetic patients" in (out / name).read_text(encoding="utf-8")
    for name in ("table.zh.html", "table.zh.md"):
        assert "不具临床意义：小模型，合成患儿" in (out / name).read_text(encoding="utf-8")
    page = (out / "table.zh.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") == 2 and "http" not in page
    assert all("单轮" in (out / f"table.zh.{e}").read_text(encoding="utf-8") for e in ("html", "md"))


def test_every_score_has_its_interval_and_its_difference(done):
    with open(done.runs / OUT / "table.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {r["row"] for r in rows} == {"full", *ABLATION["variants"]}
    bench = json.loads((done.runs / FULL / "6_bench" / "results.json").read_text(encoding="utf-8"))
    known = {(b["task"], b["component"], b["metric"]): b for b in bench if b["condition"] == "true"}
    for r in rows:
        if r["row"] == "full" and r["task"] != "average":
            b = known[r["task"], r["component"], r["metric"]]
            assert (float(r["mean"]), int(r["n"])) == (b["mean"], b["n"])
        assert bool(r["ci95_low"]) == (int(r["n"]) > 1) or r["task"] == "average"
        if r["ci95_low"]:
            assert float(r["ci95_low"]) <= float(r["mean"]) <= float(r["ci95_high"])
            low, high = float(r["difference_ci95_low"]), float(r["difference_ci95_high"])
            assert low <= float(r["difference"]) <= high


def test_what_changes_no_weight_differs_by_nothing(done):
    weights = [done.runs / r / "5_train" / "stage3" / "model.safetensors" for r in (FULL, SAVED)]
    assert store.sha256_of(weights[0]) == store.sha256_of(weights[1])
    for cell in score(done.runs / OUT, "saved_oftener"):
        assert (cell["difference"], cell["paired"]) == (0.0, cell["paired"]) and cell["paired"] > 0
        assert cell["difference_ci95_low"] in (None, 0.0) and cell["difference_ci95_high"] in (None, 0.0)


def test_what_is_the_same_is_one_file_on_disk(done):
    def same(run: str, path: str) -> bool:
        return os.path.samefile(done.runs / FULL / path, done.runs / run / path)

    for run_name in (NO_STAGE3, SAVED):
        for verb in ("0_synth/summary.json", "1_ingest/manifest.json", "4_mix/manifest.json"):
            assert same(run_name, verb)
    assert all(same(NO_STAGE3, f"5_train/{s}/model.safetensors") for s in ("see", "base"))
    assert same(SAVED, "5_train/base/model.safetensors")
    assert not same(SAVED, "5_train/stage3/stage.json")
    assert same(SINGLE, "3_curate/manifest.json") and not same(SINGLE, "4_mix/manifest.json")
    assert not same(SINGLE, "5_train/see/stage.json")


def test_a_variant_is_what_an_ordinary_run_of_its_recipe_makes(done, tmp_path):
    made = done.runs / OUT / "recipes" / "without_stage3.yaml"
    recipe = read_recipe(made)
    assert recipe.name == NO_STAGE3
    for verb in ("0_synth", "1_ingest", "2_deid", "3_curate", "4_mix"):
        shutil.copytree(done.runs / FULL / verb, tmp_path / NO_STAGE3 / verb)
    for verb in store.VERBS[:-1]:
        cli._run_verb(verb, recipe, tmp_path / NO_STAGE3)
    for folder in ("5_train", "6_bench"):
        assert lasting(tmp_path / NO_STAGE3 / folder) == lasting(done.runs / NO_STAGE3 / folder)


def test_a_second_time_nothing_changes_and_a_lost_table_comes_back_the_same(done, copy):
    before = lasting(done.runs)
    shutil.rmtree(copy.runs / OUT)
    copy.ablate()
    assert lasting(copy.runs) == before


def test_killed_at_any_time_the_same_command_ends_in_the_same_bytes(done, tmp_path):
    place = Place(tmp_path / "killed")
    place.write()
    link_folder(done.runs / FULL, place.runs / FULL)
    for sign in (f"{NO_STAGE3}/*ingest*", f"{SINGLE}/5_train/see/digests.json"):
        process = subprocess.Popen(place.words(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(place.runs.glob(sign)):
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    place.ablate()
    assert lasting(place.runs) == lasting(done.runs)


def replace(path: Path, content: bytes) -> None:
    """Not in place: other runs have the same file."""
    path.unlink()
    path.write_bytes(content)


def refused(place: Place, *overrides: str) -> str:
    with pytest.raises(P2MedError) as caught:
        place.ablate(*overrides, only_tables=True)
    return str(caught.value)


def test_a_rating_that_someone_changed_is_noticed(copy):
    path = copy.runs / SAVED / "6_bench" / "ratings.parquet"
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table.slice(1), path)
    assert f"run {SAVED}: its bench has another ratings.parquet" in refused(copy)


def test_a_row_of_other_weights_or_of_another_recipe_is_noticed(copy):
    assert copy.ablate(only_tables=True)
    shutil.rmtree(copy.runs / SAVED / "6_bench")
    shutil.copytree(copy.runs / NO_STAGE3 / "6_bench", copy.runs / SAVED / "6_bench")
    assert f"run {SAVED}: its bench is of other weights" in refused(copy)
    assert f"run {FULL}: its bench is of another recipe" in refused(copy, "bench.max_new_tokens=9")
    assert f"run {FULL}: its train has no up-to-date stage see" in refused(copy, "train.stages.0.lr=0.1")


def test_a_stage_of_another_training_and_a_run_of_other_data_are_noticed(copy):
    stage = copy.runs / SAVED / "5_train" / "base" / "stage.json"
    replace(stage, stage.read_bytes().replace(b'"steps": 2', b'"steps": 4'))
    assert f"run {SAVED}: its train has no up-to-date stage base" in refused(copy)
    manifest = copy.runs / NO_STAGE3 / "4_mix" / "manifest.json"
    replace(manifest, manifest.read_bytes() + b"\n")
    assert f"run {NO_STAGE3} has other data than demo (mix)" in refused(copy)
    shutil.rmtree(copy.runs / FULL / "6_bench")
    assert f"run {FULL}: its bench is not finished" in refused(copy)


def test_the_same_command_makes_stale_rows_again(done, copy, capsys):
    stage = copy.runs / SAVED / "5_train" / "stage3" / "stage.json"
    replace(stage, stage.read_bytes() + b"\n")
    manifest = copy.runs / NO_STAGE3 / "4_mix" / "manifest.json"
    replace(manifest, manifest.read_bytes() + b"\n")
    copy.ablate()
    assert lasting(copy.runs) == lasting(done.runs)
    assert f"ablate small [3/4] {SAVED}" in capsys.readouterr().err
