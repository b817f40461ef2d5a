"""Training under faults, at full count: kills, damaged checkpoints, numbers that are none.

    python bench/train_faults.py [--kills 50] [--damages 200] [--nans 50]

A tiny model on drawn images (tests/train/tiny_training.py). Every kill is SIGKILL after a random time, then
the same call again; the finished folder must equal an uninterrupted one, file by file, by SHA-256. A damaged
checkpoint (a bit, a cut, a lost file, zeros) must be passed over for the one before it.
Figures: bench/train.md.
"""

import argparse
import contextlib
import hashlib
import io
import math
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests/train")]

from tiny_training import SPEC, tiny_section, two_stages, write_mix  # noqa: E402

from p2med.errors import ModelError  # noqa: E402
from p2med.model.checkpoint import load_checkpoint  # noqa: E402
from p2med.train import loop as loop_module  # noqa: E402
from p2med.train import run as run_module  # noqa: E402
from p2med.train.objectives import sft  # noqa: E402
from p2med.train.resume import Progress, load_progress, save_progress  # noqa: E402


def content(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def quietly(root: Path) -> None:
    torch.set_num_threads(1)
    with contextlib.redirect_stderr(io.StringIO()):
        run_module.run(two_stages(), tiny_section(), SPEC, root)


def kills(count: int, place: Path, dice: random.Random) -> None:
    whole = place / "whole"
    write_mix(whole, ("base", "stage1"), count=36)
    start = time.monotonic()
    quietly(whole)
    lasts = time.monotonic() - start
    wanted = content(whole / "5_train")
    runs, hit, equal = 0, 0, 0
    while hit < count:  # a run that was faster than its kill does not count
        runs += 1
        root = place / f"kill{runs}"
        shutil.copytree(whole, root, ignore=shutil.ignore_patterns("5_train", "log"))
        process = multiprocessing.get_context("fork").Process(target=quietly, args=(root,))
        process.start()
        process.join(dice.uniform(0, lasts))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            hit += 1
        quietly(root)
        equal += content(root / "5_train") == wanted
        shutil.rmtree(root)
    print(
        f"kills: {hit} in {runs} trainings of {lasts:.1f} s, {equal} of them equal by SHA-256",
        flush=True,
    )
    assert equal == runs


def damage(folder: Path, dice: random.Random) -> str:
    path = dice.choice(sorted(p for p in folder.iterdir()))
    kind = dice.choice(["bit", "cut", "lost", "zeros"])
    if kind == "lost":
        path.unlink()
        return kind
    data = bytearray(path.read_bytes())
    at = dice.randrange(len(data))
    if kind == "bit":
        data[at] ^= 1 << dice.randrange(8)
    elif kind == "cut":
        del data[at:]
    else:
        end = min(len(data), at + 512)
        if not any(data[at:end]):
            data[at] ^= 255
        data[at:end] = bytes(end - at)
        if path.read_bytes() == bytes(data):
            data[at] = 1
    path.write_bytes(data)
    return kind


def damages(count: int, place: Path, dice: random.Random) -> None:
    parameter = torch.nn.Parameter(torch.zeros(2000))
    learning = {"p": parameter}
    optimizer = torch.optim.AdamW([parameter], lr=0.1)
    found = {"bit": 0, "cut": 0, "lost": 0, "zeros": 0}
    for n in range(count):
        folder = place / f"damage{n}"
        values = []
        for step in (3, 6):
            parameter.grad = torch.randn(2000)
            optimizer.step()
            values.append(parameter.detach().clone())
            save_progress(folder, {"a": 1}, learning, optimizer, Progress(step=step), {})
        kind = damage(folder / "step-00000006", dice)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            progress = load_progress(folder, {"a": 1}, learning, optimizer, {})
        assert progress.step == 3 and torch.equal(parameter, values[0]), (n, kind)
        assert "damaged" in said.getvalue()
        found[kind] += 1
        shutil.rmtree(folder)
    print(f"damages: {count} of the newest checkpoint, all detected, all recovered: {found}", flush=True)


def nans(count: int, place: Path, dice: random.Random) -> None:
    saved = 0
    plain = sft.loss
    keep = loop_module.save_progress

    def watched(folder, identity, learning, *rest):
        nonlocal saved
        assert all(bool(torch.isfinite(p).all()) for p in learning.values())
        saved += 1
        keep(folder, identity, learning, *rest)

    loop_module.save_progress = watched
    skipped = stopped = 0
    for n in range(count):
        root = place / f"nan{n}"
        write_mix(root, ("base", "stage1"), count=36)
        calls, bad = 0, set(dice.sample(range(6), dice.randint(1, 4)))

        def broken(model, batch, bad=bad):
            nonlocal calls
            calls += 1
            value = plain(model, batch)
            return value * dice.choice([math.nan, math.inf]) if calls - 1 in bad else value

        sft.loss = broken
        try:
            quietly(root)
        except ModelError:
            stopped += 1
        else:
            checkpoint = load_checkpoint(root / "5_train" / "stage1")
            assert all(bool(torch.isfinite(p).all()) for p in checkpoint.model.parameters())
            skipped += checkpoint.stage["skipped_steps"]
            assert checkpoint.stage["skipped_steps"] == len(bad)
        shutil.rmtree(root)
    sft.loss, loop_module.save_progress = plain, keep
    print(
        f"nans: {count} trainings, {skipped} broken steps left out, {stopped} trainings stopped, "
        f"{saved} checkpoints between steps, none with a number that is none",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--damages", type=int, default=200)
    parser.add_argument("--nans", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for what, count in ((damages, args.damages), (kills, args.kills), (nans, args.nans)):
            what(count, Path(name), random.Random(args.seed))


if __name__ == "__main__":
    main()
