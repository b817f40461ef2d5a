"""A checkpoint -> a folder for a CPU engine: LoRA folded in, the language model's linear layers packed."""

import json
from pathlib import Path

import torch
from torch import Tensor

from p2med.errors import ModelError
from p2med.model.checkpoint import resolve_checkpoint
from p2med.model.exported import ENGINE, FORMATS, LLM, SCALE, require_family
from p2med.model.merge import KEPT, Merged, digest_of, open_merged, refuse_exported
from p2med.model.new_folder import copy_files, new_folder, write_json
from p2med.model.outside import EXPORT
from p2med.model.quantise import group_of, to_int4, to_int8
from p2med.model.shape import P2MedConfig
from p2med.model.tensor_file import SHARD_BYTES, write_folder

EMBEDDINGS = LLM + "model.embed_tokens.weight"
HEAD = LLM + "lm_head.weight"
ROWS = 4096
"""Packed at a time, so that a vocabulary's output layer needs no second copy in float32."""


def export(checkpoint: Path, out: Path, kind: str, shard_bytes: int = SHARD_BYTES) -> dict[str, int]:
    """Write `checkpoint` for the CPU engine.

    Args:
      kind: bf16, int8 or int4. With int4 the output layer, and layers too narrow for it, are int8.

    Returns:
      How many layers have which format.

    Raises:
      ModelError: `checkpoint` is none, is exported already or has a language model without engine; `out` is
        there already.
    """
    if kind not in FORMATS:
        raise ModelError(f"--format {kind}: known are {', '.join(FORMATS)}")
    folder = resolve_checkpoint(checkpoint)
    refuse_exported(folder)
    values, source = open_merged(folder)
    require_family(P2MedConfig.from_pretrained(folder).text_config)
    layers = Layers(source, kind)
    values |= {"adapter": None, "tie_word_embeddings": False, "report_words": [], "report_diseases": []}
    values["text_config"] |= {"tie_word_embeddings": False}
    export_json = {"engine": ENGINE, "format": kind, "of": digest_of(folder), "layers": layers.formats}
    with new_folder(out) as temporary:
        write_folder(temporary, layers.plan, layers.tensor, shard_bytes)
        copy_files(KEPT, folder, temporary)
        write_json(temporary / "config.json", values)
        write_json(temporary / "stage.json", json.loads((folder / "stage.json").read_bytes()))
        write_json(temporary / EXPORT, export_json)
    formats = list(layers.formats.values())
    return {f: formats.count(f) for f in FORMATS if f in formats}


class Layers:
    """Which tensors the exported folder has, and each when it is asked for; in computation order."""

    def __init__(self, source: Merged, kind: str):
        self._source = source
        self.formats: dict[str, str] = {}
        self.plan: dict[str, tuple[str, tuple[int, ...]]] = {}
        for name, (dtype, shape) in source.plan.items():
            if name.startswith("report_words."):
                continue  # heads that only training uses
            if name == EMBEDDINGS:
                self.plan[name] = ("BF16", shape)
            elif not name.startswith(LLM):
                self.plan[name] = (dtype, shape)
            elif len(shape) == 2:
                self._add_layer(name, kind, shape)
            else:
                self.plan[name] = ("F32", shape)
        if HEAD not in self.plan:  # tied to the embeddings
            self._add_layer(HEAD, kind, source.shapes[EMBEDDINGS])

    def _add_layer(self, name: str, kind: str, shape: tuple[int, ...]) -> None:
        group = group_of(shape[1])
        if kind == "int4" and (name == HEAD or group is None):
            kind = "int8"
        self.formats[name.removeprefix(LLM).removesuffix(".weight")] = kind
        if kind == "bf16":
            self.plan[name] = ("BF16", shape)
        elif kind == "int8":
            self.plan |= {name: ("I8", shape), name + SCALE: ("F32", (shape[0], 1))}
        else:
            assert group is not None
            self.plan[name] = ("U8", (shape[0], shape[1] // 2))
            self.plan[name + SCALE] = ("F32", (shape[0], shape[1] // group))

    def tensor(self, name: str) -> Tensor:
        """The tensor `name` of the exported folder."""
        if name.endswith(SCALE):
            return self._pack(name.removesuffix(SCALE))[1]
        dtype = self.plan[name][0]
        if dtype in ("I8", "U8"):
            return self._pack(name)[0]
        whole = self._whole(name)
        return whole.to({"BF16": torch.bfloat16, "F32": torch.float32}.get(dtype, whole.dtype))

    def _whole(self, name: str) -> Tensor:
        tied = name == HEAD and name not in self._source
        return self._source[EMBEDDINGS if tied else name]

    def _pack(self, name: str) -> tuple[Tensor, Tensor]:
        if self.plan[name][0] == "I8":
            parts = [to_int8(rows) for rows in self._whole(name).split(ROWS)]
        else:
            group = self.plan[name][1][1] * 2 // self.plan[name + SCALE][1][1]
            parts = [to_int4(rows, group) for rows in self._whole(name).split(ROWS)]
        return torch.cat([p for p, _ in parts]), torch.cat([s for _, s in parts])
