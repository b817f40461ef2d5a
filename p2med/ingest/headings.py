"""What the headings of Chinese hospitals mean: headings.csv, which a hospital may lengthen.

means               kind                spellings
preliminary_diagnosis  outpatient_record   初步诊断 门诊诊断 … 诊断        the most usual first
visit_number        (any)               就诊号 就诊流水号 …
other               (any)               个人史 …                      a heading of what is not read
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Heading:
    spelling: str
    means: str
    """A section, a field of a table, `text` or `other`."""
    kinds: frozenset[str]
    """The kinds of record that it belongs to; empty: any."""


@cache
def headings() -> tuple[Heading, ...]:
    """Every spelling, in the order of the file."""
    with open(Path(__file__).with_name("headings.csv"), encoding="utf-8", newline="") as file:
        return tuple(
            Heading(spelling, row["means"], frozenset(row["kind"].split()))
            for row in csv.DictReader(file)
            for spelling in row["spellings"].split()
        )


def plain(heading: str) -> str:
    """A heading without blanks, underscores, units in brackets, and in small letters."""
    return "".join(heading.split("(")[0].split("（")[0].replace("_", "").split()).lower()
