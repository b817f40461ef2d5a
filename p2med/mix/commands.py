"""`p2med review`: the benchmark on a page."""

import importlib
from pathlib import Path
from typing import Annotated

import typer


def review(
    folder: Annotated[Path, typer.Argument(help="a finished 4_mix, e.g. runs/demo/4_mix")],
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("review.html"),
    decisions: Annotated[Path | None, typer.Option(help="an earlier review to go on with")] = None,
) -> None:
    """Write the page on which a specialist accepts, edits or rejects each item of the benchmark."""
    count = importlib.import_module("p2med.mix.review").write_review(folder, out, decisions)
    print(f"{out}: {count} items; the page saves decisions.json, which mix.benchmark.decisions replays")
