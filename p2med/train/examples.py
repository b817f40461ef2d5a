"""Conversations as the loop needs them: token ids, what is learned, which images, which group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from p2med.model.processor import IGNORED, P2MedProcessor
from p2med.schema.case import Volume
from p2med.schema.conversation import Conversation
from p2med.schema.terms import DIAGNOSES, split_sections
from p2med.store import Rejected


@dataclass(frozen=True)
class Example:
    """One conversation. `group` is (kind, task); a batch never mixes groups.

    kind: `text`, `film` (every image has one slice) or `volume`; so X-ray, CT and text stay apart
    (P2Med Sec. V-C.2).
    """

    group: tuple[str, str]
    input_ids: np.ndarray  # int32[T]
    learned: np.ndarray  # bool[T]
    volumes: tuple[Volume, ...]
    image_rounds: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    conclusions: tuple[str, ...]  # of every round: diagnosis or impression, else the last section
    diseases: tuple[str, ...]  # of the case
    noise: np.ndarray | None = None  # bool[T], tokens put there by history.py; None: no such token

    @property
    def rounds(self) -> int:
        """How many rounds show an image."""
        return len(set(self.image_rounds))


def kind_of(conversation: Conversation) -> str:
    if not conversation.has_image:
        return "text"
    return "film" if max(v.shape[0] for v in conversation.volumes) == 1 else "volume"


def prepare_examples(
    conversations: Iterable[Conversation],
    processor: P2MedProcessor,
    max_tokens: int,
    learns_text: bool,
    task_weights: dict[str, float],
) -> tuple[list[Example], list[Rejected]]:
    """Encode; what cannot be learned from is rejected with its reason, never cut.

    Args:
      learns_text: False when only image parts learn: text gives them no gradient.
    """
    examples: list[Example] = []
    rejected: list[Rejected] = []
    for conversation in conversations:
        encoded = processor.encode(conversation)
        reason = ""
        if len(encoded.input_ids) > max_tokens:
            reason = "longer_than_the_model"
        elif task_weights.get(conversation.task, 1.0) == 0:
            reason = "task_weight_0"
        elif not learns_text and not conversation.has_image:
            reason = "text_for_image_parts_only"
        elif conversation.has_image and processor.connector is None:
            reason = "image_for_a_text_model"
        if reason:
            rejected.append(Rejected(noun="conversation", id=conversation.conversation_id, reason=reason))
            continue
        examples.append(
            Example(
                group=(kind_of(conversation), conversation.task),
                input_ids=np.array(encoded.input_ids, dtype=np.int32),
                learned=np.array(encoded.labels) != IGNORED,
                volumes=conversation.volumes,
                image_rounds=tuple(encoded.image_rounds),
                answers=tuple(map(tuple, encoded.answers)) if conversation.has_image else (),
                conclusions=tuple(_conclusion(t.text) for t in conversation.turns if t.role == "assistant"),
                diseases=conversation.diseases,
            )
        )
    return examples, rejected


def _conclusion(answer: str) -> str:
    """`[主诉]…[诊断]支气管炎。[建议]…` -> `支气管炎。`; the last section where none is a diagnosis."""
    sections = list(split_sections(answer))
    said = [body for section, body in sections if section in DIAGNOSES]
    return (said or [body for _, body in sections[-1:]] or [answer.strip()])[0]


def learned_tokens(examples: Sequence[Example]) -> int:
    """Tokens that an answer's loss counts: the first of a conversation has nothing before it."""
    return sum(int(e.learned[1:].sum()) for e in examples)
