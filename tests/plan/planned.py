"""A small recipe's sections, and a run folder with a mix of it."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from p2med import store
from p2med.arrow import to_table
from p2med.plan.run import Sections
from p2med.recipe import Recipe
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Turn, image, text

STAGE = "one"


def recipe(
    learn=("connector", "adapter"),
    tied: bool = False,
    width: int = 64,
    layers: int = 2,
    batch: int = 4,
    micro: int | None = None,
    longest: int = 1024,
    tasks: tuple[str, ...] = ("outpatient_record", "xray_report"),
    steps: int = 3,
    vocabulary: int = 420,
    **train: Any,
) -> dict[str, Any]:
    return {
        "name": "small",
        "curate": {"image": {"size": 32, "max_slices": 8}},
        "mix": {"stages": {STAGE: {t: {} for t in tasks}}},
        "model": {
            "encoder": {"kind": "cnn", "channels": [8, 16], "blocks": [1, 1], "groups": 4},
            "connector": {"kind": "perceiver", "layers": 1, "latents": 4, "heads": 2, "head_width": 16},
            "llm": {
                "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers,
                "num_attention_heads": 2, "max_position_embeddings": longest, "tie_word_embeddings": tied,
            },
            "adapter": {"kind": "lora", "rank": 4, "dropout": 0.0},
            "tokenizer": {"kind": "train", "vocab_size": vocabulary},
        },
        "train": {
            "stages": [
                {
                    "stage": STAGE, "learn": list(learn), "lr": 1e-3, "steps": steps, "batch_size": batch,
                    "micro_batch_size": micro,
                }
            ],
            "threads": 1, "device": "cpu", **train,
        },
    }  # fmt: skip


def sections(**changes: Any) -> Sections:
    made = Recipe.model_validate(recipe(**changes))
    assert made.model and made.curate and made.mix and made.train
    return Sections(made.model, made.curate.image, made.mix, made.train)


def write_run(folder: Path, length: int, count: int, **changes: Any) -> Path:
    """recipe.yaml and runs/small/4_mix with conversations of about `length` characters, half with a film."""
    made = recipe(**changes)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(made), encoding="utf-8")
    root, dice = folder / "runs" / "small", np.random.default_rng(0)
    found = []
    for n in range(count):
        words = "".join(chr(0x4E00 + int(c)) for c in dice.integers(0, 60, length))
        asked = [text(words[: length // 2])]
        if n % 2:
            path, shape = f"run:3_curate/volumes/{n}.npy", (1, 32, 32)
            store.write_volume(root / path[4:], dice.random(shape).astype(np.float16))
            shown = Volume(path=path, shape=shape, dtype="float16", unit="unit_interval")
            asked.append(image(shown))
        answer = Turn(role="assistant", content=(text(words[length // 2 :]),))
        task = "xray_report" if n % 2 else "outpatient_record"
        turns = (Turn(role="user", content=tuple(asked)), answer)
        found.append(
            Conversation(
                conversation_id=f"{task}/{n}", task=task, case_id=f"c{n}", patient_key=f"p{n}", turns=turns
            )
        )
    mix = store.verb_folder(root, "mix")
    store.write_table(mix / f"{STAGE}-00000.parquet", to_table(found, Conversation))
    counts = {"conversation": store.Count(entered=count, passed=count, rejected=0)}
    manifest = store.Manifest(
        verb="mix", version="0", code="", section={}, inputs={}, counts=counts, rejected_reasons={},
        notes={}, files={},
    )  # fmt: skip
    store.write_json(mix / "manifest.json", manifest.model_dump(mode="json"))
    return root
