"""What merge and export share: a new checkpoint folder, there whole or not at all, and its small files."""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2med.errors import ModelError
from p2med.model.checkpoint import replace_folder, seal


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that is sealed and becomes `out` when the block ends, and is gone when it fails.

    Raises:
      ModelError: `out` is there already.
    """
    if out.exists():
        raise ModelError(f"{out} is there already; name another folder or remove it")
    temporary = out.with_name(f".{out.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        seal(temporary)
        replace_folder(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def copy_files(names: Iterable[str], source: Path, folder: Path) -> None:
    """Take small files over as they are."""
    for name in names:
        (folder / name).write_bytes((source / name).read_bytes())
