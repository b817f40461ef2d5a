"""`p2med card`."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer


def card(
    path: Annotated[
        Path, typer.Argument(metavar="RUN|CHECKPOINT", help="e.g. runs/demo", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="folder to write to; by default the run folder")] = None,
    uses: Annotated[
        list[str] | None,
        typer.Option("--for", help="refuse unless every part allows it: clinical, commercial, redistribute"),
    ] = None,
) -> None:
    """Write the model card of a run: what it is, parts and licences, data, stages, scores, limits."""
    for written in importlib.import_module("p2med.card.write").write_card(path, out, _uses(uses or [])):
        print(written)


def _uses(words: list[str]) -> Any:
    known = ("research", "clinical", "commercial", "redistribute")
    for word in words:
        if word not in known:
            raise typer.BadParameter(f"{word}: there are {', '.join(known)}", param_hint="--for")
    return tuple(words)
