"""How much is left: conversations that will be taught and questions that will be asked, in one unit."""

from collections.abc import Sequence
from typing import Any

from p2med.recipe import Recipe
from p2med.train.config import StageConfig

ANSWER = 3.0
"""An answer takes as long as so many taught conversations (measured on the demo)."""
SWAPPED = 1.3
"""Questions with images are asked twice where bench.swap_images is set; a third has images."""


def effort(recipe: Recipe, earlier: Sequence[Recipe], mix: dict[str, Any]) -> float:
    """The work of one run, in taught conversations; stages that an earlier run shares count nothing.

    Args:
      mix: the notes of 4_mix's manifest.
    """
    assert recipe.train and recipe.bench
    shared = max((_common_stages(recipe, other) for other in earlier), default=0)
    taught = sum(_conversations(s, mix["stages"].get(s.stage, {})) for s in recipe.train.stages[shared:])
    held_out = mix["held_out"][recipe.bench.split]
    asked = sum(n for task, n in held_out.items() if not recipe.bench.tasks or task in recipe.bench.tasks)
    return taught + asked * ANSWER * (SWAPPED if recipe.bench.swap_images else 1.0)


def _common_stages(recipe: Recipe, other: Recipe) -> int:
    """How many training stages two recipes begin with in common."""
    assert recipe.train and other.train
    if (recipe.mix, recipe.model, recipe.curate) != (other.mix, other.model, other.curate):
        return 0
    same = [a == b for a, b in zip(recipe.train.stages, other.train.stages, strict=False)]
    return next((n for n, s in enumerate(same) if not s), len(same))


def _conversations(stage: StageConfig, drawn: dict[str, Any]) -> float:
    if stage.steps:
        return float(stage.steps * stage.batch_size)
    return sum(n["drawn"] * stage.task_weights.get(t, 1.0) for t, n in drawn.items()) * (stage.epochs or 0)
