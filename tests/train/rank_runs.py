"""The verb `train` on several forked processes, as torchrun would start it, with faults planted in some."""

import contextlib
import hashlib
import io
import os
import resource
import signal
import socket
from pathlib import Path

import torch
from rank_layouts import in_processes
from tiny_training import SPEC, tiny_section, two_stages

from p2med.errors import P2MedError
from p2med.train import ranks
from p2med.train.config import TrainConfig
from p2med.train.loop import Loop
from p2med.train.objectives import sft
from p2med.train.run import run

PATIENCE_S = 120


def content(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


LEAN = {"dtype": "bfloat16", "frozen_dtype": "bfloat16", "gradient_checkpointing": True}


def stages(shard: bool, both: bool, lean: bool) -> TrainConfig:
    """Nothing in a step is random, so that it does not matter how many processes there are."""
    config = two_stages(shard=shard, **(LEAN if lean else {}))
    first, second = config.stages
    first = first.model_copy(update={"augment": False, "objective": "sft", "steps": 6})
    return config.model_copy(update={"stages": (first, second) if both else (first,)})


def tiny_run(root: Path, shard: bool = False, both: bool = False, lean: bool = False) -> None:
    section = tiny_section()
    adapter = section.adapter.model_copy(update={"dropout": 0.0})
    with contextlib.redirect_stderr(io.StringIO()):
        run(stages(shard, both, lean), section.model_copy(update={"adapter": adapter}), SPEC, root)


def one_process(
    rank: int, count: int, root: Path, port: int, shard, both, lean, kill, loss, disk_bytes, answers
) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    if loss:
        sft.loss = loss
    if rank in kill:
        _die_in_step(*kill[rank])
    if disk_bytes and rank == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (disk_bytes, resource.RLIM_INFINITY))
    try:
        tiny_run(root, shard, both, lean)
    except (P2MedError, OSError):  # what the command line turns into one line and this exit code
        os._exit(2)
    ranks.leave()
    answers.put(True)


def _die_in_step(step: int, number: int) -> None:
    calls = {"n": 0}
    micro = Loop._micro

    def dying(self, *arguments):
        calls["n"] += 1
        if calls["n"] > step:
            os.kill(os.getpid(), number)
        return micro(self, *arguments)

    Loop._micro = dying


def run_in_processes(
    count: int, root: Path, shard=False, both=False, lean=False, kill=None, loss=None, disk_bytes=None
) -> list[int | None]:
    """Exit codes; `kill`: of these ranks, after how many passes, with which signal."""
    codes, _ = in_processes(
        count, PATIENCE_S, one_process,
        root=root, port=free_port(), shard=shard, both=both, lean=lean,
        kill=kill or {}, loss=loss, disk_bytes=disk_bytes,
    )  # fmt: skip
    return codes


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
