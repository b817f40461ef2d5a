"""Stage 2 of the 8B shape on one device: packed or padded, features kept or encoded in every step.

    python bench/train.py --device cuda --tokenizer TOKENIZER_MODEL [--shape 8b] [--steps 8] [--out FILE]

Random weights, frozen ones in bfloat16. Four ways of the same steps, each in a process of its own, and one
sample with 30 slices of CT and 4,096 tokens of text. Flops are those of train/work.py, which states the
formula: real tokens only, nothing for a frozen weight's own gradient. So a padded step has its packed twin's
flops, and `mfu` is flops / (seconds * the device's dense peak of train/devices.csv). Steps are our plan's, of
one modality and of like lengths: padding costs more in the order in which others draw.
"""

import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from train_sides import BATCH, LATENTS, SIZE, make_examples, pixels
from transformers import PreTrainedModel

from p2med.imaging.spec import ImageSpec
from p2med.model import packed
from p2med.model.build import add_adapter, build
from p2med.model.config import LlmConfig, ModelSection, PartConfig
from p2med.model.tokenizer import open_tokenizer
from p2med.schema.case import Volume
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import Example
from p2med.train.freeze import learn_only
from p2med.train.loop import Loop
from p2med.train.objectives import sft

ADAPTER = PartConfig(kind="lora", rank=8, dropout=0.0)
SHAPES = {
    "8b": ModelSection(
        encoder=PartConfig(kind="clip_vit"),
        connector=PartConfig(kind="perceiver", latents=LATENTS),
        llm=LlmConfig(
            hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
            max_position_embeddings=8192,
        ),
        adapter=ADAPTER,
    ),
    "tiny": ModelSection(
        encoder=PartConfig(
            kind="clip_vit", hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        ),
        connector=PartConfig(kind="perceiver", latents=LATENTS, layers=1, heads=2, head_width=16),
        llm=LlmConfig(
            hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=8192,
        ),
        adapter=ADAPTER,
    ),
}  # fmt: skip
WAYS = ("packed, cached", "packed, encoded", "padded, cached", "padded, encoded", "30 slices, 4096 tokens")
WARM_UP = 2
"""First steps, not counted: kernels are chosen, features are made."""


def padded_states(language_model: PreTrainedModel, embeds: Tensor, real: Tensor) -> Tensor:
    """What packed.states gives, with padding: float[B, T, d]."""
    out = language_model.model(inputs_embeds=embeds, attention_mask=real, use_cache=False)
    return out.last_hidden_state


def ct_sample(tokenizer: bytes) -> Example:
    opened = open_tokenizer(tokenizer)
    ids = np.random.default_rng(0).integers(10, len(opened) - 10, LATENTS + 4096).astype(np.int32)
    ids[:LATENTS] = opened.convert_tokens_to_ids("<image>")
    volume = Volume(path="0.0", shape=(30, SIZE, SIZE), dtype="float16", unit="unit_interval")
    return Example(
        group=("ct", "ct_report"), input_ids=ids, learned=np.arange(len(ids)) >= 3096, volumes=(volume,),
        image_rounds=(0,), answers=((),), conclusions=("",), diseases=(),
    )  # fmt: skip


def make(shape: str, tokenizer: bytes, device: torch.device):
    """The model, made where it will be: 8B in float32 on the host would be 32 GB."""
    section = SHAPES[shape]
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model, _ = build(section, ImageSpec(size=SIZE), tokenizer)
        add_adapter(model, section.adapter, seed=0)
    torch.set_default_dtype(torch.float32)
    learn_only(model, ("connector", "adapter"), heads=False)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def one_way(way: str, shape: str, tokenizer: bytes, device: torch.device, steps: int) -> list[dict]:
    """The log lines of a training, without its first steps."""
    examples = make_examples(steps * BATCH, tokenizer, 3900)
    if way == WAYS[4]:
        examples = [ct_sample(tokenizer)]
    if way.startswith("padded"):
        packed.states = padded_states
    model = make(shape, tokenizer, device)
    stage = StageConfig(
        stage="bench", learn=("connector", "adapter"), lr=1e-4, steps=steps + WARM_UP, batch_size=BATCH
    )
    with tempfile.TemporaryDirectory() as name:
        folder, cached = Path(name), not way.endswith("encoded")
        batcher = Batcher(
            model, pixels, 3, cached, None, 2**33, device, folder / "features" if cached else None
        )
        for volume in (v for e in examples for v in e.volumes if cached):
            batcher._features(volume)
        Loop(model, examples, stage, sft.loss, batcher, folder / "log", autocast=True).run(
            folder / "steps", {}
        )
        lines = (folder / "log" / "train_bench.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines][WARM_UP:]


def summary(runs: dict[str, list[dict]]) -> dict[str, dict]:
    """Real tokens a second, mfu and peak memory of every way."""
    found = {}
    for way, lines in runs.items():
        seconds = sum(line["seconds"] for line in lines)
        real = runs[way.replace("padded", "packed")]
        flops = [line["mfu"] * line["seconds"] for line in real if line["mfu"] is not None]
        found[way] = {
            "tokens_per_s": round(sum(line["tokens"] for line in lines) / seconds, 1),
            "tokens_per_s, median step": statistics.median(line["tokens_per_s"] for line in lines),
            "mfu": round(sum(flops) / seconds, 4) if flops else None,
            "peak_memory_gib": max(line["peak_memory_gib"] for line in lines),
        }
    return found
