"""`p2med ablate`: the base run, its variants one after another, then the table. Nothing is done twice.

RUNS/demo/                        the full model, an ordinary run
RUNS/demo-stages-without_stage1/  a variant, an ordinary run; what it shares with others is hard links
RUNS/demo-stages/recipes/*.yaml   the variants' recipes, whole, for `p2med serve`, `bench`, `gate` …
RUNS/demo-stages/table.*          the table
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
import yaml

from p2med import store
from p2med.ablate.config import Ablation, Words, names, read_ablation
from p2med.ablate.estimate import effort
from p2med.ablate.rows import Row, Run, make_row, read_run, refuse_other_questions
from p2med.ablate.share import other_data, share_data, share_features, share_stages
from p2med.ablate.table import FULL, write_tables
from p2med.ablate.variants import make_variants
from p2med.errors import P2MedError
from p2med.progress import say
from p2med.recipe import Recipe, read_recipe

RunVerb = Callable[[str, Recipe, Path], None]


def run(
    name: str,
    recipe: Path,
    runs: Path,
    overrides: tuple[str, ...],
    ablations: Path,
    run_verb: RunVerb,
    only_tables: bool = False,
) -> list[Path]:
    """Run one ablation and write its tables.

    Args:
      run_verb: runs one verb of a recipe in a run folder.
      only_tables: run nothing; every run must be finished and up to date.

    Returns:
      The pages of the table.

    Raises:
      P2MedError: the ablation or the recipe is wrong, a verb refuses, or a finished run is stale.
    """
    ablation = read_ablation(ablations, name)
    base = read_recipe(recipe, overrides)
    variants = make_variants(base, ablation, name)
    out = runs / f"{base.name}-{name}"
    for variant, made in variants.items():
        _write_recipe(out / "recipes" / f"{variant}.yaml", made, f"{ablations / name}.yaml")
    if not only_tables:
        _run_all(name, [base, *variants.values()], runs, run_verb)
    rows = _rows(ablation, base, variants, runs)
    return write_tables(out, ablation, name, base, variants, rows)


def _write_recipe(path: Path, recipe: Recipe, source: str) -> None:
    said = yaml.safe_dump(
        recipe.model_dump(mode="json", exclude_unset=True), allow_unicode=True, sort_keys=False, width=110
    )
    store.write_text(
        path, f"# Made by p2med ablate from {Path(source).name}; change that file, not this.\n{said}"
    )


def _run_all(name: str, every: list[Recipe], runs: Path, run_verb: RunVerb) -> None:
    """The base and its variants in order; what is up to date costs seconds."""
    base, roots = every[0], [runs / r.name for r in every]
    made_now = not _is_current(base, base, runs)
    begun = time.monotonic()
    say(f"ablate {name} [1/{len(every)}] {base.name}")
    _run_one(base, roots[0], [], run_verb)
    manifest = store.read_manifest(store.verb_folder(roots[0], "mix"))
    assert manifest
    work = [effort(r, every[:n], manifest.notes) for n, r in enumerate(every)]
    todo = [made_now, *(not _is_current(r, base, runs) for r in every[1:])]
    work = [w * t for w, t in zip(work, todo, strict=True)]
    for n, variant in enumerate(every[1:], 1):
        seconds, done = time.monotonic() - begun, sum(work[:n])
        left = f"; {seconds:.0f} s so far, about {seconds / done * sum(work[n:]):.0f} s left" if done else ""
        say(f"ablate {name} [{n + 1}/{len(every)}] {variant.name}{left}")
        share_data(base, roots[0], variant, roots[n])
        share_features(roots[0], roots[n])
        _run_one(variant, roots[n], roots[:n], run_verb)


def _run_one(recipe: Recipe, root: Path, earlier: list[Path], run_verb: RunVerb) -> None:
    threads = torch.get_num_threads()
    for verb in store.VERBS[:-1]:
        if getattr(recipe, verb) is None:
            continue
        if verb == "train":
            share_stages(recipe, root, earlier)
        run_verb(verb, recipe, root)
    # train and bench set them by their sections; the next run must find what a run of its own would.
    torch.set_num_threads(threads)


def _is_current(recipe: Recipe, base: Recipe, runs: Path) -> bool:
    try:
        _read(recipe, base, runs)
    except (P2MedError, OSError):
        return False
    return True


def _read(recipe: Recipe, base: Recipe, runs: Path) -> Run:
    """A finished run, made from the base run's data as far as the recipes agree."""
    other = other_data(base, runs / base.name, recipe, runs / recipe.name)
    if other:
        raise P2MedError(
            f"run {recipe.name} has other data than {base.name} ({other[0]}); run the ablation again"
        )
    return read_run(recipe, runs / recipe.name)


def _rows(ablation: Ablation, base: Recipe, variants: dict[str, Recipe], runs: Path) -> list[Row]:
    """The full model first; then the variants, or all of them as one row."""
    full = _read(base, base, runs)
    found = {v: _read(recipe, base, runs) for v, recipe in variants.items()}
    for one in found.values():
        refuse_other_questions(full, one)
    rows = [make_row("full", Words(zh=FULL[0], en=FULL[1]), [full])]
    if ablation.one_row is not None:
        return [*rows, make_row("all_variants", ablation.one_row, list(found.values()))]
    return rows + [make_row(v, ablation.variants[v].title, [one]) for v, one in found.items()]


def listed(ablations: Path) -> list[str]:
    """A line for each ablation of a folder: its name, the paper's place, its variants."""
    lines = []
    for name in names(ablations):
        one = read_ablation(ablations, name)
        lines.append(f"{name:16} {one.title.en} ({one.source}): {', '.join(one.variants)}")
    return lines
