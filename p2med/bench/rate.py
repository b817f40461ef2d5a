"""Rate one answer by rule. These are not the paper's judge scores: the scale is 0 to 1, the rule is stated.

    diagnosis components   accuracy            F1 of the disease labels of the answer and the reference
                           comprehensiveness   share of the reference's disease labels that the answer has
    other components       accuracy            ROUGE-L of characters
    every component        rouge_l, bleu_4; diagnosis components also exact

A component that the answer does not have is rated 0, the lowest score (spec 4).
"""

from collections.abc import Iterator

from p2med.bench.metrics import bleu_4, exact, rouge_l
from p2med.clinical.diagnoses import extract
from p2med.schema.rating import Answer, Rating
from p2med.schema.terms import DIAGNOSES, Metric, Section
from p2med.tasks.base import Component, Task


def rate(task: Task, answer: Answer) -> Iterator[Rating]:
    """Every rating of one answered round."""
    if not task.components:
        yield from _rate_plain(answer)
    for component in task.components:
        yield from _rate_component(component, answer)


def _rating(answer: Answer, component: str, metric: str, value: float | None, reason: str | None) -> Rating:
    return Rating(
        conversation_id=answer.conversation_id,
        round=answer.round,
        condition=answer.condition,
        task=answer.task,
        component=component,
        metric=metric,
        value=value,
        reason=reason,
    )


def _rate_plain(answer: Answer) -> Iterator[Rating]:
    said, true = answer.answer or "", answer.reference_answer or ""
    yield _rating(answer, "answer", "exact", exact.score(said, true), None)
    if answer.probabilities is None:
        yield _rating(answer, "answer", "rouge_l", rouge_l.score(said, true), None)


def _rate_component(component: Component, answer: Answer) -> Iterator[Rating]:
    section = component.section
    said = answer.sections.get(section)
    true = answer.reference_sections.get(section, "")
    reason = None if said is not None else "section_missing"
    said = said or ""
    is_diagnosis = section in DIAGNOSES
    for metric in component.metrics:
        if is_diagnosis:
            yield _rate_diseases(answer, section, metric, said, true, reason)
        else:
            yield _rating(answer, section, metric, rouge_l.score(said, true), reason)
    yield _rating(answer, section, "rouge_l", rouge_l.score(said, true), reason)
    yield _rating(answer, section, "bleu_4", bleu_4.score(said, true), reason)
    if is_diagnosis:
        yield _rating(answer, section, "exact", exact.score(said, true), reason)


def _rate_diseases(
    answer: Answer, section: Section, metric: Metric, said: str, true: str, reason: str | None
) -> Rating:
    said_labels, true_labels = set(extract(said)), set(extract(true))
    if not true_labels:
        return _rating(answer, section, metric, None, "reference_has_no_known_disease")
    hits = len(said_labels & true_labels)
    if metric is Metric.COMPREHENSIVENESS:
        value = hits / len(true_labels)
    else:
        value = 2 * hits / (len(said_labels) + len(true_labels))
    return _rating(answer, section, metric, value, reason)
