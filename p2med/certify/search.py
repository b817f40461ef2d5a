"""Search every byte of a folder for values, in every spelling that they can take.

    found = search(folder, {0: "欧阳霁珩", 1: "OUYANG JIHENG"})     # numbers of the values that are there

Written without deid's own folding and search: a fault of one is not a fault of the other.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pydicom import dcmread

CHUNK = 8 * 1024**2
ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
SHORTEST_BYTES = 6
"""Shorter byte strings stand by chance in pixels; the texts are searched for them all the same."""
SPELLINGS = (
    "as written; without blanks, hyphens and dots; full width; capitals, small letters; names with ^, blank "
    "or dot after the surname; pinyin with and without blank, with ^, given name first; bytes of UTF-8, "
    "GB18030, UTF-16 of both orders"
)
_CHINESE = re.compile(r"[\u4e00-\u9fff]{2,12}")
_BETWEEN = re.compile(r"[\s\-‐‑–—_·•・^./()]+")


def squeeze(text: str) -> str:
    """Width and case folded, without the marks that people put between the parts of a name or number."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", text).casefold())


def spellings(value: str) -> set[str]:
    """How a value may be written; see SPELLINGS."""
    value = unicodedata.normalize("NFKC", value)
    forms = {value, squeeze(value), re.sub(r"[\s\-]", "", value)}
    parts = value.split()
    if _CHINESE.fullmatch(squeeze(value)) and len(value) <= 12:  # a DICOM name: 欧阳^霁珩, 张^三
        forms |= {f[:n] + j + f[n:] for f in (value, squeeze(value)) for n in (1, 2) for j in "^ ·"}
    if value.isascii() and len(parts) == 2 and not any(c.isdigit() for c in value):
        forms |= {j.join(parts) for j in (" ", "^", "")} | {j.join(parts[::-1]) for j in (" ", "^", "")}
    if value.isascii():
        forms |= {f.upper() for f in forms} | {f.lower() for f in forms}
        forms |= {"".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in f) for f in {value}}
    return {f for f in forms if f}


_HEXADECIMAL = "0123456789abcdef"
CHANCE, LONGEST_RUN = 10, 64


def by_chance(text: str, start: int, stop: int) -> bool:
    """True when digits stand inside a much longer run of hexadecimal ones: a pseudonym, UID or digest."""
    if any(c not in _HEXADECIMAL for c in text[start:stop]):
        return False
    before, after = start, stop
    while before > 0 and text[before - 1] in _HEXADECIMAL:
        before -= 1
    while after < len(text) and text[after] in _HEXADECIMAL:
        after += 1
    return after - before >= stop - start + CHANCE


class ByteSearch:
    """Many byte strings at once: a table of their first four bytes, then the whole string."""

    def __init__(self, values: Mapping[int, str]):
        self.strings: dict[bytes, list[tuple[bytes, int]]] = {}
        for number, value in values.items():
            found = {f.encode(e) for f in spellings(value) for e in ENCODINGS}
            for string in sorted(s for s in found if len(s) >= SHORTEST_BYTES):
                self.strings.setdefault(string[:4], []).append((string, number))
        self.keys = np.sort(np.frombuffer(b"".join(self.strings) or b"\0\0\0\0", "<u4"))
        self.table = np.zeros(1 << 20, bool)
        self.table[_hash(self.keys)] = True
        self.longest = max((len(s) for many in self.strings.values() for s, _ in many), default=0)

    def find(self, content: bytes | memoryview) -> set[int]:
        """The numbers of the values in these bytes."""
        found: set[int] = set()
        view = memoryview(content)
        for start in range(0, max(1, len(view) - 3), CHUNK):
            self._find(view[start : start + CHUNK + self.longest], found)
        return found

    def _find(self, view: memoryview, found: set[int]) -> None:
        if len(view) < 4:
            return
        b = np.frombuffer(view, np.uint8).astype(np.uint32)
        keys = b[:-3] | b[1:-2] << 8 | b[2:-1] << 16 | b[3:] << 24
        near = np.flatnonzero(self.table[_hash(keys)])
        place = np.minimum(np.searchsorted(self.keys, keys[near]), len(self.keys) - 1)
        for at in near[self.keys[place] == keys[near]]:
            for string, number in self.strings.get(bytes(view[at : at + 4]), ()):
                if number not in found and view[at : at + len(string)] == string:
                    around = bytes(view[max(0, at - LONGEST_RUN) : at + len(string) + LONGEST_RUN])
                    start = min(at, LONGEST_RUN)
                    if not by_chance(around.decode("latin-1"), start, start + len(string)):
                        found.add(number)


def _hash(keys: np.ndarray) -> np.ndarray:
    return (keys * np.uint32(2654435761)) >> np.uint32(12)


class TextSearch:
    """Many values at once in squeezed text, by their first three characters."""

    def __init__(self, values: Mapping[int, str]):
        self.by_start: dict[str, list[tuple[str, int]]] = {}
        for number, value in values.items():
            for form in {squeeze(f) for f in spellings(value)}:
                if len(form) >= 3:
                    self.by_start.setdefault(form[:3], []).append((form, number))

    def find(self, text: str) -> set[int]:
        """The numbers of the values in this text."""
        text = squeeze(text)
        found = set()
        for at in range(len(text) - 2):
            for form, number in self.by_start.get(text[at : at + 3], ()):
                if text.startswith(form, at) and not by_chance(text, at, at + len(form)):
                    found.add(number)
        return found


@dataclass
class Found:
    """What a search met: files by the number of the value, and how much was looked at."""

    files: dict[int, set[str]] = field(default_factory=dict)
    searched_files: int = 0
    searched_bytes: int = 0
    searched_texts: int = 0

    def add(self, numbers: Iterable[int], file: str) -> None:
        for number in numbers:
            self.files.setdefault(number, set()).add(file)


def search(folder: Path, values: Mapping[int, str]) -> Found:
    """Search names, raw bytes, decompressed Parquet pages and decompressed DICOM pixels of a folder."""
    in_bytes, in_text, found = ByteSearch(values), TextSearch(values), Found()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        found.add(in_text.find(name), name)
        content = path.read_bytes()
        found.searched_files += 1
        found.searched_bytes += len(content)
        found.add(in_bytes.find(content), name)
        for text in texts(path, content):
            found.searched_texts += 1
            found.add(in_text.find(text), name)
        for more in unpacked(path, content):
            found.searched_bytes += len(more)
            found.add(in_bytes.find(more), name)
    return found


def texts(path: Path, content: bytes) -> Iterator[str]:
    """Every text of a file: the strings of a table, or the file itself when it is one."""
    if path.suffix == ".parquet":
        table = pq.read_table(BytesIO(content))
        yield from (k.decode() + v.decode() for k, v in (table.schema.metadata or {}).items())
        for row in table.to_pylist(maps_as_pydicts="lossy"):
            yield from strings(row)
    elif path.suffix in (".json", ".jsonl", ".txt", ".csv", ".html", ".writing"):
        yield content.decode("utf-8", errors="replace")


def unpacked(path: Path, content: bytes) -> Iterator[bytes]:
    """The bytes of a file that are compressed in it; what claims to be DICOM and is not fails loudly."""
    if path.suffix == ".parquet":
        yield "\n".join(texts(path, content)).encode()
    elif path.suffix == ".dcm":
        dataset = dcmread(BytesIO(content))
        if "PixelData" in dataset and dataset.file_meta.TransferSyntaxUID.is_compressed:
            yield dataset.pixel_array.tobytes()


def strings(value: Any) -> Iterator[str]:
    """Every string in nested lists and dictionaries; dates as people write them."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from strings(k)
            yield from strings(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from strings(v)
    elif value is not None and not isinstance(value, (bool, float, bytes)):
        yield str(value)
