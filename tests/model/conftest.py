"""A tiny untrained model, its processor and questions about drawn volumes."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from p2med.imaging.spec import ImageSpec
from p2med.model.build import add_adapter, build, build_tokenizer
from p2med.model.config import LlmConfig, ModelSection, PartConfig, TokenizerConfig
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Turn, image, text

CORPUS = [
    "当前放射学资料如下：\n[检查时间]2022年10月3日\n[放射学表现]两肺纹理增多，右肺下野见斑片状模糊影。",
    "[放射学诊断]支气管肺炎",
    "心影大小正常，肋膈角清晰。 abc  def",
]
SPEC = ImageSpec(size=32, max_slices=8)


def section(**changes: Any) -> ModelSection:
    values: dict[str, Any] = dict(
        encoder=PartConfig(kind="cnn", channels=(8, 16), blocks=(1, 1), groups=4),
        connector=PartConfig(kind="perceiver", layers=2, latents=4, heads=2, head_width=16),
        llm=LlmConfig(
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=256,
        ),
        adapter=PartConfig(kind="lora", rank=2),
        tokenizer=TokenizerConfig(vocab_size=400),
    )
    return ModelSection(**values | changes)


@pytest.fixture(scope="session")
def tokenizer_model() -> bytes:
    return build_tokenizer(section(), CORPUS)


@pytest.fixture()
def make(tokenizer_model) -> Callable[..., Any]:
    """`make(adapter=True, **section changes)` -> (model in evaluation mode, processor)."""

    def made(adapter: bool = False, **changes: Any):
        wanted = section(**changes)
        model, processor = build(wanted, SPEC, tokenizer_model)
        if adapter:
            add_adapter(model, wanted.adapter, seed=1)
            random = torch.Generator().manual_seed(0)
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.data.normal_(std=0.05, generator=random)
        return model.eval(), processor

    return made


def volume(depth: int, seed: int = 0) -> Volume:
    return Volume(path=str(seed), shape=(depth, 32, 32), dtype="float16", unit="unit_interval")


def pixels_of(v: Volume) -> np.ndarray:
    return np.random.default_rng(int(v.path)).random(v.shape).astype(np.float16)


def ask(words: str, *volumes: Volume, options: tuple[str, ...] = ()) -> Conversation:
    turn = Turn(role="user", content=(text("影像："), *map(image, volumes), text(words)))
    return Conversation(
        conversation_id="c", task="t", case_id="c", patient_key="p", turns=(turn,), options=options
    )


@pytest.fixture()
def hospital() -> Any:
    """Functions to make volumes, their pixels and questions."""
    return SimpleNamespace(volume=volume, pixels_of=pixels_of, ask=ask, spec=SPEC, corpus=CORPUS)
