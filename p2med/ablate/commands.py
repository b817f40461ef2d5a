"""`p2med ablate`."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from p2med.errors import RecipeError


def ablate_command(run_verb: Callable[..., Any]) -> Callable[..., None]:
    """The command; `run_verb` runs one verb of a recipe in a run folder."""

    def ablate(
        name: Annotated[str, typer.Argument(help="an ablation, or `list`")],
        recipe: Annotated[Path | None, typer.Argument(help="the base recipe, e.g. recipes/demo.yaml")] = None,
        runs: Annotated[Path, typer.Option("--runs", help="folder of the run folders")] = Path("runs"),
        overrides: Annotated[
            list[str] | None, typer.Option("--set", help="key=value, of the base and every variant")
        ] = None,
        ablations: Annotated[Path, typer.Option(help="folder of the ablations")] = Path("recipes/ablations"),
        tables: Annotated[
            bool, typer.Option("--tables", help="only draw the tables of finished runs")
        ] = False,
    ) -> None:
        """The paper's ablations: train and ask each variant of a recipe, and draw the table."""
        module = importlib.import_module("p2med.ablate.run")
        if name == "list":
            print("\n".join(module.listed(ablations)))
            return
        if recipe is None:
            raise RecipeError(f"ablate {name}: name the base recipe, e.g. recipes/demo.yaml")
        pages = module.run(name, recipe, runs, tuple(overrides or ()), ablations, run_verb, tables)
        print(next(p for p in pages if p.name == "table.en.md").read_text(encoding="utf-8"))
        print(f"table with figures: {next(p for p in pages if p.suffix == '.html')}")

    return ablate
