"""Verb 4: Case -> Conversation, balanced for each training stage.

3_curate ─► render, keep ids and labels only ─► draw each stage (balance.py), choose the benchmark's items
         └► render again ─► 4_mix/<stage>-*.parquet (drawn), val-*.parquet, bench-*.parquet

The law: for every stage and task, made = drawn + left (in the manifest's notes).
"""

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from p2med.arrow import from_table
from p2med.errors import P2MedError
from p2med.mix.balance import Drawn, Made, draw_stages
from p2med.mix.benchmark import Candidate, Decisions, candidate, choose, items_of, read_decisions
from p2med.mix.config import MixConfig
from p2med.mix.notes import stage_notes
from p2med.mix.render import HELD_OUT, inpatient_tasks, load_tasks, render
from p2med.pool import in_order, workers
from p2med.progress import say, track
from p2med.schema.base import Frozen
from p2med.schema.case import Case
from p2med.schema.conversation import Conversation
from p2med.store import (
    FolderWriter,
    Manifest,
    Rejected,
    code_digest,
    require,
    resolve,
    shard_paths,
    verb_folder,
)

CODE = ("mix", "tasks", "schema", "plugins.py", "store.py", "files.py", "arrow.py")


def run(config: MixConfig, root: Path) -> Manifest:
    """Mix `root/3_curate` into `root/4_mix`.

    Raises:
      P2MedError: curate has not finished, or the benchmark leaks into training.
      RecipeError: a task does not exist, or the review cannot be read.
    """
    tasks = load_tasks(config)
    decisions, digest = _decisions(config, root)
    paths = shard_paths(require(root, "curate"))
    code = code_digest(*CODE) + digest
    writer = FolderWriter(verb_folder(root, "mix"), "mix", config, ["curate"], code)
    if writer.manifest is not None:
        say("mix: up to date")
        return writer.manifest
    # A process is worth its start from four shards on.
    with workers(config.workers, len(paths) // 4) as pool:
        found = list(track(in_order(pool, partial(_survey, config=config), paths), "mix: labels", len(paths)))
        _refuse_leaks(found)
        made = {t: Made() for t in tasks}
        begun = [_gather(part, made) for part in found]
        drawn = draw_stages(config.stages, made, inpatient_tasks(tasks), config.seed)
        items, bench = None, {}
        if config.benchmark is not None:
            items, bench = choose(
                (c for p in found for c in p.bench), config.benchmark, decisions, config.seed
            )
        jobs = (
            _Job(
                writer, number, len(paths), path, config, _taken(drawn, begun, number, made), items, decisions
            )
            for number, path in enumerate(paths)
        )
        held = list(track(in_order(pool, _write, jobs), "mix", len(paths)))
    notes = {
        "order": list(config.stages),
        "stages": stage_notes(config.stages, made, drawn),
        "held_out": _held_out(held),
    }
    return writer.finish({**notes, "benchmark": bench} if config.benchmark is not None else notes)


def _decisions(config: MixConfig, root: Path) -> tuple[Decisions, str]:
    """The review, and its digest: another review makes the folder out of date."""
    if config.benchmark is None or config.benchmark.decisions is None:
        return Decisions(), ""
    path = resolve(config.benchmark.decisions, root)
    decisions = read_decisions(path)
    return decisions, "-" + hashlib.sha256(path.read_bytes()).hexdigest()[:16]


class _Labels(Frozen):
    """What one shard of cases holds: (id, diseases) by task, and the benchmark's candidates."""

    training: dict[str, list[tuple[str, tuple[str, ...]]]]
    bench: list[Candidate]
    taught: set[str]
    asked: set[str]
    """What identifies patients and conversations of training and of the benchmark (`identity_of`)."""


def _survey(path: Path, config: MixConfig) -> _Labels:
    tasks = load_tasks(config)
    training: dict[str, list[tuple[str, tuple[str, ...]]]] = {t: [] for t in tasks}
    bench = []
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for case in _cases(path):
        if case.split != "val":
            for conversation in render(case, tasks, config):
                sides[case.split == "bench"].update(identity_of(conversation))
                if case.split == "bench":
                    bench.append(candidate(conversation))
                else:
                    entry = (conversation.conversation_id, conversation.diseases)
                    training[conversation.task].append(entry)
    return _Labels(training=training, bench=bench, taught=sides[False], asked=sides[True])


def identity_of(conversation: Conversation) -> tuple[str, str, str]:
    """The patient, the conversation's id, and a digest of all that is said and shown in it."""
    said = [p.text or (p.volume.path if p.volume else "") for t in conversation.turns for p in t.content]
    digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:24]
    return f"patient {conversation.patient_key}", f"id {conversation.conversation_id}", f"content {digest}"


def _refuse_leaks(found: Sequence[_Labels]) -> None:
    """The last gate: curate has sought all six kinds, this one knows what is really asked and taught.

    Raises:
      P2MedError: a benchmark item, or its patient, is in the training data.
    """
    asked = set().union(*(part.asked for part in found))
    shared = Counter(x.split()[0] for part in found for x in part.taught & asked)
    if shared:
        words = ", ".join(f"{n} by {kind}" for kind, n in sorted(shared.items()))
        raise P2MedError(f"mix: the benchmark leaks into training ({words}); no benchmark is written")


def _gather(part: _Labels, made: dict[str, Made]) -> dict[str, int]:
    """Add a shard's conversations to all; where it begins in each task."""
    begun = {t: len(m.ids) for t, m in made.items()}
    for task, entries in part.training.items():
        for name, diseases in entries:
            made[task].add(name, diseases)
    return begun


def _taken(
    drawn: Drawn, begun: Sequence[dict[str, int]], number: int, made: dict[str, Made]
) -> dict[str, dict[str, frozenset[int]]]:
    """What each stage takes of one shard: positions within the shard, by task."""
    taken: dict[str, dict[str, frozenset[int]]] = {}
    for stage, by_task in drawn.items():
        taken[stage] = {}
        for task, positions in by_task.items():
            start = begun[number][task]
            stop = begun[number + 1][task] if number + 1 < len(begun) else len(made[task].ids)
            low, high = bisect_left(positions, start), bisect_left(positions, stop)
            taken[stage][task] = frozenset(p - start for p in positions[low:high])
    return taken


def _cases(path: Path) -> Iterator[Case]:
    yield from from_table(pq.read_table(path), Case)


@dataclass(frozen=True)
class _Job:
    """Write every file that one shard of cases gives."""

    writer: FolderWriter
    number: int
    shards: int
    path: Path
    config: MixConfig
    taken: dict[str, dict[str, frozenset[int]]]
    items: frozenset[str] | None
    decisions: Decisions


def _write(job: _Job) -> dict[str, Counter[str]]:
    """Returns how many held-out conversations of each task there are, by split."""
    shard = _Shard(job)
    for place, stem in enumerate((*job.config.stages, *HELD_OUT)):
        number = place * job.shards + job.number
        if not job.writer.has(number):
            shard.write(job.writer, number, stem)
    return {s: Counter(c.task for c in shard.items[s]) for s in HELD_OUT}


class _Shard:
    """The conversations of one shard of cases, by the file that they go to."""

    def __init__(self, job: _Job):
        config, tasks = job.config, load_tasks(job.config)
        asked = set(config.bench_tasks) or {t for stage in config.stages.values() for t in stage}
        if config.benchmark is not None:
            asked |= set(config.benchmark.tasks)
        self.items: dict[str, list[Conversation]] = {s: [] for s in (*config.stages, *HELD_OUT)}
        self.cases = {s: 0 for s in ("train", *HELD_OUT)}
        self.fruitless: dict[str, list[Rejected]] = {s: [] for s in self.cases}
        met: Counter[str] = Counter()
        for case in _cases(job.path):
            split = case.split or "train"
            self.cases[split] += 1
            conversations = list(render(case, tasks, config))
            if split != "train":
                conversations = [c for c in conversations if c.task in asked]
                self.items[split] += conversations
            else:
                for conversation in conversations:
                    self._take(conversation, met[conversation.task], job)
                    met[conversation.task] += 1
            if not conversations:
                self.fruitless[split].append(Rejected(noun="case", id=case.case_id, reason="no_task_fits"))
        self.items["bench"] = items_of(self.items["bench"], job.items, job.decisions)
        self._first_stage = next(iter(config.stages), None)

    def _take(self, conversation: Conversation, position: int, job: _Job) -> None:
        for stage, by_task in job.taken.items():
            if position in by_task.get(conversation.task, ()):
                self.items[stage].append(conversation)

    def write(self, writer: FolderWriter, number: int, stem: str) -> None:
        """Write what a stage or a held-out set takes of this shard; a case counts once, with its split."""
        items = self.items[stem]
        split = stem if stem in HELD_OUT else "train" if stem == self._first_stage else ""
        lost = self.fruitless.get(split, [])
        entered = {"conversation": len(items), "case": self.cases.get(split, 0)}
        passed = {"conversation": len(items), "case": self.cases.get(split, 0) - len(lost)}
        writer.write(number, items, Conversation, lost, entered=entered, passed=passed, stem=stem)


def _held_out(held: Sequence[dict[str, Counter[str]]]) -> dict[str, dict[str, int]]:
    found = {s: sum((part[s] for part in held), Counter()) for s in HELD_OUT}
    return {s: dict(sorted(found[s].items())) for s in HELD_OUT}
