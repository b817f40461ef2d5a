"""What a source's `read` may yield besides cases: what it refused, and how much of a noun it saw."""

from collections.abc import Iterator
from dataclasses import dataclass

from p2med.ingest.charset_log import Reread
from p2med.schema.identified import IdentifiedCase
from p2med.store import Rejected


@dataclass(frozen=True)
class Tally:
    """So many of a noun came in and so many are in the cases; the rest was yielded as Rejected before.

    A source yields a noun's Rejected and its Tally without a case in between, so that they meet in one shard.
    """

    noun: str
    entered: int
    passed: int


Yield = Iterator[IdentifiedCase | Rejected | Tally | Reread]
