"""One YAML file is one system: its keys are the verbs, in order. Unknown keys are refused.

There is no inheritance and no interpolation: a recipe can be read without opening another file. Paths may
begin with `run:` (this recipe's run folder) or `data:` (the shared data folder, $P2MED_DATA).
"""

from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError, model_validator

from p2med.bench.config import BenchConfig
from p2med.card.config import Statement, Uses
from p2med.curate.config import CurateConfig
from p2med.deid.config import DeidConfig
from p2med.errors import RecipeError
from p2med.ingest.config import IngestConfig
from p2med.mix.config import MixConfig
from p2med.model.config import ModelSection
from p2med.schema.base import Frozen
from p2med.serve.config import ServeConfig
from p2med.synth.config import SynthConfig
from p2med.train.config import TrainConfig


class Recipe(Frozen):
    """A verb whose section is absent is left out of `p2med run`."""

    name: str
    synth: SynthConfig | None = None
    ingest: IngestConfig | None = None
    deid: DeidConfig | None = None
    curate: CurateConfig | None = None
    mix: MixConfig | None = None
    model: ModelSection | None = None
    train: TrainConfig | None = None
    bench: BenchConfig | None = None
    serve: ServeConfig = ServeConfig()
    use: Uses = ("research",)
    """What the model is for; a part whose licence forbids it is refused before training (card/ledger.py)."""
    licences: tuple[Statement, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _counts_with_its_own_tokenizer(cls, raw: Any) -> Any:
        """A record is as long as the model will read it: `curate` counts with the model's tokenizer file."""
        curate, model = (raw.get(k) for k in ("curate", "model")) if isinstance(raw, dict) else (None, None)
        tokenizer = model.get("tokenizer") if isinstance(model, dict) else None
        if isinstance(tokenizer, dict) and tokenizer.get("kind") == "file" and isinstance(curate, dict):
            return {**raw, "curate": {"tokenizer": tokenizer.get("path"), **curate}}
        return raw

    @model_validator(mode="after")
    def _is_whole(self):
        if not self.name.replace("_", "").replace("-", "").isalnum():
            raise ValueError("name: letters, digits, _ and - only; it names a folder")
        if self.train and not (self.mix and self.model and self.curate):
            raise ValueError("train needs the sections mix, model and curate")
        if self.train and self.mix:
            missing = [s.stage for s in self.train.stages if s.stage not in self.mix.stages]
            if missing:
                known = ", ".join(self.mix.stages)
                raise ValueError(f"train names stages that mix does not have: {missing}; it has: {known}")
        return self


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and apply `--set key=value` overrides (dotted keys, YAML values).

    Raises:
      RecipeError: the file is missing, is no YAML mapping, or a key or value is wrong.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"there is no recipe {path}") from None
    except IsADirectoryError:
        raise RecipeError(f"{path} is a folder; name a recipe file (.yaml)") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise RecipeError(f"{path} is not YAML{where}") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} is not a recipe: its top level must be keys like `ingest:`")
    for override in overrides:
        _apply(raw, override)
    return recipe_of(raw, str(path))


def recipe_of(raw: dict[str, Any], where: str) -> Recipe:
    """Validate a recipe's mapping; `where` names it in the error.

    Raises:
      RecipeError: a key or value is wrong.
    """
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_first_fault(error)}") from None


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override}: write key=value, e.g. --set train.threads=2")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise RecipeError(f"--set {key}: {value!r} is not a YAML value") from None
    set_value(raw, key, parsed, f"--set {key}")


def set_value(raw: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Put a value under a dotted key of a recipe's mapping.

    Raises:
      RecipeError: there is no such place.
    """
    node: Any = raw
    *parents, last = key.split(".")
    for name in parents:
        if isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            node = _child(node, name, where)
    if isinstance(node, list) and last.isdigit() and int(last) < len(node):
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise RecipeError(f"{where}: there is no such place in the recipe")


def _child(node: Any, name: str, where: str) -> Any:
    if not isinstance(node, dict):
        raise RecipeError(f"{where}: there is no such place in the recipe")
    if node.get(name) is None:
        node[name] = {}
    return node[name]


def _first_fault(error: ValidationError) -> str:
    """The first fault in one line: where, what, and what is allowed there."""
    faults = error.errors()
    fault = faults[0]
    where = ".".join(str(p) for p in fault["loc"]) or "recipe"
    if fault["type"] == "extra_forbidden":
        what = f"unknown key; known here: {', '.join(_known_keys(fault['loc']))}"
    else:
        what = fault["msg"].removeprefix("Value error, ")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{where}: {what}{more}"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = Recipe
    for name in loc[:-1]:
        fields = getattr(model, "model_fields", {})
        annotation = fields[name].annotation if name in fields else None
        found = [a for a in _flatten(annotation) if hasattr(a, "model_fields")]
        model = found[0] if found else model
    return sorted(getattr(model, "model_fields", {}))


def _flatten(annotation: Any) -> list[Any]:
    args = get_args(annotation)
    return [annotation] if not args else [x for a in args for x in _flatten(a)]
