"""The word lists of deid's text rules (words.csv: list, words): names, roles, places, words of medicine."""

import csv
from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=1)
def lists() -> dict[str, tuple[str, ...]]:
    """Every list by its name, in the order of the file."""
    found: dict[str, list[str]] = {}
    with resources.files("p2med.deid").joinpath("words.csv").open(encoding="utf-8", newline="") as file:
        for name, words in csv.reader(file):
            found.setdefault(name, []).extend(words.split())
    return {name: tuple(words) for name, words in found.items()}


def words(name: str) -> tuple[str, ...]:
    """One list, e.g. `role`."""
    return lists()[name]
