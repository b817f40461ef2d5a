"""`p2med synth`: a synthetic hospital outside any run."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from p2med.errors import RecipeError


def synth(
    out: Annotated[Path, typer.Argument(help="folder to write the synthetic hospital to")],
    patients: Annotated[int, typer.Option(min=1)] = 300,
    seed: Annotated[int, typer.Option()] = 7,
    paper_scale: Annotated[
        bool,
        typer.Option("--paper-scale", help="the paper's counts as text: OUT/2_deid, for recipes/paper.yaml"),
    ] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, e.g. --set ct_slices=8")
    ] = None,
) -> None:
    """0. Write the synthetic Chinese children's hospital: DICOM, exports, truth table."""
    config = importlib.import_module("p2med.synth.config").SynthConfig
    values: dict[str, Any] = {"patients": patients, "seed": seed, "paper_scale": paper_scale}
    for override in overrides or ():
        key, _, value = override.partition("=")
        values[key] = value
    try:
        section = config.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        known = ", ".join(config.model_fields)
        raise RecipeError(f"synth {where}: {fault['msg']}; known here: {known}") from None
    importlib.import_module("p2med.synth.paper" if section.paper_scale else "p2med.synth.run").run(
        section, out
    )
