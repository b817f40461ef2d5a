"""What one sees of a finished training: RUN/log/training.html, curves and a table for every stage.

Read from log/train_<stage>.jsonl (train/monitor.py), so it stands beside the log, in no verb's folder: speeds
depend on the clock. No script, no link; each figure is an SVG in the page.
"""

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from p2med.sheet.write import STYLE
from p2med.store import verb_folder, write_text

Line = Mapping[str, Any]
Curve = list[tuple[float, float]]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 340, 190, 48, 22, 8
POINTS = 240
"""Longer curves are shown as means of as many steps as make so many points."""
COLOURS = ("#2f6db5", "#c0504d", "#4f9d4f", "#8e5ea2", "#d08a1d", "#3aa6a6", "#7f7f7f", "#b5487f")
GROUPS = {"task": "各任务的损失 · loss by task", "kind": "各类影像的损失 · loss by kind of image"}
PANELS = {
    "lr": "学习率 · learning rate",
    "grad_norm": "裁剪前梯度范数 · gradient norm, unclipped",
    "tokens_per_s": "词元/秒 · tokens/s",
    "mfu": "MFU（对峰值之比） · MFU",
    "memory_gib": "内存 GiB · memory, GiB",
}


def write_training_page(root: Path) -> Path | None:
    """Draw every stage that has a log; None: the run folder came without one."""
    order = json.loads((verb_folder(root, "train") / "stages.json").read_bytes())
    found = {stage: lines for stage in order if (lines := _read(root / "log" / f"train_{stage}.jsonl"))}
    if not found:
        return None
    body = [line for stage, lines in found.items() for line in _stage(root, stage, lines)]
    title = f"训练曲线 · Training curves · {html.escape(root.resolve().name)}"
    head = f'<!doctype html><html lang="zh"><meta charset="utf-8"><title>{title}</title><style>{STYLE}'
    path = root / "log" / "training.html"
    write_text(path, "\n".join([head, "</style>", f"<h1>{title}</h1>", *body, "</html>", ""]))
    return path


def _read(path: Path) -> list[Line]:
    if not path.exists():
        return []
    return [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines()]


def _stage(root: Path, stage: str, lines: Sequence[Line]) -> Iterator[str]:
    yield f"<h2>{html.escape(stage)}</h2>"
    yield f"<p>{html.escape(_totals(lines, root / 'log' / f'train_{stage}.device.json'))}</p>"
    yield '<div class="panels">'
    tasks = list(dict.fromkeys(x["task"] for x in lines))
    for field, title in GROUPS.items():
        groups = {
            name: [x for x in lines if x[field] == name] for name in dict.fromkeys(x[field] for x in lines)
        }
        curves = {name: _curve(mine, "loss") for name, mine in groups.items()}
        yield from _panel(title, curves, len(lines), names=True)
    for key, title in PANELS.items():
        yield from _panel(title, {key: _curve(lines, key)}, len(lines))
    yield "</div>"
    yield from _table(lines, tasks)


def _totals(lines: Sequence[Line], device: Path) -> str:
    timed = [x for x in lines if "seconds" in x]
    seconds = sum(x["seconds"] for x in timed)
    words = [f"{len(lines)} 步 steps", f"{sum(x.get('tokens', 0) for x in lines):,} 词元 tokens"]
    if seconds:
        words.append(f"{seconds:,.0f} s")
        words.append(f"{sum(x['tokens'] for x in timed) / seconds:,.0f} 词元/秒 tokens/s")
        words.append(f"峰值内存 peak memory {max(x['peak_memory_gib'] for x in timed)} GiB")
    mfu = [(x["mfu"], x["seconds"]) for x in timed if x["mfu"] is not None]
    if mfu:
        words.append(f"MFU {sum(m * s for m, s in mfu) / sum(s for _, s in mfu):.3f}")
    skipped = sum(x["loss"] is None for x in lines)
    words.append(f"跳过 skipped {skipped}")
    if device.exists():
        about = json.loads(device.read_bytes())
        words.append(f"{about['device']}, 峰值 peak: {about['peak_source']}")
    return " · ".join(words)


def _table(lines: Sequence[Line], tasks: Sequence[str]) -> Iterator[str]:
    heads = (
        "任务 task",
        "影像类 kind",
        "步 steps",
        "抽取 drawn",
        "初始损失 loss, begin",
        "最终损失 loss, end",
    )
    yield "<table><tr>" + "".join(f"<th>{h}" for h in heads)
    for task in tasks:
        mine = [x for x in lines if x["task"] == task]
        finite = [x["loss"] for x in mine if x["loss"] is not None]
        ends = [f"{sum(x) / len(x):.3f}" if x else "–" for x in (finite[:20], finite[-20:])]
        kinds = ", ".join(sorted({x["kind"] for x in mine}))
        drawn = sum(x.get("samples", 0) for x in mine)
        yield f"<tr><td>{html.escape(task)}<td>{kinds}" + "".join(
            f"<td class=n>{cell}" for cell in (f"{len(mine):,}", f"{drawn:,}", *ends)
        )
    yield "</table>"


# ---------------------------------------------------------------- curves


def _curve(lines: Sequence[Line], key: str) -> Curve:
    """(step, value) of the steps that have the value, in means of neighbours when there are many."""
    found = [(x["step"], x[key]) for x in lines if x.get(key) is not None]
    size = -(-len(found) // POINTS)
    parts = [found[i : i + size] for i in range(0, len(found), size or 1)]
    return [(sum(s for s, _ in p) / len(p), sum(v for _, v in p) / len(p)) for p in parts]


def _panel(title: str, curves: Mapping[str, Curve], steps: int, names: bool = False) -> Iterator[str]:
    """One figure: from 0 (or the least value below it) to the greatest, a line for each curve; or nothing."""
    points = [p for curve in curves.values() for p in curve]
    if not points:
        return
    low, high = min(0.0, min(v for _, v in points)), max(v for _, v in points)
    high = high if high > low else low + 1
    right, bottom = WIDTH - 6, HEIGHT - BOTTOM

    def place(step: float, value: float) -> str:
        x = LEFT + (right - LEFT) * step / max(1, steps - 1)
        y = bottom - (bottom - TOP) * (value - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    yield f'<figure style="margin:.6rem 0"><figcaption>{title}</figcaption>'
    yield f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" font-family="sans-serif" font-size="9">'
    for share in (0.0, 0.5, 1.0):
        y = bottom - (bottom - TOP) * share
        value = low + (high - low) * share
        yield f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{_short(value)}</text>'
    yield f'<text x="{LEFT}" y="{HEIGHT - 8}">0</text>'
    yield f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">{steps:,} 步 steps</text>'
    for colour, curve in zip(_colours(len(curves)), curves.values(), strict=True):
        path = " ".join(place(s, v) for s, v in curve)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.1"/>'
        if len(curve) == 1:
            across, down = place(*curve[0]).split(",")
            yield f'<circle cx="{across}" cy="{down}" r="2" fill="{colour}"/>'
    yield "</svg>"
    if names:
        dots = zip(_colours(len(curves)), curves, strict=True)
        mark = '<span style="white-space:nowrap"><span style="color:{}">■</span> {}</span>'
        legend = " ".join(mark.format(c, html.escape(n)) for c, n in dots)
        yield f'<div style="font-size:.75rem">{legend}</div>'
    yield "</figure>"


def _short(value: float) -> str:
    """Three digits, without a power of ten where the number is long."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
