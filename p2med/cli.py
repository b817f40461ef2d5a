"""The verbs as commands. A verb is imported when it runs, so `p2med ingest` needs no torch."""

import errno
import importlib
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, Any

import typer

from p2med import blas, plugins, store  # noqa: F401  blas first: it must come before NumPy
from p2med.ablate.commands import ablate_command
from p2med.bench.commands import gate
from p2med.card.commands import card
from p2med.curate.commands import dedup, diagnoses
from p2med.deid.commands import DeidGroup
from p2med.errors import P2MedError, RecipeError
from p2med.export.commands import export, merge, parity
from p2med.ingest.commands import map_export
from p2med.mix.commands import review
from p2med.model.commands import assemble, doctor
from p2med.plan.commands import plan_command
from p2med.progress import say
from p2med.recipe import Recipe, read_recipe
from p2med.sheet.commands import sheet, show
from p2med.synth.commands import synth

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="P2Med: from a hospital's folder to a drafted, scored report.",
)

RecipePath = Annotated[Path, typer.Argument(help="a recipe, e.g. recipes/demo.yaml", show_default=False)]
Runs = Annotated[Path, typer.Option("--runs", help="folder of the run folders")]
Set = Annotated[list[str] | None, typer.Option("--set", help="key=value, e.g. train.threads=2")]

PLUGIN_FOLDERS = {
    "tasks": "p2med.tasks",
    "sources": "p2med.ingest.sources",
    "encoders": "p2med.model.encoders",
    "connectors": "p2med.model.connectors",
    "adapters": "p2med.model.adapters",
    "objectives": "p2med.train.objectives",
    "metrics": "p2med.bench.metrics",
}


# ---------------------------------------------------------------- the road


@app.command()
def run(
    recipe: RecipePath,
    runs: Runs = Path("runs"),
    overrides: Set = None,
    first: Annotated[str | None, typer.Option("--from", help="start at this verb")] = None,
    last: Annotated[str | None, typer.Option("--to", help="stop after this verb")] = None,
) -> None:
    """Run every verb of the recipe in order; a verb that is up to date is skipped."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError("torchrun starts `p2med train` alone; run the other verbs without it")
    loaded = _read(recipe, overrides)
    root = runs / loaded.name
    _licences(loaded, root)
    wanted = [v for v in store.VERBS[:-1] if getattr(loaded, v) is not None]
    for name, which in (("--from", first), ("--to", last)):
        if which is not None and which not in wanted:
            raise RecipeError(f"{name} {which}: this recipe has the verbs {', '.join(wanted)}")
    start = wanted.index(first) if first else 0
    stop = wanted.index(last) + 1 if last else len(wanted)
    for n, verb in enumerate(wanted[start:stop], 1):
        say(f"[{n}/{stop - start}] {verb} -> {store.verb_folder(root, verb)}")
        _run_verb(verb, loaded, root)
    _closing_words(loaded, recipe, runs, root)


def _run_verb(verb: str, recipe: Recipe, root: Path) -> None:
    section = getattr(recipe, verb)
    if section is None:
        raise RecipeError(f"recipe {recipe.name!r} has no section `{verb}`")
    verb_run: Callable[..., Any] = importlib.import_module(f"p2med.{verb}.run").run
    if verb == "synth":
        verb_run(section, store.verb_folder(root, verb))
    elif verb == "train":
        _train(recipe, root)
    elif verb == "bench":
        verb_run(section, root, _stages(recipe))
    else:
        verb_run(section, root)


def _licences(recipe: Recipe, root: Path, mixed: bool = False) -> dict[str, Any]:
    """What the model's parts may be used for; what the recipe is for is refused here if one forbids it."""
    check = importlib.import_module("p2med.card.ledger").check_use
    sources = recipe.ingest.sources if recipe.ingest else ()
    return check(recipe.model, sources, recipe.licences, recipe.use, root, mixed)


def _train(recipe: Recipe, root: Path, stage: str | None = None) -> None:
    if not (recipe.train and recipe.model and recipe.curate):
        raise RecipeError(f"recipe {recipe.name!r} has no section `train`")
    licences = _licences(recipe, root, mixed=True)
    verb_run = importlib.import_module("p2med.train.run").run
    verb_run(recipe.train, recipe.model, recipe.curate.image, root, stage=stage, licences=licences)
    if os.environ.get("RANK", "0") == "0":
        if page := importlib.import_module("p2med.card.training").write_training_page(root):
            say(f"train: curves in {page}")


def _stages(recipe: Recipe) -> tuple[str, ...]:
    return tuple(s.stage for s in recipe.train.stages) if recipe.train else ()


def _closing_words(recipe: Recipe, path: Path, runs: Path, root: Path) -> None:
    if (store.verb_folder(root, "mix") / "manifest.json").exists():
        page = importlib.import_module("p2med.sheet.write").write_sheet(root)[0]
        print(f"data sheet: {page}")
    report = store.verb_folder(root, "bench") / "report.html"
    if report.exists():
        print((report.parent / "report.txt").read_text(encoding="utf-8"))
        print(f"report with figures: {report}")
    if (store.verb_folder(root, "train") / "manifest.json").exists():
        try:
            print(f"model card: {importlib.import_module('p2med.card.write').write_card(root)[0]}")
        except P2MedError as error:
            say(f"no model card: {error}")
    if recipe.train and (store.verb_folder(root, "train")).exists():
        where = "" if str(runs) == "runs" else f" --runs {runs}"
        print(f"start the server:    p2med serve {path}{where}")


deid = typer.Typer(cls=DeidGroup, no_args_is_help=True, help="2. Take the identity out, of a run or alone.")
app.add_typer(deid, name="deid")


def _verb_command(verb: str, what: str, of: typer.Typer = app, name: str | None = None) -> None:
    def command(recipe: RecipePath, runs: Runs = Path("runs"), overrides: Set = None) -> None:
        loaded = _read(recipe, overrides)
        _run_verb(verb, loaded, runs / loaded.name)

    command.__doc__ = what
    of.command(name=name or verb)(command)


_verb_command("ingest", "1. Read the hospital's files and join them into cases.")
_verb_command("deid", "Take the identity out of headers, texts, dates and pixels.", deid, "recipe")
_verb_command("curate", "3. Choose, normalise, label, deduplicate, split.")
_verb_command("mix", "4. Render the tasks to conversations and sample each training stage.")
_verb_command("bench", "6. Answer the held-out conversations, score them, write the report.")


@app.command()
def train(
    recipe: RecipePath,
    runs: Runs = Path("runs"),
    overrides: Set = None,
    stage: Annotated[str | None, typer.Option(help="only this stage")] = None,
) -> None:
    """5. Train the stages one after another; a stage that is up to date is skipped."""
    loaded = _read(recipe, overrides)
    if stage is not None and loaded.train and stage not in _stages(loaded):
        raise RecipeError(f"--stage {stage}: this recipe trains {', '.join(_stages(loaded))}")
    _train(loaded, runs / loaded.name, stage)


@app.command()
def serve(
    recipe: RecipePath,
    runs: Runs = Path("runs"),
    overrides: Set = None,
    checkpoint: Annotated[Path | None, typer.Option(help="a checkpoint folder instead of the run's")] = None,
) -> None:
    """7. Answer over HTTP: OpenAI-compatible chat and /v1/tasks/{task}."""
    loaded = _read(recipe, overrides)
    verb_run = importlib.import_module("p2med.serve.run").run
    verb_run(loaded.serve, runs / loaded.name, _stages(loaded), checkpoint)


# ---------------------------------------------------------------- beside the road


@app.command()
def answer(
    checkpoint: Annotated[Path, typer.Argument(help="a checkpoint, e.g. runs/demo/5_train/stage3")],
    task: Annotated[str, typer.Option(help="a task name; `p2med names tasks` lists them")],
    source: Annotated[Path, typer.Option("--in", help="a DICOM, PNG, JPEG or JSONL file, or a folder")],
    out: Annotated[Path, typer.Option(help="JSON lines, one an input")],
    labels: Annotated[str | None, typer.Option(help="options of a classification: 正常,肺炎")] = None,
    question: Annotated[str | None, typer.Option(help="the question, for question_answering")] = None,
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 256,
    readings: Annotated[int, typer.Option(min=1, help="of each text; above 1 their consensus")] = 1,
    member: Annotated[list[Path] | None, typer.Option(help="a further checkpoint that answers too")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Ask a checkpoint about files; one JSON line for each input."""
    options = tuple(x.strip() for x in (labels or "").replace("，", ",").split(",") if x.strip())
    importlib.import_module("p2med.serve.answer").answer(
        checkpoint,
        task,
        source,
        out,
        labels=options,
        language=language,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        device=device,
        question=question,
        readings=readings,
        members=member or (),
    )


for _command in (synth, dedup, diagnoses, review, show, sheet, card, gate, assemble, doctor):
    app.command()(_command)
for _command in (merge, export, parity):
    app.command()(_command)
app.command(name="map")(map_export)
app.command(name="ablate")(ablate_command(_run_verb))
app.command(name="plan")(plan_command(read_recipe))


@app.command()
def key(
    path: Annotated[Path, typer.Argument(help="where to write the key; not in a run folder")],
) -> None:
    """Make a secret key for `deid` (32 bytes, readable by you alone)."""
    importlib.import_module("p2med.deid.pseudonym").new_key(path)
    print(f"wrote {path}; whoever has it can link pseudonyms to patients: keep it secret, keep a copy")


@app.command()
def check(recipe: RecipePath, overrides: Set = None) -> None:
    """Validate a recipe and print it resolved; needs no GPU and no data."""
    loaded = _read(recipe, overrides)
    known = set(plugins.names("p2med.tasks"))
    asked = {t for stage in (loaded.mix.stages.values() if loaded.mix else ()) for t in stage}
    if asked - known:
        raise RecipeError(
            f"mix: unknown tasks {sorted(asked - known)}; there are: {', '.join(sorted(known))}"
        )
    for source in loaded.ingest.sources if loaded.ingest else ():
        plugins.load("p2med.ingest.sources", source.kind)
    print(json.dumps(loaded.model_dump(mode="json"), ensure_ascii=False, indent=2))


@app.command()
def names(kind: Annotated[str, typer.Argument(help=" | ".join(PLUGIN_FOLDERS))]) -> None:
    """List the plug-ins of a folder."""
    if kind not in PLUGIN_FOLDERS:
        raise RecipeError(f"no plug-in folder {kind!r}; there are: {', '.join(PLUGIN_FOLDERS)}")
    print("\n".join(plugins.names(PLUGIN_FOLDERS[kind])))


# ---------------------------------------------------------------- errors


def _read(path: Path, overrides: list[str] | None) -> Recipe:
    return read_recipe(path, tuple(overrides or ()))


def main() -> None:
    """Run a command; what a user can mend ends in one line on standard error and exit code 2."""
    try:
        app()
    except P2MedError as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("p2med"):
            raise
        _refuse(
            f"the package {error.name!r} is missing; install p2med with its extras: pip install 'p2med[dev]'"
        )
    except BrokenProcessPool:
        _refuse("a worker process was killed, perhaps for lack of memory; the same command continues")
    except OSError as error:
        _refuse(_os_words(error))
    except KeyboardInterrupt:
        say("p2med: stopped; the same command continues where it was")
        sys.exit(130)


def _refuse(words: str) -> None:
    say("p2med: " + " ".join(words.split()))
    sys.exit(2)


def _os_words(error: OSError) -> str:
    where = error.filename if isinstance(error.filename, (str, os.PathLike)) else "the run folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {where} is full; free some space and run the same command, it continues"
    return f"{where}: {error.strerror or type(error).__name__}"


if __name__ == "__main__":
    main()
