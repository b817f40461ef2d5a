"""Processes that learn together, started by torchrun: each takes a part of every step's conversations.

The step's conversations, their modality and their order are decided alike in every process (plan.py). All
exchanges happen at the end of the step, in the same order everywhere, whether a process saw images, text or
nothing at all: first who has which gradient, then the sums of those that anyone has. So there is no layout in
which one waits for what another never sends; with gradient hooks (DDP) there is, as soon as one rank has no
image (tests/train/test_ranks.py). With sharded weights (shard.py) every rank makes the same passes instead.
"""

import ctypes
import fcntl
import math
import os
import signal
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from p2med.errors import ModelError

BUCKET = 2**24
"""Numbers that are summed in one exchange: 64 MiB in float32."""
LOCK_PATIENCE_S = 20.0
"""How long the processes of a killed training may need to be gone."""


def world() -> tuple[int, int]:
    """(rank, how many ranks); (0, 1) without torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def join(device: torch.device, patience_s: float = 600.0) -> torch.device:
    """Meet the other processes, if torchrun started any, and return this one's device.

    Args:
      patience_s: how long a process waits for the others before it gives up.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        _die_with_torchrun()
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=patience_s))
    return device


def _die_with_torchrun() -> None:
    """A worker whose torchrun was killed would go on alone and write beside its successor."""
    if "TORCHELASTIC_RUN_ID" in os.environ and sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def leave() -> None:
    """Say goodbye to the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def first() -> bool:
    """True in the process that writes."""
    return world()[0] == 0


def wait() -> None:
    """Until every process is here."""
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def alone(folder: Path, patience_s: float = LOCK_PATIENCE_S) -> Iterator[None]:
    """Hold `folder`, so that no second training writes there; nothing is left behind, however this ends.

    Raises:
      ModelError: another training holds it and does not let go.
    """
    if not first():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + patience_s
        while not _locked(handle):
            if time.monotonic() > end:
                raise ModelError(f"another training writes to {folder}; wait for its end or stop it")
            time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network's file system that knows no locks on folders
        return True
    return True


@contextmanager
def one_line_when_another_stops() -> Iterator[None]:
    """What gloo and NCCL say when a process is gone, in words.

    Raises:
      ModelError: another process stopped.
    """
    try:
        yield
    except RuntimeError as error:
        words = str(error).lower()
        together = isinstance(error, dist.DistError) or "gloo" in words or "nccl" in words
        if not together or "RANK" not in os.environ:
            raise
        raise ModelError(
            f"process {os.environ['RANK']}: another process of this training stopped, or is silent; the same "
            "command continues"
        ) from None


# ---------------------------------------------------------------- a step


def share(things: Sequence) -> Sequence:
    """This rank's part of a step's conversations; maybe none."""
    rank, ranks = world()
    return things[rank::ranks]


def largest_share(count: int) -> int:
    """How many of a step's conversations the busiest rank has."""
    return math.ceil(count / world()[1])


def passes(chosen: Sequence, size: int, in_step: bool = False) -> list[tuple[Sequence, float]]:
    """This rank's passes of a step: the conversations of each, and what it counts.

    Args:
      size: conversations a pass.
      in_step: every rank makes as many passes, of the same modality; one without conversations repeats the
        step's first and counts nothing. Sharded weights need it: they are gathered from all ranks in each.
    """
    mine = share(chosen)
    found = [(mine[start : start + size], 1.0) for start in range(0, len(mine), size)]
    if in_step:
        most = math.ceil(largest_share(len(chosen)) / size)
        found += [(chosen[:1], 0.0)] * (most - len(found))
    return found


def add_up(
    parameters: Sequence[torch.nn.Parameter], total: float, micro: int | None
) -> tuple[float, int | None]:
    """Sum the gradients and the loss over the ranks; what no rank has a gradient of stays without one.

    Args:
      total: this rank's part of the loss.
      micro: how many conversations a pass this rank has memory for; None = all.

    Returns:
      The loss of the whole step, and the conversations a pass that every rank has memory for.
    """
    rank, ranks = world()
    if ranks == 1:
        return total, micro
    plain = [p for p in parameters if not isinstance(p, DTensor)]  # the others are summed by FSDP
    known = torch.zeros(len(plain) + 1 + ranks, dtype=torch.float64)
    known[: len(plain)] = torch.tensor([float(p.grad is not None) for p in plain])
    known[len(plain)] = total
    known[len(plain) + 1 + rank] = micro or 0
    known = known.to(parameters[0].device)
    dist.all_reduce(known)
    has, found, sizes = known[: len(plain)].tolist(), float(known[len(plain)]), known[-ranks:].tolist()
    _sum_all([p for p, n in zip(plain, has, strict=True) if n])
    return found, min((int(s) for s in sizes if s), default=None)


def _sum_all(parameters: Sequence[torch.nn.Parameter]) -> None:
    bucket: list[torch.nn.Parameter] = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if bucket and sum(p.numel() for p in bucket) + parameter.numel() > BUCKET:
            _sum(bucket)
            bucket = []
        bucket.append(parameter)
    if bucket:
        _sum(bucket)


def _sum(parameters: list[torch.nn.Parameter]) -> None:
    gradients = [p.grad for p in parameters]
    exact = torch.promote_types(gradients[0].dtype, torch.float32)
    flat = torch.cat([g.flatten().to(exact) for g in gradients])
    dist.all_reduce(flat)
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def clip(parameters: Sequence[torch.nn.Parameter], at_most: float) -> float:
    """Scale the gradients down to a norm of at most this; their norm before."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, at_most)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def same_everywhere(value: int | bytes, what: str, folder: Path) -> None:
    """Stop all together when a process sees another state than the first.

    Raises:
      ModelError: the ranks do not read the same folder.
    """
    if world()[1] == 1:
        return
    found: list[Tensor] = [torch.zeros(1, dtype=torch.int64) for _ in range(world()[1])]
    mine = torch.tensor([zlib.crc32(value) if isinstance(value, bytes) else value])
    if dist.get_backend() == "nccl":
        found, mine = [f.cuda() for f in found], mine.cuda()
    dist.all_gather(found, mine)
    if len({int(f) for f in found}) > 1:
        raise ModelError(f"the processes disagree on {what}: do all of them see the same {folder}?")
