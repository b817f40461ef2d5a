"""What needs no model: a constant report and the nearest training report. A model must beat both."""

from collections.abc import Sequence

from p2med.schema.conversation import Conversation
from p2med.schema.terms import Section
from p2med.tasks.base import Task


def constant_report(task: Task, train: Sequence[Conversation]) -> dict[Section, str]:
    """For each section the text that training answers use most (the first by order on a tie)."""
    counts: dict[Section, dict[str, int]] = {s: {} for s in task.outputs}
    for sections in _answers(task, train):
        for section, text in sections.items():
            counts[section][text] = counts[section].get(text, 0) + 1
    return {s: max(c, key=lambda t: c[t]) for s, c in counts.items() if c}


def nearest_report(
    task: Task, train: Sequence[Conversation], asked: Sequence[Conversation]
) -> list[dict[Section, str]]:
    """For each question the answer of the training question with the highest character-bigram Jaccard."""
    known = [(bigrams(c.turns[0].text), task.parse(c.turns[1].text)) for c in train if c.task == task.name]
    found = []
    for conversation in asked:
        wanted = bigrams(conversation.turns[-1].text)
        best = max(known, key=lambda k: _jaccard(k[0], wanted), default=None)
        found.append(best[1] if best else {})
    return found


def bigrams(text: str) -> frozenset[str]:
    """The distinct character pairs of a text, white space left out."""
    joined = "".join(text.split())
    return frozenset(joined[i : i + 2] for i in range(len(joined) - 1))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    common = len(a & b)
    total = len(a) + len(b) - common
    return common / total if total else 1.0


def _answers(task: Task, train: Sequence[Conversation]) -> list[dict[Section, str]]:
    turns = (t for c in train if c.task == task.name for t in c.turns if t.role == "assistant")
    return [task.parse(t.text) for t in turns]
