"""The table of an ablation as pages: HTML and Markdown, Chinese and English, CSV, JSON and figures."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from p2med import store
from p2med.ablate.compare import AVERAGE, Cell, beyond_chance, cells, columns_of, tasks_of
from p2med.ablate.config import Ablation, Variant
from p2med.ablate.figures import component_bars, key_bars
from p2med.ablate.rows import Row, Score
from p2med.recipe import Recipe
from p2med.schema.terms import Metric, Section
from p2med.sheet.blocks import LANGUAGES, Part, Picture, Table, Text, Words
from p2med.sheet.write import as_html, as_markdown
from p2med.tasks.base import Task

SYNTHETIC: Words = (
    "仅证明软件可用，不具临床意义：小模型，合成患儿，规则评分（0–1），并非论文的裁判模型（1–5分）。",
    "Not clinical: tiny models on synthetic patients prove the software; rule scores from 0 to 1, not the "
    "paper's judge (1 to 5).",
)
REAL: Words = (
    "仅供研究比较，不具临床意义：规则评分（0–1），并非论文的裁判模型（1–5分）。",
    "Not clinical: a comparison for research; rule scores from 0 to 1, not the paper's judge (1 to 5).",
)
HOW: Words = (
    "方括号：95%区间（t分布）。差值 = 该行 − 完整模型，按同一道题配对；↓ ↑ 表示区间不含0。"
    "区间只含题目的抽样误差，不含训练的随机性（每行只训练一次），也未作多重比较校正；平均值的区间把各任务看作独立，而它们有共同的患儿。",
    "Brackets: 95 % intervals (Student's t). Difference: the row minus the full model, paired by question; "
    "↓ ↑ mark intervals without 0. They cover the choice of questions, not the training's randomness (each "
    "row is one training), and are not corrected for their number; the average's takes the tasks as "
    "independent, though they share patients.",
)
METRICS: dict[str, Words] = {m.value: (m.zh, m.en) for m in Metric} | {"exact": ("完全一致", "Exact")}
FULL: Words = ("完整模型", "Full model")


def write_tables(
    out: Path, ablation: Ablation, name: str, base: Recipe, recipes: dict[str, Recipe], rows: Sequence[Row]
) -> list[Path]:
    """Write table.{zh,en}.{html,md}, table.csv, table.json and figures/*.png; rows[0] is the full model.

    Returns:
      The pages.
    """
    tasks = tasks_of([s[0] for r in rows for s in r.values if s[0] in ablation.tasks or not ablation.tasks])
    by_row = {row.name: cells(rows[0], row, tasks) for row in rows}
    head = SYNTHETIC if base.synth is not None else REAL
    flat = [c for row in by_row.values() for c in row]
    figures = {
        "key": key_bars(rows, by_row, columns_of(ablation, tasks), tasks, head[1]),
        "components": component_bars(rows, by_row, tasks, head[1]),
    }
    for figure, png in figures.items():
        store.write_bytes(out / "figures" / f"{figure}.png", png)
    store.write_text(out / "table.csv", _as_csv(flat, head[1]))
    facts = {
        "ablation": name,
        "source": ablation.source,
        "note": head[1],
        "rows": [_made_from(r) for r in rows],
    }
    store.write_json(out / "table.json", {**facts, "scores": [c.model_dump(mode="json") for c in flat]})
    parts = [
        Part(title=(ablation.source, ablation.source), blocks=[Text(head), Text(HOW)]),
        _scores_part(ablation, rows, by_row, tasks),
        _figures_part(figures),
        _notes_part(ablation, rows, by_row, recipes),
    ]
    pages = []
    for language in LANGUAGES:
        title = f"{getattr(ablation.title, language)} · {base.name}"
        for ending, page in (
            ("html", as_html(parts, language, title, stem="table")),
            ("md", as_markdown(parts, language, title)),
        ):
            pages.append(out / f"table.{language}.{ending}")
            store.write_text(pages[-1], page)
    return pages


def _as_csv(flat: Sequence[Cell], note: str) -> str:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, [*Cell.model_fields, "note"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**c.model_dump(), "note": note} for c in flat)
    return sink.getvalue()


def _made_from(row: Row) -> dict[str, object]:
    runs = [{"run": r.name, "stages": list(r.stages), "checkpoint": r.checkpoint} for r in row.runs]
    return {"row": row.name, "runs": runs}


# ---------------------------------------------------------------- the page's parts


def _scores_part(
    ablation: Ablation, rows: Sequence[Row], by_row: dict[str, list[Cell]], tasks: dict[str, Task]
) -> Part:
    blocks: list[Table] = []
    columns = columns_of(ablation, tasks)
    for what, show in ((None, _mean), (("与完整模型之差", "difference to the full model"), _difference)):
        for metric in dict.fromkeys(c[2] for c in columns):
            wanted = [c for c in columns if c[2] == metric]
            if len(wanted) > 1 and not ablation.all_components:
                wanted.append((AVERAGE, AVERAGE, metric))
            zh, en = METRICS[metric]
            title = (zh, en) if what is None else (f"{zh}：{what[0]}", f"{en}: {what[1]}")
            shown = rows if what is None else rows[1:]
            blocks.append(_grid(title, wanted, shown, by_row, tasks, show, ablation.all_components))
    return Part(("分数", "Scores"), blocks)


def _grid(
    title: Words,
    columns: Sequence[Score],
    rows: Sequence[Row],
    by_row: dict[str, list[Cell]],
    tasks: dict[str, Task],
    show: Callable[[Cell | None], str],
    name_components: bool,
) -> Table:
    heads = [("模型", "model"), *(_column(c, tasks, name_components) for c in columns)]
    lines = []
    for row in rows:
        there = {(c.task, c.component, c.metric): c for c in by_row[row.name]}
        lines.append([(row.title.zh, row.title.en), *(show(there.get(c)) for c in columns)])
    return Table(title, heads, lines)


def _column(score: Score, tasks: dict[str, Task], name_component: bool) -> Words:
    task, component, _ = score
    if task == AVERAGE:
        return "本行各任务平均", "average of the row's tasks"
    zh, en = tasks[task].title_zh, tasks[task].title_en
    if name_component and component != "answer":
        section = Section(component)
        return f"{zh} · {section.zh}", f"{en} · {section.en}"
    return zh, en


def _mean(cell: Cell | None) -> str:
    return "–" if cell is None else _numbers(cell.mean, cell.ci95_low, cell.ci95_high, "")


def _difference(cell: Cell | None) -> str:
    if cell is None or cell.difference is None:
        return "–"
    low, high = cell.difference_ci95_low, cell.difference_ci95_high
    mark = "" if low is None or high is None else " ↓" if high < 0 else " ↑" if low > 0 else ""
    return _numbers(cell.difference, low, high, "+") + mark


def _numbers(mean: float | None, low: float | None, high: float | None, sign: str) -> str:
    if mean is None:
        return "–"
    said = [f"{v:{sign}.3f}" for v in (mean, low, high) if v is not None]
    said = ["0.000" if s in ("-0.000", "+0.000") else s for s in said]
    return said[0] if len(said) == 1 else f"{said[0]} [{said[1]}, {said[2]}]"


def _figures_part(figures: dict[str, bytes]) -> Part:
    titles: dict[str, Words] = {
        "key": ("关键部分（如论文图5）", "Key components, as in the paper's Fig. 5"),
        "components": ("各部分准确性（如论文图4）", "Accuracy of every component, as in the paper's Fig. 4"),
    }
    pictures = [Picture(titles[n], f"figures/{n}.png", png) for n, png in figures.items()]
    return Part(("图", "Figures"), [b for p in pictures for b in (Text(p.title), p)])


def _notes_part(
    ablation: Ablation, rows: Sequence[Row], by_row: dict[str, list[Cell]], recipes: dict[str, Recipe]
) -> Part:
    blocks: list[Text | Table] = []
    for row in rows[1:]:
        below, above, of = beyond_chance(by_row[row.name])
        zh = (
            f"{row.title.zh}：{of}项差值中，{below}项低于、{above}项高于完整模型；纯属偶然约{of / 20:.1f}项。"
        )
        en = f"{row.title.en}: of {of} differences {below} lie below 0 and {above} above 0"
        blocks.append(Text((zh, f"{en}; by chance about {of / 20:.1f} would.")))
    blocks += [Text((r.zh, r.en)) for r in ablation.readings]
    lines = [
        (run.name, _changes(ablation.variants.get(_variant_of(run.name, recipes))), ", ".join(run.stages))
        + (run.checkpoint[:16], len(run.asked))
        for row in rows
        for run in row.runs
    ]
    columns = (("运行", "run"), ("改动", "what was changed"), ("训练阶段", "training stages"))
    columns += (("权重 SHA-256", "weights SHA-256"), ("题数", "questions"))
    blocks.append(Table(("来源", "Made from"), columns, lines))
    return Part(("说明", "Notes"), blocks)


def _variant_of(run: str, recipes: dict[str, Recipe]) -> str:
    return next((v for v, recipe in recipes.items() if recipe.name == run), "")


def _changes(variant: Variant | None) -> str:
    if variant is None:
        return "–"
    said = [f"without {', '.join(variant.without_stages)}"] if variant.without_stages else []
    said += [f"only {', '.join(variant.only_tasks)}"] if variant.only_tasks else []
    return "; ".join([*said, *(f"{k} = {v}" for k, v in variant.set.items())])
