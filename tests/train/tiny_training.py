"""A small finished 4_mix folder: drawn films and volumes whose report says where the bright square is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from p2med.arrow import to_table
from p2med.imaging.spec import ImageSpec
from p2med.model.config import LlmConfig, ModelSection, PartConfig, TokenizerConfig
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Turn, image, text
from p2med.store import Count, Manifest, verb_folder, write_json, write_table, write_volume
from p2med.train.config import StageConfig, TrainConfig

SIZE = 32
PLACES = {"右上肺斑片影": (4, 4), "左下肺实变": (20, 20), "未见异常": None}


def draw(place: tuple[int, int] | None, depth: int, random: np.random.Generator) -> np.ndarray:
    pixels = random.random((depth, SIZE, SIZE)) * 0.2
    if place:
        y, x = place
        pixels[depth // 2, y : y + 8, x : x + 8] += 0.7
    return pixels.astype(np.float16)


def conversation(n: int, root: Path, random: np.random.Generator, images: int = 1) -> Conversation:
    finding = list(PLACES)[n % 3]
    task, depth = (("xray_report", 1), ("ct_report", 3 + n % 3), ("outpatient_record", 0))[n // 3 % 3]
    asked = [text("影像如下：\n" if depth else f"患儿咳嗽{n}天，胸片：{finding}。请作出诊断。")]
    if depth:
        for i in range(images):
            path = f"run:3_curate/volumes/{n}{'' if i == 0 else f'-{i}'}.npy"
            write_volume(root / path[4:], draw(PLACES[finding], depth, random))
            shape = (depth, SIZE, SIZE)
            asked.append(image(Volume(path=path, shape=shape, dtype="float16", unit="unit_interval")))
        asked.append(text("\n请写报告。"))
    return Conversation(
        conversation_id=f"{task}/{n}",
        task=task,
        case_id=f"case{n}",
        patient_key=f"p{n}",
        turns=(
            Turn(role="user", content=tuple(asked)),
            Turn(role="assistant", content=(text(f"[放射学诊断]{finding}"),)),
        ),
        diseases=(finding,),
    )


def write_mix(
    root: Path, stages: tuple[str, ...], count: int, images: Callable[[int], int] = lambda n: 1
) -> list[Conversation]:
    """`images`: how many a conversation with any has."""
    random = np.random.default_rng(0)
    found = [conversation(n, root, random, images(n)) for n in range(count)]
    mix = verb_folder(root, "mix")
    for stage in stages:
        write_table(mix / f"{stage}-00000.parquet", to_table(found, Conversation))
    noun = {"conversation": Count(entered=count, passed=count, rejected=0)}
    manifest = Manifest(
        verb="mix", version="0", code="", section={}, inputs={}, counts=noun, rejected_reasons={},
        notes={}, files={},
    )  # fmt: skip
    write_json(mix / "manifest.json", manifest.model_dump(mode="json"))
    return found


def tiny_section() -> ModelSection:
    return ModelSection(
        encoder=PartConfig(kind="cnn", channels=(8, 16), blocks=(1, 1), groups=4),
        connector=PartConfig(kind="perceiver", layers=1, latents=4, heads=2, head_width=16),
        llm=LlmConfig(
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=160,
        ),
        adapter=PartConfig(kind="lora", rank=2, dropout=0.1),
        tokenizer=TokenizerConfig(vocab_size=420),
    )


def two_stages(**changes) -> TrainConfig:
    first = StageConfig(
        stage="base",
        learn=("encoder", "connector", "llm"),
        objective="warm_up",
        lr=2e-3,
        steps=8,
        batch_size=4,
        save_every=2,
        augment=True,
    )
    second = StageConfig(
        stage="stage1", learn=("connector", "adapter"), lr=1e-3, steps=6, batch_size=4, save_every=2
    )
    return TrainConfig(stages=(first, second), threads=1, device="cpu", **changes)


SPEC = ImageSpec(size=SIZE, max_slices=8)
