"""From held-out conversations to the questions that a model is asked, one for each assistant turn."""

import random
from collections.abc import Sequence

from p2med.schema.base import Frozen
from p2med.schema.conversation import Conversation, Part, Turn


class Round(Frozen):
    """`asked` ends with the user's turn; `reference` is what the doctor wrote.

    Earlier rounds stand before it with the doctor's own reports, as a signed prior would (Sec. III-C).
    """

    asked: Conversation
    reference: str
    round: int
    condition: str = "true"


def rounds(conversation: Conversation, condition: str = "true", single: bool = False) -> list[Round]:
    """One Round for each assistant turn; `single` leaves out the rounds before it (Table III, "w/o MRC")."""
    found = []
    for i, turn in enumerate(conversation.turns):
        if turn.role == "assistant":
            asked = conversation.model_copy(update={"turns": conversation.turns[i - 1 if single else 0 : i]})
            found.append(Round(asked=asked, reference=turn.text, round=len(found), condition=condition))
    return found


def swapped(conversations: Sequence[Conversation], seed: int) -> list[Conversation]:
    """Give each conversation the images of another patient's conversation of the same task.

    A model that reads the images falls to the label prior; one that does not stays where it was.
    Conversations for which no other patient exists are left out.
    """
    rng = random.Random(seed)
    by_task: dict[str, list[Conversation]] = {}
    for c in conversations:
        if c.has_image:
            by_task.setdefault(c.task, []).append(c)
    found = []
    for task in sorted(by_task):
        for c in by_task[task]:
            donors = [d for d in by_task[task] if d.patient_key != c.patient_key]
            if donors:
                found.append(_with_images_of(c, rng.choice(donors)))
    return found


def _with_images_of(conversation: Conversation, donor: Conversation) -> Conversation:
    """Replace image by image; the donor's images repeat when it has fewer."""
    images = [p for t in donor.turns for p in t.content if p.type == "image"]
    taken = 0
    turns: list[Turn] = []
    for turn in conversation.turns:
        parts: list[Part] = []
        for part in turn.content:
            if part.type == "image":
                part = images[taken % len(images)]
                taken += 1
            parts.append(part)
        turns.append(turn.model_copy(update={"content": tuple(parts)}))
    return conversation.model_copy(update={"turns": tuple(turns)})
