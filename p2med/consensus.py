"""One answer from several readings of a text and several checkpoints: what most of them agree on (ours).

A model that learned from few records is swayed by single lines of a long dialogue. Asked again with half of
the lines left out, as training left them out, it errs differently each time, and so does a model of another
seed; of each section the wording is kept that is nearest to all the others (minimum Bayes risk, Kumar & Byrne
2004, aclanthology N04-1022; over samples of one model Wang et al. 2022, arXiv:2203.11171). Of the chances of
given options the mean is taken. Figures: bench/real_text.md.
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from p2med.errors import ModelError
from p2med.model.generate import Generator, Loader
from p2med.schema.conversation import Conversation, text
from p2med.tasks.base import Task, write_sections

LEFT_OUT = 0.5
"""Share of the lines that a further reading leaves out; our choice."""


class Panel:
    """One checkpoint or several that answer together."""

    def __init__(self, members: Sequence[Generator], count: int = 1):
        """
        Args:
          count: readings of a text by each member.

        Raises:
          ModelError: the members look at images in different ways.
        """
        self.first = members[0]
        self.members = members
        self.count = count
        for other in members[1:]:
            if other.image_spec != self.first.image_spec:
                raise ModelError(
                    f"{self.first.name} and {other.name} prepare images differently: no ensemble"
                )

    @classmethod
    def load(
        cls, checkpoints: Sequence[Path], count: int = 1, device: str = "auto", threads: int | None = None
    ) -> "Panel":
        """Read every checkpoint; all of them are in memory then.

        Raises:
          ModelError: a folder does not fit, the device is not there, or the members differ in their images.
        """
        return cls([Generator.load(c, device=device, threads=threads) for c in checkpoints], count)

    def answer(
        self, task: Task, conversations: Sequence[Conversation], load: Loader, max_new_tokens: int
    ) -> list[str]:
        """The next answer of every conversation; arguments and errors as of Generator.answer."""
        asked = [readings(c, self.count) for c in conversations]
        flat = [r for several in asked for r in several]
        said = [iter(m.answer(flat, load, max_new_tokens=max_new_tokens)) for m in self.members]
        return [
            agreed(task, [next(answers) for answers in said for _ in several], c.language)
            for c, several in zip(conversations, asked, strict=True)
        ]

    def probabilities(self, conversations: Sequence[Conversation], load: Loader) -> list[dict[str, float]]:
        """The members' mean chance of every option."""
        each = [m.probabilities(conversations, load) for m in self.members]
        return [
            {option: sum(c[option] for c in several) / len(each) for option in several[0]}
            for several in zip(*each, strict=True)
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
