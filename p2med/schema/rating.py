"""What the benchmark writes: what the model said, how each part was rated, and the table."""

from p2med.schema.base import Frozen
from p2med.schema.terms import Section


class Answer(Frozen):
    """One answered round. `round` counts the assistant turns of the conversation from 0."""

    conversation_id: str
    task: str
    case_id: str
    round: int = 0
    condition: str = "true"
    """`true`: the patient's own images; `swapped`: the images of another patient of the benchmark."""
    text: str
    sections: dict[Section, str]
    reference_sections: dict[Section, str]
    answer: str | None = None
    reference_answer: str | None = None
    """For tasks without sections (classification, question_answering)."""
    probabilities: dict[str, float] | None = None


class Rating(Frozen):
    """`value` None means not rated; it is counted and leaves the mean."""

    conversation_id: str
    round: int = 0
    condition: str = "true"
    task: str
    component: str
    metric: str
    value: float | None
    reason: str | None = None


class Result(Frozen):
    """A line of the table: the mean of one metric over the rated answers, with its 95 % t-interval."""

    task: str
    condition: str = "true"
    component: str
    metric: str
    n: int
    unrated: int
    mean: float | None
    ci95_low: float | None
    ci95_high: float | None
