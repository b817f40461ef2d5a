"""The benchmark's items: the paper's counts of each task, or any size, from the held-out patients.

P2Med-MBench (Sec. V-A.5): 642 items = 121 X-ray (100 of one examination, 21 of ten children with several)
+ 121 CT + 4 x 100 records. Items are whole conversations; an examination is one round of one.

draw: rare diseases first until the task's target of different diseases is met, then by hash, as balance.py.
review: `p2med review` writes a page; its decisions are replayed here. A rejected item leaves its place to the
next one by hash, which nobody has seen yet: `unreviewed` counts those.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from p2med.errors import DataError, RecipeError
from p2med.mix.balance import ranks
from p2med.mix.config import BenchmarkConfig, BenchmarkTask
from p2med.schema.base import Frozen
from p2med.schema.conversation import Conversation, Turn, text


class Candidate(Frozen):
    """A held-out conversation that may become an item."""

    conversation_id: str
    task: str
    diseases: tuple[str, ...]
    rounds: int


class Decision(Frozen):
    """What a specialist said of one item; `answers` are the corrected answers, one for each round."""

    verdict: Literal["accept", "edit", "reject"]
    answers: tuple[str, ...] = ()
    note: str = ""


class Decisions(Frozen):
    """The file that the review page saves."""

    reviewer: str = ""
    decisions: dict[str, Decision] = {}


def read_decisions(path: Path) -> Decisions:
    """Read a review.

    Raises:
      RecipeError: there is no such file, or it is no review.
    """
    try:
        return Decisions.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RecipeError(f"mix.benchmark.decisions: there is no file {path}") from None
    except (ValueError, ValidationError):
        raise RecipeError(
            f"mix.benchmark.decisions: {path} is no review; the page of `p2med review` saves one"
        ) from None


def choose(
    candidates: Iterable[Candidate], config: BenchmarkConfig, decisions: Decisions, seed: int
) -> tuple[frozenset[str], dict[str, Any]]:
    """The ids of the items, and what the manifest says of them.

    Raises:
      RecipeError: a decision names no candidate.
    """
    by_task: dict[str, list[Candidate]] = {t: [] for t in config.counts()}
    for candidate in candidates:
        if candidate.task in by_task:
            by_task[candidate.task].append(candidate)
    known = {c.conversation_id for pool in by_task.values() for c in pool}
    if unknown := len(decisions.decisions.keys() - known):
        raise RecipeError(
            f"mix.benchmark.decisions: {unknown} of its ids are no candidates of this benchmark"
        )
    rejected = {i for i, d in decisions.decisions.items() if d.verdict == "reject"}
    chosen: list[str] = []
    notes: dict[str, Any] = {}
    for task, wanted in config.counts().items():
        pool = [c for c in by_task[task] if c.conversation_id not in rejected]
        order = dict(
            zip(
                (c.conversation_id for c in pool),
                ranks([c.conversation_id for c in pool], f"{seed}/bench/{task}"),
                strict=True,
            )
        )
        pool.sort(key=lambda c: order[c.conversation_id])
        items = [*_single(pool, wanted), *_several(pool, wanted.rounds)]
        chosen += [c.conversation_id for c in items]
        notes[task] = _notes(items, wanted, len(by_task[task]), decisions)
    return frozenset(chosen), notes


def _single(pool: Sequence[Candidate], wanted: BenchmarkTask) -> list[Candidate]:
    """Items of one round: rare diseases first until the target is met, then in the pool's order."""
    single = [c for c in pool if c.rounds == 1]
    frequency = Counter(d for c in single for d in set(c.diseases))
    chosen: dict[str, Candidate] = {}
    covered: set[str] = set()
    for disease in sorted(frequency, key=lambda d: (frequency[d], d)):
        if len(covered) >= wanted.diseases or len(chosen) >= wanted.single:
            break
        if disease not in covered:
            item = next(c for c in single if disease in c.diseases)
            chosen[item.conversation_id] = item
            covered.update(item.diseases)
    for item in single:
        if len(chosen) >= wanted.single:
            break
        chosen.setdefault(item.conversation_id, item)
    return list(chosen.values())


def _several(pool: Sequence[Candidate], rounds: int) -> list[Candidate]:
    """Items of several rounds that together have exactly `rounds`, or as many as there are."""
    chosen = []
    for item in pool:
        # One round left could never be filled, since each of these items has at least two.
        if item.rounds > 1 and (item.rounds == rounds or item.rounds <= rounds - 2):
            chosen.append(item)
            rounds -= item.rounds
    return chosen


def _notes(
    items: Sequence[Candidate], wanted: BenchmarkTask, candidates: int, decisions: Decisions
) -> dict[str, Any]:
    diseases = Counter(d for c in items for d in set(c.diseases))
    single = sum(c.rounds == 1 for c in items)
    several = sum(c.rounds for c in items if c.rounds > 1)
    verdicts = Counter(
        decisions.decisions[c.conversation_id].verdict
        if c.conversation_id in decisions.decisions
        else "unreviewed"
        for c in items
    )
    return {
        "candidates": candidates,
        "items": len(items),
        "single": single,
        "several": len(items) - single,
        "rounds": single + several,
        "short": {"single": wanted.single - single, "rounds": wanted.rounds - several},
        "diseases_wanted": wanted.diseases,
        "diseases": dict(sorted(diseases.items(), key=lambda x: (-x[1], x[0]))),
        "review": dict(sorted(verdicts.items())),
    }


def edited(conversation: Conversation, decisions: Decisions) -> Conversation:
    """The item as the specialist left it.

    Raises:
      DataError: an edit has another number of answers than the item has rounds.
    """
    decision = decisions.decisions.get(conversation.conversation_id)
    if decision is None or decision.verdict != "edit":
        return conversation
    answers = list(decision.answers)
    if len(answers) != sum(t.role == "assistant" for t in conversation.turns) or not all(answers):
        raise DataError("wrong_edit", f"{conversation.conversation_id}: one answer for each round is needed")
    turns = [
        Turn(role="assistant", content=(text(answers.pop(0)),)) if t.role == "assistant" else t
        for t in conversation.turns
    ]
    return conversation.model_copy(update={"turns": tuple(turns)})


def candidate(conversation: Conversation) -> Candidate:
    return Candidate(
        conversation_id=conversation.conversation_id,
        task=conversation.task,
        diseases=conversation.diseases,
        rounds=sum(t.role == "assistant" for t in conversation.turns),
    )


def items_of(
    held_out: Sequence[Conversation], chosen: frozenset[str] | None, decisions: Decisions
) -> list[Conversation]:
    """The benchmark's conversations of one shard; without a builder all of them."""
    if chosen is None:
        return list(held_out)
    return [edited(c, decisions) for c in held_out if c.conversation_id in chosen]
