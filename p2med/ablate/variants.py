"""From a base recipe and an ablation to the recipe of every variant, each a whole recipe of its own."""

from collections.abc import Mapping
from typing import Any

from p2med.ablate.config import Ablation, Variant
from p2med.errors import RecipeError
from p2med.recipe import Recipe, recipe_of, set_value


def make_variants(base: Recipe, ablation: Ablation, name: str) -> dict[str, Recipe]:
    """The recipes of an ablation's variants, by the variants' names.

    Raises:
      RecipeError: the base cannot be ablated, or a variant is wrong or changes nothing.
    """
    missing = [s for s in ("mix", "model", "train", "bench") if getattr(base, s) is None]
    if missing:
        raise RecipeError(f"recipe {base.name!r} has no section {', '.join(missing)}: nothing to compare")
    assert base.bench
    if base.bench.checkpoint is not None:
        raise RecipeError("bench.checkpoint: an ablation asks each run's own last stage; leave it out")
    _known_tasks(base, ablation.tasks, f"ablation {name}: tasks")
    return {v: _make(base, ablation, name, v) for v in ablation.variants}


def _make(base: Recipe, ablation: Ablation, name: str, variant: str) -> Recipe:
    wanted, where = ablation.variants[variant], f"ablation {name}, variant {variant}"
    raw = base.model_dump(mode="json", exclude_unset=True)
    raw["name"] = f"{base.name}-{name}-{variant}"
    for key, value in ablation.set_in_all.items():
        set_value(raw, key, value, f"{where}: {key}")
    before = recipe_of(raw, where).model_dump()
    for key, value in wanted.set.items():
        set_value(raw, key, value, f"{where}: {key}")
    after = recipe_of(raw, where).model_dump()
    for key in wanted.set:
        if _at(before, key) == _at(after, key):
            raise RecipeError(f"{where}: {key} changes nothing, the recipe says that already")
    _leave_out_stages(raw, wanted, where)
    _leave_out_tasks(raw, base, wanted, where)
    _ask_only(raw, ablation.tasks, wanted.only_tasks, where)
    return recipe_of(raw, where)


def _leave_out_stages(raw: dict[str, Any], wanted: Variant, where: str) -> None:
    stages = raw["train"]["stages"]
    known = [s["stage"] for s in stages]
    unknown = [s for s in wanted.without_stages if s not in known]
    if unknown:
        raise RecipeError(f"{where}: no training stage {', '.join(unknown)}; there are: {', '.join(known)}")
    raw["train"]["stages"] = [s for s in stages if s["stage"] not in wanted.without_stages]


def _leave_out_tasks(raw: dict[str, Any], base: Recipe, wanted: Variant, where: str) -> None:
    """Weight 0 for what is not taught: the draws and the tokenizer stay those of the full model."""
    if not wanted.only_tasks:
        return
    _known_tasks(base, wanted.only_tasks, f"{where}: only_tasks")
    assert base.mix
    left = 0
    kept = []
    for stage in raw["train"]["stages"]:
        there = base.mix.stages[stage["stage"]]
        out = [t for t in there if t not in wanted.only_tasks]
        left += len(out)
        if len(out) < len(there):
            weights = {**stage.get("task_weights", {}), **dict.fromkeys(out, 0)}
            kept.append({**stage, "task_weights": weights})
    if not left:
        raise RecipeError(f"{where}: only_tasks changes nothing, every task of training is among them")
    raw["train"]["stages"] = kept


def _ask_only(raw: dict[str, Any], table: tuple[str, ...], taught: tuple[str, ...], where: str) -> None:
    """A variant is asked what the recipe asks, of this the table's tasks, of these what it was taught."""
    limits = [set(x) for x in (raw["bench"].get("tasks"), table, taught) if x]
    if limits:
        raw["bench"]["tasks"] = sorted(set.intersection(*limits))
        if not raw["bench"]["tasks"]:
            raise RecipeError(f"{where}: of the tasks that bench asks, none is taught and in the table")


def _known_tasks(base: Recipe, tasks: tuple[str, ...], where: str) -> None:
    assert base.mix
    known = list(dict.fromkeys(t for stage in base.mix.stages.values() for t in stage))
    unknown = [t for t in tasks if t not in known]
    if unknown:
        raise RecipeError(f"{where}: {', '.join(unknown)} is not taught; there are: {', '.join(known)}")


def _at(dumped: Any, key: str) -> Any:
    for name in key.split("."):
        if isinstance(dumped, Mapping):
            dumped = dumped.get(name)
        elif isinstance(dumped, (list, tuple)) and name.isdigit():
            dumped = dumped[int(name)]
        else:
            return None
    return dumped
