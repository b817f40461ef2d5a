"""Deduplicate one file, outside any run: `p2med dedup IN --column text --out KEPT --pairs PAIRS`.

The input is read twice, first the texts alone, then whole while what is kept is copied: JSON lines byte for
byte, Parquet in its own schema. Memory is that of the texts and the band keys, however wide the records are.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.json as paj
import pyarrow.parquet as pq

from p2med.curate.config import DedupConfig
from p2med.curate.dedup import MIN_NGRAMS, Decisions, deduplicate, gathered
from p2med.curate.duplicates import SHOWN, Pair, side_by_side, spread
from p2med.errors import P2MedError
from p2med.files import TEMPORARY_SUFFIX, write_text

BATCH = 16_384
BLOCK_BYTES = 1 << 24


def run(
    source: Path,
    column: str,
    out: Path,
    config: DedupConfig,
    pairs: Path | None = None,
    by: str | None = None,
    threads: int = 0,
) -> str:
    """Write what is kept to `out`, what goes beside what it repeats to `pairs`; returns the report's lines.

    Raises:
      P2MedError: a format or a column is not there, or the input is damaged.
    """
    for path, known in ((source, (".jsonl", ".parquet")), (pairs, (".jsonl", ".parquet", ".html"))):
        if path is not None and path.suffix not in known:
            raise P2MedError(f"{path}: the name must end in {' or '.join(known)}")
    if out.suffix != source.suffix:
        raise P2MedError(f"--out {out}: the name must end in {source.suffix}, as the input's")
    if len({p.resolve() for p in (source, out, pairs) if p is not None}) < 2 + (pairs is not None):
        raise P2MedError("the input, --out and --pairs must be three different files")
    table = _read(source, [column] if by is None else [column, by])
    labels = None if by is None else table.column(by)
    chunks = _texts(table, column, source)
    del table  # only the chunks still hold its texts
    texts = gathered(chunks)
    decisions = deduplicate(texts, config, threads=threads)
    report = summary(decisions, labels)
    if pairs is not None:
        _write_pairs(pairs, texts, decisions)
    if source.suffix == ".parquet":
        _copy_parquet(source, out, decisions.kept)
    else:
        _copy_lines(source, out, decisions.kept)
    return report


# ---------------------------------------------------------------- reading


def _read(source: Path, columns: list[str]) -> pa.Table:
    """These columns of the file, in the order of its records."""
    if not source.is_file():
        raise P2MedError(f"there is no file {source}")
    try:
        if source.suffix == ".parquet":
            names = pq.read_schema(source).names
            _require(columns, names, source)
            return pq.read_table(source, columns=columns)
        if source.stat().st_size == 0:
            return pa.table({c: pa.array([], pa.string()) for c in columns})
        first = json.loads(next(line for line in open(source, "rb") if line.strip()))
        _require(columns, first if isinstance(first, dict) else {}, source)
        kinds = {c: pa.list_(pa.string()) if isinstance(first[c], list) else pa.string() for c in columns}
        parse = paj.ParseOptions(pa.schema(kinds), False, "ignore")
        return paj.read_json(source, paj.ReadOptions(block_size=BLOCK_BYTES), parse)
    except (pa.ArrowException, ValueError, StopIteration):
        # Arrow's own words may quote a patient's text.
        raise P2MedError(
            f"{source} is damaged or {', '.join(columns)} is no text{_first_fault(source)}"
        ) from None


def _require(columns: list[str], names: list[str] | dict, source: Path) -> None:
    for column in columns:
        if column not in names:
            raise P2MedError(f"{source} has no column {column!r}; there are: {', '.join(names)}")


def _first_fault(source: Path) -> str:
    """Where the first line stands that is no JSON object."""
    if source.suffix == ".jsonl":
        with open(source, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    if line.strip() and not isinstance(json.loads(line), dict):
                        raise ValueError
                except ValueError:
                    return f", see line {number}"
    return ""


def _texts(table: pa.Table, column: str, source: Path) -> list[pa.Array]:
    """The texts, proven to be UTF-8."""
    try:
        texts = table.column(column).cast(pa.large_string())
        texts.validate(full=True)
    except pa.ArrowException:
        raise P2MedError(f"{source}: column {column!r} holds something that is no UTF-8 text") from None
    return texts.chunks


# ---------------------------------------------------------------- writing


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_lines(source: Path, out: Path, kept: np.ndarray) -> None:
    stays = iter(kept.tolist())
    with open(source, "rb") as lines, _whole(out) as file:
        for line in lines:
            if line.strip():
                stay = next(stays, None)
                if stay is None:
                    break
                if stay:
                    file.write(line if line.endswith(b"\n") else line + b"\n")
        else:
            if next(stays, None) is None:
                return
        raise P2MedError(f"{source}: its lines and its records do not match; is it one JSON object a line?")


def _copy_parquet(source: Path, out: Path, kept: np.ndarray) -> None:
    reader = pq.ParquetFile(source)
    at = 0
    with _whole(out) as file, pq.ParquetWriter(file, reader.schema_arrow, compression="zstd") as writer:
        for batch in reader.iter_batches(BATCH):
            writer.write_batch(batch.filter(pa.array(kept[at : at + len(batch)])))
            at += len(batch)


def _write_pairs(path: Path, texts: pa.LargeStringArray, decisions: Decisions) -> None:
    """One row for each record that goes; rows count from 0 in the input."""
    if path.suffix == ".html":
        write_text(path, side_by_side(_examples(texts, decisions)))
        return
    gone = np.flatnonzero(~decisions.kept)
    schema = pa.schema(
        [
            *(("row", pa.int64()), ("kept_row", pa.int64()), ("reason", pa.string())),
            *(("jaccard", pa.float64()), ("text", pa.large_string()), ("kept_text", pa.large_string())),
        ]
    )
    with _whole(path) as file:
        writer = pq.ParquetWriter(file, schema, compression="zstd") if path.suffix == ".parquet" else None
        for rows in np.array_split(gone, max(1, len(gone) // BATCH)):
            original = pa.array(decisions.original[rows], mask=decisions.few[rows])
            reason = np.where(decisions.few[rows], "too_few_ngrams", "near_duplicate")
            alike = pa.array(decisions.jaccard[rows], mask=decisions.few[rows])
            columns = [rows, original, reason, alike, texts.take(pa.array(rows)), texts.take(original)]
            batch = pa.record_batch(columns, schema=schema)
            if writer is not None:
                writer.write_batch(batch)
            else:
                lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
                file.write("".join(lines).encode())
        if writer is not None:
            writer.close()


def _examples(texts: pa.LargeStringArray, decisions: Decisions) -> list[Pair]:
    """SHOWN pairs from the least to the most alike."""
    near = np.flatnonzero((decisions.original >= 0) & (decisions.jaccard < 1))
    near = near[np.argsort(decisions.jaccard[near], kind="stable")]
    return [
        Pair(
            removed_id=str(n),
            kept_id=str(decisions.original[n]),
            jaccard=decisions.jaccard[n],
            removed=texts[int(n)].as_py(),
            kept=texts[int(decisions.original[n])].as_py(),
        )
        for n in near[spread(len(near), SHOWN)]
    ]


def summary(decisions: Decisions, by: pa.ChunkedArray | None) -> str:
    """What was kept and what went, in all and for each value of a column."""
    n, kept, few = len(decisions.few), int(decisions.kept.sum()), int(decisions.few.sum())
    lines = [
        f"{n:,} records: {kept:,} kept, {n - kept - few:,} near-duplicates, "
        f"{few:,} with fewer than {MIN_NGRAMS} n-grams"
    ]
    if by is not None:
        counts: dict[bool, Counter] = {
            stays: Counter(
                itertools.chain.from_iterable(
                    v if isinstance(v, list) else [v] for v in by.filter(pa.array(mask)).to_pylist()
                )
            )
            for stays, mask in ((True, decisions.kept), (False, ~decisions.kept))
        }
        total = counts[True] + counts[False]
        lines.append(f"{'kept':>10} {'removed':>10}")
        for value in sorted(total, key=lambda v: (-total[v], str(v))):
            lines.append(f"{counts[True][value]:>10,} {counts[False][value]:>10,}  {value}")
    return "\n".join(lines)
