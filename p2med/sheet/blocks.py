"""What a data sheet is made of, before it is HTML, Markdown or lines of a terminal."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Words = tuple[str, str]
"""Chinese, English."""
Cell = str | int | float | None | Words


class Text(NamedTuple):
    """A sentence; with `path`, a link to a file of the run folder."""

    words: Words
    path: str = ""


class Table(NamedTuple):
    title: Words
    columns: Sequence[Words]
    rows: Sequence[Sequence[Cell]]


class Bars(NamedTuple):
    """Horizontal bars in the order given; `others` says how many were left out."""

    title: Words
    items: Sequence[tuple[Cell, int]]
    others: int = 0


class Picture(NamedTuple):
    title: Words
    path: str
    """Where Markdown finds it."""
    png: bytes


Block = Text | Table | Bars | Picture


class Part(NamedTuple):
    """A chapter of the sheet."""

    title: Words
    blocks: Sequence[Block]


LANGUAGES = ("zh", "en")
MOST_BARS = 40


def said(cell: Cell, language: str) -> str:
    """A cell as text: counts with separators, floats with two digits, nothing as a dash."""
    if cell is None:
        return "–"
    if isinstance(cell, tuple):
        return cell[LANGUAGES.index(language)]
    if isinstance(cell, bool) or isinstance(cell, str):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.2f}"


def by_count(title: Words, counts: Mapping[str, int], most: int = MOST_BARS) -> Bars:
    """The commonest first, equals by name."""
    items = sorted(counts.items(), key=lambda x: (-x[1], x[0]))
    return Bars(title, items[:most], max(0, len(items) - most))
