"""Verb 1: the hospital's files -> IdentifiedCase, pixels left where they are.

recipe's sources ─► sources/<kind>.read ─► cases, rejected, tallies ─► 1_ingest/items-*.parquet
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from p2med import plugins
from p2med.arrow import strings_in, to_table
from p2med.errors import DataError, RecipeError
from p2med.imaging.source import split_pointer
from p2med.ingest.charset_log import CharsetRow, Reread, rows_of, summary
from p2med.ingest.config import IngestConfig, SourceConfig
from p2med.ingest.tally import Tally
from p2med.progress import say
from p2med.schema.base import Frozen
from p2med.schema.identified import IdentifiedCase
from p2med.store import (
    FolderWriter,
    Manifest,
    Rejected,
    code_digest,
    resolve,
    sha256_of,
    verb_folder,
    write_table,
)

CODE = (
    "ingest",
    "ingest/headings.csv",
    "imaging",
    "guard.py",
    "guard_child.py",
    "schema",
    "store.py",
    "files.py",
    "arrow.py",
)
HASHED = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".jsonl", ".ndjson", ".json", ".parquet", ".gz")
"""Whole contents of these are looked at; of images names and sizes, for there are terabytes."""


def run(config: IngestConfig, root: Path) -> Manifest:
    """Read every source of the recipe and write `root/1_ingest`.

    Raises:
      RecipeError: a source, one of its keys, a folder or a column does not exist.
      DataError: an export cannot be read at all, or no case came out of it.
    """
    loaded = [(plugins.load("p2med.ingest.sources", s.kind), s) for s in config.sources]
    sources = [(module, _options(module, s)) for module, s in loaded]
    code = code_digest(*CODE) + "-" + _fingerprint(config, root, sources)
    writer = FolderWriter(verb_folder(root, "ingest"), "ingest", section=config, inputs=[], code=code)
    if writer.manifest is not None:
        say("ingest: up to date")
        return writer.manifest
    reread: list[Reread] = []
    for number, shard in enumerate(_shards(_read(sources, root, reread), config.shard_size)):
        if not writer.has(number):
            writer.write(number, shard.cases, IdentifiedCase, shard.rejected, shard.entered, shard.passed)
    charset = rows_of(reread)
    write_table(verb_folder(root, "ingest") / "charset.parquet", to_table(charset, CharsetRow))
    manifest = writer.finish({"charset": summary(charset)} if charset else None)
    if manifest.counts["case"].passed == 0:
        reasons = Counter(r for by_reason in manifest.rejected_reasons.values() for r in by_reason)
        why = f"; rejected for: {', '.join(sorted(reasons))}" if reasons else ""
        raise DataError("no_cases", f"the sources of this recipe gave no case{why}")
    return manifest


def _options(module: ModuleType, source: SourceConfig) -> Frozen:
    """The source's own keys, checked by its own class."""
    given = {k: v for k, v in source.model_dump().items() if k != "kind"}
    try:
        return module.Options.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join([source.kind, *map(str, fault["loc"])])
        if fault["type"] == "extra_forbidden":
            what = f"unknown key; known here: {', '.join(sorted(module.Options.model_fields))}"
            if len(fault["loc"]) > 1:
                what = "unknown key"
        else:
            what = fault["msg"].removeprefix("Value error, ")
        raise RecipeError(f"ingest.sources.{where}: {what}") from None


def _read(
    sources: list[tuple[ModuleType, Any]], root: Path, reread: list[Reread]
) -> Iterator[IdentifiedCase | Rejected | Tally]:
    seen: set[str] = set()
    for module, options in sources:
        for item in module.read(options, root):
            if isinstance(item, Reread):
                reread.append(item)
                continue
            if isinstance(item, IdentifiedCase):
                if item.case_id in seen:
                    item = Rejected(noun="case", id=item.case_id, reason="duplicate_case")
                else:
                    seen.add(item.case_id)
            yield item


class _Shard:
    """What is collected until a shard is full."""

    def __init__(self) -> None:
        self.cases: list[IdentifiedCase] = []
        self.rejected: list[Rejected] = []
        self.tallies: list[Tally] = []

    @property
    def passed(self) -> dict[str, int]:
        counts = Counter({"case": len(self.cases)})
        for t in self.tallies:
            counts[t.noun] += t.passed
        return dict(counts)

    @property
    def entered(self) -> dict[str, int]:
        """From the tallies; a noun without one came in as often as it was refused."""
        counts = Counter({"case": len(self.cases) + sum(r.noun == "case" for r in self.rejected)})
        for t in self.tallies:
            counts[t.noun] += t.entered
        tallied = {"case"} | {t.noun for t in self.tallies}
        counts.update(r.noun for r in self.rejected if r.noun not in tallied)
        return dict(counts)


def _shards(items: Iterable[IdentifiedCase | Rejected | Tally], size: int) -> Iterator[_Shard]:
    shard = _Shard()
    for item in items:
        if isinstance(item, IdentifiedCase):
            if len(shard.cases) == size:
                yield shard
                shard = _Shard()
            shard.cases.append(item)
        elif isinstance(item, Tally):
            shard.tallies.append(item)
        else:
            shard.rejected.append(item)
    yield shard


def _fingerprint(config: IngestConfig, root: Path, sources: list[tuple[ModuleType, Any]]) -> str:
    """Changes when an input does: names and sizes of all files, contents of tables and databases.

    Times are left out, for the same hospital copied twice must give the same bytes.
    """
    digest = hashlib.sha256()
    for text in strings_in([s.model_dump() for s in config.sources]):
        path = resolve(split_pointer(text)[0], root)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if not file.is_file():
                continue
            size = file.stat().st_size
            name = str(file.relative_to(path)) if file != path else ""
            digest.update(f"{text}|{name}|{size}\n".encode())
            if file.suffix.lower() in HASHED:
                digest.update(sha256_of(file).encode())
    for module, options in sources:
        if hasattr(module, "fingerprint"):
            digest.update(module.fingerprint(options, root).encode())
    return digest.hexdigest()[:16]
