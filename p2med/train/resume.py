"""Where a training was: weights that learn, optimizer, step, losses; no pickle, complete or absent.

    .<stage>.steps/step-000200/   state.safetensors  state.json  digests.json (last)
The last two are kept; a damaged newest one is passed over for the one before it.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from p2med.errors import ModelError
from p2med.model.checkpoint import check_seal, replace_folder, seal
from p2med.model.weights import write_tensors
from p2med.progress import say
from p2med.store import write_json

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
    """Write one checkpoint; `statistics` are buffers that training changes (batch normalisation's)."""
    place = folder / f"step-{progress.step:08d}"
    temporary = folder / f".{place.name}.writing"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    tensors: dict[str, Tensor] = {}
    for name, parameter in learning.items():
        tensors[f"weight.{name}"] = parameter.detach().contiguous().cpu()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}.{name}"] = value.detach().contiguous().cpu()
    for name, value in statistics.items():
        tensors[f"statistic.{name}"] = value.detach().contiguous().cpu()
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
            shutil.rmtree(folder)
            break
        tensors = load_file(place / "state.safetensors")
        _restore(tensors, learning, optimizer)
        for name, value in statistics.items():
            value.copy_(tensors[f"statistic.{name}"])
        return Progress(**{k: v for k, v in state.items() if k != "identity"})
    return Progress()


def _restore(
    tensors: dict[str, Tensor], learning: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    for name, parameter in learning.items():
        parameter.data.copy_(tensors[f"weight.{name}"])
        moments = {
            key: tensors[f"{key}.{name}"].to(parameter.device)
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"{key}.{name}" in tensors
        }
        if moments:
            optimizer.state[parameter] = moments
