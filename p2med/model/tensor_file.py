"""safetensors files written one tensor at a time, so that 8B pass through a machine with a few gigabytes.

The plan says first what will be written (names, types, shapes), so that sizes and shards are known before the
first tensor is made. Not safetensors' own function: that wants all tensors at once, and one whose slices lie
in several processes must be gathered by all of them together, in the same order.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from p2med.errors import ModelError

DTYPES = {
    "F64": torch.float64,
    "I64": torch.int64,
    "F32": torch.float32,
    "I32": torch.int32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
Plan = Mapping[str, tuple[str, tuple[int, ...]]]
"""name -> (safetensors' name of the type, shape)"""
Make = Callable[[str], Tensor]
"""Gives the tensor of a name, on the CPU and contiguous; called once for each, in the order of the files."""
MODEL = "model.safetensors"
MODEL_INDEX = f"{MODEL}.index.json"
SHARD_BYTES = 4 * 2**30


def plan_of(tensors: Mapping[str, Tensor]) -> Plan:
    return {name: (NAMES[t.dtype], tuple(t.shape)) for name, t in tensors.items()}


def write_folder(folder: Path | None, plan: Plan, make: Make, shard_bytes: int = SHARD_BYTES) -> None:
    """model.safetensors, or shards of at most `shard_bytes` with an index, as Hugging Face writes them.

    Args:
      folder: None makes every tensor in the same order and writes nothing.

    Raises:
      ModelError: a tensor is not what the plan says, its type has no name in a safetensors file, or the disk
        is full or refuses.
    """
    unknown = sorted(n for n, (dtype, _) in plan.items() if dtype not in DTYPES)
    if unknown:
        raise ModelError(
            f"tensor {unknown[0]} has the type {plan[unknown[0]][0]}; known are {', '.join(DTYPES)}"
        )
    shards = _shards(plan, shard_bytes)
    where: dict[str, str] = {}
    for n, names in enumerate(shards, 1):
        file = MODEL if len(shards) == 1 else f"model-{n:05d}-of-{len(shards):05d}.safetensors"
        write_file(folder / file if folder else None, {name: plan[name] for name in names}, make)
        where |= dict.fromkeys(names, file)
    if folder and len(shards) > 1:
        index = {"metadata": {"total_size": sum(map(_size, plan.values()))}, "weight_map": where}
        words = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (folder / MODEL_INDEX).write_text(words, encoding="utf-8")


def write_file(path: Path | None, plan: Plan, make: Make) -> None:
    """One file; arguments and errors as of write_folder."""
    # Wide types first keeps every tensor aligned to its own width, which a mapped file needs.
    order = sorted(plan, key=lambda name: (-DTYPES[plan[name][0]].itemsize, name))
    if path is None:
        for name in order:
            make(name)
        return
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        start, end = end, end + _size(plan[name])
        header[name] = {"dtype": plan[name][0], "shape": plan[name][1], "data_offsets": [start, end]}
    words = json.dumps(header, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)
    try:
        with open(path, "wb") as file:
            file.write(len(words).to_bytes(8, "little") + words)
            for name in order:
                _write(file, name, plan[name], make(name))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ModelError(f"{path} cannot be written ({why}); free some space and run it again") from None


def _write(file: BinaryIO, name: str, entry: tuple[str, tuple[int, ...]], tensor: Tensor) -> None:
    dtype, shape = entry
    if tensor.dtype != DTYPES[dtype] or tuple(tensor.shape) != tuple(shape):
        raise ModelError(
            f"tensor {name} is {tensor.dtype} {list(tensor.shape)}, expected {dtype} {list(shape)}"
        )
    file.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _shards(plan: Plan, shard_bytes: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    used = 0
    for name, entry in plan.items():
        if shards[-1] and used + _size(entry) > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += _size(entry)
    return shards


def _size(entry: tuple[str, tuple[int, ...]]) -> int:
    return DTYPES[entry[0]].itemsize * math.prod(entry[1])
