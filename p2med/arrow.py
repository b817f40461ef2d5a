"""Nouns as Arrow tables: one schema per pydantic class, derived from its fields."""

import types
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
_SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), date: pa.date32()}


def arrow_schema(model: type[BaseModel]) -> pa.Schema:
    """The columns of a noun. Tuples become lists, dicts maps, nested models structs."""
    return pa.schema([pa.field(n, _arrow_type(f.annotation)) for n, f in model.model_fields.items()])


def _arrow_type(annotation: Any) -> pa.DataType:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return pa.string()
    if origin in (Union, types.UnionType):
        (inner,) = [a for a in args if a is not type(None)]
        return _arrow_type(inner)
    if origin in (tuple, list):
        return pa.list_(_arrow_type(args[0]))
    if origin is dict:
        return pa.map_(pa.string(), _arrow_type(args[1]))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return pa.string()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return pa.struct([pa.field(n, _arrow_type(f.annotation)) for n, f in fields])
    raise TypeError(f"no Arrow type for {annotation}")


def to_table(items: Sequence[BaseModel], model: type[BaseModel]) -> pa.Table:
    """Write nouns as a table; field order and map order are those of the objects, so bytes repeat."""
    return pa.Table.from_pylist([i.model_dump(mode="python") for i in items], schema=arrow_schema(model))


def from_table(table: pa.Table, model: type[M]) -> Iterable[M]:
    """Read nouns back, validated."""
    for row in table.to_pylist(maps_as_pydicts="strict"):
        yield model.model_validate(row)


def strings_in(value: Any) -> Iterator[str]:
    """Every string of a row, at any depth; not the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from strings_in(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from strings_in(v)
