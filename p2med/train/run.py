"""Verb 5: the stages one after another, each a finished checkpoint that the next one continues.

4_mix/<stage>-*.parquet  ->  5_train/<stage>/   config.json  model.safetensors  tokenizer …  stage.json
                             5_train/stages.json (their order)   5_train/manifest.json
"""

import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from p2med import plugins, store
from p2med.errors import ModelError, RecipeError
from p2med.imaging.spec import ImageSpec
from p2med.model.build import add_adapter, build, build_tokenizer
from p2med.model.checkpoint import STAGES, Checkpoint, gather_weights, load_checkpoint, save_checkpoint
from p2med.model.config import ModelSection
from p2med.progress import say
from p2med.schema.conversation import Conversation
from p2med.train import heap, ranks
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig, TrainConfig
from p2med.train.examples import prepare_examples
from p2med.train.freeze import learn_only, recompute, training_types
from p2med.train.loop import Loop
from p2med.train.record import identity_of, is_finished, write_manifest
from p2med.train.shard import shard

HELD_OUT = {"val", "bench"}
"""What `mix` keeps apart: no tokenizer reads it."""
CODE = ("train", "model", "schema", "store.py", "files.py")


def run(
    config: TrainConfig,
    model: ModelSection,
    image: ImageSpec,
    root: Path,
    stage: str | None = None,
    licences: Mapping[str, Any] | None = None,
) -> None:
    """Train every stage, or up-to-date ones excepted only `stage`.

    Args:
      licences: what the parts may be used for (card/ledger.py); kept in every stage.json and in the manifest,
        decides nothing here.

    Raises:
      P2MedError: 4_mix is not finished, a part to learn is not in the model, or an earlier stage is missing.
    """
    mix = store.require(root, "mix")
    folder = store.verb_folder(root, "train")
    threads = config.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads what it has not written
    _refuse_foreign(folder)
    device = torch.device("cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        heap.give_back_at_once()
    with ranks.one_line_when_another_stops():
        device = ranks.join(device)
        with ranks.alone(folder):
            _train_all(config, model, image, root, mix, stage, device, threads, licences)
            if stage is None and ranks.first():
                write_manifest(config, folder, mix, licences)
        ranks.leave()


def _train_all(
    config: TrainConfig,
    model: ModelSection,
    image: ImageSpec,
    root: Path,
    mix: Path,
    stage: str | None,
    device: torch.device,
    threads: int,
    licences: Mapping[str, Any] | None,
) -> None:
    folder = store.verb_folder(root, "train")
    if ranks.first():
        store.write_json(folder / STAGES, [s.stage for s in config.stages])
    ranks.wait()
    previous: Path | None = None
    for entry in config.stages if stage is None else _up_to(config, stage):
        place = folder / entry.stage
        identity = identity_of(config, model, image, entry, mix, previous)
        ranks.same_everywhere(json.dumps(identity, sort_keys=True).encode(), "recipe, code or mix", folder)
        finished = is_finished(place, identity)
        ranks.wait()
        if finished:
            _sweep(place)
            if ranks.first():
                say(f"train {entry.stage}: up to date")
        elif stage in (None, entry.stage):
            (folder / "manifest.json").unlink(missing_ok=True)
            _train_stage(config, model, image, root, entry, previous, identity, device, threads, licences)
            ranks.wait()
        else:
            raise ModelError(f"stage {stage} continues {entry.stage}, which is not trained or out of date")
        previous = place


def _up_to(config: TrainConfig, name: str) -> list[StageConfig]:
    """The stage of this name behind those that it continues."""
    found: list[StageConfig] = []
    for entry in config.stages:
        found = [*([] if entry.anew else found), entry]
        if entry.stage == name:
            break
    return found


def _train_stage(
    config: TrainConfig,
    section: ModelSection,
    image: ImageSpec,
    root: Path,
    stage: StageConfig,
    previous: Path | None,
    identity: dict[str, Any],
    device: torch.device,
    threads: int,
    licences: Mapping[str, Any] | None,
) -> None:
    mix, folder = store.verb_folder(root, "mix"), store.verb_folder(root, "train")
    begins = previous is None or stage.anew
    checkpoint = _fresh(section, image, mix) if begins else load_checkpoint(previous)
    ranks.same_everywhere(checkpoint.tokenizer_model, "the tokenizer", folder)
    model, processor = checkpoint.model, checkpoint.processor
    objective = plugins.load("p2med.train.objectives", stage.objective)
    conversations = list(store.read_items(mix, Conversation, stem=stage.stage))
    if "adapter" in stage.learn:
        if section.adapter is None:
            raise RecipeError(f"train stage {stage.stage} learns an adapter, but the model has none")
        add_adapter(model, section.adapter, seed=section.seed)
    examples, rejected = prepare_examples(
        conversations,
        processor,
        model.config.text_config.max_position_embeddings,
        learns_text=bool({"llm", "adapter"} & set(stage.learn)),
        task_weights=stage.task_weights,
    )
    if hasattr(objective, "targets"):
        model.add_report_words(*objective.targets(examples), seed=section.seed)
    learn_only(model, stage.learn, heads=hasattr(objective, "targets"))
    if config.gradient_checkpointing:
        recompute(model.language_model)
    frozen = getattr(torch, config.frozen_dtype) if config.frozen_dtype else None
    cast = partial(training_types, frozen=frozen)
    sharded = config.shard and ranks.world()[1] > 1
    if sharded:
        loss = shard(model, objective.loss, device, cast)
    else:
        cast(model)
        model.to(device)
        loss = objective.loss
    batcher = Batcher(
        model,
        load=lambda volume: store.read_volume(volume.path, root),
        pad_id=processor.tokenizer.pad_token_id,
        frozen="encoder" not in stage.learn,
        augment=stage.augmentation,
        cache_bytes=config.feature_cache_gib * 2**30,
        device=device,
        disk=root / "cache" / "features",
    )
    loop = Loop(
        model,
        examples,
        stage,
        loss,
        batcher,
        root / "log",
        autocast=config.dtype == "bfloat16",
        sharded=sharded,
    )
    steps = folder / f".{stage.stage}.steps"
    made_on = {"threads": threads, "device": device.type, "ranks": ranks.world()[1], "sharded": sharded}
    progress = loop.run(steps, {**identity, **made_on})
    if not ranks.first():
        gather_weights(model)
        return
    reasons: dict[str, int] = {}
    for r in rejected:
        reasons[r.reason] = reasons.get(r.reason, 0) + 1
    made_by = {
        "stage": stage.stage,
        "identity": identity,
        **made_on,
        "steps": progress.step,
        "skipped_steps": progress.skipped,
        "restored": progress.restored,
        "conversations_a_pass": progress.micro,
        "conversations": {"entered": len(conversations), "passed": len(examples), "rejected": len(rejected)},
        "rejected_reasons": reasons,
        "licences": licences,
    }
    losses = "".join(json.dumps(x, sort_keys=True) + "\n" for x in progress.losses).encode()
    save_checkpoint(
        folder / stage.stage,
        model,
        checkpoint.tokenizer_model,
        processor,
        image,
        made_by,
        extra={"losses.jsonl": losses},
    )
    _sweep(folder / stage.stage)
    last = [x["loss"] for x in progress.losses[-20:] if x["loss"] is not None]
    mean = f"{sum(last) / len(last):.3f}" if last else "none finite"
    say(
        f"train {stage.stage}: {progress.step} steps, loss of the last {len(last)}: {mean}, "
        f"{progress.skipped} steps skipped, {len(rejected)} conversations left out"
    )


def _sweep(place: Path) -> None:
    """Remove what a finished stage no longer needs, and what a kill just before this left of it."""
    for suffix in ("steps", "writing", "old"):
        shutil.rmtree(place.with_name(f".{place.name}.{suffix}"), ignore_errors=True)


def _fresh(section: ModelSection, image: ImageSpec, mix: Path) -> Checkpoint:
    """A new model; its tokenizer has read what every stage of `mix` holds, whichever stages are trained.

    So the mix alone decides it, and the first stage of an ablation without a later one is the same.
    """
    stages = {path.name.rpartition("-")[0] for path in mix.glob("*-*.parquet")} - HELD_OUT
    texts = {
        turn.text
        for name in sorted(stages)
        for c in store.read_items(mix, Conversation, stem=name)
        for turn in c.turns
    }
    tokenizer_model = build_tokenizer(section, texts)
    model, processor = build(section, image, tokenizer_model)
    return Checkpoint(mix, model, processor, tokenizer_model, image, {})


def _refuse_foreign(folder: Path) -> None:
    # A kill may have caught the very first file under its temporary name.
    ours = (STAGES, STAGES + store.TEMPORARY_SUFFIX)
    if folder.exists() and any(folder.iterdir()) and not any((folder / n).exists() for n in ours):
        raise ModelError(f"{folder} holds files that p2med did not write; move them or choose another --runs")
