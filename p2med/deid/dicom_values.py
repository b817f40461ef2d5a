"""Validators of header values: each turns the values of one element into clean ones, or into None.

A value is rebuilt from what was understood (a number, a word of a closed list, a shifted day, an HMAC), never
copied: what a validator does not understand cannot pass, whatever the element's VR says.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pydicom.datadict import dictionary_has_tag
from pydicom.tag import Tag

from p2med.deid.pseudonym import Pseudonyms


@dataclass(frozen=True)
class Secrets:
    """What a patient's values are changed with."""

    names: Pseudonyms
    offset_days: int


Rule = Callable[[Sequence[Any], Secrets], list[Any] | None]
_DAY = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?")


@dataclass(frozen=True)
class Items:
    """A sequence that may stay: what each of its items may hold."""

    allowed: "Mapping[str, Rule | Items | Codes]"
    most: int = 1


@dataclass(frozen=True)
class Codes:
    """A code sequence: (scheme, code) that are known; the meaning is written from this table, never kept."""

    meanings: Mapping[tuple[str, str], str]


def words(*known: str, first: int = 1) -> Rule:
    """Words of a closed list, in upper case; unknown ones are dropped, the first `first` must be known."""

    def rule(values: Sequence[Any], _: Secrets) -> list[Any] | None:
        said = [_text(v).upper() for v in values]
        if len(said) < first or any(s not in known for s in said[:first]):
            return None
        return [s for s in said if s in known]

    return rule


def renamed(table: Mapping[str, str], otherwise: str) -> Rule:
    """One value, looked up in a table."""

    def rule(values: Sequence[Any], _: Secrets) -> list[Any] | None:
        found = table.get(" ".join(_text(values[0]).upper().split())) if len(values) == 1 else None
        return [found or otherwise]

    return rule


def matching(pattern: str, most: int = 1) -> Rule:
    """One to `most` values of a strict form."""
    form = re.compile(pattern)

    def rule(values: Sequence[Any], _: Secrets) -> list[Any] | None:
        said = [_text(v) for v in values]
        return said if 0 < len(said) <= most and all(form.fullmatch(s) for s in said) else None

    return rule


def decimals(low: float, high: float, least: int = 1, most: int | None = None, places: int = 4) -> Rule:
    """`least` to `most` (by default exactly `least`) numbers within [low, high], rounded to `places`."""

    def rule(values: Sequence[Any], _: Secrets) -> list[Any] | None:
        found = [_number(v) for v in values]
        if not least <= len(found) <= (most or least):
            return None
        if any(v is None or not low <= v <= high for v in found):
            return None
        return [round(v, places) + 0.0 for v in found if v is not None]  # + 0.0: no minus zero

    return rule


def integers(low: int, high: int, least: int = 1, most: int | None = None) -> Rule:
    """As decimals, whole numbers only."""
    inner = decimals(low, high, least, most, places=6)

    def rule(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
        found = inner(values, secrets)
        return None if found is None or any(v != int(v) for v in found) else [int(v) for v in found]

    return rule


def directions(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    """Two direction cosines of length 1 at a right angle (ImageOrientationPatient)."""
    found = decimals(-1.001, 1.001, 6, places=12)(values, secrets)
    if found is None:
        return None
    row, column = found[:3], found[3:]
    lengths = [math.sqrt(sum(v * v for v in vector)) for vector in (row, column)]
    cosine = sum(a * b for a, b in zip(row, column, strict=True))
    return found if all(abs(n - 1) < 0.01 for n in lengths) and abs(cosine) < 0.01 else None


def hashed_uid(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    said = _text(values[0]) if len(values) == 1 else ""
    return [secrets.names.uid(said)] if said else None


def shifted_day(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    """A date, or the date of a date and time, moved by the patient's offset; the time of day is gone."""
    day = read_day(values[0]) if len(values) == 1 else None
    moved = shifted(day, secrets.offset_days)
    return [f"{moved:%Y%m%d}"] if moved else None


def shifted_midnight(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    found = shifted_day(values, secrets)
    return [found[0] + "000000"] if found else None


def midnight(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    """For times that the standard wants to be there: never the true one."""
    return ["000000"]


def contrast_agent(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    """That an agent was given, not its wording."""
    said = " ".join(_text(v) for v in values).strip().upper()
    return None if said in ("", "NO", "NONE", "N", "N/A", "NA", "0", "无", "平扫", "未用") else ["CONTRAST"]


def public_tags(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    """AT values that name an element of the standard."""
    try:
        tags = [Tag(v) for v in values]
    except (TypeError, ValueError, OverflowError):
        return None
    return tags if tags and all(dictionary_has_tag(t) and not t.is_private for t in tags) else None


def removed(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    """A dummy, where the standard wants a value (action D of table E.1-1)."""
    return ["REMOVED"]


def empty(values: Sequence[Any], secrets: Secrets) -> list[Any] | None:
    """Present without a value (type 2 elements that hold identity)."""
    return []


def read_day(value: Any) -> date | None:
    """The date of a DA or DT value; None when it is no possible date."""
    found = _DAY.match(_text(value))
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def read_age_days(value: Any) -> int | None:
    """Days of an AS value (`012D`, `007W`, `018M`, `009Y`)."""
    found = re.fullmatch(r"(\d{3})([DWMY])", _text(value).upper())
    return round(int(found[1]) * {"D": 1, "W": 7, "M": 30.4375, "Y": 365.25}[found[2]]) if found else None


def shifted(day: date | None, offset_days: int) -> date | None:
    try:
        return day + timedelta(offset_days) if day else None
    except OverflowError:
        return None


def _text(value: Any) -> str:
    return value.strip(" \0") if isinstance(value, str) else "" if value is None else str(value)


def _number(value: Any) -> float | None:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, str))
        and not hasattr(value, "__float__")
    ):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip(" \0")):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
