"""Bytes by pointer: a file, or a member of a zip archive.

cxr/a.dcm
sets/dicom.zip!0004cfab.dcm
"""

import os
import re
import zipfile
import zlib
from functools import lru_cache

from p2med.errors import DataError

MAX_BYTES = 2 * 1024**3
_MEMBER = re.compile(r"(?P<archive>.+?\.zip)!(?P<member>.+)", re.IGNORECASE | re.DOTALL)


def split_pointer(pointer: str | os.PathLike[str]) -> tuple[str, str | None]:
    """The file of a pointer, and the member inside it when it points into an archive."""
    found = _MEMBER.fullmatch(os.fspath(pointer))
    return (found["archive"], found["member"]) if found else (os.fspath(pointer), None)


def read_bytes(pointer: str | os.PathLike[str]) -> bytes:
    """Read a whole file or archive member.

    Raises:
      DataError: `file_missing`, `file_unreadable`, `file_too_large`, `archive_unreadable`.
    """
    path, member = split_pointer(pointer)
    if member is not None:
        return _read_member(path, member)
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise DataError("file_too_large", f"{path} has more than {MAX_BYTES} bytes")
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise DataError("file_missing", path) from None
    except OSError as error:
        raise DataError("file_unreadable", f"{path}: {error.strerror}") from None


def _read_member(path: str, member: str) -> bytes:
    archive = open_archive(path)
    try:
        if archive.getinfo(member).file_size > MAX_BYTES:
            raise DataError("file_too_large", f"a member of {path} has more than {MAX_BYTES} bytes")
        return archive.read(member)
    except KeyError:
        raise DataError("file_missing", f"{path} has no such member") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise DataError("archive_unreadable", f"a member of {path}: {type(error).__name__}") from None


def open_archive(path: str) -> zipfile.ZipFile:
    """An open archive, kept open for the next member.

    Raises:
      DataError: `file_missing` or `archive_unreadable`.
    """
    try:
        state = os.stat(path)
        return _opened(path, state.st_mtime_ns, state.st_size, os.getpid())
    except FileNotFoundError:
        raise DataError("file_missing", path) from None
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError("archive_unreadable", f"{path}: {type(error).__name__}") from None


@lru_cache(maxsize=8)
def _opened(path: str, mtime: int, size: int, process: int) -> zipfile.ZipFile:
    # A forked process must not share the parent's file offset, hence `process` in the key.
    return zipfile.ZipFile(path)
