"""The last look: no number, phone or identity of any patient, and no name of the case's own, in any output.

Counts alone leave this file; a value that was found is never quoted.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from p2med.arrow import strings_in
from p2med.deid.text import fold
from p2med.errors import PhiError
from p2med.schema.identified import IdentifiedPatient

SHORTEST_NUMBER = 6
_OWN = ("parts", "begun.json", "rejected.parquet")
_TOKENS = re.compile(rf"[a-z0-9]{{{SHORTEST_NUMBER},}}")


def numbers_of(patients: Iterable[IdentifiedPatient]) -> set[str]:
    """Every number-like identity: folded, without separators, long enough to be no measurement."""
    found = set()
    for p in patients:
        for value in (p.patient_id, *p.ids, *p.phones):
            squeezed = re.sub(r"[\s\-^]", "", fold(value))
            if len(squeezed) >= SHORTEST_NUMBER and re.search(r"\d", squeezed):
                found.add(squeezed)
    return found


def audit(folder: Path, numbers: set[str], names: set[str]) -> int:
    """Search every text and file name of the folder.

    Args:
      numbers: from numbers_of. names: full names of three characters or more, folded.

    Returns:
      How many texts were searched. The folder's own files are searched but not counted: which of them are
      there depends on where an earlier run was killed.

    Raises:
      PhiError: `identity_in_output`, with the number of hits.
    """
    hits = searched = 0
    for counts, text in _texts(folder):
        searched += counts
        folded = fold(text)
        tokens = _TOKENS.findall(folded)
        hits += any(t in numbers for t in tokens)
        hits += any(folded[i : i + n] in names for n in (3, 4) for i in range(len(folded) - n + 1))
    if hits:
        raise PhiError(
            "identity_in_output",
            f"{hits} of {searched} texts in {folder} hold a known identity; the folder must not be used",
        )
    return searched


def _texts(folder: Path) -> Iterator[tuple[bool, str]]:
    """Every text, and whether it counts."""
    for path in sorted(folder.rglob("*")):
        counts = path.name not in _OWN and path.parent.name != "parts"
        yield counts, path.name
        if path.suffix == ".parquet":
            for row in pq.read_table(path).to_pylist(maps_as_pydicts="lossy"):
                yield from ((counts, text) for text in strings_in(row))
        elif path.suffix == ".npy":
            with open(path, "rb") as file:
                yield counts, file.read(128).decode("latin-1")
        elif path.is_file():
            yield counts, path.read_text(encoding="utf-8", errors="replace")
