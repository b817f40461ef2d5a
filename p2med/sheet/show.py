"""`p2med show`: a run folder, a verb's folder, or one item, as a person would read them."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from p2med.errors import P2MedError
from p2med.sheet.write import show as show_sheet
from p2med.store import VERBS, Manifest, read_manifest, verb_folder


def show(folder: Path, item: str | None = None, language: str = "zh") -> None:
    """Print the data sheet of a run folder, the counts of a verb's folder, or one of its items.

    Raises:
      P2MedError: the folder is neither, or has no such item.
    """
    if any((verb_folder(folder, verb) / "manifest.json").exists() for verb in VERBS):
        show_sheet(folder, language)
        return
    manifest = read_manifest(folder)
    if manifest is None:
        raise P2MedError(
            f"{folder} has no manifest.json; name a run folder such as runs/demo, or a finished verb's in it"
        )
    if item is not None:
        print(json.dumps(_find(folder, item), ensure_ascii=False, indent=2, default=str))
    else:
        _show_verb(folder, manifest)


def _show_verb(folder: Path, manifest: Manifest) -> None:
    table = Table("noun", "in", "out", "rejected", title=f"{manifest.verb} ({folder})", title_justify="left")
    for noun, c in manifest.counts.items():
        table.add_row(noun, str(c.entered), str(c.passed), str(c.rejected))
    console = Console()
    console.print(table)
    reasons = Table("noun", "reason", "count", title="rejected", title_justify="left")
    for noun, by_reason in manifest.rejected_reasons.items():
        for reason, count in sorted(by_reason.items(), key=lambda x: -x[1]):
            reasons.add_row(noun, reason, str(count))
    console.print(reasons)
    if manifest.notes:
        console.print_json(json.dumps(manifest.notes, ensure_ascii=False))


def _find(folder: Path, item: str) -> dict[str, Any]:
    for path in sorted(folder.glob("*-*.parquet")):
        for row in pq.read_table(path).to_pylist(maps_as_pydicts="lossy"):
            if item in (row.get("case_id"), row.get("conversation_id")):
                return row
    raise P2MedError(f"{folder} has no item {item!r}")
