"""`p2med plan`."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from p2med import store
from p2med.errors import RecipeError


def plan_command(read_recipe: Callable[..., Any]) -> Callable[..., None]:
    """The command; `read_recipe` reads a recipe with its overrides."""

    def plan(
        recipe: Annotated[Path, typer.Argument(help="a recipe, e.g. recipes/demo.yaml", show_default=False)],
        runs: Annotated[Path, typer.Option("--runs", help="folder of the run folders")] = Path("runs"),
        overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value")] = None,
        device: Annotated[str, typer.Option(help="cpu, gpu24, gpu48, gpu80 or all")] = "cpu",
        out: Annotated[Path | None, typer.Option("--json", help="also write it as JSON")] = None,
        language: Annotated[str, typer.Option(help="en or zh")] = "en",
    ) -> None:
        """Foretell parameters, memory, time and disk of a training, and which knob makes it fit."""
        loaded = read_recipe(recipe, tuple(overrides or ()))
        if not (loaded.train and loaded.model and loaded.mix and loaded.curate):
            raise RecipeError(f"recipe {loaded.name!r} has no section `train`: there is nothing to plan")
        if language not in ("en", "zh"):
            raise RecipeError(f"--language {language}: there are en and zh")
        modules = ("devices", "run", "knobs", "report")
        devices, run, knobs, report = (importlib.import_module(f"p2med.plan.{n}") for n in modules)
        sections = run.Sections(loaded.model, loaded.curate.image, loaded.mix, loaded.train)
        root, records = runs / loaded.name, []
        for number, each in enumerate(devices.devices_named(device)):
            plans = run.plan_training(sections, root, each)
            small = {p.stage: knobs.advise(sections, root, each, p) for p in plans if not knobs.fits(p, each)}
            print(("\n" if number else "") + report.text(plans, each, small, language == "zh"))
            records.append(report.record(plans, each, small))
        if out:
            store.write_json(out, {"recipe": loaded.name, "devices": records})

    return plan
