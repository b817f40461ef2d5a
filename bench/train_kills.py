"""Kills of a training on several processes, at full count.

    python bench/train_kills.py forks [--processes 2] [--shard] [--kills 50]
    python bench/train_kills.py torchrun [--processes 2] [--shard] [--kills 12]

A tiny model on drawn images (tests/train/tiny_training.py). SIGKILL of one process, of all, or of torchrun
itself after a random time; the others must be gone within a watchdog of 30 s; then the same call again, and
the finished folder must equal an uninterrupted one of as many processes, file by file, by SHA-256.
Figures: bench/train.md.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests/train")]

from rank_layouts import WATCHDOG_S  # noqa: E402
from rank_runs import content, free_port  # noqa: E402
from tiny_training import SPEC, tiny_section, two_stages, write_mix  # noqa: E402

from p2med.errors import ModelError  # noqa: E402
from p2med.train.run import run  # noqa: E402


def one_rank(rank: int, count: int, root: Path, port: int, shard: bool) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            run(two_stages(shard=shard), tiny_section(), SPEC, root)
    except ModelError:
        os._exit(2)


def together(root: Path, count: int, shard: bool) -> list:
    context = multiprocessing.get_context("fork")
    port = free_port()
    processes = [
        context.Process(target=one_rank, args=(rank, count, root, port, shard)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    return processes


def forks(count: int, processes: int, shard: bool, place: Path, dice: random.Random) -> None:
    whole = place / "whole"
    write_mix(whole, ("base", "stage1"), count=36)
    started = together(whole, processes, shard)
    start = when_met(whole)
    for process in started:
        process.join()
    lasts = time.monotonic() - start
    wanted = content(whole / "5_train")
    runs = hit = all_at_once = equal = 0
    slowest = 0.0
    while hit < count:
        runs += 1
        root = place / f"kill{runs}"
        shutil.copytree(whole, root, ignore=shutil.ignore_patterns("5_train", "log", "cache"))
        started = together(root, processes, shard)
        when_met(root)
        time.sleep(dice.uniform(0, lasts))
        victims = started if dice.random() < 0.3 else [dice.choice(started)]
        if all(p.is_alive() for p in started):
            for victim in victims:
                os.kill(victim.pid, signal.SIGKILL)
            hit += 1
            all_at_once += len(victims) > 1
            at = time.monotonic()
            for process in started:
                process.join(WATCHDOG_S)
                assert process.exitcode is not None, "hung"
            slowest = max(slowest, time.monotonic() - at)
        for process in started:
            process.join()
        for process in together(root, processes, shard):
            process.join()
            assert process.exitcode == 0
        equal += content(root / "5_train") == wanted
        shutil.rmtree(root)
    print(
        f"{processes} processes, {'sharded' if shard else 'whole'}: {hit} kills, {all_at_once} of all, "
        f"in {runs} trainings of {lasts:.1f} s, {equal} equal by SHA-256; all gone in {slowest:.1f} s",
        flush=True,
    )
    assert equal == runs


def when_met(root: Path) -> float:
    """When the processes have found each other; before that it is torchrun that stops the others."""
    while not (root / "5_train").exists():
        time.sleep(0.01)
    return time.monotonic()


def command_lines(count: int, processes: int, shard: bool, place: Path, dice: random.Random) -> None:
    tasks = {"xray_report": {}, "ct_report": {}, "outpatient_record": {}}
    recipe = {
        "name": "tiny",
        "curate": {"image": SPEC.model_dump(mode="json")},
        "mix": {"stages": {"base": tasks, "stage1": tasks}},
        "model": tiny_section().model_dump(mode="json"),
        "train": two_stages(shard=shard).model_dump(mode="json", exclude_defaults=True),
    }
    (place / "tiny.yaml").write_text(json.dumps(recipe))
    write_mix(place / "whole/tiny", ("base", "stage1"), count=36)
    start = time.monotonic()
    assert torchrun(place, "whole", processes).wait() == 0
    lasts = time.monotonic() - start
    wanted = content(place / "whole/tiny/5_train")
    killed = {"torchrun": 0, "one process": 0, "all processes": 0}
    slowest, equal = 0.0, 0
    for n in range(count):
        root = place / f"kill{n}/tiny"
        shutil.copytree(place / "whole/tiny", root, ignore=shutil.ignore_patterns("5_train", "log", "cache"))
        agent = torchrun(place, f"kill{n}", processes)
        time.sleep(dice.uniform(0.3, 0.95) * lasts)
        workers = children(agent.pid)
        kind = dice.choice(list(killed)) if len(workers) == processes else "torchrun"
        victims = {"torchrun": [agent.pid], "one process": workers[:1], "all processes": workers}[kind]
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                os.kill(victim, signal.SIGKILL)
        killed[kind] += 1
        at = time.monotonic()
        agent.wait(WATCHDOG_S)
        while any(Path(f"/proc/{w}").exists() for w in workers):
            assert time.monotonic() - at < WATCHDOG_S, "hung"
            time.sleep(0.05)
        slowest = max(slowest, time.monotonic() - at)
        assert torchrun(place, f"kill{n}", processes).wait() == 0
        equal += content(root / "5_train") == wanted
        shutil.rmtree(root)
    print(
        f"torchrun of {processes}, {'sharded' if shard else 'whole'}: {killed}, trainings of {lasts:.0f} s, "
        f"{equal} of {count} equal by SHA-256; everything gone after {slowest:.1f} s",
        flush=True,
    )
    assert equal == count


def torchrun(place: Path, runs: str, processes: int) -> subprocess.Popen:
    start = f"-m torch.distributed.run --nproc-per-node {processes} --master-port {free_port()}"
    return subprocess.Popen(
        [
            sys.executable,
            *start.split(),
            "-m",
            "p2med.cli",
            "train",
            str(place / "tiny.yaml"),
            "--runs",
            str(place / runs),
        ],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("how", choices=["forks", "torchrun"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--shard", action="store_true")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    kill = forks if args.how == "forks" else command_lines
    with tempfile.TemporaryDirectory() as name:
        kill(args.kills, args.processes, args.shard, Path(name), random.Random(args.seed))


if __name__ == "__main__":
    main()
