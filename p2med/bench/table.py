"""From ratings and answers to the table: one Result for each number that the report shows."""

from collections import Counter
from collections.abc import Iterable, Sequence

from p2med.bench.stats import auc, bootstrap_ci95, mean_ci95, micro_f1, prior_f1
from p2med.clinical.diagnoses import extract
from p2med.clinical.findings import extract_findings
from p2med.schema.conversation import Conversation
from p2med.schema.rating import Answer, Rating, Result
from p2med.schema.terms import DIAGNOSES, Section
from p2med.tasks.base import Task

NORMAL_WORDS = {"正常", "normal", "阴性", "negative", "否", "no"}
MEAN_OVER_SECTIONS = "mean_over_sections"


def means(ratings: Iterable[Rating]) -> list[Result]:
    """Mean and t-interval for every task, condition, component and metric, in the order of first sight."""
    groups: dict[tuple[str, str, str, str], list[float | None]] = {}
    for r in ratings:
        groups.setdefault((r.task, r.condition, r.component, r.metric), []).append(r.value)
    found = []
    for (task, condition, component, metric), values in groups.items():
        rated = [v for v in values if v is not None]
        mean, low, high = mean_ci95(rated)
        found.append(
            Result(
                task=task,
                condition=condition,
                component=component,
                metric=metric,
                n=len(rated),
                unrated=len(values) - len(rated),
                mean=mean,
                ci95_low=low,
                ci95_high=high,
            )
        )
    return found


def section_means(ratings: Sequence[Rating]) -> list[Result]:
    """ROUGE-L averaged over the sections of each answer, then over answers (the PromptCBLUE score)."""
    by_answer: dict[tuple[str, str, str, int], list[float]] = {}
    for r in ratings:
        if r.metric == "rouge_l" and r.component != "answer" and r.value is not None:
            by_answer.setdefault((r.task, r.condition, r.conversation_id, r.round), []).append(r.value)
    pooled = [
        Rating(
            conversation_id=conversation_id,
            round=n,
            condition=condition,
            task=task,
            component=MEAN_OVER_SECTIONS,
            metric="rouge_l",
            value=sum(values) / len(values),
        )
        for (task, condition, conversation_id, n), values in by_answer.items()
    ]
    return means(pooled)


def disease_results(
    task: Task, answers: Sequence[Answer], train: Sequence[Conversation], seed: int
) -> list[Result]:
    """Micro F1 of the key diagnosis for each condition, and what the training labels alone would reach."""
    keys = [c.section for c in task.components if c.section in DIAGNOSES]
    if not keys or not answers:
        return []
    key = keys[0]
    found = []
    for condition in sorted({a.condition for a in answers}, reverse=True):
        pairs = [
            (frozenset(extract(a.sections.get(key, ""))), frozenset(extract(a.reference_sections[key])))
            for a in answers
            if a.condition == condition and a.reference_sections.get(key)
        ]
        low, high = bootstrap_ci95(pairs, seed)
        found.append(_corpus(task.name, condition, key, "disease_f1", len(pairs), micro_f1(pairs), low, high))
    true = [
        frozenset(extract(a.reference_sections[key]))
        for a in answers
        if a.condition == "true" and a.reference_sections.get(key)
    ]
    trained = [
        frozenset(extract(task.parse(t.text).get(key, "")))
        for c in train
        if c.task == task.name
        for t in c.turns
        if t.role == "assistant"
    ]
    prior = prior_f1(trained, true)
    found.append(_corpus(task.name, "label_prior", key, "disease_f1", len(true), prior, None, None))
    return found


def finding_results(task: Task, answers: Sequence[Answer], seed: int) -> list[Result]:
    """Micro F1 of the findings (what, on which side) of a radiology report, for each condition."""
    if Section.FINDINGS not in task.outputs:
        return []
    found = []
    for condition in sorted({a.condition for a in answers}, reverse=True):
        pairs = [
            (
                frozenset(extract_findings(a.sections.get(Section.FINDINGS, ""))),
                frozenset(extract_findings(a.reference_sections[Section.FINDINGS])),
            )
            for a in answers
            if a.condition == condition and a.reference_sections.get(Section.FINDINGS)
        ]
        low, high = bootstrap_ci95(pairs, seed)
        found.append(
            _corpus(
                task.name, condition, Section.FINDINGS, "finding_f1", len(pairs), micro_f1(pairs), low, high
            )
        )
    return found


def choice_results(answers: Sequence[Answer], train: Sequence[Conversation]) -> list[Result]:
    """Accuracy for every set of options, that of training's commonest answer, and the AUC of two options."""
    commonest = _commonest_answers(train)
    groups: dict[tuple[str, str], list[Answer]] = {}
    for a in answers:
        if a.probabilities:
            groups.setdefault(("/".join(sorted(a.probabilities)), a.condition), []).append(a)
    found = []
    for (options, condition), group in sorted(groups.items()):
        hits = [float(a.answer == a.reference_answer) for a in group]
        mean, low, high = mean_ci95(hits)
        found.append(_corpus("classification", condition, options, "accuracy", len(hits), mean, low, high))
        if condition == "true" and options in commonest:
            constant = [float(commonest[options] == a.reference_answer) for a in group]
            mean, low, high = mean_ci95(constant)
            found.append(
                _corpus("classification", "constant_report", options, "accuracy", len(hits), mean, low, high)
            )
        positive = positive_option(options.split("/"))
        if positive is not None:
            scores = [(a.probabilities or {})[positive] for a in group]
            area = auc(scores, [a.reference_answer == positive for a in group])
            found.append(
                _corpus("classification", condition, options, f"auc:{positive}", len(group), area, None, None)
            )
    return found


def _commonest_answers(train: Sequence[Conversation]) -> dict[str, str]:
    """For every set of options the answer that training gives most (the first by name on a tie)."""
    counts: dict[str, Counter[str]] = {}
    for c in train:
        if c.options:
            counts.setdefault("/".join(sorted(c.options)), Counter())[c.turns[-1].text.strip()] += 1
    return {options: min(n, key=lambda a: (-n[a], a)) for options, n in counts.items()}


def positive_option(options: Sequence[str]) -> str | None:
    """Of two options the one that is an illness; the last by name when both or neither are."""
    if len(options) != 2:
        return None
    ill = [o for o in options if o.lower() not in NORMAL_WORDS]
    return ill[0] if len(ill) == 1 else sorted(options)[-1]


def _corpus(
    task: str,
    condition: str,
    component: str,
    metric: str,
    n: int,
    value: float | None,
    low: float | None,
    high: float | None,
) -> Result:
    return Result(
        task=task,
        condition=condition,
        component=component,
        metric=metric,
        n=n,
        unrated=0,
        mean=value,
        ci95_low=low,
        ci95_high=high,
    )
