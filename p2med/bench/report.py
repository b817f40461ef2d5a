"""The report of a benchmark: a table for the terminal, an HTML page with figures, both from results.json."""

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path

from p2med.bench.figures import loss_curves, score_bars, seeing_bars
from p2med.schema.rating import Answer, Result
from p2med.schema.terms import Metric, Section
from p2med.store import write_bytes, write_text
from p2med.tasks.base import Task

CAVEAT = (
    "Rule scores from 0 to 1, not a judge's 1 to 5; a tiny model proves the software, never medicine.",
    "规则评分（0–1），不是裁判模型的1–5分；小模型只证明软件可用，不代表临床质量。",
)
CONDITIONS = {
    "true": ("own images or text", "本人影像/文本"),
    "swapped": ("another patient's images", "换成他人影像"),
    "label_prior": ("label prior alone", "仅按标签先验"),
    "constant_report": ("constant report", "固定报告"),
    "nearest_report": ("nearest training report", "最近邻训练报告"),
}
FLOORS = ("constant_report", "nearest_report")
EXAMPLES_PER_TASK = 2


def write_report(
    folder: Path,
    tasks: dict[str, Task],
    results: Sequence[Result],
    answers: Sequence[Answer],
    checkpoint: Path,
    beside: Sequence[str] = (),
) -> None:
    """Write report.txt, report.html and figures/*.png into the bench folder."""
    scores = _papers_scores(tasks, results)
    figures = {"scores": score_bars(scores, "component scores with 95 % t-intervals")} if scores else {}
    seeing = [r for r in results if r.metric == "disease_f1" and tasks[r.task].needs_image]
    if seeing:
        figures["seeing"] = seeing_bars(seeing)
    traces = _loss_traces(checkpoint.parent)
    if traces:
        figures["losses"] = loss_curves(traces)
    for name, png in figures.items():
        write_bytes(folder / "figures" / f"{name}.png", png)
    write_text(folder / "report.txt", _as_text(tasks, scores, results, beside))
    write_text(folder / "report.html", _as_html(tasks, results, answers, figures, beside))


def _papers_scores(tasks: dict[str, Task], results: Sequence[Result]) -> list[Result]:
    """The scores of the paper's table, in the order of the tasks (22 when all six tasks are there)."""
    wanted = {
        (t.name, c.section.value, m.value) for t in tasks.values() for c in t.components for m in c.metrics
    }
    by_key = {(r.task, r.component, r.metric): r for r in results if r.condition == "true"}
    return [
        by_key[(t.name, c.section.value, m.value)]
        for t in tasks.values()
        for c in t.components
        for m in c.metrics
        if (t.name, c.section.value, m.value) in wanted & by_key.keys()
    ]


def _corpus_results(results: Sequence[Result]) -> list[Result]:
    """The numbers beside the paper's: disease and finding F1, classification, means over sections, exact."""
    plain = {"disease_f1", "finding_f1", "accuracy", "exact"}
    return [
        r
        for r in results
        if (r.metric in plain and r.metric not in (m.value for m in Metric))
        or r.metric.startswith("auc:")
        or r.component == "mean_over_sections"
        or r.task == "classification"
    ]


def _as_text(
    tasks: dict[str, Task], scores: Sequence[Result], results: Sequence[Result], beside: Sequence[str]
) -> str:
    lines = ["", f"{'task':24}{'component':34}{'metric':20}{'n':>5}  mean  95 % interval"]
    lines += [_row(r, r.metric) for r in scores]
    lines += ["", "beside them:"]
    lines += [_row(r, f"{r.metric} [{r.condition}]") for r in _corpus_results(results)]
    lines += ["", *_floor_words(results), *beside, *([""] if beside else []), *CAVEAT, ""]
    return "\n".join(lines)


def _row(r: Result, metric: str) -> str:
    unrated = f"  ({r.unrated} not rated)" if r.unrated else ""
    return f"{r.task:24}{r.component[:33]:34}{metric[:34]:35}{r.n:>5}  {_number(r)}{unrated}"


def _number(r: Result) -> str:
    if r.mean is None:
        return "  –"
    if r.ci95_low is None or r.ci95_high is None:
        return f"{r.mean:.3f}"
    return f"{r.mean:.3f} [{r.ci95_low:.3f}, {r.ci95_high:.3f}]"


def _floor_words(results: Sequence[Result]) -> list[str]:
    """Say of every task whether the model beats what needs no model."""
    said = []
    for metric in ("disease_f1", "finding_f1", "accuracy", "rouge_l", "exact"):
        for r in results:
            if r.metric != metric or r.condition != "true" or r.mean is None:
                continue
            if metric == "accuracy" and r.task != "classification":
                continue
            if metric == "rouge_l" and r.component != "mean_over_sections":
                continue
            for floor in results:
                same = (floor.task, floor.component, floor.metric) == (r.task, r.component, r.metric)
                if (
                    same
                    and floor.condition in ("constant_report", "nearest_report")
                    and floor.mean is not None
                ):
                    verb = "beats" if r.mean > floor.mean else "does NOT beat"
                    name = CONDITIONS[floor.condition][0]
                    said.append(
                        f"{r.task} {r.component} {metric}: {r.mean:.3f} {verb} the {name} ({floor.mean:.3f})"
                    )
    return [*said, ""] if said else []


def _loss_traces(train_folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = {}
    for path in sorted(train_folder.glob("*/losses.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        trace = [(r["step"], r["loss"]) for r in rows if r.get("loss") is not None]
        if trace:
            found[path.parent.name] = trace
    return found


def _as_html(
    tasks: dict[str, Task],
    results: Sequence[Result],
    answers: Sequence[Answer],
    figures: dict[str, bytes],
    beside: Sequence[str],
) -> str:
    pictures = "".join(
        f'<figure><img alt="{name}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></figure>'
        for name, png in figures.items()
    )
    floors = "".join(f"<li>{html.escape(w)}</li>" for w in (*_floor_words(results), *beside) if w)
    body = "".join(
        [
            "<h1>评测报告 · Benchmark report</h1>",
            f'<p class="caveat">{CAVEAT[1]}<br>{CAVEAT[0]}</p>',
            pictures,
            "<h2>分数 · Scores</h2>",
            _html_table(tasks, _papers_scores(tasks, results)),
            "<h2>对照 · Beside them</h2>",
            f"<ul>{floors}</ul>" if floors else "",
            _html_table(tasks, _corpus_results(results)),
            "<h2>全部数值 · Every number</h2>",
            f"<details><summary>{len(results)}</summary>{_html_table(tasks, results)}</details>",
            "<h2>示例 · Examples</h2>",
            _html_examples(tasks, answers),
        ]
    )
    head = f'<!doctype html><html lang="zh"><head><meta charset="utf-8">{STYLE}</head>'
    return f"{head}<body>{body}</body></html>\n"


STYLE = """<title>P2Med</title><style>
body{font:15px/1.5 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;font-size:13px}td,th{padding:.2rem .5rem;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}figure{margin:1rem 0}
.caveat{background:#fff6d6;padding:.6rem 1rem;border-left:4px solid #e0b000}pre{white-space:pre-wrap;background:#f6f6f6;padding:.6rem}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem}</style>"""  # noqa: E501


def _html_table(tasks: dict[str, Task], results: Sequence[Result]) -> str:
    head = "<tr><th>任务 task</th><th>部分 component</th><th>指标 metric</th><th>条件 condition</th><th>n</th><th>均值 mean [95 %]</th></tr>"  # noqa: E501
    rows = []
    for r in results:
        task = tasks[r.task].title_zh if r.task in tasks else r.task
        component = Section(r.component).zh if r.component in {s.value for s in Section} else r.component
        condition = CONDITIONS.get(r.condition, (r.condition, r.condition))[1]
        cells = (task, component, r.metric, condition)
        text = "".join(f"<td>{html.escape(c)}</td>" for c in cells)
        rows.append(f'<tr>{text}<td class="n">{r.n}</td><td class="n">{_number(r)}</td></tr>')
    return f"<table>{head}{''.join(rows)}</table>"


def _html_examples(tasks: dict[str, Task], answers: Sequence[Answer]) -> str:
    pieces = []
    for name, task in tasks.items():
        mine = [a for a in answers if a.task == name and a.condition == "true"][:EXAMPLES_PER_TASK]
        for a in mine:
            reference = a.reference_answer or "\n".join(
                f"[{s.zh}]{t}" for s, t in a.reference_sections.items()
            )
            pieces.append(
                f"<h3>{html.escape(task.title_zh)} · {html.escape(task.title_en)}</h3><div class='pair'>"
                f"<div><b>医生 reference</b><pre>{html.escape(reference)}</pre></div>"
                f"<div><b>模型 answer</b><pre>{html.escape(a.text)}</pre></div></div>"
            )
    return "".join(pieces)
