"""Faults at random places of the data verbs; the bench in bench/faults.py at its smallest."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import faults as bench_faults
from faulty_disk import Fault

from p2med.files import write_bytes, write_json


def test_kills_full_disks_and_read_errors_leave_the_same_bytes(tmp_path):
    words = [sys.executable, bench_faults.__file__, "--out", str(tmp_path), "--patients", "3"]
    words += ["--kills", "8", "--errors", "8", "--disks", "0", "--seed", "3"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.endswith("16 trials, 0 wrong\n")
    lines = [line for line in done.stdout.splitlines() if line.endswith("no fault met")]
    assert sum(int(line.split()[2]) for line in lines) <= 8


COUNTED = {"entered": 2, "passed": 1, "rejected": 1}


def forgetful(root: Path) -> None:
    """A verb that takes what a killed run left behind for finished."""
    target = root / "v" / "items.bin"
    if not target.exists():
        with open(target, "wb") as file:
            file.write(b"12345678")
    write_json(root / "v" / "manifest.json", {"counts": {"case": COUNTED}})


def early(root: Path) -> None:
    """A verb that writes its manifest before its items."""
    write_json(root / "v" / "manifest.json", {"counts": {"case": COUNTED}})
    write_bytes(root / "v" / "items.bin", b"12345678")


@pytest.mark.parametrize("verb, word", [(forgetful, "differs"), (early, "finished with other bytes")])
def test_a_verb_that_is_not_safe_is_caught(tmp_path, verb, word):
    def prepared(root: Path) -> None:
        (root / "v").mkdir(exist_ok=True)
        verb(root)

    (tmp_path / "inputs").mkdir()
    bench = bench_faults.Bench("v", prepared, tmp_path / "inputs", "v", tmp_path / "trial")
    rng = random.Random(1)
    outcomes = [bench.trial([bench.draw(rng, "kill_operation")]) for _ in range(40)]
    assert any(o.startswith(word) for o in outcomes), outcomes


def test_a_small_disk_and_a_swallowed_error_are_told_apart(tmp_path):
    def swallows(root: Path) -> None:
        try:
            write_json(root / "v" / "manifest.json", {"counts": {"case": COUNTED}})
        except OSError:
            pass

    (tmp_path / "inputs").mkdir()
    bench = bench_faults.Bench("v", swallows, tmp_path / "inputs", "v", tmp_path / "trial")
    assert bench.trial([Fault("enospc_write", 3, "halfway")]) == "no manifest"
