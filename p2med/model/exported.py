"""What an exported folder holds, and which language models can be exported.

export.json          {"format": "int4", "engine": "openvino", "of": sha256 of the checkpoint's digests, …}
model.safetensors    encoder.* and connector.* as they were, the embeddings in bfloat16, and of every linear
                     layer of the language model `<layer>.weight` as BF16, I8 or U8 (two 4-bit numbers a byte)
                     with `<layer>.weight_scale` (quantise.py)
Everything else is a checkpoint's. The tokens' embeddings, the vision tower and the connector run in torch.
"""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PretrainedConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from p2med.errors import ModelError
from p2med.model.outside import EXPORT
from p2med.model.quantise import from_int4, from_int8
from p2med.model.sessions import OpenSession
from p2med.model.weights import TensorFiles

LLM = "language_model."
SCALE = "_scale"
ENGINE = "openvino"
FAMILIES = ("llama", "qwen2", "qwen3")
FORMATS = ("bf16", "int8", "int4")
ROPES = ("default", "linear", "llama3")


def read_export(folder: Path) -> dict[str, Any] | None:
    """The folder's export.json; None: it is no exported folder.

    Raises:
      ModelError: the file is there and not readable.
    """
    try:
        found = json.loads((folder / EXPORT).read_bytes())
        return {"format": found["format"], "engine": found["engine"], **found}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{folder / EXPORT} cannot be read; export it again") from None


def require_family(shape: PretrainedConfig) -> None:
    """Refuse what the engine's layers do not compute.

    Raises:
      ModelError: another family, activation, kind of attention or of rotary scaling; named.
    """
    if shape.model_type not in FAMILIES:
        raise ModelError(
            f"a language model of type {shape.model_type} has no engine; known: {', '.join(FAMILIES)}"
        )
    if shape.hidden_act != "silu":
        raise ModelError(f"the activation {shape.hidden_act} has no engine; known: silu")
    if "sliding_attention" in (getattr(shape, "layer_types", None) or ()):
        raise ModelError("attention in sliding windows has no engine; set use_sliding_window to false")
    kind = (shape.rope_parameters or {}).get("rope_type", "default")
    if kind not in ROPES:
        raise ModelError(f"rotary positions of type {kind} have no engine; known: {', '.join(ROPES)}")


def rotary(shape: PretrainedConfig) -> tuple[np.ndarray, np.float32]:
    """Inverse frequencies float32[head width / 2] and the factor of sine and cosine, of transformers."""
    embedding = LlamaRotaryEmbedding(config=shape)
    return embedding.inv_freq.float().numpy(), np.float32(embedding.attention_scaling)


def open_exported(folder: Path, shape: PretrainedConfig) -> OpenSession | None:
    """The engine of an exported folder; None: it is a checkpoint for torch.

    Raises:
      ModelError: the engine is not installed or not known, or a tensor does not fit, by its name.
    """
    export = read_export(folder)
    if export is None:
        return None
    if export["engine"] != ENGINE:
        raise ModelError(f"{folder} was exported for the engine {export['engine']}; known: {ENGINE}")
    module = load_engine()
    return module.open_engine(shape, TensorFiles(folder), export["format"], torch.get_num_threads())


def load_engine() -> ModuleType:
    """The engine's module, imported when it is first needed.

    Raises:
      ModelError: OpenVINO is not installed.
    """
    try:
        return importlib.import_module("p2med.model.openvino_engine")
    except ModuleNotFoundError as error:
        if error.name != ENGINE:
            raise
        raise ModelError(f"{ENGINE} is not installed; run: pip install 'p2med[cpu-serve]'") from None


def whole_weight(files: TensorFiles, name: str) -> Tensor:
    """One of the exported tensors as float32, unpacked."""
    kind, tensor = files.dtypes[name], files[name]
    if kind == "I8":
        return from_int8(tensor, files[name + SCALE])
    if kind == "U8":
        return from_int4(tensor, files[name + SCALE])
    return tensor.to(torch.float32)
