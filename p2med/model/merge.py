"""LoRA folded into the weights it belongs to: W' = W + (alpha / rank) B A (P2Med eq. 1-2), in float32.

language_model.model.layers.0.self_attn.q_proj.base_layer.weight      [out, in]
                                              .lora_A.default.weight  [rank, in]
                                              .lora_B.default.weight  [out, rank]
->  language_model.model.layers.0.self_attn.q_proj.weight
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from p2med.errors import ModelError
from p2med.model.build import P2MedForConditionalGeneration
from p2med.model.checkpoint import DIGESTS, check_seal, resolve_checkpoint
from p2med.model.new_folder import copy_files, new_folder, write_json
from p2med.model.outside import EXPORT
from p2med.model.shape import P2MedConfig, plugin
from p2med.model.tensor_file import DTYPES as TORCH
from p2med.model.tensor_file import SHARD_BYTES, write_folder
from p2med.model.weights import TensorFiles, compare

BASE, LOW, HIGH = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"
DTYPES = {"float32": "F32", "bfloat16": "BF16"}
LLM = "language_model."
KEPT = ("image_spec.json", "processor_config.json", "tokenizer.model")
"""What a checkpoint says beside its weights, its shape and its history."""


class Merged(Mapping[str, Tensor]):
    """A checkpoint's tensors as if they had been trained without LoRA; each is computed when asked for.

    Args:
      scale: alpha / rank; None: the checkpoint has no adapter.
      dtype: of the language model's tensors, a safetensors name; None leaves each as it is stored.
    """

    def __init__(self, files: TensorFiles, scale: float | None, dtype: str | None = None):
        self._files, self._scale = files, scale
        names = [n for n in files if not n.endswith((LOW, HIGH))]
        self._source = {n.replace(BASE, "."): n for n in names}
        self.plan = {n: (self._dtype(n, dtype), files.shapes[s]) for n, s in self._source.items()}
        self.shapes = {n: shape for n, (_, shape) in self.plan.items()}
        self.with_adapter = sum(n.endswith(LOW) for n in files)

    def _dtype(self, name: str, wanted: str | None) -> str:
        stored = self._files.dtypes[self._source[name]]
        return wanted if wanted and name.startswith(LLM) and stored in DTYPES.values() else stored

    def __getitem__(self, name: str) -> Tensor:
        source = self._source[name]
        tensor = self._files[source]
        owner = source.removesuffix(BASE + "weight")
        if owner != source:
            assert self._scale is not None
            low, high = self._files[owner + LOW].float(), self._files[owner + HIGH].float()
            tensor = tensor.float() + (high @ low) * self._scale
        return tensor.to(TORCH[self.plan[name][0]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)


def open_merged(folder: Path, dtype: str | None = None) -> tuple[dict[str, Any], Merged]:
    """A checkpoint's config.json and its tensors, LoRA folded in; nothing large is read yet.

    Raises:
      ModelError: no checkpoint, a changed file, or a tensor that does not fit, by its name.
    """
    check_seal(folder)
    try:
        values = json.loads((folder / "config.json").read_bytes())
        config = P2MedConfig.from_pretrained(folder)
    except (OSError, ValueError):
        raise ModelError(f"{folder} has no readable config.json; name a checkpoint") from None
    with torch.device("meta"):
        model = P2MedForConditionalGeneration(config)
    files = TensorFiles(folder)
    compare(model, files.shapes, folder)
    return values, Merged(files, adapter_scale(config.adapter), dtype)


def adapter_scale(adapter: dict[str, Any] | None) -> float | None:
    """alpha / rank.

    Raises:
      ModelError: an adapter of another kind than LoRA.
    """
    if adapter is None:
        return None
    if adapter["kind"] != "lora":
        raise ModelError(f"the adapter is of kind {adapter['kind']}; only lora can be folded into weights")
    _, options = plugin("adapter", adapter)
    return float(options.alpha / options.rank)  # type: ignore[attr-defined]


def merge(checkpoint: Path, out: Path, dtype: str | None = None, shard_bytes: int = SHARD_BYTES) -> int:
    """Write a checkpoint whose LoRA is folded into the language model's layers.

    Args:
      dtype: float32 or bfloat16 for the language model's tensors; None: each stays of its type.

    Returns:
      How many weights had LoRA.

    Raises:
      ModelError: `checkpoint` has no LoRA or is none; `out` is there already.
    """
    folder = resolve_checkpoint(checkpoint)
    refuse_exported(folder)
    values, tensors = open_merged(folder, DTYPES[dtype] if dtype else None)
    stage = json.loads((folder / "stage.json").read_bytes())
    if values.get("adapter") is None:
        known = "it is merged already" if "merged" in stage else "it was trained without"
        raise ModelError(f"{folder} has no LoRA to merge: {known}")
    made = {"adapter": values["adapter"], "dtype": dtype or "as stored", "of": digest_of(folder)}
    with new_folder(out) as temporary:
        write_folder(temporary, tensors.plan, tensors.__getitem__, shard_bytes)
        copy_files(KEPT, folder, temporary)
        write_json(temporary / "config.json", values | {"adapter": None})
        write_json(temporary / "stage.json", stage | {"merged": made})
    return tensors.with_adapter


def refuse_exported(folder: Path) -> None:
    """Raise ModelError for a folder that `p2med export` wrote: its weights are an engine's."""
    if (folder / EXPORT).exists():
        raise ModelError(f"{folder} is exported for an engine; take the checkpoint that it was made of")


def digest_of(folder: Path) -> str:
    """sha256 of the checkpoint's digests.json: says which checkpoint, by its content."""
    return hashlib.sha256((folder / DIGESTS).read_bytes()).hexdigest()
