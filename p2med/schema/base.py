"""The two bases of every noun: a frozen model and a term with its Chinese and English heading."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable, and no field that the class does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Term(StrEnum):
    """A closed list of words. The value is written to disk; `zh` and `en` are shown to people."""

    zh: str
    en: str

    def __new__(cls, value: str, zh: str = "", en: str = ""):
        member = str.__new__(cls, value)
        member._value_ = value
        member.zh = zh or value
        member.en = en or value.replace("_", " ").capitalize()
        return member

    def heading(self, language: str) -> str:
        """The word as shown in `language`: "zh" or "en"."""
        return self.zh if language == "zh" else self.en
