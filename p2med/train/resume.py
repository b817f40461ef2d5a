"""Where a training was: weights that learn, optimizer, step, losses; no pickle, complete or absent.

    .<stage>.steps/step-000200/   state.safetensors  state.json  digests.json (last)
                       memory-<rank>.json   conversations a pass that memory allowed (sharded weights alone)
The last two are kept; a damaged newest one is passed over for the one before it.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.distributed.tensor import DTensor

from p2med.errors import ModelError
from p2med.model.checkpoint import check_seal, replace_folder, seal
from p2med.model.weights import write_tensors
from p2med.progress import say
from p2med.store import write_json
from p2med.train import ranks
from p2med.train.shard import local, span

KEEP = 2


@dataclass
class Progress:
    """`step`: how many are done. `losses`: one line a step, part of the finished stage.

    `skipped` steps were not finite, `broken` of them in a row until now; `restored`: how often weights were
    taken back from a checkpoint; `micro`: conversations a pass that memory allowed, None = all.
    """

    step: int = 0
    skipped: int = 0
    broken: int = 0
    restored: int = 0
    micro: int | None = None
    losses: list[dict[str, Any]] = field(default_factory=list)


def save_progress(
    folder: Path,
    identity: dict[str, Any],
    learning: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    statistics: dict[str, Tensor],
) -> None:
    """Write one checkpoint, the same file whether the weights are spread over processes or not.

    Every process calls it, the first writes. `statistics` are buffers that training changes (batch
    normalisation's).
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in learning.items():
        tensors[f"weight.{name}"] = parameter
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = value
    for name, value in statistics.items():
        tensors[f"statistic.{name}"] = value
    if not ranks.first():
        write_tensors(tensors, None)
        return
    place = folder / f"step-{progress.step:08d}"
    temporary = folder / f".{place.name}.writing"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_tensors(tensors, temporary / "state.safetensors")
    write_json(temporary / "state.json", {"identity": identity, **asdict(progress)})
    seal(temporary)
    replace_folder(temporary, place)
    for old in sorted(folder.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old)


def load_progress(
    folder: Path,
    identity: dict[str, Any],
    learning: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    statistics: dict[str, Tensor],
) -> Progress:
    """Continue from the newest whole checkpoint of the same training; a fresh start if there is none."""
    for place in sorted(folder.glob("step-*"), reverse=True):
        try:
            check_seal(place)
            state = json.loads((place / "state.json").read_bytes())
        except (ModelError, OSError, ValueError):
            say(f"train: {place.name} is damaged, trying the one before it")
            continue
        if state["identity"] != identity:
            ranks.wait()  # until all have read it
            if ranks.first():
                shutil.rmtree(folder)
            break
        with safe_open(place / "state.safetensors", "pt") as tensors:
            _restore(tensors, learning, optimizer)
            for name, value in statistics.items():
                value.copy_(tensors.get_tensor(f"statistic.{name}"))
        return _remembered(folder, identity, Progress(**{k: v for k, v in state.items() if k != "identity"}))
    return _remembered(folder, identity, Progress())


def remember_memory(folder: Path, identity: dict[str, Any], micro: int) -> None:
    """Note for the next start how many conversations a pass to try."""
    write_json(folder / f"memory-{ranks.world()[0]}.json", {"identity": identity, "micro": micro})


def _remembered(folder: Path, identity: dict[str, Any], progress: Progress) -> Progress:
    found = [json.loads(path.read_bytes()) for path in folder.glob("memory-*.json")]
    sizes = [f["micro"] for f in found if f["identity"] == identity]
    progress.micro = min([*sizes, *([progress.micro] if progress.micro else [])], default=None)
    return progress


def _restore(
    tensors: safe_open, learning: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Each process reads what it holds."""
    kept = set(tensors.keys())
    for name, parameter in learning.items():
        _read(tensors, f"weight.{name}", parameter)
        if f"step.{name}" not in kept:
            optimizer.state.pop(parameter, None)
            continue
        moments = {"step": tensors.get_tensor(f"step.{name}").to(parameter.device)}
        for key in ("exp_avg", "exp_avg_sq"):
            moments[key] = torch.zeros_like(parameter)
            _read(tensors, f"{key}.{name}", moments[key])
        optimizer.state[parameter] = moments


def _read(tensors: safe_open, name: str, into: Tensor) -> None:
    rows = tensors.get_slice(name)[span(into)] if isinstance(into, DTensor) else tensors.get_tensor(name)
    local(into).copy_(rows)
