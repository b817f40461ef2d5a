"""`p2med show` and `p2med sheet`."""

import importlib
from pathlib import Path
from typing import Annotated

import typer


def show(
    folder: Annotated[Path, typer.Argument(help="a run folder, or a verb's, e.g. runs/demo/3_curate")],
    item: Annotated[
        str | None, typer.Argument(help="an id: print that item of a verb's folder whole")
    ] = None,
    language: Annotated[str, typer.Option(help="zh or en, of a run folder's data sheet")] = "zh",
) -> None:
    """The data sheet of a run, a verb's counts and reasons, or one item, as a person would read them."""
    importlib.import_module("p2med.sheet.show").show(folder, item, "en" if language == "en" else "zh")


def sheet(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder, e.g. runs/demo")],
    out: Annotated[Path | None, typer.Option(help="folder to write to; by default the run folder")] = None,
) -> None:
    """Write the data sheet of a run: HTML and Markdown, Chinese and English, from its manifests alone."""
    for path in importlib.import_module("p2med.sheet.write").write_sheet(run_folder, out):
        print(path)
