"""The report's figures, as PNG bytes."""

import io
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.figure import Figure

from p2med.schema.rating import Result

BLUE, RED, GREY = "#2f6db5", "#c0504d", "#8a8a8a"
CHINESE_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "SimHei")
CONDITION_COLOURS = {"true": BLUE, "swapped": RED}


def chinese_font() -> str | None:
    """A font with Chinese characters if the machine has one; else labels are English only."""
    known = {f.name for f in font_manager.fontManager.ttflist}
    return next((f for f in CHINESE_FONTS if f in known), None)


def score_bars(results: Sequence[Result], title: str) -> bytes:
    """Horizontal bars of means in [0, 1] with their 95 % intervals."""
    figure, axes = plt.subplots(figsize=(7.5, 0.6 + 0.32 * max(1, len(results))))
    names = [f"{r.task} · {r.component} · {r.metric}" for r in results]
    values = [r.mean or 0.0 for r in results]
    errors = [
        [max(0.0, (r.mean or 0) - (r.mean if r.ci95_low is None else r.ci95_low)) for r in results],
        [max(0.0, (r.mean if r.ci95_high is None else r.ci95_high) - (r.mean or 0)) for r in results],
    ]
    axes.barh(range(len(results)), values, xerr=errors, color=BLUE, ecolor="#222222", capsize=2, height=0.7)
    axes.set_yticks(range(len(results)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_title(title, fontsize=9)
    return as_png(figure)


def seeing_bars(results: Sequence[Result]) -> bytes:
    """Disease F1 with the patient's own images, with swapped images, and of the label prior."""
    tasks = list(dict.fromkeys(r.task for r in results))
    conditions = list(dict.fromkeys(r.condition for r in results))
    figure, axes = plt.subplots(figsize=(6.5, 3.2))
    width = 0.8 / max(1, len(conditions))
    for i, condition in enumerate(conditions):
        for j, task in enumerate(tasks):
            found = [r for r in results if r.task == task and r.condition == condition and r.mean is not None]
            if not found:
                continue
            r = found[0]
            at = j + (i - (len(conditions) - 1) / 2) * width
            colour = CONDITION_COLOURS.get(condition, GREY)
            axes.bar(at, r.mean, width * 0.92, color=colour, label=condition if j == 0 else None)
            if r.ci95_low is not None and r.ci95_high is not None:
                axes.vlines(at, r.ci95_low, r.ci95_high, color="#222222", linewidth=1)
            axes.text(at, (r.mean or 0) + 0.02, f"{r.mean:.2f}", ha="center", fontsize=7)
    axes.set_xticks(range(len(tasks)), tasks, fontsize=8)
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("disease F1 (micro)", fontsize=8)
    axes.legend(fontsize=7, loc="upper right", ncols=2)
    return as_png(figure)


def loss_curves(traces: dict[str, Sequence[tuple[int, float]]]) -> bytes:
    """Training loss by step, one panel a stage."""
    figure, panels = plt.subplots(1, len(traces), figsize=(2.6 * len(traces), 2.4), squeeze=False)
    for axes, (stage, trace) in zip(panels[0], traces.items(), strict=True):
        axes.plot([s for s, _ in trace], [v for _, v in trace], color=BLUE, linewidth=0.8)
        axes.set_title(stage, fontsize=9)
        axes.set_xlabel("step", fontsize=7)
        axes.tick_params(labelsize=7)
    panels[0][0].set_ylabel("loss", fontsize=8)
    return as_png(figure)


def as_png(figure: Figure) -> bytes:
    """The figure as bytes, and closed; the same figure gives the same bytes."""
    sink = io.BytesIO()
    font = chinese_font()
    with matplotlib.rc_context({"font.family": [font, "DejaVu Sans"] if font else ["DejaVu Sans"]}):
        figure.tight_layout()
        # Without a date and a version, the same numbers give the same bytes.
        figure.savefig(sink, format="png", dpi=130, metadata={"Software": None})
    plt.close(figure)
    return sink.getvalue()
