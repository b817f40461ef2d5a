"""Several processes: random layouts of a step, and the memory of sharded weights.

    python bench/train_ranks.py layouts [--count 1000]     # over 1 to 4 processes, weights whole and sharded
    python bench/train_ranks.py memory [--mib 512]         # peak memory a process, 1 to 4 processes

Layouts: tests/train/rank_layouts.py; each step's gradients against one process, a watchdog of 30 s on every
exchange, and the naive versions that do not get through. Memory: a checkpoint of that size goes on with
stage 2 (adapter and connector learn), sharded; what each process held at most. Figures: bench/train.md.
"""

import argparse
import ctypes
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests/train")]

import rank_layouts  # noqa: E402
from rank_runs import free_port  # noqa: E402
from tiny_training import SPEC, tiny_section, two_stages, write_mix  # noqa: E402

from p2med.model.config import LlmConfig, ModelSection  # noqa: E402
from p2med.train.config import TrainConfig  # noqa: E402
from p2med.train.run import run  # noqa: E402

M_MMAP_THRESHOLD = -3  # malloc.h


def layouts(count: int, place: Path) -> None:
    each = -(-count // 16)
    for kind in ("whole", "sharded"):
        for dtype in (torch.float64, torch.float32):
            worst = slowest = done = hung = 0
            for n, ranks in enumerate([1, 2, 3, 4] * len(rank_layouts.LEARN)):
                learn = rank_layouts.LEARN[n // 4]
                codes, difference, seconds = rank_layouts.start(
                    ranks, place / f"{kind}{dtype}{n}", kind, 2 * each, n, learn, dtype, patience_s=3000
                )
                done += 2 * each
                hung += codes != [0] * ranks
                worst, slowest = max(worst, difference), max(slowest, seconds)
            print(
                f"{kind}, {dtype}: {done} layouts on 1 to 4 processes, {hung} of 8 groups hung or fell, "
                f"gradients within {worst:.1e} of one process, slowest step {slowest:.1f} s",
                flush=True,
            )
    for kind in ("naive", "naive sharded"):
        start = time.monotonic()
        codes, *_ = rank_layouts.start(2, place / kind, kind, each, patience_s=60)
        assert codes != [0, 0]
        print(f"{kind}: does not get through, over after {time.monotonic() - start:.0f} s", flush=True)


def big(mib: int, shard: bool) -> tuple[ModelSection, TrainConfig]:
    """A language model of about `mib` MiB in float32; a stage that makes it, and one that is measured."""
    width = 512
    llm = LlmConfig(
        hidden_size=width, intermediate_size=1408, num_hidden_layers=max(2, round(mib * 2**20 / 4 / 3.21e6)),
        num_attention_heads=8, max_position_embeddings=256,
    )  # fmt: skip
    base, after = two_stages().stages
    base = base.model_copy(update={"learn": ("connector",), "objective": "sft", "steps": 1, "augment": False})
    after = after.model_copy(update={"steps": 3, "save_every": 2, "batch_size": 4})
    return tiny_section().model_copy(update={"llm": llm}), TrainConfig(
        stages=(base, after), threads=1, device="cpu", shard=shard
    )


def one_rank(
    rank: int, count: int, root: Path, mib: int, shard: bool, stage: str, port: int, answers
) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    # Layers that come and go leave glibc's heap in pieces, up to twice the model; larger blocks stay out.
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**16)
    section, config = big(mib, shard)
    start, most, over = held(), [0.0, 0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            for n, (now, then) in enumerate(zip(held(), start, strict=True)):
                most[n] = max(most[n], now - then)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    run(config, section, SPEC, root, stage=stage)
    over.set()
    watcher.join()
    answers.put((rank, *most))


def held() -> tuple[float, float]:
    """MiB resident, and the part of it that is the process's own (not pages of files)."""
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    page = os.sysconf("SC_PAGE_SIZE") / 2**20
    return resident * page, (resident - shared) * page


def memory(mib: int, place: Path) -> None:
    write_mix(place / "made", ("base", "stage1"), count=36)
    make = {"root": place / "made", "mib": mib, "shard": False, "stage": "base", "port": free_port()}
    codes, _ = rank_layouts.in_processes(1, 600, one_rank, **make)
    assert codes == [0]
    size = (place / "made/5_train/base/model.safetensors").stat().st_size / 2**20
    for shard in (False, True):
        for count in (2, 3, 4) if shard else (1, 2):
            root = place / f"{shard}{count}"
            shutil.copytree(place / "made", root)
            work = {**make, "root": root, "shard": shard, "stage": "stage1", "port": free_port()}
            codes, found = rank_layouts.in_processes(count, 900, one_rank, **work)
            assert codes == [0] * count, codes
            own = ", ".join(f"{o:.0f} ({r:.0f})" for _, r, o in sorted(found))
            name = "sharded" if shard else "whole"
            print(f"{size:.0f} MiB, {name}, {count} processes: {own} MiB each, own (resident)", flush=True)
            shutil.rmtree(root)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["layouts", "memory"])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--mib", type=int, default=512)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if args.what == "layouts":
            layouts(args.count, Path(name))
        else:
            memory(args.mib, Path(name))


if __name__ == "__main__":
    main()
