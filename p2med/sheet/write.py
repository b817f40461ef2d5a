"""The data sheet as HTML and Markdown in Chinese and English, and in a terminal; one content for all."""

import base64
import html
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as TerminalTable

from p2med.sheet.blocks import LANGUAGES, Bars, Block, Part, Picture, Table, Text, said
from p2med.sheet.content import chapters
from p2med.store import write_text

TITLE = {"zh": "数据说明书", "en": "Data sheet"}
OTHERS = {"zh": "另有 {} 项未列出", "en": "{} more are not shown"}
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}
h2{border-bottom:2px solid #2f6db5;margin-top:2.2rem}h3{font-size:1rem;margin:1.2rem 0 .4rem}
table{border-collapse:collapse;font-size:.9rem}
td,th{border:1px solid #ccc;padding:.15rem .5rem;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.8rem}
.bars{display:grid;grid-template-columns:max-content 1fr;gap:1px .6rem;font-size:.82rem}
.bar{background:#2f6db5;height:1.05em;display:inline-block;vertical-align:middle;margin-right:.4rem}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:0 2rem}
"""


def write_sheet(root: Path, out: Path | None = None) -> list[Path]:
    """Write datasheet.{zh,en}.{html,md} into `out`, by default the run folder.

    Raises:
      P2MedError: no data verb has finished in `root`.
    """
    parts = chapters(root)
    written = []
    for language in LANGUAGES:
        title = f"{TITLE[language]} · {root.resolve().name}"
        for ending, make in (("html", as_html), ("md", as_markdown)):
            path = (out or root) / f"datasheet.{language}.{ending}"
            write_text(path, make(parts, language, title))
            written.append(path)
    return written


# ---------------------------------------------------------------- HTML


def as_html(parts: Sequence[Part], language: str, title: str, stem: str = "datasheet") -> str:
    """One page without scripts or links to elsewhere; the other language's is `<stem>.<language>.html`."""
    other = "en" if language == "zh" else "zh"
    lines = [
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{html.escape(title)}</title>',
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>",
        f'<p><a href="{stem}.{other}.html">{"中文" if other == "zh" else "English"}</a></p>',
    ]
    for part in parts:
        lines.append(f"<h2>{html.escape(said(part.title, language))}</h2>")
        panels = sum(isinstance(b, Bars) for b in part.blocks) > 1
        lines += ['<div class="panels">'] if panels else []
        lines += [line for block in part.blocks for line in _html_block(block, language)]
        lines += ["</div>"] if panels else []
    return "\n".join([*lines, "</html>", ""])


def _html_block(block: Block, language: str) -> Iterator[str]:
    if isinstance(block, Text):
        words = html.escape(said(block.words, language))
        yield f'<p><a href="{html.escape(block.path)}">{words}</a></p>' if block.path else f"<p>{words}</p>"
        return
    if isinstance(block, Picture):
        source = f"data:image/png;base64,{base64.b64encode(block.png).decode()}"
        yield f'<img style="max-width:100%" alt="{html.escape(said(block.title, language))}" src="{source}">'
        return
    yield f"<div><h3>{html.escape(said(block.title, language))}</h3>"
    if isinstance(block, Bars):
        most = max((n for _, n in block.items), default=0) or 1
        yield '<div class="bars">'
        for name, n in block.items:
            width = f'<span class="bar" style="width:{70 * n / most:.1f}%"></span>'
            yield f"<span>{html.escape(said(name, language))}</span><span>{width}{n:,}</span>"
        yield "</div>"
        if block.others:
            yield f"<p>{OTHERS[language].format(block.others)}</p>"
    else:
        yield "<table><tr>" + "".join(f"<th>{html.escape(said(c, language))}" for c in block.columns)
        for row in block.rows:
            yield "<tr>" + "".join(_html_cell(c, language) for c in row)
        yield "</table>"
    yield "</div>"


def _html_cell(cell: object, language: str) -> str:
    number = isinstance(cell, (int, float))
    return f"<td{' class=n' if number else ''}>{html.escape(said(cell, language))}"  # type: ignore[arg-type]


# ---------------------------------------------------------------- Markdown and the terminal


def as_markdown(parts: Sequence[Part], language: str, title: str) -> str:
    lines = [f"# {title}", ""]
    for part in parts:
        lines += [f"## {said(part.title, language)}", ""]
        for block in part.blocks:
            if isinstance(block, Text):
                words = said(block.words, language)
                lines += [f"[{words}]({block.path})" if block.path else words, ""]
                continue
            if isinstance(block, Picture):
                lines += [f"![{said(block.title, language)}]({block.path})", ""]
                continue
            lines += [f"**{said(block.title, language)}**", ""]
            columns, rows = _cells(block, language)
            lines += ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
            lines += ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]
            lines += [""]
    return "\n".join(lines)


def _cells(block: Table | Bars, language: str) -> tuple[list[str], list[list[str]]]:
    if isinstance(block, Table):
        return [said(c, language) for c in block.columns], [
            [said(c, language) for c in r] for r in block.rows
        ]
    rows = [[said(name, language), said(n, language)] for name, n in block.items]
    if block.others:
        rows.append([OTHERS[language].format(block.others), ""])
    return [{"zh": "类别", "en": "what"}[language], {"zh": "数量", "en": "count"}[language]], rows


def show(root: Path, language: str, console: Console | None = None) -> None:
    """The same in a terminal."""
    console = console or Console()
    for part in chapters(root):
        console.rule(said(part.title, language), align="left")
        for block in part.blocks:
            if isinstance(block, (Text, Picture)):
                words = said(block.words if isinstance(block, Text) else block.title, language)
                console.print(f"{words}: {block.path}" if block.path else words)
                continue
            columns, rows = _cells(block, language)
            table = TerminalTable(*columns, title=said(block.title, language), title_justify="left")
            if isinstance(block, Bars):
                table.add_column("")
                most = max((n for _, n in block.items), default=0) or 1
                rows = [
                    [*r, "█" * round(24 * n / most)] for r, (_, n) in zip(rows, block.items, strict=False)
                ]
            for row in rows:
                table.add_row(*row)
            console.print(table)
