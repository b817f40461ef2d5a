"""Verb 4: Case -> Conversation, balanced for each training stage.

3_curate ─► render train cases, keep labels only ─► draw each stage (balance.py)
         └► render again ─► 4_mix/<stage>-*.parquet (drawn), val-*.parquet, bench-*.parquet

The law: for every stage and task, made = drawn + left (in the manifest's notes).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from p2med.arrow import from_table
from p2med.mix.balance import Diseases, Drawn, count_categories, draw_stages
from p2med.mix.config import MixConfig
from p2med.mix.render import inpatient_tasks, load_tasks, render
from p2med.progress import say, track
from p2med.schema.case import Case
from p2med.schema.conversation import Conversation
from p2med.store import FolderWriter, Manifest, Rejected, code_digest, require, shard_paths, verb_folder
from p2med.tasks.base import Task

CODE = ("mix", "tasks", "schema", "plugins.py", "store.py", "files.py", "arrow.py")
HELD_OUT = ("val", "bench")


def run(config: MixConfig, root: Path) -> Manifest:
    """Mix `root/3_curate` into `root/4_mix`.

    Raises:
      P2MedError: curate has not finished.
      RecipeError: a task does not exist.
    """
    tasks = load_tasks(config)
    paths = shard_paths(require(root, "curate"))
    writer = FolderWriter(verb_folder(root, "mix"), "mix", config, ["curate"], code_digest(*CODE))
    if writer.manifest is not None:
        say("mix: up to date")
        return writer.manifest
    made = _labels(paths, tasks, config)
    drawn = draw_stages(config.stages, made, inpatient_tasks(tasks), config.seed)
    # Labels are kept by task; where a shard's conversations begin there is counted on the way.
    begun = dict.fromkeys(tasks, 0)
    chosen = {s: {t: frozenset(p) for t, p in by_task.items()} for s, by_task in drawn.items()}
    for number, path in enumerate(track(paths, "mix", len(paths))):
        shard = _Shard(path, tasks, config, begun)
        for place, stem in enumerate((*config.stages, *HELD_OUT)):
            if not writer.has(place * len(paths) + number):
                shard.write(writer, place * len(paths) + number, stem, chosen.get(stem, {}))
    return writer.finish(_notes(config, made, drawn, writer.folder))


def _labels(paths: Sequence[Path], tasks: dict[str, Task], config: MixConfig) -> dict[str, Diseases]:
    """The diseases of every training conversation, by task, in reading order."""
    made: dict[str, list[tuple[str, ...]]] = {t: [] for t in tasks}
    for path in paths:
        for case in _cases(path):
            if (case.split or "train") == "train":
                for conversation in render(case, tasks, config.languages):
                    made[conversation.task].append(conversation.diseases)
    return dict(made)


def _cases(path: Path) -> Iterator[Case]:
    yield from from_table(pq.read_table(path), Case)


class _Shard:
    """The conversations of one shard of cases; a training one with its position within its task."""

    def __init__(self, path: Path, tasks: dict[str, Task], config: MixConfig, begun: dict[str, int]):
        held_out = config.bench_tasks or tuple({t for stage in config.stages.values() for t in stage})
        self.training: list[tuple[int, Conversation]] = []
        self.held_out: dict[str, list[Conversation]] = {s: [] for s in HELD_OUT}
        self.cases = {s: 0 for s in ("train", *HELD_OUT)}
        self.fruitless: dict[str, list[Rejected]] = {s: [] for s in self.cases}
        for case in _cases(path):
            split = case.split or "train"
            self.cases[split] += 1
            conversations = list(render(case, tasks, config.languages))
            if split != "train":
                conversations = [c for c in conversations if c.task in held_out]
                self.held_out[split] += conversations
            else:
                for conversation in conversations:
                    self.training.append((begun[conversation.task], conversation))
                    begun[conversation.task] += 1
            if not conversations:
                self.fruitless[split].append(Rejected(noun="case", id=case.case_id, reason="no_task_fits"))
        self._first_stage = next(iter(config.stages), None)

    def write(self, writer: FolderWriter, number: int, stem: str, chosen: dict[str, frozenset[int]]) -> None:
        """Write what a stage or a held-out set takes of this shard; a case counts once, with its split."""
        if stem in HELD_OUT:
            items, split = self.held_out[stem], stem
        else:
            items = [c for position, c in self.training if position in chosen.get(c.task, ())]
            split = "train" if stem == self._first_stage else ""
        lost = self.fruitless.get(split, [])
        entered = {"conversation": len(items), "case": self.cases.get(split, 0)}
        passed = {"conversation": len(items), "case": self.cases.get(split, 0) - len(lost)}
        writer.write(number, items, Conversation, lost, entered=entered, passed=passed, stem=stem)


def _notes(config: MixConfig, made: dict[str, Diseases], drawn: Drawn, folder: Path) -> dict[str, Any]:
    """made = drawn + left, and the diseases of each stage; what the held-out sets hold."""
    stages: dict[str, Any] = {}
    for stage in config.stages:
        stages[stage] = {}
        for task, positions in drawn.get(stage, {}).items():
            diseases = count_categories([made[task][p] for p in positions])
            stages[stage][task] = {
                "made": len(made[task]),
                "drawn": len(positions),
                "left": len(made[task]) - len(positions),
                "diseases": dict(sorted(diseases.items(), key=lambda x: (-x[1], x[0]))),
            }
    held_out: dict[str, dict[str, int]] = {s: {} for s in HELD_OUT}
    for stem, by_task in held_out.items():
        for path in shard_paths(folder, stem):
            for task in pq.read_table(path, columns=["task"])["task"].to_pylist():
                by_task[task] = by_task.get(task, 0) + 1
    return {"stages": stages, "held_out": held_out}
