"""Training speed side by side: transformers' Trainer as users run it, with its best settings, and ours.

    python bench/train.py [--rounds 2] [--samples 32] [--threads 2] [--out bench/train.json]

Same model (LLaMA of 82 M, 55,298 tokens; ViT-S/14-336; perceiver; LoRA rank 8), same conversations, bfloat16
autocast, 8 conversations a step, in one process, one after the other in every round. Counted are real tokens,
no padding. Lengths as in stage 2 of the paper: outpatient records of about 330 tokens, inpatient ones of
about 1,800 and films of one or two views. Figures: bench/train.md.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import set_seed

from p2med.imaging.spec import ImageSpec
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

SIZE = 336
BATCH = 8
KINDS = {  # share, median length, spread of its logarithm, share that is learned, views
    "outpatient_record": (0.45, 320, 0.20, 0.30, (0,)),
    "chief_round_record": (0.15, 1650, 0.42, 0.35, (0,)),
    "xray_report": (0.40, 300, 0.26, 0.45, (1, 2)),
}


def section() -> ModelSection:
    return ModelSection(
        encoder=PartConfig(
            kind="clip_vit",
            hidden_size=384,
            intermediate_size=1536,
            num_hidden_layers=12,
            num_attention_heads=6,
        ),
        connector=PartConfig(kind="perceiver", layers=2, latents=32),
        llm=LlmConfig(hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8),
        adapter=PartConfig(kind="lora", rank=8, dropout=0.0),
    )


def make_model(tokenizer: bytes):
    model, processor = build(section(), ImageSpec(size=SIZE), tokenizer)
    add_adapter(model, section().adapter, seed=0)
    learn_only(model, ("connector", "adapter"), heads=False)
    return model, processor


def make_examples(count: int, vocabulary: int, image_id: int, longest: int) -> list[Example]:
    dice = np.random.default_rng(0)
    examples = []
    for n in range(count):
        kind = dice.choice(list(KINDS), p=[k[0] for k in KINDS.values()])
        _, median, spread, learned, views = KINDS[kind]
        length = int(min(longest, dice.lognormal(np.log(median), spread)))
        images = int(dice.choice(views))
        ids = dice.integers(10, vocabulary - 10, length).astype(np.int32)
        ids = np.concatenate([np.full(32 * images, image_id, dtype=np.int32), ids])
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
        row = {"input_ids": e.input_ids, "labels": labels, "length": len(e.input_ids), "volumes": e.volumes}
        return row

    def collate(self, rows: list[dict]) -> dict:
        width = max(len(r["input_ids"]) for r in rows)
        pad = lambda name, fill: torch.tensor(  # noqa: E731
            np.array([np.pad(r[name], (0, width - len(r[name])), constant_values=fill) for r in rows]),
            dtype=torch.int64,
        )
        batch = {
            "input_ids": pad("input_ids", 3),
            "labels": pad("labels", -100),
            "attention_mask": torch.tensor(
                [[1] * len(r["input_ids"]) + [0] * (width - len(r["input_ids"])) for r in rows]
            ),
        }
        volumes = [v for r in rows for v in r["volumes"]]
        if volumes:
            batch["slices"] = torch.ones(len(volumes), dtype=torch.int64)
            if self.features is None:
                batch["pixel_values"] = torch.tensor(
                    np.array([pixels(v) for v in volumes]), dtype=torch.float32
                )
            else:
                batch["features"] = torch.stack([self.features[v.path] for v in volumes])
        return batch


def trainer_seconds(model, examples: list[Example], features, sorted_lengths: bool, each: int) -> float:
    rows = Rows(examples, features)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=each,
            gradient_accumulation_steps=BATCH // each, num_train_epochs=1, bf16=True, use_cpu=True,
            learning_rate=1e-4, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
            remove_unused_columns=False, max_grad_norm=1.0, lr_scheduler_type="cosine",
            train_sampling_strategy="group_by_length" if sorted_lengths else "random",
            length_column_name="length",
        )  # fmt: skip
        set_seed(0)
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=rows.collate)
        start = time.perf_counter()
        trainer.train()
        return time.perf_counter() - start


# ---------------------------------------------------------------- ours


def our_loop(model, examples: list[Example], folder: Path) -> Loop:
    stage = StageConfig(
        stage="bench", learn=("connector", "adapter"), lr=1e-4, epochs=1, batch_size=BATCH, save_every=10_000
    )
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    batcher = Batcher(model, pixels, 3, True, None, 2**32, torch.device("cpu"), folder / "features")
    return Loop(model, examples, stage, sft.loss, batcher, folder / "log", autocast=True)


def our_seconds(loop: Loop, folder: Path) -> float:
    start = time.perf_counter()
    loop.run(folder / "steps", {})
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--longest", type=int, default=3900, help="tokens; longer conversations are cut")
    parser.add_argument(
        "--each",
        type=int,
        default=2,
        help="conversations a pass of the Trainer's; 8 long ones need over 22 GB",
    )
    parser.add_argument("--tokenizer", type=Path, required=True, help="Chinese-LLaMA-2's tokenizer.model")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = args.tokenizer.read_bytes()
    vocabulary = len(open_tokenizer(tokenizer))
    image_id = open_tokenizer(tokenizer).convert_tokens_to_ids("<image>")
    examples = make_examples(args.samples, vocabulary, image_id, args.longest)
    tokens = sum(len(e.input_ids) for e in examples)
    model, _ = make_model(tokenizer)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, "
        f"{len(examples)} conversations, {tokens:,} tokens"
    )

    # The same loss first: one step's conversations, float32, padded with all logits against packed with few.
    same = [e for e in examples if e.group[0] == "film"][:BATCH]
    plain = Batcher(model, pixels, 3, False, None, 0, torch.device("cpu")).batch(same, same)
    with torch.no_grad():
        labels = plain.input_ids.masked_fill(~plain.learned, -100)
        theirs = model(
            input_ids=plain.input_ids, attention_mask=plain.attention_mask, labels=labels,
            pixel_values=plain.pixel_values, slices=plain.slices,
        ).loss.item()  # fmt: skip
        ours = sft.loss(model, plain).item()
    print(f"loss of one step in float32: Trainer's {theirs:.6f}, ours {ours:.6f}")

    one = torch.ones(1, dtype=torch.int64)
    with torch.no_grad():
        features = {
            v.path: model.encode(torch.tensor(pixels(v)[None], dtype=torch.float32), one)[0]
            for e in examples
            for v in e.volumes
        }
    speed: dict[str, list[float]] = {
        "trainer": [],
        "trainer, features cached, lengths sorted": [],
        "ours": [],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in range(args.rounds):
            seconds = trainer_seconds(make_model(tokenizer)[0], examples, None, False, args.each)
            speed["trainer"].append(tokens / seconds)
            seconds = trainer_seconds(make_model(tokenizer)[0], examples, features, True, args.each)
            speed["trainer, features cached, lengths sorted"].append(tokens / seconds)
            loop = our_loop(make_model(tokenizer)[0], examples, folder / str(n))
            for e in examples:  # every epoch but the first finds them
                loop.batcher._images(list(e.volumes))
            speed["ours"].append(tokens / our_seconds(loop, folder / str(n)))
            print({k: round(v[-1]) for k, v in speed.items()}, flush=True)
    median = {k: statistics.median(v) for k, v in speed.items()}
    result = {
        "tokens_per_s": {k: [round(x) for x in v] for k, v in speed.items()},
        "ratio_to_trainer": median["ours"] / median["trainer"],
        "ratio_to_best_trainer": median["ours"] / median["trainer, features cached, lengths sorted"],
        "loss_float32": {"trainer": theirs, "ours": ours},
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
