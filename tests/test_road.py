"""The whole road at its smallest: hospital, data, training, benchmark, answer; and kills on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
STAGE = {"lr": 1.0e-3, "steps": 4, "batch_size": 4, "save_every": 2}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's recipe, a few children and a few steps."""
    raw = yaml.safe_load((REPOSITORY / "recipes" / "demo.yaml").read_text(encoding="utf-8"))
    raw["synth"] |= {"patients": 16, "xray_pixels": 96, "ct_pixels": 64, "ct_slices": 5, "workers": 1}
    raw["synth"] |= {"bench_share": 0.4, "inpatient_share": 0.6}
    for verb in ("deid", "curate"):
        raw[verb]["workers"] = 1
    raw["curate"]["image"] |= {"size": 32, "max_slices": 5}
    raw["model"]["encoder"] = {
        "kind": "cnn",
        "channels": [8, 16],
        "blocks": [1, 1],
        "norm": "group",
        "groups": 4,
    }
    raw["model"]["llm"] |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    raw["model"]["llm"]["num_attention_heads"] = 2
    raw["model"]["tokenizer"]["vocab_size"] = 1200
    keep = ("stage", "learn", "objective", "augment")
    raw["train"]["stages"] = [{k: s[k] for k in keep if k in s} | STAGE for s in raw["train"]["stages"]]
    raw["train"] |= {"threads": 1, "device": "cpu"}
    raw["bench"] |= {"max_new_tokens": 12, "threads": 1, "limit_per_task": 3, "device": "cpu"}
    path = tmp_path_factory.mktemp("road") / "demo.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return path


def command(recipe: Path, runs: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "p2med.cli", "run", str(recipe), "--runs", str(runs), *words]


@pytest.fixture(scope="module")
def road(recipe: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(recipe, recipe.parent / "runs"), capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_road_ends_with_the_table_the_report_and_the_server(road, recipe):
    for words in (
        "data sheet:",
        "report with figures:",
        "start the server:",
        "disease_f1 [swapped]",
        "disease_f1 [label_prior]",
    ):
        assert words in road.stdout
    bench = recipe.parent / "runs" / "demo" / "6_bench"
    results = json.loads((bench / "results.json").read_text(encoding="utf-8"))
    paper = {(r["task"], r["component"], r["metric"]) for r in results if r["condition"] == "true"}
    named = [k for k in paper if k[2] in ("accuracy", "comprehensiveness")]
    assert len(named) == 22
    page = (bench / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64" in page and "http" not in page.replace("https://", "http")


def test_every_verb_conserves_what_it_reads(road, recipe):
    for verb in ("1_ingest", "2_deid", "3_curate", "4_mix", "6_bench"):
        manifest = json.loads((recipe.parent / "runs" / "demo" / verb / "manifest.json").read_text())
        assert manifest["counts"], verb
        for noun, c in manifest["counts"].items():
            assert c["entered"] == c["passed"] + c["rejected"], (verb, noun)


def test_a_second_run_has_nothing_to_do(road, recipe):
    root = recipe.parent / "runs" / "demo"
    before = contents(root)
    again = subprocess.run(
        command(recipe, recipe.parent / "runs"), capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stderr
    assert contents(root) == before


def test_no_path_of_the_machine_is_in_a_run_folder(road, recipe):
    for verb in ("1_ingest", "2_deid", "3_curate", "4_mix", "5_train", "6_bench"):
        for path in sorted((recipe.parent / "runs" / "demo" / verb).rglob("*.json*")):
            assert str(recipe.parent) not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    "verb, sign", [("train", "5_train/*/model.safetensors"), ("bench", "6_bench/parts/*.json")]
)
def test_a_killed_verb_ends_with_the_same_bytes(road, recipe, tmp_path, verb, sign):
    whole = recipe.parent / "runs" / "demo"
    runs = tmp_path / "runs"
    before = {"train": "012345", "bench": "0123456"}[verb][:-1]
    for folder in sorted(whole.iterdir()):
        if folder.name[0] in before:
            shutil.copytree(folder, runs / "demo" / folder.name)
    words = command(recipe, runs, "--from", verb, "--to", verb)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list((runs / "demo").glob(sign)):
        time.sleep(0.01)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    name = {"train": "5_train", "bench": "6_bench"}[verb]
    assert contents(runs / "demo" / name) == contents(whole / name)


def test_the_checkpoint_answers_from_outside(road, recipe, tmp_path):
    root = recipe.parent / "runs" / "demo"
    out = tmp_path / "answers.jsonl"
    words = [sys.executable, "-m", "p2med.cli", "answer", str(root / "5_train"), "--task", "xray_report"]
    words += [
        "--in",
        str(root / "0_synth" / "pacs"),
        "--out",
        str(out),
        "--max-new-tokens",
        "4",
        "--device",
        "cpu",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 10 and {"id", "task", "text", "sections"} <= set(lines[0])
