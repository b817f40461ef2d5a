"""Which conversations a stage draws: the paper's two balances (P2Med Sec. V-A.3, V-A.4).

    eligible diseases: from_categories[0] <= n_c <= from_categories[1], rare ones first
    from each draw until max_per_category of it are in, never one conversation twice

Pure functions on numbers: a conversation is its position, its diseases are a tuple of labels.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from p2med.mix.config import SamplerConfig

COUNTED_ON = "stage1"
"""n_c is the number of conversations with disease c in this stage (Sec. V-A.3)."""

Diseases = Sequence[tuple[str, ...]]
Drawn = dict[str, dict[str, list[int]]]
"""stage -> task -> positions, ascending."""


def count_categories(diseases: Diseases) -> Counter[str]:
    """n_c: a conversation counts once in each of its diseases."""
    return Counter(c for labels in diseases for c in set(labels))


def draw(
    diseases: Diseases, n_c: Mapping[str, int], config: SamplerConfig, rng: random.Random, total: int | None
) -> list[int]:
    """Draw from one task.

    Args:
      diseases: the labels of each conversation.
      n_c: how often each disease occurs where it is counted.
      total: stop when so many are drawn; None: no limit.

    Returns:
      Ascending positions, each once.
    """
    everything = range(len(diseases))
    if config.from_categories is None and config.max_per_category is None:
        if total is None or total >= len(diseases):
            return list(everything)
        return sorted(rng.sample(everything, total))
    members: dict[str, list[int]] = {}
    for position, labels in enumerate(diseases):
        for label in set(labels):
            members.setdefault(label, []).append(position)
    chosen: set[int] = set()
    held: Counter[str] = Counter()
    for label in eligible(n_c, config):
        pool = [p for p in members.get(label, ()) if p not in chosen]
        take = room(len(pool), held[label], config)
        if total is not None:
            take = min(take, total - len(chosen))
        for position in rng.sample(pool, take):
            chosen.add(position)
            held.update(set(diseases[position]))
    return sorted(chosen)


def eligible(n_c: Mapping[str, int], config: SamplerConfig) -> list[str]:
    """Diseases inside the bounds, rare ones first; the name decides between equals."""
    low, high = config.from_categories or (1, max(n_c.values(), default=1))
    return sorted((c for c in n_c if low <= n_c[c] <= high), key=lambda c: (n_c[c], c))


def room(available: int, held: int, config: SamplerConfig) -> int:
    """How many more of a disease may be drawn when `held` came in with rarer ones."""
    if config.max_per_category is None:
        return available
    limit = config.max_per_category - (held if config.cap == "maximum" else 0)
    return max(0, min(limit, available))


def draw_stages(
    stages: Mapping[str, Mapping[str, SamplerConfig]],
    made: Mapping[str, Diseases],
    inpatient: Sequence[str],
    seed: int,
) -> Drawn:
    """Draw every stage.

    Args:
      made: for each task the labels of all its training conversations.
      inpatient: names of the tasks whose drawn conversations `match_total_of: inpatient` counts.
    """
    drawn: Drawn = {}
    for stage in sorted(stages, key=lambda s: s != COUNTED_ON):
        tasks = stages[stage]
        # The stage's inpatient total must be known before a task is matched to it.
        for task in sorted(tasks, key=lambda t: (tasks[t].match_total_of is not None, list(tasks).index(t))):
            drawn.setdefault(stage, {})
            counted = drawn.get(COUNTED_ON, {}).get(task) if stage != COUNTED_ON else None
            basis = made[task] if counted is None else [made[task][p] for p in counted]
            total = None
            if tasks[task].match_total_of == "inpatient":
                total = sum(len(drawn[stage].get(t, ())) for t in inpatient)
            rng = random.Random(f"{seed}/{stage}/{task}")
            drawn[stage][task] = draw(made[task], count_categories(basis), tasks[task], rng, total)
    return drawn
