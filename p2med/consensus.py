"""One answer from several readings of the same text: what most of them agree on (ours).

A model that learned from few records is swayed by single lines of a long dialogue. Asked again with half of
the lines left out, as training left them out, it errs differently each time; of each section the wording is
kept that is nearest to all the others (minimum Bayes risk, Kumar & Byrne 2004, aclanthology N04-1022; over
samples of one model Wang et al. 2022, arXiv:2203.11171). Figures: bench/real_text.md.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence

from p2med.schema.conversation import Conversation, text
from p2med.tasks.base import Task, write_sections

LEFT_OUT = 0.5
"""Share of the lines that a further reading leaves out; our choice."""


def ask(
    task: Task,
    conversations: Sequence[Conversation],
    count: int,
    generate: Callable[[Sequence[Conversation]], list[str]],
) -> list[str]:
    """The answers of `generate` to `count` readings of each conversation, made one."""
    asked = [readings(c, count) for c in conversations]
    said = iter(generate([r for several in asked for r in several]))
    return [
        agreed(task, [next(said) for _ in several], c.language)
        for c, several in zip(conversations, asked, strict=True)
    ]


def readings(conversation: Conversation, count: int) -> list[Conversation]:
    """The conversation itself, then with other halves of the last question's lines, drawn by its id.

    The first and the last line stay: they say what is asked. With images there is one reading: a question
    about a film is little else than the film.
    """
    found = [conversation]
    if conversation.has_image:
        return found
    lines = conversation.turns[-1].text.split("\n")
    for n in range(1, count):
        dice = random.Random(f"{conversation.conversation_id}/{n}")
        middle = [line for line in lines[1:-1] if dice.random() >= LEFT_OUT]
        kept = "\n".join([lines[0], *middle, *lines[1:][-1:]])
        turn = conversation.turns[-1].model_copy(update={"content": (text(kept),)})
        found.append(conversation.model_copy(update={"turns": (*conversation.turns[:-1], turn)}))
    return found


def agreed(task: Task, answers: Sequence[str], language: str = "zh") -> str:
    """Of each section of the task the wording that is nearest to the others'; without sections, of all.

    A section that most answers lack is left out.
    """
    if len(answers) == 1:
        return answers[0]
    parsed = [task.parse(a) for a in answers]
    chosen = {}
    for section in task.outputs:
        said = [p.get(section, "") for p in parsed]
        if 2 * said.count("") <= len(said):
            chosen[section] = nearest([s for s in said if s])
    if not chosen:
        return nearest(answers)
    order = [s for s in task.outputs if s in chosen]
    return write_sections(chosen, order, "en" if language == "en" else "zh")


def nearest(said: Sequence[str]) -> str:
    """The text most like all of them, by shared pairs of characters; of equals the first."""
    often = Counter(said)
    pairs = {s: _pairs(s) for s in often}
    return max(often, key=lambda a: sum(n * _likeness(pairs[a], pairs[b]) for b, n in often.items()))


def _pairs(said: str) -> Counter[str]:
    signs = "".join(said.split())
    return Counter(signs[i : i + 2] for i in range(len(signs) - 1)) or Counter([signs])


def _likeness(a: Counter[str], b: Counter[str]) -> float:
    """Dice's coefficient of two multisets, in [0, 1]."""
    return 2 * (a & b).total() / (a.total() + b.total())
