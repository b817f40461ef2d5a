"""Verb 6: a checkpoint and held-out conversations -> answers, ratings, the table, a report with figures.

   4_mix/bench-*.parquet + 5_train/<stage>/
-> 6_bench/ items-*.parquet (Answer)  ratings.parquet  results.json  report.txt  report.html  figures/*.png
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from p2med import plugins, store
from p2med.arrow import to_table
from p2med.bench.config import BenchConfig
from p2med.bench.floors import constant_report, nearest_report
from p2med.bench.rate import rate
from p2med.bench.report import write_report
from p2med.bench.rounds import Round, rounds, swapped
from p2med.bench.table import choice_results, disease_results, finding_results, means, section_means
from p2med.consensus import Panel
from p2med.errors import DataError
from p2med.model.checkpoint import resolve_checkpoint
from p2med.progress import track
from p2med.schema.base import Frozen
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation
from p2med.schema.rating import Answer, Rating, Result
from p2med.schema.terms import Section
from p2med.tasks.base import Task


class BenchSection(Frozen):
    """The recipe's section and the checkpoints that it is about."""

    config: BenchConfig
    checkpoint: str
    checkpoint_digest: str
    member_digests: tuple[str, ...] = ()


def run(config: BenchConfig, root: Path, stages: Sequence[str]) -> store.Manifest:
    """Answer, rate, tabulate, draw.

    Raises:
      P2MedError: mix is not finished, there is no checkpoint, or nothing is held out.
    """
    mix = store.require(root, "mix")
    checkpoint = _checkpoint(config.checkpoint, root, stages)
    members = [_checkpoint(m, root, stages) for m in config.members]
    section = BenchSection(
        config=config,
        checkpoint=checkpoint.name,
        checkpoint_digest=store.sha256_of(checkpoint / "digests.json"),
        member_digests=tuple(store.sha256_of(m / "digests.json") for m in members),
    )
    code = store.code_digest("bench", "tasks", "consensus.py", "clinical", "model", "imaging")
    writer = store.FolderWriter(store.verb_folder(root, "bench"), "bench", section, ["mix"], code)
    if writer.finished and writer.manifest:
        return writer.manifest
    held_out = _held_out(config, mix)
    train = _training_conversations(mix)
    tasks = {name: plugins.load("p2med.tasks", name).TASK for name in sorted({c.task for c in held_out})}
    asked = [r for c in held_out for r in rounds(c, single=config.single_round)]
    if config.swap_images:
        asked += [
            r for c in swapped(held_out, config.seed) for r in rounds(c, "swapped", config.single_round)
        ]
    _answer_all(config, root, [checkpoint, *members], writer, tasks, asked)
    answers = list(store.read_items(writer.folder, Answer))
    answers += _floor_answers(config, tasks, train, [r for r in asked if r.condition == "true"])
    ratings, results = _score(config, tasks, train, answers)
    store.write_table(writer.folder / "ratings.parquet", to_table(ratings, Rating))
    store.write_json(writer.folder / "results.json", [r.model_dump(mode="json") for r in results])
    write_report(writer.folder, tasks, results, answers, checkpoint, (*_who_answered(config), *config.beside))
    return writer.finish(notes={"checkpoint": section.checkpoint, "answers": len(answers)})


def _who_answered(config: BenchConfig) -> list[str]:
    """A line when the scores are not those of one checkpoint that reads once."""
    if not config.members and config.readings == 1:
        return []
    others = f" and {', '.join(config.members)}" if config.members else ""
    return [
        f"answers: the consensus of this checkpoint{others}, {config.readings} readings of a text by each"
    ]


def _checkpoint(name: str | None, root: Path, stages: Sequence[str]) -> Path:
    folder = store.verb_folder(root, "train")
    if name is None:
        return resolve_checkpoint(folder / stages[-1] if stages else folder)
    return resolve_checkpoint(folder / name if name in stages else Path(name))


def _held_out(config: BenchConfig, mix: Path) -> list[Conversation]:
    """The held-out conversations in order, at most `limit_per_task` a task."""
    taken: dict[str, int] = {}
    found = []
    for c in store.read_items(mix, Conversation, stem=config.split):
        if config.tasks and c.task not in config.tasks:
            continue
        taken[c.task] = taken.get(c.task, 0) + 1
        if config.limit_per_task is None or taken[c.task] <= config.limit_per_task:
            found.append(c)
    if not found:
        wanted = ", ".join(config.tasks) or "any task"
        raise DataError("nothing_held_out", f"{mix} has no {config.split!r} conversation of {wanted}")
    return found


def _training_conversations(mix: Path) -> list[Conversation]:
    """Every conversation of any stage, once."""
    manifest = store.read_manifest(mix)
    stems = manifest.section["stages"] if manifest else {}
    found: dict[str, Conversation] = {}
    for stem in stems:
        for c in store.read_items(mix, Conversation, stem=stem):
            found.setdefault(c.conversation_id, c)
    return list(found.values())


def _answer_all(
    config: BenchConfig,
    root: Path,
    checkpoints: Sequence[Path],
    writer: store.FolderWriter,
    tasks: dict[str, Task],
    asked: Sequence[Round],
) -> None:
    """Answer batch by batch; a batch is a shard, so a killed benchmark continues."""
    # One kind of question a batch: an option set, or a task with images or without.
    ordered = sorted(asked, key=lambda r: (r.condition, r.asked.task, r.asked.options, r.asked.has_image))
    batches = list(_batches(ordered, config.batch_size))
    todo = [n for n in range(len(batches)) if not writer.has(n)]
    if not todo:
        return
    panel = Panel.load(checkpoints, config.readings, config.device, config.threads)

    def load(volume: Volume) -> np.ndarray:
        return store.read_volume(volume.path, root)

    for n in track(todo, "bench"):
        batch = batches[n]
        conversations = [r.asked for r in batch]
        if batch[0].asked.options:
            chances = panel.probabilities(conversations, load)
            texts = [max(p, key=lambda o, p=p: p[o]) for p in chances]
        else:
            chances = [None] * len(batch)
            task = tasks[batch[0].asked.task]
            texts = panel.answer(task, conversations, load, config.max_new_tokens)
        rows = [
            _read_answer(tasks[r.asked.task], r, t, p) for r, t, p in zip(batch, texts, chances, strict=True)
        ]
        writer.write(n, rows, Answer, entered={"round": len(batch)})


def _batches(ordered: Sequence[Round], size: int) -> list[list[Round]]:
    found: list[list[Round]] = []
    for r in ordered:
        kind = (r.condition, r.asked.task, r.asked.options, r.asked.has_image)
        last = found[-1][-1] if found else None
        same = last and kind == (last.condition, last.asked.task, last.asked.options, last.asked.has_image)
        if same and len(found[-1]) < size:
            found[-1].append(r)
        else:
            found.append([r])
    return found


def _read_answer(
    task: Task, asked: Round, text: str, probabilities: dict[str, float] | None, condition: str | None = None
) -> Answer:
    plain = not task.components
    return Answer(
        conversation_id=asked.asked.conversation_id,
        task=task.name,
        case_id=asked.asked.case_id,
        round=asked.round,
        condition=condition or asked.condition,
        text=text,
        sections=task.parse(text),
        reference_sections=task.parse(asked.reference),
        answer=text.strip() if plain else None,
        reference_answer=asked.reference.strip() if plain else None,
        probabilities=probabilities,
    )


def _floor_answers(
    config: BenchConfig, tasks: dict[str, Task], train: Sequence[Conversation], asked: Sequence[Round]
) -> list[Answer]:
    """What a constant report, or the nearest training report, would have said to the same questions."""
    found = []
    for name, task in tasks.items():
        mine = [r for r in asked if r.asked.task == name]
        if not task.components:
            continue
        said: dict[str, list[dict[Section, str]]] = {}
        if "constant_report" in config.floors:
            said["constant_report"] = [constant_report(task, train)] * len(mine)
        if "nearest_report" in config.floors and not task.needs_image:
            said["nearest_report"] = nearest_report(task, train, [r.asked for r in mine])
        for floor, sections in said.items():
            for r, s in zip(mine, sections, strict=True):
                answer = _read_answer(task, r, "", None, condition=floor)
                found.append(answer.model_copy(update={"sections": s}))
    return found


def _score(
    config: BenchConfig, tasks: dict[str, Task], train: Sequence[Conversation], answers: Sequence[Answer]
) -> tuple[list[Rating], list[Result]]:
    ratings = [r for a in answers for r in rate(tasks[a.task], a)]
    results = means(ratings) + section_means(ratings)
    for name, task in tasks.items():
        mine = [a for a in answers if a.task == name]
        results += disease_results(task, mine, train, config.seed)
        results += finding_results(task, mine, config.seed)
    return ratings, results + choice_results(answers, train)
