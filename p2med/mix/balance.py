"""Which conversations a stage draws: the paper's two balances (P2Med Sec. V-A.3, V-A.4).

    eligible diseases: from_categories[0] <= n_c <= from_categories[1], rare ones first
    from each draw until max_per_category of it are in, never one conversation twice

Pure functions on labels. Who is drawn first is decided by a hash of (seed, stage, task, conversation_id), so
a draw depends on which conversations there are and not on the order in which they were read.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from p2med.mix.config import SamplerConfig

COUNTED_ON = "stage1"
"""n_c is the number of conversations with disease c in this stage (Sec. V-A.3)."""


@dataclass
class Made:
    """The conversations of one task that may teach: ids and labels, in reading order."""

    ids: list[str] = field(default_factory=list)
    diseases: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, name: str, diseases: tuple[str, ...]) -> None:
        self.ids.append(name)
        self.diseases.append(diseases)

    def labels(self, positions: Sequence[int]) -> list[tuple[str, ...]]:
        return [self.diseases[p] for p in positions]


Drawn = dict[str, dict[str, list[int]]]
"""stage -> task -> positions, ascending."""


def count_categories(diseases: Sequence[tuple[str, ...]]) -> Counter[str]:
    """n_c: a conversation counts once in each of its diseases."""
    return Counter(c for labels in diseases for c in set(labels))


def draw(
    made: Made, n_c: Mapping[str, int], config: SamplerConfig, salt: str, total: int | None = None
) -> list[int]:
    """Draw from one task.

    Args:
      n_c: how often each disease occurs where it is counted.
      salt: seed, stage and task; another salt draws others.
      total: stop when so many are drawn; None: no limit.

    Returns:
      Ascending positions, each once.
    """
    everything = range(len(made.ids))
    if config.takes_all and (total is None or total >= len(everything)):
        return list(everything)
    rank = ranks(made.ids, salt)
    if config.takes_all:
        return sorted(sorted(everything, key=rank.__getitem__)[:total])
    return sorted(_by_category(made, rank, n_c, config, len(everything) if total is None else total))


def ranks(ids: Sequence[str], salt: str) -> list[tuple[bytes, str]]:
    """For each id its place in the queue: by a hash of salt and id; the id decides between equals."""
    start = hashlib.sha256(salt.encode() + b"\0")

    def rank(name: str) -> tuple[bytes, str]:
        own = start.copy()
        own.update(name.encode())
        return own.digest()[:8], name

    return [rank(name) for name in ids]


def _by_category(
    made: Made, rank: list[tuple[bytes, str]], n_c: Mapping[str, int], config: SamplerConfig, total: int
) -> set[int]:
    """Disease by disease, rare ones first; under the strict reading no eligible disease passes its cap."""
    wanted = eligible(n_c, config)
    members: dict[str, list[int]] = {c: [] for c in wanted}
    for position, labels in enumerate(made.diseases):
        for label in set(labels):
            if label in members:
                members[label].append(position)
    cap = config.max_per_category
    strict = cap is not None and config.cap == "maximum"
    chosen: set[int] = set()
    held: Counter[str] = Counter()
    for label in wanted:
        new = 0
        for position in sorted(members[label], key=rank.__getitem__):
            if len(chosen) >= total or (cap is not None and (held[label] if strict else new) >= cap):
                break
            own = [c for c in set(made.diseases[position]) if c in members]
            if position in chosen or (strict and any(held[c] >= cap for c in own)):
                continue
            chosen.add(position)
            held.update(own)
            new += 1
    return chosen


def eligible(n_c: Mapping[str, int], config: SamplerConfig) -> list[str]:
    """Diseases inside the bounds, rare ones first; the name decides between equals."""
    low, high = config.from_categories or (1, max(n_c.values(), default=1))
    return sorted((c for c in n_c if low <= n_c[c] <= high), key=lambda c: (n_c[c], c))


def draw_stages(
    stages: Mapping[str, Mapping[str, SamplerConfig]],
    made: Mapping[str, Made],
    inpatient: Sequence[str],
    seed: int,
) -> Drawn:
    """Draw every stage.

    Args:
      made: for each task all its training conversations.
      inpatient: names of the tasks whose drawn conversations `match_total_of: inpatient` counts.
    """
    drawn: Drawn = {}
    for stage, tasks in _in_order(stages):
        drawn[stage] = {}
        # The stage's inpatient total must be known before a task is matched to it.
        for task in sorted(tasks, key=lambda t: tasks[t].match_total_of is not None):
            n_c = categories(made, drawn, stage, task)
            total = None
            if tasks[task].match_total_of == "inpatient":
                total = sum(len(drawn[stage].get(t, ())) for t in inpatient)
            drawn[stage][task] = draw(made[task], n_c, tasks[task], f"{seed}/{stage}/{task}", total)
    return drawn


def _in_order(
    stages: Mapping[str, Mapping[str, SamplerConfig]],
) -> Iterator[tuple[str, Mapping[str, SamplerConfig]]]:
    """The stage that diseases are counted on comes first."""
    for stage in sorted(stages, key=lambda s: s != COUNTED_ON):
        yield stage, stages[stage]


def categories(made: Mapping[str, Made], drawn: Drawn, stage: str, task: str) -> Counter[str]:
    """n_c of a task: over its stage-1 conversations; over all where stage 1 does not have the task."""
    counted = drawn.get(COUNTED_ON, {}).get(task) if stage != COUNTED_ON else None
    return count_categories(made[task].diseases if counted is None else made[task].labels(counted))
