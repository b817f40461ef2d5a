"""A verb's folder on disk: `runs/<recipe>/<n>_<verb>/`.

    items-00000.parquet …   one Arrow schema per noun; a shard is the unit of work
    volumes/                pixels, one .npy per series
    rejected.parquet        noun, id, reason, detail
    manifest.json           what ran on what, counts, sha256 of every file; written last

Every file is written under a temporary name, synced and renamed, so a reader never sees half a file. A
shard that is complete has `parts/<shard>.json` beside it until the manifest is written; a killed verb
continues after its last complete shard, and what it writes does not depend on where it was killed.

The law, checked when a shard and when a folder is closed: for every noun, in = out + rejected.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
from pydantic import BaseModel

from p2med import __version__
from p2med.arrow import arrow_schema, from_table, to_table
from p2med.errors import P2MedError
from p2med.files import (
    TEMPORARY_SUFFIX,
    code_digest,
    data_folder,
    read_volume,
    resolve,
    sha256_of,
    write_bytes,
    write_json,
    write_table,
    write_text,
    write_volume,
)
from p2med.schema.base import Frozen

M = TypeVar("M", bound=BaseModel)
VERBS = ("synth", "ingest", "deid", "curate", "mix", "train", "bench", "serve")


class Rejected(Frozen):
    """One thing that did not pass: which noun it counts as, its id, why. Never a patient's value."""

    noun: str
    id: str
    reason: str
    detail: str = ""


class Count(Frozen):
    """`entered` = `passed` + `rejected`, or the folder is refused."""

    entered: int
    passed: int
    rejected: int


class Manifest(Frozen):
    verb: str
    version: str
    code: str
    """Digest of the source files that this verb runs."""
    section: dict[str, Any]
    """The recipe's section, resolved."""
    inputs: dict[str, str]
    """sha256 of the manifests that were read, by verb."""
    counts: dict[str, Count]
    rejected_reasons: dict[str, dict[str, int]]
    notes: dict[str, Any]
    files: dict[str, str]
    """sha256 by path inside the folder."""


def verb_folder(root: Path, verb: str) -> Path:
    """`root/<n>_<verb>`, n being the verb's place in the chain."""
    return root / f"{VERBS.index(verb)}_{verb}"


# ---------------------------------------------------------------- reading a finished folder


def read_manifest(folder: Path) -> Manifest | None:
    """The folder's manifest, or None when the verb has not finished there."""
    path = folder / "manifest.json"
    if not path.exists():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValueError:
        raise P2MedError(f"{path} is not a manifest of this version; delete {folder} and run again") from None


def require(root: Path, verb: str) -> Path:
    """The finished folder of an earlier verb.

    Raises:
      P2MedError: it is not there or not finished.
    """
    folder = verb_folder(root, verb)
    if read_manifest(folder) is None:
        raise P2MedError(f"{folder} is not finished; run `p2med {verb}` with this recipe first")
    return folder


def read_items(folder: Path, model: type[M], stem: str = "items") -> Iterator[M]:
    """Every noun of a finished folder, in the order in which it was written."""
    for path in shard_paths(folder, stem):
        yield from from_table(pq.read_table(path), model)


def shard_paths(folder: Path, stem: str = "items") -> list[Path]:
    return sorted(folder.glob(f"{stem}-*.parquet"))


# ---------------------------------------------------------------- writing a folder, shard by shard


class FolderWriter:
    """Writes one verb's folder; survives a kill between any two instructions.

    Use:
        writer = FolderWriter(verb_folder(root, "deid"), "deid", section=config, inputs=["ingest"])
        if writer.finished: return writer.manifest
        for n, batch in enumerate(batches):
            if not writer.has(n):
                writer.write(n, items, Case, rejected, entered={"case": len(batch)})
        writer.finish()
    """

    def __init__(self, folder: Path, verb: str, section: BaseModel, inputs: Sequence[str], code: str = ""):
        self.folder = folder
        self.verb = verb
        self._identity = {
            "verb": verb,
            "version": __version__,
            "code": code,
            "section": section.model_dump(mode="json"),
            "inputs": {i: sha256_of(require(folder.parent, i) / "manifest.json") for i in inputs},
        }
        manifest = read_manifest(folder)
        self.manifest = manifest if manifest and self._same(manifest.model_dump(mode="json")) else None
        self.finished = self.manifest is not None
        if self.finished:
            self._clear_parts()
        else:
            self._begin()

    def _same(self, other: Mapping[str, Any]) -> bool:
        return all(other.get(k) == v for k, v in self._identity.items())

    def _begin(self) -> None:
        begun = self.folder / "begun.json"
        try:
            resumable = self._same(json.loads(begun.read_bytes()))
        except (OSError, ValueError):
            resumable = False
        if not resumable and self.folder.exists():
            _refuse_foreign(self.folder)
            shutil.rmtree(self.folder)
        for leftover in self.folder.rglob("*" + TEMPORARY_SUFFIX):
            leftover.unlink()
        if not resumable:
            write_json(begun, self._identity)

    def _part(self, shard: int) -> Path:
        return self.folder / "parts" / f"{shard:05d}.json"

    def has(self, shard: int) -> bool:
        """True when this shard was completed, in this run or before a kill."""
        return self._part(shard).exists()

    def write(
        self,
        shard: int,
        items: Sequence[BaseModel],
        model: type[BaseModel],
        rejected: Sequence[Rejected] = (),
        entered: Mapping[str, int] | None = None,
        passed: Mapping[str, int] | None = None,
        stem: str = "items",
    ) -> None:
        """Close one shard.

        Args:
          entered: how many of each noun came in, e.g. {"case": 64}.
          passed: how many of each noun went out; by default all items, when one noun is counted.

        Raises:
          P2MedError: in is not out + rejected for some noun.
        """
        entered = dict(entered or {})
        if passed is None:
            passed = {noun: len(items) for noun in entered} if len(entered) == 1 else {}
        counts = _count(entered, dict(passed), rejected, where=f"{self.verb} shard {shard}")
        write_table(self.folder / f"{stem}-{shard:05d}.parquet", to_table(items, model))
        part = {
            "counts": {k: v.model_dump() for k, v in counts.items()},
            "rejected": [r.model_dump() for r in rejected],
        }
        write_json(self._part(shard), part)

    def finish(self, notes: Mapping[str, Any] | None = None) -> Manifest:
        """Merge the parts, hash every file, write the manifest last."""
        parts = [json.loads(p.read_bytes()) for p in sorted((self.folder / "parts").glob("*.json"))]
        rejected = [Rejected.model_validate(r) for part in parts for r in part["rejected"]]
        write_table(self.folder / "rejected.parquet", to_table(rejected, Rejected))
        counts: dict[str, Count] = {}
        for part in parts:
            for noun, c in part["counts"].items():
                before = counts.get(noun, Count(entered=0, passed=0, rejected=0))
                counts[noun] = Count(**{k: getattr(before, k) + c[k] for k in c})
        reasons: dict[str, dict[str, int]] = {}
        for r in rejected:
            by_reason = reasons.setdefault(r.noun, {})
            by_reason[r.reason] = by_reason.get(r.reason, 0) + 1
        manifest = Manifest(
            **self._identity,
            counts=counts,
            rejected_reasons=reasons,
            notes=dict(notes or {}),
            files=self._hashes(),
        )
        write_json(self.folder / "manifest.json", manifest.model_dump(mode="json"))
        self._clear_parts()
        self.manifest, self.finished = manifest, True
        return manifest

    def _clear_parts(self) -> None:
        shutil.rmtree(self.folder / "parts", ignore_errors=True)
        (self.folder / "begun.json").unlink(missing_ok=True)

    def _hashes(self) -> dict[str, str]:
        aside = {"manifest.json", "begun.json"}
        files = (p for p in sorted(self.folder.rglob("*")) if p.is_file())
        return {
            str(p.relative_to(self.folder)): sha256_of(p)
            for p in files
            if p.name not in aside and p.parent.name != "parts"
        }


def _count(
    entered: dict[str, int], passed: dict[str, int], rejected: Sequence[Rejected], where: str
) -> dict[str, Count]:
    counts = {}
    for noun in sorted({*entered, *passed, *(r.noun for r in rejected)}):
        n_rejected = sum(r.noun == noun for r in rejected)
        c = Count(entered=entered.get(noun, 0), passed=passed.get(noun, 0), rejected=n_rejected)
        if c.entered != c.passed + c.rejected:
            raise P2MedError(
                f"{where}: {c.entered} {noun} in, {c.passed} out and {c.rejected} rejected do not add up; "
                "this is a fault of p2med, nothing was written"
            )
        counts[noun] = c
    return counts


def _refuse_foreign(folder: Path) -> None:
    """Only clear a folder that this store wrote: anything else may be a user's."""
    marks = ("begun.json", "begun.json" + TEMPORARY_SUFFIX, "manifest.json")
    if any(folder.iterdir()) and not any((folder / n).exists() for n in marks):
        raise P2MedError(f"{folder} holds files that p2med did not write; move them or choose another --runs")


__all__ = [
    "TEMPORARY_SUFFIX",
    "Count",
    "FolderWriter",
    "Manifest",
    "Rejected",
    "arrow_schema",
    "code_digest",
    "data_folder",
    "read_items",
    "read_manifest",
    "read_volume",
    "require",
    "resolve",
    "sha256_of",
    "shard_paths",
    "verb_folder",
    "write_bytes",
    "write_json",
    "write_table",
    "write_text",
    "write_volume",
]
