"""The paper's Figures 4 and 5 for any ablation, as PNG bytes; in English, any machine has the letters."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from p2med.ablate.compare import Cell, scores_of
from p2med.ablate.rows import Row, Score
from p2med.bench.figures import as_png
from p2med.schema.terms import Section
from p2med.tasks.base import Task

# Okabe and Ito's colours, told apart by colour-blind readers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def key_bars(
    rows: Sequence[Row],
    by_row: dict[str, list[Cell]],
    columns: Sequence[Score],
    tasks: dict[str, Task],
    note: str,
) -> bytes:
    """Fig. 5: one panel a metric, one group a task (or component), one bar a row with its 95 % interval."""
    metrics = list(dict.fromkeys(c[2] for c in columns))
    figure, panels = plt.subplots(len(metrics), 1, figsize=(9, 3.1 * len(metrics)), squeeze=False)
    for place, (axes, metric) in enumerate(zip(panels[:, 0], metrics, strict=True)):
        shown = [c for c in columns if c[2] == metric]
        names = [f"{tasks[t].title_en}\n{_component(c)}" for t, c, _ in shown]
        _groups(axes, rows, by_row, shown, names)
        axes.set_title(f"({chr(97 + place)}) {metric}", fontsize=9)
    panels[0, 0].legend(fontsize=7, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.12))
    figure.supxlabel(note, fontsize=7)
    return as_png(figure)


def component_bars(
    rows: Sequence[Row], by_row: dict[str, list[Cell]], tasks: dict[str, Task], note: str
) -> bytes:
    """Fig. 4: one panel a task, the accuracy of each of its components."""
    high = (len(tasks) + 1) // 2
    figure, panels = plt.subplots(high, 2, figsize=(10, 2.7 * high), squeeze=False)
    for place, (axes, task) in enumerate(zip(panels.flat, tasks.values(), strict=False)):
        shown = [s for s in scores_of(task) if s[2] != "comprehensiveness"]
        _groups(axes, rows, by_row, shown, [_component(s[1]) for s in shown])
        axes.set_title(f"({chr(97 + place)}) {task.title_en}", fontsize=9)
    for axes in panels.flat[len(tasks) :]:
        axes.set_axis_off()
    panels[0, 0].legend(fontsize=7, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.12))
    figure.supxlabel(note, fontsize=7)
    return as_png(figure)


def _component(name: str) -> str:
    return Section(name).en if name in {s.value for s in Section} else name


def _groups(
    axes: Axes,
    rows: Sequence[Row],
    by_row: dict[str, list[Cell]],
    shown: Sequence[Score],
    names: Sequence[str],
) -> None:
    width = 0.8 / len(rows)
    for place, row in enumerate(rows):
        there = {(c.task, c.component, c.metric): c for c in by_row[row.name]}
        found = [(x, there[score]) for x, score in enumerate(shown) if score in there]
        at = [x + (place - (len(rows) - 1) / 2) * width for x, _ in found]
        means = [c.mean or 0.0 for _, c in found]
        errors = [
            [m - (m if c.ci95_low is None else c.ci95_low) for m, (_, c) in zip(means, found, strict=True)],
            [(m if c.ci95_high is None else c.ci95_high) - m for m, (_, c) in zip(means, found, strict=True)],
        ]
        colour = COLOURS[place % len(COLOURS)]
        style = {"color": colour, "ecolor": "#222222", "capsize": 2, "label": row.title.en}
        axes.bar(at, means, width * 0.92, yerr=errors, error_kw={"elinewidth": 0.8}, **style)
    axes.set_xticks(range(len(names)), names, fontsize=7)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0, 1.08)
    axes.tick_params(axis="y", labelsize=7)
