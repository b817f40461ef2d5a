"""The evidence of what was not read in the character set that a file declares: one row a series and element.

1_ingest/charset.parquet   series 1.2.3 | PatientName | ISO_IR 100 | gb18030 | declared_wrong | 33 | 24.0
Holds no value of any element; `read_as` is empty when the values were left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from p2med.imaging.charset import Finding
from p2med.ingest.header import Instance
from p2med.schema.base import Frozen


@dataclass(frozen=True)
class Reread:
    """What `read` of a source yields about one file that was not read as declared."""

    where: str
    finding: Finding


class CharsetRow(Frozen):
    where: str
    """`series <UID>` or `table <file>`."""
    keyword: str
    declared: str
    read_as: str
    why: str
    files: int
    margin_bits: float
    """Of the file where the second-best reading was nearest."""


def rereads(instances: Iterable[Instance]) -> Iterator[Reread]:
    """The findings of all headers."""
    for instance in instances:
        for finding in instance.repairs:
            yield Reread(f"series {instance.series_uid}", finding)


def rows_of(found: Iterable[Reread]) -> list[CharsetRow]:
    """Findings counted, in a stable order."""
    margins: dict[tuple[str, ...], list[float]] = {}
    for r in found:
        f = r.finding
        margins.setdefault((r.where, f.keyword, f.declared, f.read_as, f.why), []).append(f.margin_bits)
    names = ("where", "keyword", "declared", "read_as", "why")
    return [
        CharsetRow(**dict(zip(names, key, strict=True)), files=len(bits), margin_bits=min(bits))
        for key, bits in sorted(margins.items())
    ]


def summary(rows: Iterable[CharsetRow]) -> dict[str, int]:
    """Values by why they were read otherwise, for the manifest."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.why] = counts.get(row.why, 0) + row.files
    return dict(sorted(counts.items()))
