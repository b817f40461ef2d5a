"""Vision towers in Hugging Face folders: alone, or a part of a two-tower model."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from p2med.errors import ModelError
from p2med.model.weights import TensorFiles, fill

TOWER = "vision_model."


class _WithoutPrefix(Mapping[str, Tensor]):
    """`vision_model.x` as `x`; the other tower's names as they are."""

    def __init__(self, files: TensorFiles):
        self._files = files
        self._of = {name.removeprefix(TOWER): name for name in files}
        self.shapes = {name: files.shapes[source] for name, source in self._of.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self._files[self._of[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)


def vision_shape(folder: Path, options: type[BaseModel], whole: str, tower: str) -> dict[str, Any]:
    """Values for `options` from config.json: at its top, or under vision_config in a two-tower model.

    Raises:
      ModelError: the folder is of another kind.
    """
    try:
        values = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        raise ModelError(f"{folder}: no readable config.json there; name a Hugging Face folder") from None
    kind = values.get("model_type")
    if kind not in (whole, tower):
        raise ModelError(f"{folder} is a model of type {kind}, not {whole} or {tower}")
    values = values.get("vision_config", values)
    return {k: values[k] for k in options.model_fields if k != "select_layer" and k in values}


def part_of_folder(tower: nn.Module, folder: Path, unused: re.Pattern[str], dtype: torch.dtype) -> None:
    """Fill `tower` strictly; `unused` are the names of what belongs to the other tower.

    Raises:
      ModelError: names the first tensor that does not fit; for another image size, what to set.
    """
    found = _WithoutPrefix(TensorFiles(folder))
    have = found.shapes.get("embeddings.position_embedding.weight")
    want = tower.state_dict()["embeddings.position_embedding.weight"].shape
    if have and have != tuple(want):
        size = json.loads((folder / "config.json").read_bytes())
        size = size.get("vision_config", size).get("image_size", "another")
        raise ModelError(f"{folder} was made for {size} px images; set curate.image.size to {size}")
    fill(tower, found, found.shapes, folder, dtype, left_out=unused)
