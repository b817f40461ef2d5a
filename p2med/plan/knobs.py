"""What to turn when a recipe does not fit: the smallest change first, each tried by the planner itself.

Conversations a pass, where features are kept and computing layers again change nothing that is learned; types
change rounding; a smaller rank or shorter texts change the model or its data, so they come last.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from p2med.plan.devices import Device
from p2med.plan.run import Sections, StagePlan, plan_training

SHARE = 0.95
"""Of a device's memory that a stage may take; the rest is for what else runs there."""
SHORTEST_TOKENS = 256


@dataclass(frozen=True)
class Knob:
    """A change of the recipe: what to write, why in both languages, and the sections with it."""

    setting: str
    words_en: str
    words_zh: str
    sections: Sections


@dataclass(frozen=True)
class Advice:
    """The knobs to turn together, and the stage's peak then; `fits`: whether that is enough."""

    knobs: tuple[Knob, ...]
    peak: float
    fits: bool


def fits(plan: StagePlan, device: Device) -> bool:
    return plan.peak <= SHARE * device.memory


def advise(sections: Sections, root: Path, device: Device, plan: StagePlan) -> Advice:
    """The smallest change with which this stage fits the device.

    Each family of knobs alone first, in order; then one after the other until it fits.
    """
    best = plan.peak
    for family in FAMILIES:
        for knob in family(sections, plan):
            peak = _peak(knob.sections, root, device, plan.stage)
            best = min(best, peak)
            if peak <= SHARE * device.memory:
                return Advice((knob,), peak, True)
    turned: list[Knob] = []
    peak = plan.peak
    for family in FAMILIES:
        for knob in list(family(sections, plan))[-1:]:  # its strongest setting
            now = _peak(knob.sections, root, device, plan.stage)
            if now < peak:
                turned.append(knob)
                sections, peak = knob.sections, now
            if peak <= SHARE * device.memory:
                return Advice(tuple(turned), peak, True)
    return Advice(tuple(turned), peak, False)


def _peak(sections: Sections, root: Path, device: Device, stage: str) -> float:
    return plan_training(sections, root, device, only=(stage,))[0].peak


# ---------------------------------------------------------------- the knobs, smallest first


def conversations_a_pass(sections: Sections, plan: StagePlan) -> Iterator[Knob]:
    """Half as many at once, until one; the step stays what it is."""
    number = [s.stage for s in sections.train.stages].index(plan.stage)
    stage = sections.train.stages[number]
    count = min(stage.micro_batch_size or stage.batch_size, stage.batch_size)
    while count > 1:
        count //= 2
        stages = list(sections.train.stages)
        stages[number] = stage.model_copy(update={"micro_batch_size": count})
        yield Knob(
            f"train.stages.{number}.micro_batch_size={count}",
            "fewer conversations a pass; the step, and what is learned, stay the same",
            "每次前向少放几个对话；一步的总量与学到的内容不变",
            _with_train(sections, stages=tuple(stages)),
        )


def frozen_type(sections: Sections, plan: StagePlan) -> Iterator[Knob]:
    if sections.train.frozen_dtype != "bfloat16" and any(p.learned < p.parameters for p in plan.parts):
        changed = {"frozen_dtype": "bfloat16", "dtype": "bfloat16"}
        yield Knob(
            "train.frozen_dtype=bfloat16" + ("" if _half(sections) else " train.dtype=bfloat16"),
            "weights that do not learn take half the room",
            "不学习的权重只占一半内存",
            _with_train(sections, **changed),
        )


def recomputing(sections: Sections, plan: StagePlan) -> Iterator[Knob]:
    if not sections.train.gradient_checkpointing:
        yield Knob(
            "train.gradient_checkpointing=true",
            "each layer is computed again in backward: one more forward pass, and learns the same",
            "反向时重新计算每一层：多一次前向，学到的内容不变",
            _with_train(sections, gradient_checkpointing=True),
        )


def features_kept(sections: Sections, plan: StagePlan) -> Iterator[Knob]:
    if plan.usage.held.get("features") and sections.train.feature_cache_gib:
        yield Knob(
            "train.feature_cache_gib=0",
            "image features are read from disk in every epoch instead of memory",
            "影像特征每轮从磁盘读取，不留在内存",
            _with_train(sections, feature_cache_gib=0.0),
        )


def number_type(sections: Sections, plan: StagePlan) -> Iterator[Knob]:
    if not _half(sections):
        yield Knob(
            "train.dtype=bfloat16",
            "computes in bfloat16: what backward needs takes half the room",
            "用 bfloat16 计算：反向传播所需的中间量减半",
            _with_train(sections, dtype="bfloat16"),
        )


def rank(sections: Sections, plan: StagePlan) -> Iterator[Knob]:
    adapter = sections.model.adapter
    learned = [p for p in plan.parts if p.part == "adapter" and p.learned]
    values = dict(adapter.model_extra or {}) if adapter else {}
    size = int(values.get("rank", 8))
    while adapter and learned and size > 4:
        size //= 2
        changed = adapter.model_copy(update={"rank": size})
        yield Knob(
            f"model.adapter.rank={size}",
            "a smaller adapter; it may learn less",
            "较小的 LoRA 秩；可能学得少一些",
            Sections(
                sections.model.model_copy(update={"adapter": changed}),
                sections.image,
                sections.mix,
                sections.train,
            ),
        )


def tokens(sections: Sections, plan: StagePlan) -> Iterator[Knob]:
    """Shorter conversations: longer ones are left out and counted."""
    longest = max(len(e.input_ids) for e in plan.greatest.part)
    while not sections.model.llm.weights and longest // 2 >= SHORTEST_TOKENS:
        longest //= 2
        llm = sections.model.llm.model_copy(update={"max_position_embeddings": longest})
        yield Knob(
            f"model.llm.max_position_embeddings={longest}",
            "longer conversations are left out; this changes the data",
            "更长的对话不参与训练；数据会改变",
            Sections(
                sections.model.model_copy(update={"llm": llm}), sections.image, sections.mix, sections.train
            ),
        )


FAMILIES: tuple[Callable[[Sections, StagePlan], Iterator[Knob]], ...] = (
    conversations_a_pass,
    features_kept,
    frozen_type,
    recomputing,
    number_type,
    rank,
    tokens,
)


def _half(sections: Sections) -> bool:
    return sections.train.dtype == "bfloat16"


def _with_train(sections: Sections, **changes: object) -> Sections:
    return Sections(sections.model, sections.image, sections.mix, sections.train.model_copy(update=changes))
