"""The sides of bench/train.py: data, model, transformers' Trainer and ours."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from peft.tuners.lora import Linear
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import set_seed

from p2med.imaging.spec import ImageSpec
from p2med.model.adapters._product import LeanLinear
from p2med.model.build import add_adapter, build
from p2med.model.config import LlmConfig, ModelSection, PartConfig
from p2med.model.tokenizer import open_tokenizer
from p2med.schema.case import Volume
from p2med.train import heap
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import Example
from p2med.train.freeze import learn_only
from p2med.train.loop import Loop
from p2med.train.objectives import sft

SIZE = 336
BATCH = 8
LATENTS = 32
SECTION = ModelSection(
    encoder=PartConfig(
        kind="clip_vit", hidden_size=384, intermediate_size=1536, num_hidden_layers=12, num_attention_heads=6
    ),
    connector=PartConfig(kind="perceiver", layers=2, latents=LATENTS),
    llm=LlmConfig(hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8),
    adapter=PartConfig(kind="lora", rank=8, dropout=0.0),
)  # fmt: skip
KINDS = {  # share, median tokens of text, spread of their logarithm, share that is learned, images
    "outpatient_record": (0.45, 320, 0.20, 0.30, (0,)),
    "chief_round_record": (0.15, 1650, 0.42, 0.35, (0,)),
    "xray_report": (0.40, 300, 0.26, 0.45, (1, 2)),
}
"""Spreads give the real shares of PERFORMANCE.md (3) in padded batches of 8: .76, .59 and .71, mixed .35."""


def make_examples(count: int, tokenizer: bytes, longest: int) -> list[Example]:
    """The same conversations every time: shares exact, lengths log-normal, cut at `longest` tokens."""
    opened = open_tokenizer(tokenizer)
    image_id = opened.convert_tokens_to_ids("<image>")
    dice = np.random.default_rng(0)
    shares = np.cumsum([k[0] for k in KINDS.values()])
    kinds = [list(KINDS)[int(np.searchsorted(shares, (n + 0.5) / count))] for n in range(count)]
    examples = []
    for n, kind in enumerate(dice.permutation(kinds)):
        _, median, spread, learned, views = KINDS[kind]
        images = int(dice.choice(views))
        length = int(min(longest - LATENTS * images, dice.lognormal(np.log(median), spread)))
        ids = dice.integers(10, len(opened) - 10, length).astype(np.int32)
        ids = np.concatenate([np.full(LATENTS * images, image_id, dtype=np.int32), ids])
        volumes = tuple(
            Volume(path=f"{n}.{v}", shape=(1, SIZE, SIZE), dtype="float16", unit="unit_interval")
            for v in range(images)
        )
        examples.append(
            Example(
                group=("film" if images else "text", str(kind)),
                input_ids=ids,
                learned=np.arange(len(ids)) >= len(ids) - int(learned * length),
                volumes=volumes,
                image_rounds=(0,) * images,
                answers=((),) * images,
                conclusions=("",),
                diseases=(),
            )
        )
    return examples


def pixels(volume: Volume) -> np.ndarray:
    seed = int(volume.path.replace(".", ""))
    return np.random.default_rng(seed).random(volume.shape).astype(np.float16)


def make_model(tokenizer: bytes):
    model, _ = build(SECTION, ImageSpec(size=SIZE), tokenizer)
    add_adapter(model, SECTION.adapter, seed=0)
    learn_only(model, ("connector", "adapter"), heads=False)
    return model


# ---------------------------------------------------------------- the Trainer, as its users run it


class Rows(torch.utils.data.Dataset):
    """What a collator pads; with `features` the encoder's work is done before."""

    def __init__(self, examples: list[Example], features: dict[str, Tensor] | None):
        self.examples, self.features = examples, features

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, n: int) -> dict:
        e = self.examples[n]
        labels = np.where(e.learned, e.input_ids, -100)
        return {"input_ids": e.input_ids, "labels": labels, "length": len(e.input_ids), "volumes": e.volumes}

    def collate(self, rows: list[dict]) -> dict:
        width = max(len(r["input_ids"]) for r in rows)

        def pad(name: str, fill: int) -> Tensor:
            padded = [np.pad(r[name], (0, width - len(r[name])), constant_values=fill) for r in rows]
            return torch.tensor(np.array(padded), dtype=torch.int64)

        real = torch.arange(width) < torch.tensor([len(r["input_ids"]) for r in rows])[:, None]
        batch = {
            "input_ids": pad("input_ids", 3),
            "labels": pad("labels", -100),
            "attention_mask": real.long(),
        }
        volumes = [v for r in rows for v in r["volumes"]]
        if volumes:
            batch["slices"] = torch.ones(len(volumes), dtype=torch.int64)
            if self.features is None:
                shown = np.array([pixels(v) for v in volumes])
                batch["pixel_values"] = torch.tensor(shown, dtype=torch.float32)
            else:
                batch["features"] = torch.stack([self.features[v.path] for v in volumes])
        return batch


class Losses(TrainerCallback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if logs and "loss" in logs:
            self.seen.append(float(logs["loss"]))


def theirs(
    model,
    examples: list[Example],
    features: dict[str, Tensor] | None,
    order: str,
    each: int,
    bf16: bool = True,
) -> tuple[float, float, list[float]]:
    """One epoch of the Trainer over `examples`, `each` conversations a pass.

    Args:
      order: random, group_by_length or sequential.

    Returns:
      Seconds, seconds of CPU and the losses of the steps.
    """
    for module in model.modules():
        if type(module) is LeanLinear:
            module.__class__ = Linear  # PEFT's own
    rows, losses = Rows(examples, features), Losses()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=each, gradient_accumulation_steps=BATCH // each,
            num_train_epochs=1, bf16=bf16, use_cpu=True, learning_rate=1e-4, report_to=[], save_strategy="no",
            logging_strategy="steps", logging_steps=1, disable_tqdm=True, remove_unused_columns=False,
            max_grad_norm=1.0, lr_scheduler_type="cosine", train_sampling_strategy=order,
            length_column_name="length",
        )  # fmt: skip
        set_seed(0)
        trainer = Trainer(
            model=model, args=arguments, train_dataset=rows, data_collator=rows.collate, callbacks=[losses]
        )
        start, cpu = time.perf_counter(), time.process_time()
        trainer.train()
        return time.perf_counter() - start, time.process_time() - cpu, losses.seen


# ---------------------------------------------------------------- ours


def our_loop(model, examples: list[Example], folder: Path, bf16: bool = True) -> Loop:
    stage = StageConfig(
        stage="bench", learn=("connector", "adapter"), lr=1e-4, epochs=1, batch_size=BATCH, save_every=10_000
    )
    for parameter in model.parameters():
        if bf16 and not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    batcher = Batcher(model, pixels, 3, True, None, 2**32, torch.device("cpu"), folder / "features")
    return Loop(model, examples, stage, sft.loss, batcher, folder / "log", autocast=bf16)


def ours(loop: Loop, folder: Path) -> tuple[float, float, list[float]]:
    """One epoch; seconds, seconds of CPU and the losses of the steps."""
    heap.give_back_at_once()  # as p2med train does
    start, cpu = time.perf_counter(), time.process_time()
    progress = loop.run(folder / "steps", {})
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return seconds, cpu, [line["loss"] for line in progress.losses]
