"""Write a checkpoint folder one tensor at a time, so that 8B pass through a machine with a few gigabytes.

The caller says first what will be written (names, types, shapes), so that sizes and shards are known before
the first tensor is made. Same layout as weights.write_shards: Hugging Face's, with an index above one shard.
"""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from p2med.errors import ModelError
from p2med.model.checkpoint import replace_folder, seal
from p2med.model.weights import INDEX, SHARD_BYTES, SINGLE

DTYPES = {
    "F64": torch.float64,
    "I64": torch.int64,
    "F32": torch.float32,
    "I32": torch.int32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
Plan = Mapping[str, tuple[str, tuple[int, ...]]]
"""name -> (safetensors' name of the type, shape)"""


def write_stream(
    folder: Path, plan: Plan, make: Callable[[str], Tensor], shard_bytes: int = SHARD_BYTES
) -> None:
    """Write every tensor of `plan`, in its order.

    Args:
      make: gives the tensor of a name; called once for each, in the plan's order.

    Raises:
      ModelError: a tensor is not what the plan says, or its type has no name in a safetensors file.
      OSError: the disk is full or refuses.
    """
    unknown = sorted(n for n, (dtype, _) in plan.items() if dtype not in DTYPES)
    if unknown:
        raise ModelError(
            f"tensor {unknown[0]} has the type {plan[unknown[0]][0]}; known are {', '.join(DTYPES)}"
        )
    shards = _shards(plan, shard_bytes)
    where: dict[str, str] = {}
    for n, names in enumerate(shards, 1):
        file = SINGLE[0] if len(shards) == 1 else f"model-{n:05d}-of-{len(shards):05d}.safetensors"
        _write(folder / file, {name: plan[name] for name in names}, make)
        where |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(map(_size, plan.values()))}, "weight_map": where}
        write_json(folder / INDEX[0], index)


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


def _write(path: Path, plan: Plan, make: Callable[[str], Tensor]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    # Wide types first keeps every tensor aligned to its own width, which a mapped file needs.
    order = sorted(plan, key=lambda name: -DTYPES[plan[name][0]].itemsize)
    end = 0
    for name in order:
        start, end = end, end + _size(plan[name])
        header[name] = {"dtype": plan[name][0], "shape": plan[name][1], "data_offsets": [start, end]}
    words = json.dumps(header, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)
    with open(path, "wb") as file:
        file.write(len(words).to_bytes(8, "little") + words)
        _write_tensors(file, order, plan, make)


def _write_tensors(file: BinaryIO, order: Sequence[str], plan: Plan, make: Callable[[str], Tensor]) -> None:
    for name in order:
        tensor = make(name).detach().cpu().contiguous()
        dtype, shape = plan[name]
        if tensor.dtype != DTYPES[dtype] or tuple(tensor.shape) != tuple(shape):
            raise ModelError(
                f"tensor {name} is {tensor.dtype} {list(tensor.shape)}, expected {dtype} {list(shape)}"
            )
        file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that is sealed and becomes `out` when the block ends, and is gone when it fails.

    Raises:
      ModelError: `out` is there already.
    """
    if out.exists():
        raise ModelError(f"{out} is there already; name another folder or remove it")
    temporary = out.with_name(f".{out.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        seal(temporary)
        replace_folder(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def copy_files(names: Iterable[str], source: Path, folder: Path) -> None:
    """Take small files over as they are."""
    for name in names:
        (folder / name).write_bytes((source / name).read_bytes())
