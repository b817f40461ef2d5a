"""Values of a DICOM element that may be missing, single, many or malformed."""

import math
from typing import Any

import pydicom


def multiple(value: Any) -> list[Any]:
    """The values of an element, one or many; none when it is empty."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, pydicom.multival.MultiValue)) else [value]


def number(value: Any) -> float | None:
    """A finite float, or None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def integer(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite floats, or None."""
    found = [number(v) for v in multiple(value)]
    return tuple(v for v in found if v is not None) if len(found) == count and None not in found else None
