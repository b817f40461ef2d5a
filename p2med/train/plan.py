"""Which conversations every step sees: a pure function of the examples, the stage and its seed.

Because nothing else decides, the step's number is the only cursor that a resumed training needs.
"""

import math
from collections.abc import Sequence

import numpy as np

from p2med.errors import RecipeError
from p2med.train.config import StageConfig
from p2med.train.examples import Example

LENGTH_STEP = 32
"""Lengths are compared in steps of so many tokens: finer, short answers are sorted by what they say."""
BUCKET = 16
"""Batches are cut from this many batches' worth of shuffled conversations, sorted by length."""


class Plan:
    """`plan.batch(step)` for step 0 .. plan.steps - 1."""

    def __init__(self, examples: Sequence[Example], stage: StageConfig):
        if not examples:
            raise RecipeError(f"train stage {stage.stage}: the mix leaves no conversation to learn from")
        self._stage = stage
        self._lengths = np.array([len(e.input_ids) // LENGTH_STEP for e in examples])
        groups: dict[tuple[str, str], list[int]] = {}
        for index, example in enumerate(examples):
            groups.setdefault(example.group, []).append(index)
        self._groups = dict(sorted(groups.items()))
        self._epoch = -1
        self._batches: list[list[int]] = []
        self.steps_per_epoch = len(self._shuffled(0))
        self.steps = stage.steps or max(1, round((stage.epochs or 0) * self.steps_per_epoch))

    def batch(self, step: int) -> list[int]:
        """Indices of the examples of one optimizer step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffled(epoch)
        return self._batches[place]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        random = np.random.default_rng([self._stage.seed, epoch, 0x5EED])
        size = self._stage.batch_size
        batches: list[list[int]] = []
        for (_, task), members in self._groups.items():
            drawn = self._draw(members, self._stage.task_weights.get(task, 1.0), random)
            for start in range(0, len(drawn), BUCKET * size):
                bucket = drawn[start : start + BUCKET * size]
                bucket = bucket[np.argsort(self._lengths[bucket], kind="stable")]
                batches += [bucket[i : i + size].tolist() for i in range(0, len(bucket), size)]
        return [batches[i] for i in random.permutation(len(batches))]

    @staticmethod
    def _draw(members: list[int], weight: float, random: np.random.Generator) -> np.ndarray:
        """Every member floor(weight) times and a random part once more, shuffled."""
        whole = math.floor(weight)
        extra = round((weight - whole) * len(members))
        shuffled = [random.permutation(members) for _ in range(whole)]
        return np.concatenate([*shuffled, random.permutation(members)[:extra]]).astype(np.int64)


def learning_rate(step: int, steps: int, stage: StageConfig) -> float:
    """Linear warm-up, then a cosine to 0 (P2Med Sec. V-C.2)."""
    warm = round(stage.warmup_ratio * steps)
    if step < warm:
        return stage.lr * (step + 1) / warm
    return stage.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
