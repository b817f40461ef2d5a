"""What the passes of a stage take: the greatest are run on tensors without numbers, and counted."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from p2med import plugins
from p2med.plan.layout import Layout
from p2med.plan.meter import CPU, Meter, Work
from p2med.schema.case import Volume
from p2med.train.batch import Batcher
from p2med.train.config import StageConfig
from p2med.train.examples import Example
from p2med.train.history import with_noisy_history
from p2med.train.plan import Plan

STEPS_LOOKED_AT = 4000
"""Longer stages are looked at in even distances: the greatest of 4,000 is close to the greatest of all."""


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass: which conversations, of which step, one of how many of that step."""

    step: int
    micro: int
    passes: int
    part: tuple[Example, ...]
    chosen: tuple[Example, ...]

    @property
    def tokens(self) -> int:
        return sum(len(e.input_ids) for e in self.part)

    @property
    def padded(self) -> int:
        return len(self.part) * max(len(e.input_ids) for e in self.part)

    @property
    def slices(self) -> int:
        """Of all images, padded to the deepest."""
        depths = [v.shape[0] for e in self.part for v in e.volumes]
        return len(depths) * max(depths, default=0)

    @property
    def learned(self) -> int:
        return sum(int(e.learned.sum()) for e in self.part)


@dataclass
class Counted:
    """What a row of steps took.

    peak: bytes that live at the worst moment, by what they are; work: of each phase of each pass.
    """

    peak: Counter[str]
    work: list[tuple[Pass, dict[str, Work]]]

    @property
    def bytes(self) -> int:
        return sum(self.peak.values())


def all_passes(examples: Sequence[Example], stage: StageConfig, vocabulary: int) -> tuple[list[Pass], int]:
    """The passes of (evenly many of) the stage's steps, as the loop makes them, and the number of steps."""
    plan = Plan(examples, stage)
    found: list[Pass] = []
    for step in range(0, plan.steps, max(1, plan.steps // STEPS_LOOKED_AT)):
        random = np.random.default_rng([stage.seed, step, 0xB00C])
        chosen = tuple(
            with_noisy_history(examples[i], stage.history_noise, vocabulary, random) for i in plan.batch(step)
        )
        size = min(stage.micro_batch_size or len(chosen), len(chosen))
        parts = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        found += [Pass(step, n, len(parts), tuple(part), chosen) for n, part in enumerate(parts)]
    return found, plan.steps


def chosen_passes(passes: Sequence[Pass], at_most: int) -> list[Pass]:
    """All, or those that may need most memory and others in even distances, in the order of training."""
    if len(passes) <= at_most:
        return list(passes)
    even = [passes[n * len(passes) // at_most] for n in range(at_most)]
    found = {(p.step, p.micro): p for p in [*even[: at_most - len(KEYS)], *greatest(passes)]}
    return [found[key] for key in sorted(found)]


def greatest(passes: Sequence[Pass]) -> list[Pass]:
    """Those that may need most memory: by tokens, by padded tokens, by slices, by what is learned, by all."""
    most = [max(1, *(key(p) for p in passes)) for key in KEYS]
    found = [max(passes, key=key) for key in KEYS]
    found.append(max(passes, key=lambda p: sum(key(p) / m for key, m in zip(KEYS, most, strict=True))))
    return [p for n, p in enumerate(found) if p not in found[:n]]


KEYS: list[Callable[[Pass], int]] = [
    lambda p: p.tokens,
    lambda p: p.padded,
    lambda p: p.slices,
    lambda p: p.learned,
]


def count_passes(layout: Layout, stage: StageConfig, passes: Sequence[Pass], autocast: bool) -> Counted:
    """Run passes on the layout's model, one after the other; gradients go when a step ends."""
    objective = plugins.load("p2med.train.objectives", stage.objective)
    model = layout.model
    batcher = Batcher(
        model,
        load=_pixels,
        pad_id=3,
        frozen="encoder" not in stage.learn,
        augment=stage.augmentation,
        cache_bytes=0,
        device=CPU,
    )
    meter = Meter(layout.fake, model.config.text_config.vocab_size)
    meter.know(model)
    work: list[tuple[Pass, dict[str, Work]]] = []
    with torch.random.fork_rng(devices=[]), meter:
        for place, one in enumerate(passes):
            if place and one.step != passes[place - 1].step:
                _forget_gradients(model)
            # A later pass of a step finds the gradients of the first, even if that one is not among these.
            for _ in range(1 + (one.micro > 0 and not _has_gradients(model))):
                entropy = np.random.SeedSequence([stage.seed, one.step, one.micro])
                torch.manual_seed(int(entropy.generate_state(1)[0]))
                meter.work = {}
                with meter.phase("features"):
                    batch = batcher.batch(one.part, one.chosen)
                with meter.phase("activations"), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    value = objective.loss(model, batch)
                with meter.phase("backward"):
                    value.backward()
                del batch, value
                meter.rename("backward", "gradients")
            work.append((one, meter.work))
        _forget_gradients(model)
    return Counted(+meter.at_peak, work)


def _has_gradients(model: torch.nn.Module) -> bool:
    return any(p.grad is not None for p in model.parameters())


def _forget_gradients(model: torch.nn.Module) -> None:
    for parameter in model.parameters():
        parameter.grad = None


def _pixels(volume: Volume) -> np.ndarray:
    return np.zeros(volume.shape, dtype=np.float16)
