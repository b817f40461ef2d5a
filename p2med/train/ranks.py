"""Processes that learn together, started by torchrun: each takes a part of every step's conversations.

The step's conversations, their modality and their order are decided alike in every process (plan.py), and the
only exchange is one sum of all gradients at the end of the step, in the same order everywhere, whether a
process saw images, text or nothing at all. So there is no layout in which one waits for what another never
sends; with gradient hooks (DDP) there is, as soon as one rank has no image (tests/train/test_ranks.py).
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from p2med.errors import ModelError

BUCKET = 2**24
"""Numbers that are summed in one exchange: 64 MiB in float32."""


def world() -> tuple[int, int]:
    """(rank, how many ranks); (0, 1) without torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def join(device: torch.device, patience_s: float = 600.0) -> torch.device:
    """Meet the other processes, if torchrun started any, and return this one's device.

    Args:
      patience_s: how long a process waits for the others before it gives up.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=patience_s))
    return device


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


def share(things: Sequence) -> Sequence:
    """This rank's part of a step's conversations; maybe none."""
    rank, ranks = world()
    return things[rank::ranks]


def add_up(parameters: Sequence[torch.nn.Parameter], total: float) -> float:
    """Sum every gradient, and the loss, over the ranks; a parameter without one counts as zero.

    Returns:
      The loss of the whole step.
    """
    if world()[1] == 1:
        return total
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
    value = torch.tensor([total], dtype=torch.float64, device=parameters[0].device)
    dist.all_reduce(value)
    return float(value)


def _sum(parameters: list[torch.nn.Parameter]) -> None:
    gradients = [p.grad for p in parameters]
    exact = torch.promote_types(gradients[0].dtype, torch.float32)
    flat = torch.cat([g.flatten().to(exact) for g in gradients])
    dist.all_reduce(flat)
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def same_everywhere(value: int, what: str, folder: Path) -> None:
    """Stop all together when a process sees another state than the first.

    Raises:
      ModelError: the ranks do not read the same folder.
    """
    if world()[1] == 1:
        return
    found: list[Tensor] = [torch.zeros(1, dtype=torch.int64) for _ in range(world()[1])]
    mine = torch.tensor([value])
    if dist.get_backend() == "nccl":
        found, mine = [f.cuda() for f in found], mine.cuda()
    dist.all_gather(found, mine)
    if len({int(f) for f in found}) > 1:
        raise ModelError(f"the processes disagree on {what}: do all of them see the same {folder}?")
