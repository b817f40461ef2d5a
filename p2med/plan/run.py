"""A recipe's training, foretold: parameters, memory, time and disk of every stage on a device."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from p2med.imaging.spec import ImageSpec
from p2med.mix.config import MixConfig
from p2med.model.config import ModelSection
from p2med.plan.data import StageData, Words, read_stage, read_words, targets_of
from p2med.plan.devices import Device, Usage, constants, memory_on, seconds_on
from p2med.plan.layout import Layout, PartCount, lay_out
from p2med.plan.meter import Work
from p2med.plan.step import Counted, Pass, all_passes, chosen_passes, count_passes
from p2med.train.config import StageConfig, TrainConfig
from p2med.train.resume import KEEP

LAYERS_QUICK = 16
"""Models with more layers are looked at in their greatest passes only: a pass takes seconds to count."""
PASSES, PASSES_OF_MANY_LAYERS = 6, 4


@dataclass(frozen=True)
class Sections:
    """What of a recipe decides its training."""

    model: ModelSection
    image: ImageSpec
    mix: MixConfig
    train: TrainConfig


@dataclass
class StagePlan:
    """One stage. `seconds`: of its mean step; `total_seconds`: of all, with encoding the images once."""

    stage: str
    parts: list[PartCount]
    source: str
    conversations: int
    steps: int
    greatest: Pass
    usage: Usage
    counted: Counted
    tokens: int
    """Of all passes that the stage's examples make, when counted without their scale."""
    memory: dict[str, float]
    seconds: float
    total_seconds: float
    disk: dict[str, float]

    @property
    def peak(self) -> float:
        return sum(self.memory.values())


def plan_training(
    sections: Sections, root: Path, device: Device, only: Sequence[str] = ()
) -> list[StagePlan]:
    """Foretell every stage (or `only` some) for one device.

    Args:
      root: the run folder, where the mix may be; it need not exist.

    Raises:
      P2MedError: the recipe names what is not there, or a stage has nothing to learn from.
    """
    words = read_words(sections.model, sections.train, root)
    targets: dict[str, tuple[list[int], list[str]]] = {}
    plans: list[StagePlan] = []
    for stage in sections.train.stages:
        data = read_stage(sections.model, sections.image, sections.mix, stage, words, root)
        wanted = targets_of(data, stage)
        if wanted is not None:
            targets[stage.stage] = wanted
        if only and stage.stage not in only:
            continue
        layout = lay_out(
            sections.model, sections.image, words.vocabulary, sections.train, stage, targets,
            words.image_token_id,
        )  # fmt: skip
        plans.append(_plan_stage(sections, stage, data, words, layout, device))
    return plans


def _plan_stage(
    sections: Sections,
    stage: StageConfig,
    data: StageData,
    words: Words,
    layout: Layout,
    device: Device,
) -> StagePlan:
    train, fitted = sections.train, constants()
    passes, steps = all_passes(data.examples, stage, words.vocabulary)
    many = sections.model.llm.num_hidden_layers > LAYERS_QUICK or sections.model.llm.weights
    looked_at = chosen_passes(passes, PASSES_OF_MANY_LAYERS if many else PASSES)
    counted = count_passes(layout, stage, looked_at, train.dtype == "bfloat16")
    usage = _usage(train, stage, data, layout, counted, passes)
    threads = train.threads or torch.get_num_threads()
    step, encoding = _times(
        data, layout, passes, counted, _keeps(stage), lambda w: seconds_on(device, w, threads, fitted)
    )
    total_steps = _steps(stage, data, passes, steps)
    return StagePlan(
        stage=stage.stage,
        parts=layout.parts,
        source=data.source,
        conversations=data.conversations,
        steps=total_steps,
        greatest=max(looked_at, key=lambda p: (p.tokens, p.slices)),
        usage=usage,
        counted=counted,
        tokens=sum(p.tokens for p in passes),
        memory=memory_on(device, usage, fitted),
        seconds=step,
        total_seconds=total_steps * step + encoding,
        disk=_disk(stage, data, layout),
    )


def _keeps(stage: StageConfig) -> bool:
    """True when features are computed once: a frozen encoder, and images that do not change."""
    return "encoder" not in stage.learn and stage.augmentation is None


def _feature_bytes(stage: StageConfig, data: StageData, layout: Layout) -> float:
    """Of all different images, bfloat16."""
    encoder = layout.model.encoder
    if encoder is None or not _keeps(stage):
        return 0.0
    return data.slices * encoder.patches * encoder.width * 2


def _usage(
    train: TrainConfig,
    stage: StageConfig,
    data: StageData,
    layout: Layout,
    counted: Counted,
    passes: Sequence[Pass],
) -> Usage:
    cache = min(train.feature_cache_gib * 2**30, _feature_bytes(stage, data, layout))
    return Usage(
        held={"weights": layout.weight_bytes, "optimizer": 8 * layout.learned, "features": cache},
        peak=dict(counted.peak),
        built=layout.built_bytes,
        kernels=_kernels(counted, passes, train.dtype == "bfloat16"),
    )


def _kernels(counted: Counted, passes: Sequence[Pass], half: bool) -> float:
    """Different products of all passes, from how many each counted pass adds to those before it.

    In float32 only the convolutions of images are compiled, so that passes with as many slices share theirs.
    """

    def sizes(chosen: Iterable[Pass]) -> set[tuple[int, int]]:
        return {(p.tokens if half else 0, p.slices) for p in chosen}

    known: set = set()
    new: list[int] = []
    for _, works in counted.work:
        found = {k for w in works.values() for k in w.kernels}
        new.append(len(found - known))
        known |= found
    late = new[len(new) // 2 :]
    rest = len(sizes(passes) - sizes(p for p, _ in counted.work))
    return sum(new) + rest * sum(late) / len(late)


def _steps(stage: StageConfig, data: StageData, passes: Sequence[Pass], steps: int) -> int:
    """Of the whole stage: examples may stand for several conversations each."""
    if stage.steps:
        return stage.steps
    seen = Counter(p.chosen[0].group for p in passes if not p.micro)
    return round(steps * sum(n * data.scale[group] for group, n in seen.items()) / seen.total())


def _times(
    data: StageData,
    layout: Layout,
    passes: Sequence[Pass],
    counted: Counted,
    keeps: bool,
    seconds: Callable[[Work], float],
) -> tuple[float, float]:
    """Seconds of a mean step, and of encoding every image once."""
    own: Counter[str] = Counter()
    of_group: dict[tuple[str, str], Counter[str]] = {}
    for one, works in counted.work:
        group = of_group.setdefault(one.chosen[0].group, Counter())
        for tally in (own, group):
            tally["tokens"] += one.tokens
            tally["slices"] += one.slices
            tally["seconds"] += seconds(works["activations"]) + seconds(works["backward"])
            tally["encoding"] += seconds(works["features"])
    total = 0.0
    weight = 0.0
    for one in passes:
        tally = of_group.get(one.chosen[0].group, own)
        scale = data.scale[one.chosen[0].group]
        each = tally["seconds"] + (0.0 if keeps else tally["encoding"])
        total += scale * one.tokens * each / tally["tokens"]
        weight += scale / one.passes
    optimizer = seconds(Work(each=[("float32", 0.0, 28.0 * layout.learned)]))
    encoding = data.slices * own["encoding"] / own["slices"] if keeps and own["slices"] else 0.0
    return total / weight + optimizer, encoding


def _disk(stage: StageConfig, data: StageData, layout: Layout) -> dict[str, float]:
    """Bytes: the finished stage, what a killed training continues from, features, prepared images."""
    return {
        "checkpoint": layout.weight_bytes,
        "resume": (KEEP + 1) * 12 * layout.learned,
        "features": _feature_bytes(stage, data, layout),
        "images": data.image_bytes,
    }
