"""How well `p2med plan` foretells the memory of real trainings: 40 configurations, each in its own process.

    python bench/plan.py --measure [--workers 2]   trains what is not measured yet
    python bench/plan.py --fit                     constants of the half `fit` into p2med/plan/constants.yaml
    python bench/plan.py --table                   every configuration: predicted, measured, error
    python bench/plan.py --set 1 --count 20 --measure --table      others, that nobody has seen

A configuration is a recipe and a finished mix; what is measured is the greatest resident memory that the
kernel counted for `p2med train` (ru_maxrss of the process). A hash of what a configuration is puts it into
one of two halves, `fit` and `test`; those of another `--set` are all new. Figures: bench/plan.md.
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
from plan_cases import VOCABULARIES, prepare, tokenizer_file, words_of
from scipy.optimize import linprog

from p2med import store
from p2med.plan.devices import CONSTANTS, KERNELS_KEPT, Usage, constants, devices, memory_on
from p2med.plan.run import Sections, StagePlan, plan_training
from p2med.recipe import read_recipe

COUNT = 40
GIB = 2**30
REPOSITORY = Path(__file__).parents[1]


# ---------------------------------------------------------------- measuring


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

TERMS = ("base", "kernel")
WORK = ("start", "float32", "bfloat16", "bytes", "operation")
UNDER, OVER = 0.05, 0.15
"""Errors that are borne: a training that needs more than foretold stops, one that needs less wastes some."""


def foretell(place: Path) -> list[StagePlan]:
    recipe = read_recipe(place / "recipe.yaml")
    sections = Sections(recipe.model, recipe.curate.image, recipe.mix, recipe.train)
    return plan_training(sections, place / "runs" / place.name, devices()["cpu"])


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
    known = max(sum(usage.held.values()) + sum(usage.peak.values()), usage.built)
    return known, [1.0, min(usage.kernels, KERNELS_KEPT)]


def fit(places: list[Path]) -> dict[str, dict[str, float]]:
    """Constants from measured configurations: the greatest error, as a share of what is borne, is least."""
    found = constants()
    peaks = np.array([measure(p)["peak_gib"] * GIB for p in places])
    rows, known = [], []
    for place in places:
        usages = [Usage(**s["usage"]) for s in causes(place)["stages"]]
        base, row = max((memory_terms(u) for u in usages), key=lambda found: found[0])
        rows.append(row)
        known.append(base)
    found["memory"] = dict(zip(TERMS, _least(np.array(rows), peaks - known, peaks, UNDER, OVER), strict=True))
    rows = [
        [1.0, *(sum(s["work"].get(k, 0.0) for s in causes(p)["stages"]) for k in WORK[1:])] for p in places
    ]
    seconds = np.array([measure(p)["cpu_seconds"] for p in places])
    found["time"] = dict(zip(WORK, _least(np.array(rows), seconds, seconds, OVER, OVER), strict=True))
    return found


def _least(rows: np.ndarray, wanted: np.ndarray, whole: np.ndarray, under: float, over: float) -> list[float]:
    """Non-negative factors of the columns: least t with -under t <= error / whole <= over t everywhere."""
    scale = np.maximum(np.abs(rows).max(0), 1e-30) / np.median(whole)
    a, b = rows / scale / whole[:, None], wanted / whole
    one = np.ones((len(a), 1))
    bounds = np.vstack([np.hstack([a, -over * one]), np.hstack([-a, -under * one])])
    cost = np.append(np.full(a.shape[1], 1e-6), 1.0)
    solved = linprog(cost, A_ub=bounds, b_ub=np.concatenate([b, -b]), bounds=(0, None))
    return [float(f"{x:.4g}") for x in solved.x[:-1] / scale]


def table(places: list[Path], half: dict[str, str]) -> str:
    """Every configuration, and the errors of both halves."""
    fitted = constants()
    rows = [
        "| | half | model | predicted, GiB | measured, GiB | error | CPU s | predicted | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    errors: dict[str, list[tuple[float, float]]] = {"fit": [], "test": [], "new": []}
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
            f"| {place.name} | {half[place.name]} | {words_of(place)} | {peak:.2f} | {real['peak_gib']:.2f} "
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
    half = half_of(places) if not options.which else {p.name: "new" for p in places}
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
