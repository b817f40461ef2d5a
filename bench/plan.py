"""How well `p2med plan` foretells the memory of real trainings: 40 configurations, each in its own process.

    python bench/plan.py --measure [--half fit|test] [--workers 2]   trains what is not measured yet
    python bench/plan.py --fit      constants from the first half into p2med/plan/constants.yaml
    python bench/plan.py --table    every configuration: predicted, measured, error

A configuration is a recipe and a finished mix; what is measured is the greatest resident memory that the
kernel counted for `p2med train` (ru_maxrss of the process). Which half a configuration belongs to is decided
by a hash of what it is. Constants are fitted on one half alone. `--set 1` draws other configurations, for a
second look after the planner was changed. Figures: bench/plan.md.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy.optimize import linprog

from p2med import store
from p2med.arrow import to_table
from p2med.model.tokenizer import train_tokenizer
from p2med.plan.devices import CONSTANTS, KERNELS_KEPT, Usage, constants, devices, memory_on
from p2med.plan.run import Sections, StagePlan, plan_training
from p2med.recipe import read_recipe
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Turn, image, text

COUNT = 40
STEPS = 3
GIB = 2**30
LOW_GIB, HIGH_GIB = 0.7, 2.9
FLOPS_AT_MOST = 0.5e12
"""Of a whole training: some ten seconds on a core; more where nothing so light is found."""
VOCABULARIES = {"small": 1_000, "middle": 6_000, "large": 16_000}
CHARACTERS = [chr(0x4E00 + n) for n in range(2_500)]
REPOSITORY = Path(__file__).parents[1]


# ---------------------------------------------------------------- configurations


def tokenizer_file(name: str, folder: Path) -> Path:
    """A tokenizer.model of a size; `real` is Chinese-LLaMA-2's, from the shared data."""
    if name == "real":
        return store.data_folder() / "tokenizers" / "chinese_llama2_tokenizer.model"
    path = folder / f"{name}.model"
    if not path.exists():
        dice = np.random.default_rng(VOCABULARIES[name])
        known = CHARACTERS[: VOCABULARIES[name] // 2]
        lines = ["".join(dice.choice(known[:400], 60)) for _ in range(3_000)]
        lines += ["".join(known[n : n + 50]) for n in range(0, len(known), 50)]
        path.write_bytes(train_tokenizer(lines, VOCABULARIES[name]))
    return path


def draw(number: int, attempt: int, which: int) -> dict[str, Any]:
    """One configuration: everything that training's memory may depend on."""
    dice = np.random.default_rng([which, number, attempt])

    def one(*values: Any) -> Any:
        return values[int(dice.integers(len(values)))]

    width = one(128, 192, 256, 384, 512, 768)
    encoder = one("none", "cnn", "cnn", "clip_vit", "clip_vit", "clip_vit", "siglip")
    learn = one(
        ["connector", "adapter"], ["connector", "adapter"], ["connector", "llm"], ["llm"], ["adapter"]
    )
    learn = [p for p in learn if p != "connector" or encoder != "none"]
    if encoder != "none" and one(False, False, True):
        learn = ["encoder", *learn]
    seen = one("film", "film", "volume", "mixed") if encoder != "none" else "text"
    half = one(False, True)
    return {
        "vocabulary": one("small", "middle", "large", "real"),
        "width": width,
        "layers": one(2, 3, 4, 6, 8, 12),
        "encoder": encoder,
        "encoder_width": one(128, 256, 384),
        "encoder_layers": one(2, 4, 8),
        "image_size": one(96, 128, 224),
        "connector": one("perceiver", "perceiver", "linear"),
        "learn": learn,
        "objective": one("sft", "sft", "sft", "language", "sft_from_parts"),
        "dtype": "bfloat16" if half else "float32",
        "frozen_dtype": one(None, "bfloat16") if half else None,
        "dropout": one(0.0, 0.05),
        "rank": one(4, 8, 32),
        "tied": one(False, True),
        "augment": encoder != "none" and one(False, False, True),
        "micro": one(False, False, True),
        "passes": one(2, 3, 4),
        "tokens": one(80, 150, 300, 600),
        "seen": seen,
        "images": one(1, 2),
        "slices": one(3, 8, 16),
        "stages": one(1, 1, 1, 2),
        "cache_gib": one(0, 4.0),
        "threads": one(1, 2),
    }


def recipe_of(c: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    width, seen = c["width"], c["encoder"] != "none"
    encoder: dict[str, Any] | None = None
    if c["encoder"] == "cnn":
        encoder = {"kind": "cnn", "channels": [32, 64, c["encoder_width"]], "blocks": [1, 2, 2]}
    elif seen:
        encoder = {
            "kind": c["encoder"], "hidden_size": c["encoder_width"],
            "intermediate_size": 4 * c["encoder_width"],
            "num_hidden_layers": c["encoder_layers"], "num_attention_heads": c["encoder_width"] // 64,
            "patch_size": 16,
        }  # fmt: skip
    connector: dict[str, Any] | None = None
    if seen:
        connector = {"kind": "linear", "fold": 4 if c["encoder"] != "cnn" else 1}
        if c["connector"] == "perceiver" or c["seen"] != "film":
            connector = {"kind": "perceiver", "layers": 2, "latents": 16}
    stage = {
        "learn": c["learn"], "objective": c["objective"], "lr": 1e-4, "steps": STEPS,
        "batch_size": c["batch"],
        "micro_batch_size": c["micro"], "augment": c["augment"],
    }  # fmt: skip
    if c.get("checkpointing") is not None:
        stage["checkpointing"] = c["checkpointing"]
    names = ["one", "two"][: c["stages"]]
    return {
        "name": name,
        "curate": {"image": {"size": c["image_size"], "max_slices": 32}},
        "mix": {"stages": {n: {"xray_report": {}, "outpatient_record": {}} for n in names}},
        "model": {
            "encoder": encoder,
            "connector": connector,
            "llm": {
                "hidden_size": width, "intermediate_size": int(2.7 * width) // 8 * 8,
                "num_hidden_layers": c["layers"], "num_attention_heads": width // 64,
                "max_position_embeddings": 4096, "tie_word_embeddings": c["tied"],
            },
            "adapter": {"kind": "lora", "rank": c["rank"], "dropout": c["dropout"]},
            "tokenizer": {"kind": "file", "path": str(tokenizer_file(c["vocabulary"], folder))},
        },
        "train": {
            "stages": [{"stage": n, **stage} for n in names], "threads": c["threads"], "device": "cpu",
            "dtype": c["dtype"], "frozen_dtype": c["frozen_dtype"], "feature_cache_gib": c["cache_gib"],
        },
    }  # fmt: skip


def write_mix(c: dict[str, Any], root: Path, stages: list[str]) -> None:
    """A finished 4_mix whose conversations have log-normal lengths; few different images, shown again."""
    dice = np.random.default_rng(len(root.name))
    size = c["image_size"]
    shown: list[Volume] = []
    for n in range(6):
        depth = 1 if c["seen"] == "film" else max(2, round(c["slices"] * dice.uniform(0.6, 1.0)))
        path = f"run:3_curate/volumes/{n}.npy"
        pixels = dice.random((depth, size, size), dtype=np.float32).astype(np.float16)
        store.write_volume(root / path[4:], pixels)
        shape = (depth, size, size)
        shown.append(Volume(path=path, shape=shape, dtype="float16", unit="unit_interval"))
    made = []
    for n in range(max(24, 3 * c["batch"])):
        sees = c["encoder"] != "none" and (c["seen"] != "mixed" or n % 2 == 0)
        length = int(dice.lognormal(np.log(c["tokens"]), 0.35))
        words = "".join(dice.choice(CHARACTERS[:400], length))
        cut = 2 * length // 3
        content = [text(words[:cut])]
        if sees:
            count = int(dice.integers(1, c["images"] + 1))
            content = [*(image(shown[int(i)]) for i in dice.integers(len(shown), size=count)), *content]
        turns = (
            Turn(role="user", content=tuple(content)),
            Turn(role="assistant", content=(text("[放射学诊断]" + words[cut:]),)),
        )
        task = "xray_report" if sees else "outpatient_record"
        made.append(
            Conversation(
                conversation_id=f"{task}/{n}", task=task, case_id=f"c{n}", patient_key=f"p{n}", turns=turns
            )
        )
    mix = store.verb_folder(root, "mix")
    for stage in stages:
        store.write_table(mix / f"{stage}-00000.parquet", to_table(made, Conversation))
    counts = {"conversation": store.Count(entered=len(made), passed=len(made), rejected=0)}
    manifest = store.Manifest(
        verb="mix", version="0", code="", section={}, inputs={}, counts=counts, rejected_reasons={},
        notes={}, files={},
    )  # fmt: skip
    store.write_json(mix / "manifest.json", manifest.model_dump(mode="json"))


# ---------------------------------------------------------------- choosing and measuring


def foretell(place: Path) -> list[StagePlan]:
    recipe = read_recipe(place / "recipe.yaml")
    sections = Sections(recipe.model, recipe.curate.image, recipe.mix, recipe.train)
    return plan_training(sections, place / "runs" / place.name, devices()["cpu"])


def prepare(number: int, which: int, folder: Path) -> Path:
    """The folder of a configuration, drawn again until training it is neither small, great nor slow."""
    place = folder / f"s{which}c{number:02d}"
    if (place / "config.json").exists():
        return place
    wanted = np.exp(np.random.default_rng([which, number, 77]).uniform(np.log(LOW_GIB), np.log(HIGH_GIB)))
    for attempt in range(5_000):
        c = draw(number, attempt, which)
        held, of_conversation, flops = rough(c)
        fit = (wanted * GIB - held) / of_conversation
        c["micro"] = max(1, round(fit)) if c["micro"] else None
        c["batch"] = max(1, round(fit)) * (int(c["passes"]) if c["micro"] else 1)
        if 0.7 < fit < 60 and c["batch"] * flops * STEPS * c["stages"] < FLOPS_AT_MOST * (1 + attempt / 200):
            write_configuration(c, place, folder)
            store.write_json(place / "config.json", c)
            return place
    raise SystemExit(f"configuration {number}: none of 5,000 draws fits")


def rough(c: dict[str, Any]) -> tuple[float, float, float]:
    """Bytes that stay, bytes and flops of a conversation: by the thumb, only to choose sizes with."""
    words = VOCABULARIES.get(c["vocabulary"], 55_297)
    block = 12 * c["width"] ** 2 * c["layers"]
    learned = block + words * c["width"] if "llm" in c["learn"] else 0
    held = 0.6 * GIB + 4 * (block + 2 * words * c["width"]) + 12 * learned + 512 * words * 8
    tokens = 1.1 * c["tokens"] + (40 if c["encoder"] != "none" else 0)
    size, flops = 100.0 * tokens * c["width"] * c["layers"], 6.0 * tokens * (block + 0.5 * words * c["width"])
    slices = 1.5 * (1 if c["seen"] == "film" else c["slices"]) if c["encoder"] != "none" else 0
    if c["encoder"] == "cnn":
        made, work = 40.0 * c["image_size"] ** 2, 2e3 * c["image_size"] ** 2 * 20
    else:
        patches = (c["image_size"] // 16) ** 2
        made = 100.0 * patches * c["encoder_width"] * c["encoder_layers"]
        work = 24.0 * patches * c["encoder_width"] ** 2 * c["encoder_layers"]
    if "encoder" in c["learn"]:
        return held, size + slices * made, flops + 3 * slices * work
    return held, size, flops + slices * work


def write_configuration(c: dict[str, Any], place: Path, folder: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    recipe = recipe_of(c, place.name, folder)
    write_mix(c, place / "runs" / place.name, [s["stage"] for s in recipe["train"]["stages"]])
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True))


def half_of(places: list[Path]) -> dict[str, str]:
    """fit or test, by a hash of what each configuration is."""
    order = sorted(places, key=lambda p: hashlib.sha256((p / "config.json").read_bytes()).hexdigest())
    return {p.name: "fit" if n < len(order) // 2 else "test" for n, p in enumerate(order)}


def measure(place: Path) -> dict[str, Any]:
    """Train in a fresh process, as a user would, and ask the kernel for its greatest resident memory."""
    done = place / "measured.json"
    if done.exists():
        return json.loads(done.read_bytes())
    root = place / "runs" / place.name
    for left in ("5_train", "cache", "log"):
        shutil.rmtree(root / left, ignore_errors=True)
    threads = str(json.loads((place / "config.json").read_bytes())["threads"])
    start = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "p2med.cli",
        "train",
        str(place / "recipe.yaml"),
        "--runs",
        str(place / "runs"),
    ]
    with open(place / "log.txt", "w") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=REPOSITORY)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{place.name} failed: {(place / 'log.txt').read_text()[-500:]}")
    steps = [json.loads(x) for p in sorted((root / "log").glob("train_*.jsonl")) for x in p.open()]
    found = {
        "peak_gib": usage.ru_maxrss / 2**20,
        "seconds": time.monotonic() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "steps": steps,
    }
    store.write_json(done, found)
    return found


# ---------------------------------------------------------------- foretelling, fitting, looking

TERMS = ("base", "vocabulary", "kernel", "attention_kernel", "slack")
WORK = ("start", "float32", "bfloat16", "bytes", "operation")
UNDER_COSTS = 4.0
"""A prediction that is too low stops a training; one that is too high leaves some memory unused."""


def causes(place: Path) -> dict[str, Any]:
    """What the planner counted, without any constant: of every stage what memory and time depend on."""
    done = place / "causes.json"
    if not done.exists():
        store.write_json(done, {"stages": [_causes(p) for p in foretell(place)]})
    return json.loads(done.read_bytes())


def _causes(plan: StagePlan) -> dict[str, Any]:
    done = Counter()
    tokens = sum(p.tokens for p, _ in plan.counted.work)
    for _, works in plan.counted.work:
        for phase, work in works.items():
            scale = 1.0 if phase == "features" else plan.tokens / tokens
            for kind, flops, size in work.each:
                done.update({kind: flops * scale, "bytes": size * scale, "operation": scale})
    return {"usage": asdict(plan.usage), "work": dict(done)}


def memory_terms(usage: Usage) -> tuple[float, list[float]]:
    """What needs no constant, and what each of TERMS is multiplied with."""
    made = sum(usage.peak.values())
    known = max(sum(usage.held.values()) + made, usage.built)
    kernels = min(usage.kernels, KERNELS_KEPT)
    return known, [1.0, usage.vocabulary, kernels, usage.attention_kernels * usage.threads, made]


def fit(places: list[Path]) -> dict[str, dict[str, float]]:
    """Constants from measured configurations: least absolute relative error, under counting more."""
    found = constants()
    peaks = np.array([measure(p)["peak_gib"] * GIB for p in places])
    for _ in range(5):  # which stage is the greatest depends on the constants
        rows, known = [], []
        for place in places:
            usages = [Usage(**s["usage"]) for s in causes(place)["stages"]]
            worst = max(usages, key=lambda u: sum(memory_on(devices()["cpu"], u, found).values()))
            base, row = memory_terms(worst)
            rows.append(row)
            known.append(base)
        found["memory"] = dict(zip(TERMS, _least(np.array(rows), peaks - known, peaks), strict=True))
    rows = [
        [1.0, *(sum(s["work"].get(k, 0.0) for s in causes(p)["stages"]) for k in WORK[1:])] for p in places
    ]
    seconds = np.array([measure(p)["cpu_seconds"] for p in places])
    found["time"] = dict(zip(WORK, _least(np.array(rows), seconds, seconds, 1.0), strict=True))
    return found


def _least(
    rows: np.ndarray, wanted: np.ndarray, whole: np.ndarray, under: float = UNDER_COSTS
) -> list[float]:
    """Non-negative factors of the columns with the least weighed absolute error relative to `whole`."""
    scale = np.maximum(np.abs(rows).max(0), 1e-30)
    a, b = rows / scale / whole[:, None], wanted / whole
    count, terms = a.shape
    eye = np.eye(count)
    cost = np.concatenate([np.zeros(terms), np.ones(count), np.full(count, under)])
    solved = linprog(cost, A_eq=np.hstack([a, -eye, eye]), b_eq=b, bounds=(0, None))
    return [float(f"{x:.4g}") for x in solved.x[:terms] / scale]


def table(places: list[Path], half: dict[str, str]) -> str:
    """Every configuration, and the errors of both halves."""
    fitted = constants()
    rows = [
        "| | half | model | predicted, GiB | measured, GiB | error | CPU s | predicted | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    errors: dict[str, list[tuple[float, float]]] = {"fit": [], "test": []}
    for place in places:
        stages, real = causes(place)["stages"], measure(place)
        usages = [Usage(**s["usage"]) for s in stages]
        peak = max(sum(memory_on(devices()["cpu"], u, fitted).values()) for u in usages) / GIB
        work = Counter({"start": 1.0})
        for s in stages:
            work.update(s["work"])
        seconds = sum(fitted["time"][k] * v for k, v in work.items())
        error = (peak / real["peak_gib"] - 1, seconds / real["cpu_seconds"] - 1)
        errors[half[place.name]].append(error)
        rows.append(
            f"| {place.name} | {half[place.name]} | {_short(place)} | {peak:.2f} | {real['peak_gib']:.2f} "
            f"| {error[0]:+.1%} | {real['cpu_seconds']:.0f} | {seconds:.0f} | {error[1]:+.0%} |"
        )
    for name, found in errors.items():
        if found:
            of = np.array(found)
            rows.append(
                f"\n{name}: {len(of)} configurations; memory from {of[:, 0].min():+.1%} to "
                f"{of[:, 0].max():+.1%}, mean {np.abs(of[:, 0]).mean():.1%}; CPU time from "
                f"{of[:, 1].min():+.0%} to {of[:, 1].max():+.0%}, mean {np.abs(of[:, 1]).mean():.0%}"
            )
    return "\n".join(rows)


def _short(place: Path) -> str:
    c = json.loads((place / "config.json").read_bytes())
    words = VOCABULARIES.get(c["vocabulary"], 55_297)
    many = c["micro"] or c["batch"]
    shape = f"{c['width']} x {c['layers']}, {words:,} words, {many} of {c['tokens']} tokens"
    sees = "" if c["encoder"] == "none" else f", {c['encoder']} {c['image_size']} px {c['seen']}"
    kind = c["dtype"] + (", frozen bf16" if c["frozen_dtype"] else "")
    stages = "" if c["stages"] == 1 else ", two stages"
    return f"{shape}{sees}; {'+'.join(c['learn'])}, {c['objective']}; {kind}, {c['threads']} thr.{stages}"


# ---------------------------------------------------------------- the command


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--half", choices=["fit", "test"])
    parser.add_argument("--set", type=int, default=0, dest="which")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/bench_plan"))
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in VOCABULARIES:
        tokenizer_file(name, options.folder)
    torch.set_num_threads(1)
    places = [prepare(n, options.which, options.folder) for n in range(options.count)]
    half = half_of(places)
    wanted = [p for p in places if options.half in (None, half[p.name])]
    if options.measure:
        with ThreadPoolExecutor(options.workers) as workers:
            for place, found in zip(wanted, workers.map(measure, wanted), strict=True):
                print(place.name, half[place.name], round(found["peak_gib"], 3), flush=True)
    if options.fit:
        found = fit([p for p in places if half[p.name] == "fit"])
        CONSTANTS.write_text(yaml.safe_dump(found, default_flow_style=None), encoding="utf-8")
        print(CONSTANTS.read_text(encoding="utf-8"))
    if options.table:
        print(table(wanted, half))


if __name__ == "__main__":
    main()
