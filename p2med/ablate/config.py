"""One YAML file is one ablation: what is left out or exchanged, and where the paper does it.

title: {zh: 去掉一个训练阶段, en: Without one training stage}
source: P2Med Sec. III-A, Table II
variants:
  without_stage1:
    title: {zh: 去掉阶段1, en: without stage 1}
    without_stages: [stage1]
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from p2med.errors import RecipeError
from p2med.schema.base import Frozen


class Words(Frozen):
    zh: str
    en: str


class Variant(Frozen):
    """How one row's recipe differs from the base recipe; everything else is the base's."""

    title: Words
    without_stages: tuple[str, ...] = ()
    """Training stages that are left out; the one after them continues what was before them."""
    only_tasks: tuple[str, ...] = ()
    """All other tasks get weight 0 in every training stage; a stage that then has nothing is left out."""
    set: dict[str, Any] = {}
    """Dotted keys of the recipe and their values."""

    @model_validator(mode="after")
    def _differs(self):
        if not (self.without_stages or self.only_tasks or self.set):
            raise ValueError("changes nothing; give without_stages, only_tasks or set")
        return self


class Ablation(Frozen):
    title: Words
    source: str
    """The paper's section, table and figure."""
    tasks: tuple[str, ...] = ()
    """The table's tasks, the only ones that variants are asked; empty: every task of the benchmark."""
    all_components: bool = False
    """Columns for every component of the tasks, not only for the key one (impression or diagnosis)."""
    one_row: Words | None = None
    """The variants are one row of the table, each with the tasks that it was trained on (Fig. 5)."""
    set_in_all: dict[str, Any] = {}
    """Dotted keys set in every variant that are not what is compared."""
    readings: tuple[Words, ...] = ()
    """What the paper leaves open and how it is read here; printed below the table."""
    variants: dict[str, Variant] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_folders(self):
        for name in self.variants:
            if not name.replace("_", "").isalnum():
                raise ValueError(f"variant {name!r}: letters, digits and _ only; it names a folder")
        taught = [t for v in self.variants.values() for t in v.only_tasks]
        alone = all(v.only_tasks for v in self.variants.values()) and len(taught) == len(set(taught))
        if self.one_row is not None and not alone:
            raise ValueError(
                "one_row: every variant needs only_tasks, and none of its tasks may be another's"
            )
        return self


def names(folder: Path) -> list[str]:
    """The ablations that a folder holds."""
    return sorted(p.stem for p in folder.glob("*.yaml"))


def read_ablation(folder: Path, name: str) -> Ablation:
    """Read `folder/<name>.yaml`.

    Raises:
      RecipeError: there is no such ablation, or a key or value of it is wrong.
    """
    if name not in names(folder):
        known = (
            ", ".join(names(folder)) or f"none; {folder} holds no ablation, name a folder with --ablations"
        )
        raise RecipeError(f"no ablation {name!r}; there are: {known}")
    path = folder / f"{name}.yaml"
    try:
        return Ablation.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise RecipeError(f"{path} is not YAML") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(p) for p in fault["loc"])
        what = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            known = Variant if "variants" in fault["loc"][:-1] else Ablation
            what = f"unknown key; known here: {', '.join(known.model_fields)}"
        raise RecipeError(f"{path}: {where}: {what}") from None
