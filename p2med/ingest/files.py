"""What lies in a folder or archive: every entry is listed, also what will not be opened.

pacs/a.dcm  pacs/b -> /etc/passwd  ../../evil.dcm in a zip   ->   "", link_not_followed, unsafe_name
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from p2med.errors import RecipeError
from p2med.guard import Guard
from p2med.imaging.source import open_archive

_UNSAFE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|[\x00-\x1f\x7f]|\\")


@dataclass(frozen=True, order=True)
class Entry:
    """`name` inside the folder or archive; `fault`: why it is not opened."""

    name: str
    fault: str = ""

    @property
    def shown(self) -> str:
        """The name as it can be written down; bytes that are no UTF-8 become escapes."""
        return self.name.encode("utf-8", "backslashreplace").decode()


def list_files(real: Path, where: str) -> list[Entry]:
    """Every file of a folder or .zip archive, by name.

    Args:
      where: the same as the recipe writes it, for messages.

    Raises:
      RecipeError: there is no such folder or archive.
      DataError: `archive_unreadable`.
    """
    if real.is_dir():
        return sorted(_folder(real))
    if real.is_file() and real.suffix.lower() == ".zip":
        with Guard(_members) as guard:
            return sorted(_archive(guard.call(str(real))))
    raise RecipeError(f"there is no DICOM folder or .zip archive {real} (in the recipe: {where})")


def _folder(real: Path) -> Iterator[Entry]:
    unreadable: list[OSError] = []
    for folder, folders, files in os.walk(real, onerror=unreadable.append):
        for name in (*files, *folders):
            path = os.path.join(folder, name)
            inside = os.path.relpath(path, real).replace(os.sep, "/")
            if os.path.islink(path):
                yield Entry(inside, "link_not_followed")
            elif name in files:
                yield Entry(inside, "" if _is_text(inside) else "unsafe_name")
    for error in unreadable:
        yield Entry(os.path.relpath(error.filename, real).replace(os.sep, "/"), "folder_unreadable")


def _is_text(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _members(path: str) -> list[tuple[str, bool]]:
    """Name of each member, and whether it is a link. Runs in a child process."""
    infos = open_archive(path).infolist()
    return [(i.filename, stat.S_ISLNK(i.external_attr >> 16)) for i in infos if not i.is_dir()]


def _archive(members: list[tuple[str, bool]]) -> Iterator[Entry]:
    seen: set[str] = set()
    for name, is_link in members:
        if _UNSAFE.search(name) or not _is_text(name):
            fault = "unsafe_name"
        elif is_link:
            fault = "link_not_followed"
        else:
            fault = "duplicate_member" if name in seen else ""
        seen.add(name)
        yield Entry(name, fault)
