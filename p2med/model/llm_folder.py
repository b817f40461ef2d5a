"""A pretrained language model's folder: its shape, its tensors under transformers' names, its tokenizer.

llama   LLaMA-2, Chinese-LLaMA-2      qwen2   Qwen 2 and 2.5      qwen3   Qwen 3
baichuan   Baichuan 2 with 7B's rotary positions, read as the LLaMA that it is: W_pack is q, k and v
           one under the other, and its output layer is normalised row by row (NormHead)
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PretrainedConfig, PreTrainedModel

from p2med.errors import ModelError
from p2med.model import packed
from p2med.model.weights import TensorFiles, fill, fill_buffers

FAMILIES = ("baichuan", "llama", "qwen2", "qwen3")
TOKENIZERS = ("tokenizer.model", "tokenizer.json")
_PACK = re.compile(r"(model\.layers\.\d+\.self_attn\.)W_pack\.weight")


def read_shape(folder: Path) -> PretrainedConfig:
    """The configuration of a folder; Baichuan's as LLaMA's.

    Raises:
      ModelError: no config.json, or of a family that is not read.
    """
    try:
        values = json.loads((folder / "config.json").read_bytes())
        kind = values.get("model_type")
    except (OSError, ValueError, AttributeError):
        raise ModelError(f"{folder}: no readable config.json there; name a Hugging Face folder") from None
    if kind not in FAMILIES:
        raise ModelError(f"{folder} is a model of type {kind}; read are {', '.join(FAMILIES)}")
    if kind != "baichuan":
        return AutoConfig.from_pretrained(folder)
    if "alibi_mask" in values or values.get("hidden_size", 0) > 4096 or "model_max_length" not in values:
        raise ModelError(f"{folder} is a Baichuan with ALiBi positions (13B); only the rotary 7B is read")
    kept = LlamaConfig().to_dict().keys() & values.keys() - {"model_type", "architectures", "auto_map"}
    shape = {k: values[k] for k in sorted(kept)}
    return LlamaConfig(**shape | {"max_position_embeddings": values["model_max_length"]})


def read_llm(folder: Path, vocabulary: int, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its weights, its embeddings grown to `vocabulary` rows by their mean.

    Raises:
      ModelError: names the first tensor that does not fit.
    """
    shape = read_shape(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape, attn_implementation=packed.NAME, dtype=dtype)
    files = TensorFiles(folder)
    found = named_as_llama(files)
    fill(model, found, found.shapes, folder, dtype)
    fill_buffers(model)
    grow_vocabulary(model, vocabulary)
    return model


def named_as_llama(files: TensorFiles) -> "TensorFiles | _Baichuan":
    """The files' tensors, Baichuan's under LLaMA's names."""
    return _Baichuan(files) if any(_PACK.fullmatch(name) for name in files) else files


def grow_vocabulary(model: PreTrainedModel, rows: int) -> None:
    """Rows for tokens that the folder's tokenizer lacks; a folder with spare rows keeps them all."""
    if model.config.vocab_size >= rows:
        return
    embeddings, output = model.get_input_embeddings(), model.get_output_embeddings()
    tied = output.weight is embeddings.weight
    embeddings.weight = _grown(embeddings.weight, rows)
    output.weight = embeddings.weight if tied else _grown(output.weight, rows)
    embeddings.num_embeddings = output.out_features = model.config.vocab_size = rows


def _grown(weight: Tensor, rows: int) -> torch.nn.Parameter:
    mean = weight.detach().float().mean(0, keepdim=True).to(weight.dtype)
    return torch.nn.Parameter(torch.cat([weight.detach(), mean.expand(rows - len(weight), -1)]))


def read_tokenizer(folder: Path) -> bytes:
    """The bytes of the folder's tokenizer.model, else of its tokenizer.json.

    Raises:
      ModelError: it has neither.
    """
    for name in TOKENIZERS:
        if (folder / name).exists():
            return (folder / name).read_bytes()
    raise ModelError(f"{folder} has none of {', '.join(TOKENIZERS)}; a checkpoint needs its tokenizer")


class _Baichuan(Mapping[str, Tensor]):
    """Baichuan's tensors under LLaMA's names."""

    def __init__(self, files: TensorFiles):
        self._files = files
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._of: dict[str, tuple[str, int]] = {}
        for name, shape in files.shapes.items():
            found = _PACK.fullmatch(name)
            if found and shape[0] % 3 == 0:
                for n, part in enumerate("qkv"):
                    self._add(f"{found[1]}{part}_proj.weight", (shape[0] // 3, *shape[1:]), name, n)
            else:
                self._add(name, shape, name, -1)

    def _add(self, name: str, shape: tuple[int, ...], source: str, part: int) -> None:
        self.shapes[name], self._of[name] = shape, (source, part)

    def __getitem__(self, name: str) -> Tensor:
        source, part = self._of[name]
        tensor = self._files[source]
        if part >= 0:
            return tensor.chunk(3)[part]
        return F.normalize(tensor.float()).to(tensor.dtype) if name == "lm_head.weight" else tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)
