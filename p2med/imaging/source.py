"""Bytes by pointer: a file, or a member of a zip archive.

cxr/a.dcm
sets/dicom.zip!0004cfab.dcm
"""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from p2med.errors import DataError

MAX_BYTES = 1024**3
MAX_RATIO = 200
"""A member that inflates more than this is a bomb; black borders of real films reach 20."""
FREE_BYTES = 16 * 1024**2
"""Members up to this size may inflate as they like."""
_MEMBER = re.compile(r"(?P<archive>.+?\.zip)!(?P<member>.+)", re.IGNORECASE | re.DOTALL)


def split_pointer(pointer: str | os.PathLike[str]) -> tuple[str, str | None]:
    """The file of a pointer, and the member inside it when it points into an archive."""
    found = _MEMBER.fullmatch(os.fspath(pointer))
    return (found["archive"], found["member"]) if found else (os.fspath(pointer), None)


def read_bytes(pointer: str | os.PathLike[str]) -> bytes:
    """Read a whole file or archive member.

    Raises:
      DataError: `file_missing`, `file_unreadable`, `file_too_large`, `decompression_bomb`,
        `archive_unreadable`.
    """
    path, member = split_pointer(pointer)
    if member is not None:
        return _read_member(path, member)
    with open_file(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise DataError("file_unreadable", f"{path}: {error.strerror}") from None


def weight(pointers: Sequence[str]) -> int:
    """How many times the seconds of one small file it may take to decode these: one a file and each 8 MiB."""
    found = 0
    for pointer in pointers:
        path, member = split_pointer(pointer)
        try:
            size = open_archive(path).getinfo(member).file_size if member else os.path.getsize(path)
        except (DataError, KeyError, OSError, ValueError):
            size = 0  # the reader will say what is wrong
        found += 1 + min(size, MAX_BYTES) // (8 * 1024**2)
    return found


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a plain file; a pipe or a device, which may never end, is refused.

    Raises:
      DataError: `file_missing`, `file_unreadable`, `file_too_large`.
    """
    name = os.fspath(path)
    try:
        state = os.stat(name)
        if not stat.S_ISREG(state.st_mode):
            raise DataError("file_unreadable", f"{name}: not a plain file")
        if state.st_size > MAX_BYTES:
            raise DataError("file_too_large", f"{name} has more than {MAX_BYTES} bytes")
        return open(name, "rb")
    except FileNotFoundError:
        raise DataError("file_missing", name) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise DataError("file_unreadable", f"{name}: {type(error).__name__}") from None


@contextmanager
def map_file(file: BinaryIO) -> Iterator[bytes | mmap]:
    """The bytes of an open file, of which only the pages that are looked at are read."""
    if os.fstat(file.fileno()).st_size == 0:
        yield b""
        return
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        yield content


def _read_member(path: str, member: str) -> bytes:
    archive = open_archive(path)
    try:
        info = archive.getinfo(member)
        if info.file_size > MAX_BYTES:
            raise DataError("file_too_large", f"a member of {path} has more than {MAX_BYTES} bytes")
        # zipfile never gives more bytes than the directory claims, so the claim is the bound.
        if info.file_size > FREE_BYTES and info.file_size > MAX_RATIO * info.compress_size:
            raise DataError(
                "decompression_bomb", f"a member of {path} is {MAX_RATIO} times its compressed size"
            )
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
