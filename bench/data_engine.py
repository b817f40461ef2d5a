"""The data engine at the sizes of its goals; results in data_engine.md.

python bench/data_engine.py leaks             six planted kinds, 60 each, and 12,500 clean cases
python bench/data_engine.py paper --out DIR   684,758 outpatient records through curate and mix
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "curate"))
from planted_leaks import hospital, plant

from p2med.curate.config import DedupConfig, LeakConfig
from p2med.curate.leaks import KINDS, find_leaks


def leaks(cases: int, each: int) -> None:
    """Alarms on the clean hospital; found, missed and false after planting."""
    began = time.monotonic()
    made = hospital(cases)
    training, bench = made.sides()
    print(
        f"{len(training)} training and {len(bench)} benchmark cases, made in {time.monotonic() - began:.0f} s"
    )
    began = time.monotonic()
    alarms = find_leaks(training, bench, LeakConfig(), DedupConfig())
    print(f"clean: {len(alarms)} alarms, {time.monotonic() - began:.1f} s", Counter(x.kind for x in alarms))
    plant(made, each)
    training, bench = made.sides()
    began = time.monotonic()
    found = find_leaks(training, bench, LeakConfig(), DedupConfig())
    print(f"planted {each} of each kind; searched in {time.monotonic() - began:.1f} s")
    planted = {i for ids in made.planted.values() for i in ids}
    print(f"{'kind':16} {'planted':>7} {'found':>6} {'missed':>6} {'false':>6}")
    for kind in KINDS:
        wanted, right = set(made.planted[kind]), made.found(found, kind)
        false = {x.training for x in found if x.kind == kind} - planted
        print(f"{kind:16} {len(wanted):7} {len(right):6} {len(wanted - right):6} {len(false):6}")


# ---------------------------------------------------------------- the paper's size


def paper(out: Path, share: float, workers: int) -> None:
    """Wall and processor seconds and the most memory of synth, curate and mix, each a process of its own."""
    root = out / "paper"
    word = f"workers={workers}"
    recipe = str(Path(__file__).parents[1] / "recipes" / "paper.yaml")
    commands = {
        "synth": ["synth", str(root), "--paper-scale", "--set", word, "--set", f"share={share}"],
        "curate": ["curate", recipe, "--runs", str(out), "--set", f"curate.{word}"],
        "mix": ["mix", recipe, "--runs", str(out), "--set", f"mix.{word}"],
    }
    print(f"share {share} of the paper's counts, {workers} processes, load {os.getloadavg()[0]:.1f}")
    print(f"{'verb':8} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9}")
    for verb, words in commands.items():
        began, before = time.monotonic(), os.times()
        process = subprocess.Popen([sys.executable, "-m", "p2med.cli", *words], stderr=subprocess.DEVNULL)
        most = _watch(process)
        wall, after = time.monotonic() - began, os.times()
        if process.returncode:
            raise SystemExit(f"{verb} ended with {process.returncode}")
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"{verb:8} {wall:8.0f} {cpu:8.0f} {most:9.0f}", flush=True)


def _watch(process: subprocess.Popen) -> float:
    """The most memory of a process and its children, MiB; pages that they share count once (PSS)."""
    most, stop = [0.0], threading.Event()

    def look() -> None:
        while not stop.wait(0.5):
            most[0] = max(most[0], sum(_memory(p) for p in _tree(process.pid)))

    watcher = threading.Thread(target=look)
    watcher.start()
    process.wait()
    stop.set()
    watcher.join()
    return most[0]


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(p for c in children for p in _tree(int(c)))]


def _memory(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    one = commands.add_parser("leaks")
    one.add_argument("--cases", type=int, default=12_500)
    one.add_argument("--each", type=int, default=60)
    two = commands.add_parser("paper")
    two.add_argument("--out", type=Path, required=True)
    two.add_argument("--share", type=float, default=1.0)
    two.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    if options.what == "leaks":
        leaks(options.cases, options.each)
    else:
        paper(options.out, options.share, options.workers)


if __name__ == "__main__":
    main()
