"""What a folder with weights is, and what is wrong with it, before hours are spent on it."""

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from p2med.errors import ModelError, P2MedError
from p2med.model.checkpoint import DIGESTS, load_checkpoint
from p2med.model.exported import load_engine, read_export
from p2med.model.llm_folder import FAMILIES, TOKENIZERS, named_as_llama, read_shape, read_tokenizer
from p2med.model.shape import plugin
from p2med.model.tokenizer import open_tokenizer
from p2med.model.weights import TensorFiles, compare

ENCODERS = {
    "clip": "clip_vit",
    "clip_vision_model": "clip_vit",
    "siglip": "siglip",
    "siglip_vision_model": "siglip",
}
EVA = "eva_vit_g.pth"


@dataclass(frozen=True)
class Findings:
    """`kind` in words; `facts` for a reader; `faults`, each with what to do, none when it can be used."""

    folder: Path
    kind: str
    parameters: int
    facts: tuple[str, ...]
    faults: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """What a checkpoint keeps of where it comes from: no path."""
        return {"folder": self.folder.name, "kind": self.kind, "parameters": self.parameters}


def encoder_kind(folder: Path) -> str:
    """The plug-in that reads this vision folder.

    Raises:
      ModelError: there is none.
    """
    if (folder / EVA).exists():
        return "eva_vit"
    kind = _config(folder).get("model_type")
    if kind not in ENCODERS:
        known = ", ".join(sorted({*ENCODERS}))
        raise ModelError(f"{folder} is a model of type {kind}; vision towers read are {known} and {EVA}")
    return ENCODERS[kind]


def look(folder: Path) -> Findings:
    """Examine a folder without filling memory: names and shapes come from the files' headers.

    Raises:
      ModelError: there is no such folder, or nothing in it that could be weights.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such folder")
    if (folder / DIGESTS).exists():
        return _checkpoint(folder)
    if (folder / "adapter_config.json").exists():
        base = json.loads((folder / "adapter_config.json").read_bytes()).get("base_model_name_or_path")
        fault = f"a LoRA adapter of {base} alone is no model: merge it into its base first"
        return Findings(folder, "LoRA adapter", 0, (), (fault,))
    if list(folder.glob("*.gguf")):
        fault = "GGUF is quantised for one engine and cannot be trained; fetch the safetensors"
        return Findings(folder, "GGUF", 0, (), (fault,))
    if (folder / EVA).exists() or _config(folder).get("model_type") in ENCODERS:
        return _encoder(folder)
    return _llm(folder)


def _llm(folder: Path) -> Findings:
    kind = _config(folder).get("model_type")
    if kind not in FAMILIES:
        fault = f"models of type {kind} are not read; language models read are {', '.join(FAMILIES)}"
        return Findings(folder, f"model of type {kind}", 0, (), (fault,))
    faults: list[str] = []
    quantised = _config(folder).get("quantization_config")
    if quantised:
        faults.append(f"quantised ({quantised.get('quant_method')}); fetch the 16-bit weights")
    files, facts = _files(folder, faults)
    shape = _attempt(faults, lambda: read_shape(folder))
    if files is not None and shape is not None and not quantised:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(shape)
        _attempt(faults, lambda: compare(model, named_as_llama(files).shapes, folder))
    tokenizer = _attempt(faults, lambda: open_tokenizer(read_tokenizer(folder)))
    if tokenizer is not None and shape is not None:
        facts.append(f"vocabulary {shape.vocab_size:,}, tokenizer {len(tokenizer) - 2:,} pieces")
        if len(tokenizer) - 2 > shape.vocab_size:
            faults.append(f"the tokenizer has more pieces than the embeddings have rows: {TOKENIZERS}")
    return Findings(folder, f"language model, {kind}", _count(files), tuple(facts), tuple(faults))


def _encoder(folder: Path) -> Findings:
    kind = encoder_kind(folder)
    faults: list[str] = []
    files, facts = _files(folder, faults)
    size = _config(folder).get("vision_config", _config(folder)).get("image_size", 224)
    facts.append(f"for {size} px")

    def fill() -> None:
        module, _ = plugin("encoder", {"kind": kind})
        _, options = plugin("encoder", {"kind": kind} | module.read_shape(folder))
        module.read_weights(module.build(options, size), folder)

    _attempt(faults, fill)
    return Findings(folder, f"vision tower, {kind}", _count(files), tuple(facts), tuple(faults))


def _checkpoint(folder: Path) -> Findings:
    faults: list[str] = []
    files, facts = _files(folder, faults)
    checkpoint = _attempt(faults, lambda: load_checkpoint(folder))
    if checkpoint is not None:
        facts.append(f"made by stage {checkpoint.stage.get('stage')}")
        export = _attempt(faults, lambda: read_export(folder))
        if export and files is not None:
            facts.append(f"exported in {export['format']} for {export['engine']}")
            _attempt(faults, lambda: load_engine().Graph(checkpoint.model.config.text_config, files).build())
    return Findings(folder, "P2Med checkpoint", _count(files), tuple(facts), tuple(faults))


def _files(folder: Path, faults: list[str]) -> tuple[TensorFiles | None, list[str]]:
    files = _attempt(faults, lambda: TensorFiles(folder))
    if files is None:
        return None, []
    types = Counter(files.dtypes.values()).most_common()
    return files, [
        f"{len(files)} tensors, {_count(files):,} numbers",
        "stored as " + ", ".join(t for t, _ in types),
    ]


def _count(files: TensorFiles | None) -> int:
    return sum(math.prod(shape) for shape in files.shapes.values()) if files is not None else 0


def _attempt(faults: list[str], do: Any) -> Any:
    """The result, or None and the error's line among the faults."""
    try:
        return do()
    except P2MedError as error:
        faults.append(str(error))
        return None


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
