"""Diagnoses of one file, outside any run: `p2med diagnoses IN --out OUT`.

    肺炎？心膈未见异常  ->  {"text": "肺炎？心膈未见异常", "labels": [], "mentions": [{"label": "肺炎",
                             "english": "Pneumonia", "icd10": "J18.9", "certainty": "uncertain",
                             "start": 0, "end": 2, "words": "肺炎"}, ...]}

`labels` are what the samplers count: affirmed diseases, a general one left out beside its kind. A JSONL row
keeps its other fields. Line n of the output is about line n of the input, an empty one too.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2med.clinical.diagnoses import english, extract, icd10, mentions
from p2med.errors import P2MedError
from p2med.files import write_text

ADDED = ("labels", "mentions")


def run(source: Path, out: Path, column: str = "text") -> str:
    """Write one JSON line for each line of the source; returns the report's lines.

    Raises:
      P2MedError: the source is not there, no UTF-8, or a row lacks the text; nothing is written.
    """
    if source.resolve() == out.resolve():
        raise P2MedError("the input and --out must be two different files")
    counts: Counter[str] = Counter()
    lines, named = [], 0
    for row in _rows(source, column):
        row |= describe(row[column])
        named += bool(row["labels"])
        counts.update(row["labels"])
        lines.append(json.dumps(row, ensure_ascii=False))
    write_text(out, "".join(f"{line}\n" for line in lines))
    often = ", ".join(f"{label} {n}" for label, n in sorted(counts.items(), key=lambda x: (-x[1], x[0]))[:10])
    return f"{len(lines)} lines, {named} with a label, {len(counts)} labels" + (f": {often}" if often else "")


def describe(text: str) -> dict[str, Any]:
    """Labels and mentions of one text, as the output spells them."""
    named = [
        {
            "label": m.label,
            "english": english(m.label),
            "icd10": icd10(m.label),
            "certainty": m.status,
            "start": m.start,
            "end": m.end,
            "words": text[m.start : m.end],
        }
        for m in mentions(text)
    ]
    return {"labels": list(extract(text)), "mentions": named}


def _rows(source: Path, column: str) -> Iterator[dict[str, Any]]:
    """A message names the line, never what stands in it."""
    if not source.is_file():
        raise P2MedError(f"there is no file {source}")
    try:
        content = source.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise P2MedError(f"{source} is no UTF-8 text") from None
    lines = content.split("\n")
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
        line = line.removesuffix("\r")
        if source.suffix != ".jsonl":
            yield {column: line}
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise P2MedError(f"{source} line {number} is no JSON") from None
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            raise P2MedError(f"{source} line {number} has no text in {column!r}")
        if taken := [name for name in ADDED if name in row]:
            raise P2MedError(f"{source} line {number} already has {taken[0]!r}")
        yield row
