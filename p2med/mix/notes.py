"""What the manifest says about a mix: made = drawn + left, and how uneven the diseases were and are.

imbalance   commonest / rarest disease among the eligible ones; 1.0 is even
effective   exp(entropy) of all diseases: 40 equal ones give 40, however long the list of rare ones
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from p2med.mix.balance import Drawn, Made, categories, count_categories, eligible
from p2med.mix.config import SamplerConfig


def stage_notes(
    stages: Mapping[str, Mapping[str, SamplerConfig]], made: Mapping[str, Made], drawn: Drawn
) -> dict[str, Any]:
    """For each stage and task: counts, diseases of what was drawn, imbalance before and after."""
    notes: dict[str, Any] = {stage: {} for stage in stages}
    for stage, tasks in stages.items():
        for task, config in tasks.items():
            positions = drawn[stage][task]
            before = categories(made, drawn, stage, task)
            after = count_categories(made[task].labels(positions))
            wanted = eligible(before, config)
            notes[stage][task] = {
                "made": len(made[task].ids),
                "drawn": len(positions),
                "left": len(made[task].ids) - len(positions),
                "eligible": len(wanted),
                "imbalance": {"before": ratio(before, wanted), "after": ratio(after, wanted)},
                "effective": {"before": effective(before), "after": effective(after)},
                "diseases": by_count(after),
            }
    return notes


def by_count(diseases: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(diseases.items(), key=lambda x: (-x[1], x[0])))


def ratio(counts: Mapping[str, int], wanted: Iterable[str]) -> float | None:
    """Commonest / rarest of the wanted diseases that occur; None when none does."""
    held = [counts[c] for c in wanted if counts.get(c)]
    return round(max(held) / min(held), 2) if held else None


def effective(counts: Counter[str]) -> float:
    """The number of equally common diseases with the same entropy."""
    total = counts.total()
    if not total:
        return 0.0
    return round(math.exp(-sum(n / total * math.log(n / total) for n in counts.values() if n)), 2)
