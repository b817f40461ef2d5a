"""Conversation: the one form in which anything is taught to, asked of or said by a model."""

from typing import Literal

from p2med.schema.base import Frozen
from p2med.schema.case import Volume


class Part(Frozen):
    """A piece of a turn: text, or an image (then `volume` is set)."""

    type: Literal["text", "image"] = "text"
    text: str | None = None
    volume: Volume | None = None


class Turn(Frozen):
    role: Literal["system", "user", "assistant"]
    content: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The turn's text without its images."""
        return "".join(p.text or "" for p in self.content)

    @property
    def volumes(self) -> tuple[Volume, ...]:
        return tuple(p.volume for p in self.content if p.volume is not None)


class Conversation(Frozen):
    """Turns alternate user and assistant, oldest first. To ask a model, the last turn is the user's.

    `options` are the allowed answers of a classification; `diseases` are the labels that samplers balance.
    """

    conversation_id: str
    task: str
    language: Literal["zh", "en"] = "zh"
    case_id: str
    patient_key: str
    turns: tuple[Turn, ...]
    diseases: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def volumes(self) -> tuple[Volume, ...]:
        return tuple(v for t in self.turns for v in t.volumes)

    @property
    def has_image(self) -> bool:
        return bool(self.volumes)


def text(value: str) -> Part:
    return Part(type="text", text=value)


def image(volume: Volume) -> Part:
    return Part(type="image", volume=volume)
