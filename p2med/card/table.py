"""The package's table of licences, and what several of them together forbid."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from p2med.card.config import Use
from p2med.schema.base import Frozen


class Licence(Frozen):
    """A row of licences.yaml; `forbids` and `asks` hold the clause by use."""

    title: str
    source: str
    checked: Literal["text", "holder", "quoted", "readme", "known"]
    hugging_face: tuple[str, ...] = ()
    forbids: dict[Use, str] = {}
    asks: dict[Use, str] = {}


class Known(Frozen):
    """A model or a data set whose licences are known; all of them hold at once."""

    title: str = ""
    licences: tuple[str, ...]
    source: str = ""
    shape: tuple[dict[str, Any], ...] = ()
    asks: dict[Use, str] = {}


class Table(Frozen):
    licences: dict[str, Licence]
    models: dict[str, Known]
    data: dict[str, Known]

    def by_hugging_face(self, name: str) -> str | None:
        """The licence that a Hugging Face README calls `name`, or None."""
        return next((key for key, row in self.licences.items() if name in row.hugging_face), None)

    def with_shape(self, config: Mapping[str, Any]) -> list[str]:
        """The models that a folder's config.json could be."""
        return [
            name
            for name, row in self.models.items()
            if any(all(config.get(k) == v for k, v in shape.items()) for shape in row.shape)
        ]

    def forbidden_by(self, licences: Iterable[str]) -> dict[Use, str]:
        """Every use that one of the licences forbids, with its name and clause."""
        return self._joined((row, row.forbids) for row in map(self.licences.get, licences) if row)

    def asked_by(self, licences: Iterable[str]) -> dict[Use, str]:
        """What the licences of the table ask of each use."""
        return self._joined((row, row.asks) for row in map(self.licences.get, licences) if row)

    @staticmethod
    def _joined(rows: Iterable[tuple[Licence, Mapping[Use, str]]]) -> dict[Use, str]:
        found: dict[Use, str] = {}
        for row, clauses in rows:
            for use, clause in clauses.items():
                said = f"{row.title}: {clause}"
                found[use] = f"{found[use]}; {said}" if use in found else said
        return found


@cache
def table() -> Table:
    raw = yaml.safe_load((Path(__file__).parent / "licences.yaml").read_text(encoding="utf-8"))
    return Table.model_validate(raw)
