"""Numbers of the table: means with intervals, and differences to the full model over the same questions."""

from collections.abc import Sequence

from p2med import plugins
from p2med.ablate.config import Ablation
from p2med.ablate.rows import Row, Score
from p2med.bench.stats import mean_ci95, mean_of_means_ci95, paired_ci95
from p2med.schema.base import Frozen
from p2med.tasks.base import Task

AVERAGE = "average"
"""In the place of task and component: the mean over the row's tasks, each weighing the same."""


class Cell(Frozen):
    """One number of the table. A row that was not taught the task has no cell."""

    row: str
    task: str
    component: str
    metric: str
    n: int
    """Rated answers; of an average the number of scores in it."""
    mean: float | None
    ci95_low: float | None
    ci95_high: float | None
    paired: int
    """Questions that both this row's model and the full one have a rating of."""
    difference: float | None
    """This row minus the full model, over the paired questions."""
    difference_ci95_low: float | None
    difference_ci95_high: float | None


def tasks_of(names: Sequence[str]) -> dict[str, Task]:
    """The tasks in the paper's order (T1 to T6), others after them by name."""
    paper = (
        "xray_report",
        "ct_report",
        "outpatient_record",
        "first_course_record",
        "attending_round_record",
        "chief_round_record",
    )
    ordered = sorted(set(names), key=lambda t: (paper.index(t) if t in paper else len(paper), t))
    return {name: plugins.load("p2med.tasks", name).TASK for name in ordered}


def scores_of(task: Task) -> list[Score]:
    """Every score of a task; without components, whether the answer is exact."""
    found = [(task.name, c.section.value, m.value) for c in task.components for m in c.metrics]
    return found or [(task.name, "answer", "exact")]


def is_key(task: Task, score: Score) -> bool:
    """True for the component that the paper's Table II shows: impression or diagnosis."""
    keys = [c.section.value for c in task.components if len(c.metrics) > 1] or ["answer"]
    return score[1] in keys


def columns_of(ablation: Ablation, tasks: dict[str, Task]) -> list[Score]:
    """What the table shows, of all that is computed."""
    return [
        score
        for task in tasks.values()
        for score in scores_of(task)
        if ablation.all_components or is_key(task, score)
    ]


def cells(full: Row, row: Row, tasks: dict[str, Task]) -> list[Cell]:
    """Every score of a row, and for each metric the average over the key components of its tasks."""
    found, key = [], {}
    for task in tasks.values():
        for score in scores_of(task):
            if score in row.values:
                found.append(_cell(full, row, score))
                if is_key(task, score):
                    key.setdefault(score[2], []).append(score)
    return found + [_average(full, row, metric, scores) for metric, scores in key.items()]


def _paired(full: Row, row: Row, score: Score) -> tuple[list[float], list[float]]:
    mine, theirs = row.values[score], full.values.get(score, {})
    items = sorted(mine.keys() & theirs.keys())
    return [mine[i] for i in items], [theirs[i] for i in items]


def _cell(full: Row, row: Row, score: Score) -> Cell:
    mine, theirs = _paired(full, row, score)
    values = list(row.values[score].values())
    return _filled(row, score, len(values), mean_ci95(values), len(mine), paired_ci95(mine, theirs))


def _average(full: Row, row: Row, metric: str, scores: Sequence[Score]) -> Cell:
    mean = mean_of_means_ci95([list(row.values[s].values()) for s in scores])
    pairs = [_paired(full, row, s) for s in scores]
    differences = [[a - b for a, b in zip(*pair, strict=True)] for pair in pairs]
    place = (AVERAGE, AVERAGE, metric)
    paired = sum(len(d) for d in differences)
    return _filled(row, place, len(scores), mean, paired, mean_of_means_ci95(differences))


def _filled(
    row: Row,
    score: Score,
    n: int,
    mean: tuple[float | None, float | None, float | None],
    paired: int,
    difference: tuple[float | None, float | None, float | None],
) -> Cell:
    task, component, metric = score
    return Cell(
        row=row.name,
        task=task,
        component=component,
        metric=metric,
        n=n,
        mean=mean[0],
        ci95_low=mean[1],
        ci95_high=mean[2],
        paired=paired,
        difference=difference[0],
        difference_ci95_low=difference[1],
        difference_ci95_high=difference[2],
    )


def beyond_chance(row: Sequence[Cell]) -> tuple[int, int, int]:
    """Of a row's differences how many intervals lie below 0, how many above, and of how many."""
    single = [c for c in row if c.task != AVERAGE and c.difference_ci95_low is not None]
    below = sum((c.difference_ci95_high or 0) < 0 for c in single)
    above = sum((c.difference_ci95_low or 0) > 0 for c in single)
    return below, above, len(single)
