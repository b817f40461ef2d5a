"""Tiny checkpoints with random weights, LoRA that does something, and ways to damage a sealed folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PretrainedConfig

from p2med.imaging.spec import ImageSpec
from p2med.model.build import add_adapter, build, build_tokenizer
from p2med.model.checkpoint import save_checkpoint, seal
from p2med.model.config import LlmConfig, ModelSection, PartConfig, TokenizerConfig
from p2med.model.processor import P2MedProcessor
from p2med.model.shape import P2MedConfig
from p2med.model.tokenizer import open_tokenizer
from p2med.model.vlm import P2MedForConditionalGeneration
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Turn, image, text

SENTENCES = [f"患儿咳嗽{n}天，两肺纹理增多，未见实变影。支气管肺炎{n}，正常{n}。" for n in range(60)]
SPEC = ImageSpec(size=32, max_slices=8)
WIDTH, INNER, VOCABULARY = 64, 128, 400
SHAPE = dict(
    hidden_size=WIDTH,
    intermediate_size=INNER,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=512,
    initializer_range=0.15,  # so that tokens are told apart clearly
)


def section(**changes: Any) -> ModelSection:
    values: dict[str, Any] = dict(
        encoder=PartConfig(kind="cnn", channels=(8, 16), blocks=(1, 1), groups=4),
        connector=PartConfig(kind="perceiver", layers=1, latents=4, heads=2, head_width=16),
        llm=LlmConfig(**SHAPE),
        adapter=PartConfig(kind="lora", rank=2, alpha=8.0),
        tokenizer=TokenizerConfig(vocab_size=VOCABULARY),
    )
    return ModelSection(**values | changes)


def write_lora(folder: Path, dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
    """A checkpoint as stage 3 leaves it: LoRA beside the weights, which are of `dtype`."""
    wanted = section(**changes)
    words = build_tokenizer(wanted, SENTENCES)
    model, processor = build(wanted, SPEC, words)
    model.language_model.to(dtype)
    if wanted.adapter:
        add_adapter(model, wanted.adapter, seed=1)
        random = torch.Generator().manual_seed(0)
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.data.normal_(std=0.1, generator=random)
    save_checkpoint(folder, model, words, processor, SPEC, {"stage": "stage3"})
    return folder


def write_family(folder: Path, shape: PretrainedConfig) -> Path:
    """A text model of any family, every tensor random."""
    words = build_tokenizer(section(), SENTENCES)
    tokenizer = open_tokenizer(words)
    shape.vocab_size = len(tokenizer)
    config = P2MedConfig(text_config=shape, image_token_id=tokenizer.convert_tokens_to_ids("<image>"))
    torch.manual_seed(0)
    model = P2MedForConditionalGeneration(config)
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)  # norms and biases too
    save_checkpoint(folder, model, words, P2MedProcessor(tokenizer), SPEC, {"stage": "base"})
    return folder


def damage(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> Path:
    """Change the tensors of a folder and seal it again, as a faulty tool would leave it."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file({n: t.clone() for n, t in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    seal(folder)
    return folder


def volume(depth: int, seed: int) -> Volume:
    return Volume(path=str(seed), shape=(depth, 32, 32), dtype="float16", unit="unit_interval")


def pixels_of(v: Volume):

    return np.random.default_rng(int(v.path)).random(v.shape).astype(np.float16)


def ask(words: str, *volumes: Volume, options: tuple[str, ...] = ()) -> Conversation:
    turn = Turn(role="user", content=(text("影像："), *map(image, volumes), text(words)))
    return Conversation(
        conversation_id=words, task="t", case_id="c", patient_key="p", turns=(turn,), options=options
    )


def questions(count: int) -> list[Conversation]:
    """Texts, films and CTs of different lengths."""
    found = []
    for n in range(count):
        volumes = [volume(1 + n % 3, n + v) for v in range(n % 3)]
        found.append(ask(SENTENCES[n % 60][: 3 + n % 17], *volumes))
    return found
