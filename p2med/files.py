"""The disk: paths with a prefix, files that appear whole, arrays, digests."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from p2med.errors import DataError

TEMPORARY_SUFFIX = ".writing"


# ---------------------------------------------------------------- paths


def data_folder() -> Path:
    """The folder of the shared real data: `$P2MED_DATA`, by default `../shared/data`."""
    return Path(os.environ.get("P2MED_DATA") or "../shared/data")


def resolve(path: str, root: Path) -> Path:
    """Turn a recipe's or an item's path into a real one.

    `run:` is this recipe's run folder, `data:` the shared data folder; anything else is a plain path
    (relative to the current folder). Items keep the prefix, so that a run folder can be moved.
    """
    if path.startswith("run:"):
        return root / path[4:]
    if path.startswith("data:"):
        return data_folder() / path[5:]
    return Path(path).expanduser()


# ---------------------------------------------------------------- atomic writing


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: temporary name, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Sorted keys and two spaces, so that the same value has the same bytes."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def write_table(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def write_volume(path: Path, array: np.ndarray) -> None:
    """Save an array [D, H, W] as .npy."""
    header = np.lib.format.header_data_from_array_1_0(array)
    sink = pa.BufferOutputStream()
    np.lib.format.write_array_header_1_0(sink, header)
    sink.write(np.ascontiguousarray(array).tobytes())
    write_bytes(path, sink.getvalue().to_pybytes())


def read_volume(path: str, root: Path) -> np.ndarray:
    """Load an array [D, H, W].

    Raises:
      DataError: `volume_missing` when the file is gone.
    """
    real = resolve(path, root)
    try:
        return np.load(real, allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise DataError("volume_missing", f"{real}: {type(error).__name__}; run curate again") from None


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def code_digest(*parts: str) -> str:
    """Digest of the package's source files under the named parts (`deid`, `imaging`, `store.py` …)."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for part in sorted(parts):
        path = package / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(package)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
