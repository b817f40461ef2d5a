"""The configurations that bench/plan.py measures: drawn, and written as a recipe with a finished mix."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from p2med import store
from p2med.arrow import to_table
from p2med.model.tokenizer import train_tokenizer
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation, Turn, image, text

STEPS = 3
GIB = 2**30
LOW_GIB, HIGH_GIB = 0.7, 2.9
FLOPS_AT_MOST = 0.5e12
"""Of a whole training: some ten seconds on a core; more where nothing so light is found."""
VOCABULARIES = {"small": 1_000, "middle": 6_000, "large": 16_000}
CHARACTERS = [chr(0x4E00 + n) for n in range(2_500)]


def tokenizer_file(name: str, folder: Path) -> Path:
    """A tokenizer.model of a size; `real` is Chinese-LLaMA-2's, from the shared data."""
    if name == "real":
        return store.data_folder() / "tokenizers" / "chinese_llama2_tokenizer.model"
    path = folder / f"{name}.model"
    if not path.exists():
        dice = np.random.default_rng(VOCABULARIES[name])
        known = CHARACTERS[: VOCABULARIES[name] // 2]
        lines = ["".join(dice.choice(known[:400], 60)) for _ in range(3_000)]
        lines += ["".join(known[n : n + 50]) for n in range(0, len(known), 50)]
        path.write_bytes(train_tokenizer(lines, VOCABULARIES[name]))
    return path


def draw(number: int, attempt: int, which: int) -> dict[str, Any]:
    """One configuration: everything that training's memory may depend on."""
    dice = np.random.default_rng([which, number, attempt])

    def one(*values: Any) -> Any:
        return values[int(dice.integers(len(values)))]

    width = one(128, 192, 256, 384, 512, 768)
    encoder = one("none", "cnn", "cnn", "clip_vit", "clip_vit", "clip_vit", "siglip")
    learn = one(
        ["connector", "adapter"], ["connector", "adapter"], ["connector", "llm"], ["llm"], ["adapter"]
    )
    learn = [p for p in learn if p != "connector" or encoder != "none"]
    if encoder != "none" and one(False, False, True):
        learn = ["encoder", *learn]
    seen = one("film", "film", "volume", "mixed") if encoder != "none" else "text"
    half = one(False, True)
    return {
        "vocabulary": one("small", "middle", "large", "real"),
        "width": width,
        "layers": one(2, 3, 4, 6, 8, 12),
        "encoder": encoder,
        "encoder_width": one(128, 256, 384),
        "encoder_layers": one(2, 4, 8),
        "image_size": one(96, 128, 224),
        "connector": one("perceiver", "perceiver", "linear"),
        "learn": learn,
        "objective": one("sft", "sft", "sft", "language", "sft_from_parts"),
        "dtype": "bfloat16" if half else "float32",
        "frozen_dtype": one(None, "bfloat16") if half else None,
        "dropout": one(0.0, 0.05),
        "rank": one(4, 8, 32),
        "tied": one(False, True),
        "augment": encoder != "none" and one(False, False, True),
        "micro": one(False, False, True),
        "passes": one(2, 3, 4),
        "tokens": one(80, 150, 300, 600),
        "seen": seen,
        "images": one(1, 2),
        "slices": one(3, 8, 16),
        "stages": one(1, 1, 1, 2),
        "cache_gib": one(0, 4.0),
        "threads": one(1, 2),
    }


def recipe_of(c: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    width, seen = c["width"], c["encoder"] != "none"
    encoder: dict[str, Any] | None = None
    if c["encoder"] == "cnn":
        encoder = {"kind": "cnn", "channels": [32, 64, c["encoder_width"]], "blocks": [1, 2, 2]}
    elif seen:
        encoder = {
            "kind": c["encoder"], "hidden_size": c["encoder_width"],
            "intermediate_size": 4 * c["encoder_width"],
            "num_hidden_layers": c["encoder_layers"], "num_attention_heads": c["encoder_width"] // 64,
            "patch_size": 16,
        }  # fmt: skip
    connector: dict[str, Any] | None = None
    if seen:
        connector = {"kind": "linear", "fold": 4 if c["encoder"] != "cnn" else 1}
        if c["connector"] == "perceiver" or c["seen"] != "film":
            connector = {"kind": "perceiver", "layers": 2, "latents": 16}
    stage = {
        "learn": c["learn"], "objective": c["objective"], "lr": 1e-4, "steps": STEPS,
        "batch_size": c["batch"],
        "micro_batch_size": c["micro"], "augment": c["augment"],
    }  # fmt: skip
    if c.get("checkpointing") is not None:
        stage["checkpointing"] = c["checkpointing"]
    names = ["one", "two"][: c["stages"]]
    return {
        "name": name,
        "curate": {"image": {"size": c["image_size"], "max_slices": 32}},
        "mix": {"stages": {n: {"xray_report": {}, "outpatient_record": {}} for n in names}},
        "model": {
            "encoder": encoder,
            "connector": connector,
            "llm": {
                "hidden_size": width, "intermediate_size": int(2.7 * width) // 8 * 8,
                "num_hidden_layers": c["layers"], "num_attention_heads": width // 64,
                "max_position_embeddings": 4096, "tie_word_embeddings": c["tied"],
            },
            "adapter": {"kind": "lora", "rank": c["rank"], "dropout": c["dropout"]},
            "tokenizer": {"kind": "file", "path": str(tokenizer_file(c["vocabulary"], folder))},
        },
        "train": {
            "stages": [{"stage": n, **stage} for n in names], "threads": c["threads"], "device": "cpu",
            "dtype": c["dtype"], "frozen_dtype": c["frozen_dtype"], "feature_cache_gib": c["cache_gib"],
        },
    }  # fmt: skip


def write_mix(c: dict[str, Any], root: Path, stages: list[str]) -> None:
    """A finished 4_mix whose conversations have log-normal lengths; few different images, shown again."""
    dice = np.random.default_rng(len(root.name))
    size = c["image_size"]
    shown: list[Volume] = []
    for n in range(6):
        depth = 1 if c["seen"] == "film" else max(2, round(c["slices"] * dice.uniform(0.6, 1.0)))
        path = f"run:3_curate/volumes/{n}.npy"
        pixels = dice.random((depth, size, size), dtype=np.float32).astype(np.float16)
        store.write_volume(root / path[4:], pixels)
        shape = (depth, size, size)
        shown.append(Volume(path=path, shape=shape, dtype="float16", unit="unit_interval"))
    made = []
    for n in range(max(24, 3 * c["batch"])):
        sees = c["encoder"] != "none" and (c["seen"] != "mixed" or n % 2 == 0)
        length = int(dice.lognormal(np.log(c["tokens"]), 0.35))
        words = "".join(dice.choice(CHARACTERS[:400], length))
        cut = 2 * length // 3
        content = [text(words[:cut])]
        if sees:
            count = int(dice.integers(1, c["images"] + 1))
            content = [*(image(shown[int(i)]) for i in dice.integers(len(shown), size=count)), *content]
        turns = (
            Turn(role="user", content=tuple(content)),
            Turn(role="assistant", content=(text("[放射学诊断]" + words[cut:]),)),
        )
        task = "xray_report" if sees else "outpatient_record"
        made.append(
            Conversation(
                conversation_id=f"{task}/{n}", task=task, case_id=f"c{n}", patient_key=f"p{n}", turns=turns
            )
        )
    mix = store.verb_folder(root, "mix")
    for stage in stages:
        store.write_table(mix / f"{stage}-00000.parquet", to_table(made, Conversation))
    counts = {"conversation": store.Count(entered=len(made), passed=len(made), rejected=0)}
    manifest = store.Manifest(
        verb="mix", version="0", code="", section={}, inputs={}, counts=counts, rejected_reasons={},
        notes={}, files={},
    )  # fmt: skip
    store.write_json(mix / "manifest.json", manifest.model_dump(mode="json"))


# ---------------------------------------------------------------- choosing


def prepare(number: int, which: int, folder: Path) -> Path:
    """The folder of a configuration, drawn again until training it is neither small, great nor slow."""
    place = folder / f"s{which}c{number:02d}"
    if (place / "config.json").exists():
        return place
    wanted = np.exp(np.random.default_rng([which, number, 77]).uniform(np.log(LOW_GIB), np.log(HIGH_GIB)))
    for attempt in range(5_000):
        c = draw(number, attempt, which)
        held, of_conversation, flops = rough(c)
        fit = (wanted * GIB - held) / of_conversation
        c["micro"] = max(1, round(fit)) if c["micro"] else None
        c["batch"] = max(1, round(fit)) * (int(c["passes"]) if c["micro"] else 1)
        if 0.7 < fit < 60 and c["batch"] * flops * STEPS * c["stages"] < FLOPS_AT_MOST * (1 + attempt / 200):
            write_configuration(c, place, folder)
            store.write_json(place / "config.json", c)
            return place
    raise SystemExit(f"configuration {number}: none of 5,000 draws fits")


def rough(c: dict[str, Any]) -> tuple[float, float, float]:
    """Bytes that stay, bytes and flops of a conversation: by the thumb, only to choose sizes with."""
    words = VOCABULARIES.get(c["vocabulary"], 55_297)
    block = 12 * c["width"] ** 2 * c["layers"]
    learned = block + words * c["width"] if "llm" in c["learn"] else 0
    held = 0.6 * GIB + 4 * (block + 2 * words * c["width"]) + 12 * learned + 512 * words * 8
    tokens = 1.1 * c["tokens"] + (40 if c["encoder"] != "none" else 0)
    size, flops = 100.0 * tokens * c["width"] * c["layers"], 6.0 * tokens * (block + 0.5 * words * c["width"])
    slices = 1.5 * (1 if c["seen"] == "film" else c["slices"]) if c["encoder"] != "none" else 0
    if c["encoder"] == "cnn":
        made, work = 40.0 * c["image_size"] ** 2, 2e3 * c["image_size"] ** 2 * 20
    else:
        patches = (c["image_size"] // 16) ** 2
        made = 100.0 * patches * c["encoder_width"] * c["encoder_layers"]
        work = 24.0 * patches * c["encoder_width"] ** 2 * c["encoder_layers"]
    if "encoder" in c["learn"]:
        return held, size + slices * made, flops + 3 * slices * work
    return held, size, flops + slices * work


def write_configuration(c: dict[str, Any], place: Path, folder: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    recipe = recipe_of(c, place.name, folder)
    write_mix(c, place / "runs" / place.name, [s["stage"] for s in recipe["train"]["stages"]])
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True))


def words_of(place: Path) -> str:
    c = json.loads((place / "config.json").read_bytes())
    words = VOCABULARIES.get(c["vocabulary"], 55_297)
    many = c["micro"] or c["batch"]
    shape = f"{c['width']} x {c['layers']}, {words:,} words, {many} of {c['tokens']} tokens"
    sees = "" if c["encoder"] == "none" else f", {c['encoder']} {c['image_size']} px {c['seen']}"
    kind = c["dtype"] + (", frozen bf16" if c["frozen_dtype"] else "")
    stages = "" if c["stages"] == 1 else ", two stages"
    return f"{shape}{sees}; {'+'.join(c['learn'])}, {c['objective']}; {kind}, {c['threads']} thr.{stages}"
