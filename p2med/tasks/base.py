"""What a task is: how to ask about a case, and which parts of the answer are rated."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from p2med.schema.base import Frozen
from p2med.schema.case import Case, Record, Volume
from p2med.schema.conversation import Conversation, Part, Turn, text
from p2med.schema.terms import Metric, RecordKind, Section, split_sections

Language = Literal["zh", "en"]


class Component(Frozen):
    """One rated part of an answer. The key part is rated for both metrics (P2Med Sec. II-A)."""

    section: Section
    metrics: tuple[Metric, ...] = (Metric.ACCURACY,)


class Question(Frozen):
    """What a user hands to `p2med answer` or to the server for one task."""

    sections: dict[Section, str] = {}
    volumes: tuple[Volume, ...] = ()
    question: str | None = None
    options: tuple[str, ...] = ()


class Task(ABC):
    """One clinical question. A subclass in tasks/<name>.py, bound to TASK, is the whole plug-in."""

    name: str
    title_zh: str
    title_en: str
    components: tuple[Component, ...] = ()
    inputs: tuple[Section, ...] = ()
    needs_image: bool = False

    @property
    def outputs(self) -> tuple[Section, ...]:
        return tuple(c.section for c in self.components)

    @abstractmethod
    def conversations(self, case: Case, language: Language = "zh") -> Iterator[Conversation]:
        """Yield what this case can teach; nothing, if the case does not fit."""

    @abstractmethod
    def ask(self, question: Question, language: Language = "zh") -> Turn:
        """Render a user's question as the turn that training used.

        Raises:
          ValueError: something that the task needs is missing; the message names it.
        """

    def parse(self, answer: str) -> dict[Section, str]:
        """Split an answer at its [headings]; a heading that is missing is absent (rated lowest)."""
        return read_sections(answer, self.outputs)


def user(*parts: Part) -> Turn:
    return Turn(role="user", content=parts)


def assistant(answer: str) -> Turn:
    return Turn(role="assistant", content=(text(answer),))


def write_sections(
    sections: Mapping[Section, str], order: Sequence[Section], language: Language = "zh"
) -> str:
    """`[主诉]…` one section a line."""
    return "\n".join(f"[{s.heading(language)}]{sections[s]}" for s in order)


def write_format(order: Sequence[Section], language: Language = "zh") -> str:
    """The answer's form, shown in the prompt (P2Med Sec. V-A.5)."""
    mark = "{{您的{}}}" if language == "zh" else "{{Your {}}}"
    return "\n".join(
        f"[{s.heading(language)}]{mark.format(s.heading(language).lower() if language == 'en' else s.zh)}"
        for s in order
    )


def read_sections(answer: str, order: Sequence[Section]) -> dict[Section, str]:
    """The inverse of write_sections; keeps the first of a repeat."""
    wanted, found = set(order), {}
    for section, body in split_sections(answer):
        if section in wanted:
            found.setdefault(section, body)
    return found


def require_sections(given: Mapping[Section, str], wanted: Sequence[Section]) -> None:
    missing = [s for s in wanted if not given.get(s)]
    if missing:
        raise ValueError("missing sections: " + ", ".join(f"{s.value} ({s.zh})" for s in missing))


class RecordTask(Task):
    """Read some sections of a record, write the others. Four of the six P2Med tasks are this."""

    kind: RecordKind
    opening_zh: str
    opening_en: str
    closing_zh = "根据以上信息，结合专业医学知识，按以下格式做出诊断："
    closing_en = (
        "Based on the above information, combined with professional medical knowledge, "
        "make a diagnosis in the format:"
    )

    def ask(self, question: Question, language: Language = "zh") -> Turn:
        require_sections(question.sections, self.inputs)
        zh = language == "zh"
        lines = [
            self.opening_zh if zh else self.opening_en,
            write_sections(question.sections, self.inputs, language),
            self.closing_zh if zh else self.closing_en,
            write_format(self.outputs, language),
        ]
        return user(text("\n".join(lines)))

    def fits(self, record: Record) -> bool:
        wanted = (*self.inputs, *self.outputs)
        return record.kind is self.kind and all(record.sections.get(s) for s in wanted)

    def conversations(self, case: Case, language: Language = "zh") -> Iterator[Conversation]:
        for record in case.records:
            if self.fits(record):
                yield Conversation(
                    conversation_id=f"{self.name}/{record.record_id}",
                    task=self.name,
                    language=language,
                    case_id=case.case_id,
                    patient_key=case.patient.patient_key,
                    turns=(
                        self.ask(Question(sections=record.sections), language),
                        assistant(write_sections(record.sections, self.outputs, language)),
                    ),
                    diseases=record.diagnoses or case.diagnoses,
                )
