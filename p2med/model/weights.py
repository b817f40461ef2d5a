"""Tensors of a Hugging Face folder, read lazily and strictly: every tensor fits, and none is left over.

model.safetensors | model-0000n-of-0000N.safetensors + index | pytorch_model*.bin, read without running code

A folder that lacks one tensor of hundreds loads "with a warning" elsewhere, and the layer stays random; a
report writer with a random layer still writes fluent reports. Here it is refused by the tensor's name.
"""

import json
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from p2med.errors import ModelError
from p2med.model.tensor_file import SHARD_BYTES, plan_of, write_file, write_folder

SINGLE = ("model.safetensors", "pytorch_model.bin", "eva_vit_g.pth")
INDEX = tuple(f"{name}.index.json" for name in SINGLE)
ANY_ROTARY = re.compile(r"(.*\.)?rotary_emb\.inv_freq")
"""Old LLaMA files store the rotary angles, which follow from the configuration."""


class TensorFiles(Mapping[str, Tensor]):
    """The tensors of a folder by name, memory-mapped: only what is asked for is read.

    Raises:
      ModelError: no weights in the folder, a file is damaged, or the index names a tensor that is not there.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        self._read: dict[str, Callable[[], Tensor]] = {}
        for path in self._files():
            if path.suffix in (".bin", ".pth"):
                self._open_bin(path)
            else:
                self._open_safetensors(path)
        self._check_index()

    def __getitem__(self, name: str) -> Tensor:
        return self._read[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)

    def _files(self) -> list[Path]:
        for single, index in zip(SINGLE, INDEX, strict=True):
            if (self.folder / single).exists():
                return [self.folder / single]
            if (self.folder / index).exists():
                return [self.folder / name for name in sorted(set(self._map(index).values()))]
        raise ModelError(f"{self.folder} has none of {', '.join(SINGLE + INDEX)}; name a folder with weights")

    def _map(self, index: str) -> dict[str, str]:
        try:
            found = json.loads((self.folder / index).read_bytes())["weight_map"]
            return {str(k): Path(str(v)).name for k, v in found.items()}
        except (OSError, ValueError, KeyError, AttributeError):
            raise ModelError(f"{self.folder / index} is no index of weights; fetch it again") from None

    def _check_index(self) -> None:
        for index in INDEX:
            if (self.folder / index).exists():
                for name, file in self._map(index).items():
                    if name not in self._read:
                        raise ModelError(f"{self.folder / file} lacks the tensor {name} that {index} names")

    def _add(self, name: str, shape: tuple[int, ...], dtype: str, read: Callable[[], Tensor]) -> None:
        if name in self._read:
            raise ModelError(f"{self.folder}: the tensor {name} is in two files; which one is meant?")
        self.shapes[name], self.dtypes[name], self._read[name] = shape, dtype, read

    def _open_safetensors(self, path: Path) -> None:
        try:
            file = safe_open(path, "pt")
            for name in file.keys():
                part = file.get_slice(name)
                self._add(
                    name, tuple(part.get_shape()), str(part.get_dtype()), lambda n=name: file.get_tensor(n)
                )
        except (SafetensorError, OSError):
            raise ModelError(f"{path} is missing, cut short or no safetensors file; fetch it again") from None

    def _open_bin(self, path: Path) -> None:
        try:
            try:
                found = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
            except RuntimeError:  # files of before torch 1.6 cannot be mapped
                found = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            raise ModelError(f"{path} holds more than tensors and is not opened: it could run code") from None
        except (OSError, RuntimeError, ValueError, EOFError):
            raise ModelError(f"{path} is missing, cut short or not of torch.save; fetch it again") from None
        found = found.get("model", found) if isinstance(found, dict) else {}
        for name, tensor in found.items():
            self._add(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), lambda t=tensor: t)


def compare(
    module: nn.Module,
    shapes: Mapping[str, tuple[int, ...]],
    source: Path,
    left_out: re.Pattern[str] = ANY_ROTARY,
) -> list[str]:
    """The names that `module` takes from a source with these shapes; a tied output layer is none.

    Raises:
      ModelError: names the first tensor that is missing, too many or of another shape.
    """
    held = module.state_dict(keep_vars=True)
    first = {id(tensor): name for name, tensor in reversed(held.items())}
    wanted = {name: tuple(tensor.shape) for name, tensor in held.items() if first[id(tensor)] == name}
    names = {n for n in shapes if not left_out.fullmatch(n) and (n in wanted or n not in held)}
    missing, unknown = sorted(wanted.keys() - names), sorted(names - wanted.keys())
    if missing:
        raise ModelError(f"{source} lacks the tensor {missing[0]} (and {len(missing) - 1} more)")
    if unknown:
        raise ModelError(f"{source} has a tensor that this model lacks: {unknown[0]} (of {len(unknown)})")
    for name, shape in wanted.items():
        if shapes[name] != shape:
            raise ModelError(f"{source}: tensor {name} is {shapes[name]}, this model needs {shape}")
    return list(wanted)


def fill(
    module: nn.Module,
    found: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    source: Path,
    dtype: torch.dtype | None,
    left_out: re.Pattern[str] = ANY_ROTARY,
) -> None:
    """Give every parameter and saved buffer of `module` (on `meta` or not) its tensor, cast to `dtype`.

    Args:
      dtype: None leaves each as it is.
      shapes: of every tensor of the source, under the module's names.
      left_out: names in the source that this module does not want.

    Raises:
      ModelError: names the first tensor that is missing, too many or of another shape.
    """
    wanted = compare(module, shapes, source, left_out)
    tensors = {name: found[name] for name in wanted}
    module.load_state_dict(
        {n: t.to(dtype) if dtype and t.is_floating_point() else t for n, t in tensors.items()},
        strict=False,
        assign=True,
    )
    if isinstance(module, PreTrainedModel):
        module.tie_weights()


def fill_buffers(model: nn.Module) -> None:
    """Give a model that was made on `meta` what follows from its configuration: rotary angles and positions.

    Raises:
      ModelError: a buffer that is neither.
    """
    for owner in [m for m in model.modules() if isinstance(m, PreTrainedModel)]:
        for name, module in list(owner.named_children()):
            if name == "rotary_emb":
                setattr(owner, name, type(module)(config=owner.config))
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta and name == "position_ids":
                module.register_buffer(name, torch.arange(buffer.shape[-1])[None], persistent=False)
            elif buffer.is_meta:
                raise ModelError(f"{type(module).__name__} has a buffer that no weights fill: {name}")


def write_shards(tensors: Mapping[str, Tensor], folder: Path | None, shard_bytes: int = SHARD_BYTES) -> None:
    """The folder's weights, wherever they lie; see write_folder.

    Args:
      folder: None takes part in the gathering of what is spread over processes, and writes nothing.
    """
    write_folder(folder, plan_of(tensors), lambda name: whole(tensors[name]), shard_bytes)


def write_tensors(tensors: Mapping[str, Tensor], path: Path | None) -> None:
    """The same as one file."""
    write_file(path, plan_of(tensors), lambda name: whole(tensors[name]))


def whole(tensor: Tensor) -> Tensor:
    """The tensor in the host's memory, contiguous; one that is spread over processes is gathered by all."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu().contiguous()
