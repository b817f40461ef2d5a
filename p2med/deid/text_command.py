"""`p2med deid text`: notes as JSON lines on standard input, the same without identity on standard output.

{"id": "1", "patient": "10000048", "text": "患儿宋诗梓…", "date": "2022-11-11"}      date may be left out
{"id": "1", "text": "患儿[姓名]…", "replaced": [{"start": 2, "end": 5, "kind": "name"}]}

A note that cannot be proven clean has "text": null and "rejected": its reason. One line in, one line out.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import typer

from p2med.deid.pseudonym import DEFAULT_SITE, Pseudonyms, read_key
from p2med.deid.text import Known, scrub
from p2med.errors import P2MedError, PhiError
from p2med.progress import say

_LISTS = ("names", "ids", "phones", "addresses", "record_numbers")
_LONGEST_NOTE = 200_000


def command(
    key: Annotated[Path, typer.Option(help="the secret key; make one with `p2med key FILE`")],
    known: Annotated[
        Path | None,
        typer.Option(help='JSON: {"PATIENT": {"names": [], "ids": [], "phones": [], "addresses": [], '
                          '"record_numbers": []}}'),
    ] = None,
    max_date_shift_days: Annotated[int, typer.Option(min=1, help="the longest shift of a patient")] = 365,
    site: Annotated[str, typer.Option(help="whose patient numbers these are; `hospital` as in a recipe")
                    ] = DEFAULT_SITE,
) -> None:  # fmt: skip
    """De-identify notes: JSON lines with id, text, patient on standard input."""
    scrubber = Scrubber(read_key(key), read_known(known) if known else {}, max_date_shift_days, site)
    reasons: Counter[str] = Counter()
    written = 0
    for line in scrub_lines(sys.stdin.buffer, scrubber):
        sys.stdout.buffer.write(
            json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        )
        written += 1
        reasons.update([line["rejected"]] if "rejected" in line else [])
    sys.stdout.flush()
    said = "".join(f"; {reason} {count}" for reason, count in sorted(reasons.items()))
    say(f"deid text: {written} notes, {sum(reasons.values())} rejected{said}")


class Scrubber:
    """Scrubs notes of any patient with one key; the dates shift as `p2med deid folder` shifts them."""

    def __init__(
        self,
        key: bytes,
        known: dict[str, dict[str, list[str]]],
        max_date_shift_days: int = 365,
        site: str = DEFAULT_SITE,
    ):
        self._names = Pseudonyms(key)
        self._known = known
        self._most = max_date_shift_days
        self._site = site
        self._known_of = lru_cache(maxsize=4096)(self._search)

    def scrub(self, note: dict[str, Any]) -> dict[str, Any]:
        """The line to write for one note.

        Raises:
          PhiError: the note is malformed or cannot be proven clean; `reason` says which.
        """
        text, patient = note.get("text"), note.get("patient")
        if not isinstance(text, str) or len(text) > _LONGEST_NOTE:
            raise PhiError("no_text", f"text must be a string of at most {_LONGEST_NOTE} characters")
        if isinstance(patient, int) and not isinstance(patient, bool):
            patient = str(patient)
        if not isinstance(patient, str) or not patient.strip():
            raise PhiError("no_patient", "without a patient the dates cannot be shifted")
        offset = self._names.offset_days(self._site, patient, self._most)
        done = scrub(text, self._known_of(patient), offset, _day(note.get("date")))
        replaced = [{"start": r.start, "end": r.end, "kind": r.kind} for r in done.replaced]
        return {"id": note.get("id"), "text": done.text, "replaced": replaced}

    def _search(self, patient: str) -> Known:
        of = self._known.get(patient, {})
        return Known.of(
            of.get("names", ()), (*of.get("ids", ()), *of.get("record_numbers", ())), of.get("phones", ()),
            of.get("addresses", ()),
        )  # fmt: skip


def scrub_lines(lines: Iterable[bytes], scrubber: Scrubber) -> Iterator[dict[str, Any]]:
    """One result for each line that is not blank; what is no note is rejected by its line number."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            note = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (ValueError, RecursionError):
            note = None
        if not isinstance(note, dict):
            yield {"id": None, "line": number, "text": None, "replaced": [], "rejected": "not_a_note"}
            continue
        try:
            yield scrubber.scrub(note)
        except PhiError as error:
            yield {"id": note.get("id"), "text": None, "replaced": [], "rejected": error.reason}


def read_known(path: Path) -> dict[str, dict[str, list[str]]]:
    """The known values of each patient.

    Raises:
      P2MedError: the file is missing or of another shape; no value of it is quoted.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise P2MedError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise P2MedError(f"{path} is not JSON") from None
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise P2MedError(f"{path} must map each patient to lists of {', '.join(_LISTS)}")
    known: dict[str, dict[str, list[str]]] = {}
    for number, (patient, lists) in enumerate(found.items(), 1):
        unknown = set(lists) - set(_LISTS)
        wrong = [k for k in set(lists) & set(_LISTS) if not _strings(lists[k])]
        if unknown or wrong:
            what = (
                f"has a list that is none of {', '.join(_LISTS)}"
                if unknown
                else f"{wrong[0]} is no list of texts"
            )
            raise P2MedError(f"{path}: patient {number}: {what}")
        known[patient] = lists
    return known


def _strings(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, str) for v in values)


def _day(value: Any) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise PhiError("bad_date", "date must be like 2022-11-11") from None
