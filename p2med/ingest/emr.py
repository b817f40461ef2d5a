"""An exported table -> rows of text by field; CSV, XLSX, JSON lines or Parquet.

门诊号,病案号,姓名,就诊日期,主诉,…
MZ0000123,…,…,2022-10-29,"咳嗽4天
发热1天",…
"""

import csv
import io
import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import fastexcel
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from p2med.errors import DataError, RecipeError
from p2med.ingest.cells import LOST, text_of

MAX_FIELD = 10_000_000
DELIMITERS = (",", "\t", ";", "|")
SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx", ".xls", ".jsonl", ".parquet")
TITLE_LINES = 10
"""Headings may stand below so many lines of title."""
MAX_UNPACKED = 2 * 1024**3
WORKBOOKS = (b"PK", b"\xd0\xcf\x11\xe0")
MOST_LOST = 0.001
"""A CSV with a larger share of unreadable characters is not read at all."""
Line = tuple[int, list[str] | str]


@dataclass(frozen=True)
class Row:
    """One row by field name; `number` is the row in the file, the headings being row 1.

    `fault` names why the row cannot be used; then it has no values.
    """

    number: int
    values: dict[str, str]
    fault: str | None = None


def read_table(path: Path, columns: Mapping[str, str], sheet: str = "") -> list[Row]:
    """Read a table.

    Args:
      columns: heading in the file -> field name; other headings are not read.
      sheet: of a workbook; "" for the first.

    Returns:
      Every row, also those that cannot be used: `truncated_row`, `wrong_field_count`, `bad_json`.

    Raises:
      RecipeError: the file is missing, or lacks a column that `columns` names.
      DataError: `table_unreadable`.
    """
    if not path.is_file():
        raise RecipeError(f"there is no table {path}; name it in the recipe's `tables` or export it again")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError("table_unreadable", f"{path}: a table ends in {', '.join(SUFFIXES)}")
    if suffix == ".jsonl":
        return _json_rows(path, columns)
    headings, lines = _headed(path, open_lines(path, columns, sheet), columns)
    require_columns(str(path), columns, headings)
    places = {field: headings.index(heading) for heading, field in columns.items()}
    return [_row(number, cells, len(headings), places) for number, cells in lines]


def open_lines(path: Path, columns: Collection[str], sheet: str = "") -> Iterator[Line]:
    """All lines of a table that has a line of headings."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_lines(path, columns)
    if suffix in (".xlsx", ".xls"):
        with open(path, "rb") as file:
            head = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")
        if head.startswith(WORKBOOKS):
            return _excel_lines(path, sheet)
        if head[:1] == b"<":
            raise DataError(
                "table_unreadable", f"{path} is a web page with the name of a workbook; save it as .xlsx"
            )
    # Many hospital systems write text with tabs under the name .xls.
    return _csv_lines(path, columns)


def _headed(path: Path, lines: Iterator[Line], columns: Collection[str]) -> tuple[list[str], Iterator[Line]]:
    """The headings (the first line that has them all, below a title) and the lines after them."""
    above: list[Line] = list(islice(lines, TITLE_LINES))
    names = [[c.strip() for c in cells] if isinstance(cells, list) else [] for _, cells in above]
    if not names or not any(names):
        raise DataError("table_unreadable", f"{path}: the headings are cut off")
    n = next((n for n, cells in enumerate(names) if set(columns) <= set(cells)), 0)
    return names[n], chain(above[n + 1 :], lines)


def _row(number: int, cells: list[str] | str, width: int, places: Mapping[str, int]) -> Row:
    if isinstance(cells, str):
        return Row(number, {}, cells)
    if len(cells) != width:
        return Row(number, {}, "wrong_field_count")
    if any(LOST in cells[n] for n in places.values()):
        return Row(number, {}, "characters_lost")
    return Row(number, {field: cells[n].strip() for field, n in places.items()})


def require_columns(where: str, columns: Mapping[str, str], headings: list[str]) -> None:
    """Raises RecipeError when a column that the recipe names is not there, or is there twice."""
    shown = ", ".join(h for h in headings if h)[:400]
    if missing := [c for c in columns if c not in headings]:
        raise RecipeError(f"{where} has no column {', '.join(missing)}; its columns are: {shown}")
    if twice := [c for c in columns if headings.count(c) > 1]:
        raise RecipeError(f"{where} has two columns {', '.join(twice)}; its columns are: {shown}")


# ---------------------------------------------------------------- text


def decode(content: bytes, path: Path) -> tuple[str, bool]:
    """Text of a CSV in UTF-8, UTF-16 or GB18030, and whether the file ends inside a character.

    A few bytes that fit no encoding become U+FFFD.

    Raises:
      DataError: `table_unreadable`, no encoding fits.
    """
    encodings = _encodings(content)
    for encoding in encodings:
        for cut in range(4):
            try:
                return content[: len(content) - cut].decode(encoding), cut > 0
            except UnicodeDecodeError as error:
                if error.start < len(content) - 4:
                    break
    replaced = [content.decode(e, errors="replace") for e in encodings]
    best = min(replaced, key=lambda t: t.count(LOST))
    if best.count(LOST) <= MOST_LOST * len(best):
        return best, False
    raise DataError("table_unreadable", f"{path} is neither UTF-8, UTF-16 nor GB18030")


def _encodings(content: bytes) -> tuple[str, ...]:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return ("utf-16",)
    start = content[:4000]
    even, odd = start[0::2].count(0), start[1::2].count(0)
    # Without a mark, UTF-16 shows by the zeros beside its ASCII: delimiters, digits, line ends.
    if min(even, odd) == 0 and max(even, odd) * 20 > len(start):
        return ("utf-16-le",) if odd else ("utf-16-be",)
    return ("utf-8-sig", "gb18030")


def _csv_lines(path: Path, columns: Collection[str]) -> Iterator[Line]:
    """Headings, then rows; a row that cannot be used is the reason instead of its cells."""
    text, cut = decode(path.read_bytes(), path)
    if not text.strip():
        raise DataError("table_unreadable", f"{path} is empty")
    first = text.split("\n", TITLE_LINES)[:TITLE_LINES]
    delimiter = max(DELIMITERS, key=lambda d: _named(first, d, columns))
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number, width = 0, 0
    held: Line | None = None  # the last row is judged when it is known to be the last
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            # An open quote swallows the rest of the file: what follows cannot be told apart any more.
            if held is not None:
                yield held
            yield number, "truncated_row"
            return
        if not cells:  # an empty line is no row
            number -= 1
            continue
        if held is not None:
            yield held
        width = width or len(cells)
        held = (number, cells)
    if held is not None:
        last, found = held
        torn = last > 1 and (cut or (len(found) < width and not text.endswith("\n")))
        yield (last, "truncated_row") if torn else held


def _named(lines: list[str], delimiter: str, columns: Collection[str]) -> tuple[int, int]:
    """How many of the wanted headings a line has at most, cut at a delimiter; and into how many pieces."""
    cut = [[h.strip(' "\r\ufeff') for h in line.split(delimiter)] for line in lines]
    return max(sum(h in columns for h in c) for c in cut), len(cut[0])


# ---------------------------------------------------------------- other formats


def _parquet_lines(path: Path, columns: Collection[str]) -> Iterator[Line]:
    """Headings, then rows of the wanted columns (all, when none is named)."""
    try:
        with pq.ParquetFile(path) as file:
            names = [n for n in file.schema_arrow.names if n in columns or not columns]
            yield 1, names if names else file.schema_arrow.names
            number = 1
            for batch in file.iter_batches(columns=names):
                for cells in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                    number += 1
                    yield number, [text_of(c) for c in cells]
    except (ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's, not the file's
        raise DataError("table_unreadable", f"{path}: {type(error).__name__}; export it again") from None


def sheets_of(path: Path) -> list[str]:
    """The names of a workbook's sheets; [] when it is none, or not readable."""
    try:
        return fastexcel.read_excel(str(path)).sheet_names
    except Exception:  # calamine's errors, and pyo3's, have no common base
        return []


def _excel_lines(path: Path, sheet: str) -> Iterator[Line]:
    """One sheet, every cell as text."""
    content = path.read_bytes()  # here a disk's error is one; zipfile would call it a bad workbook
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(m.file_size for m in archive.infolist()) > MAX_UNPACKED:
                    raise DataError("table_unreadable", f"{path} unpacks to more than {MAX_UNPACKED} bytes")
        book = fastexcel.read_excel(content)
        if sheet and sheet not in book.sheet_names:
            shown = ", ".join(book.sheet_names)[:400]
            raise RecipeError(f"{path} has no sheet {sheet}; its sheets are: {shown}")
        table = book.load_sheet(sheet or 0, header_row=None, dtypes="string").to_arrow()
    except (DataError, RecipeError):
        raise
    except Exception as error:  # calamine's errors, and pyo3's, have no common base
        raise DataError("table_unreadable", f"{path}: {type(error).__name__}; export it again") from None
    lists = [column.to_pylist() for column in table.columns]
    for number, cells in enumerate(zip(*lists, strict=True), 1):
        if any(c is not None and c.strip() for c in cells):
            yield number, ["" if c is None else c for c in cells]


def _json_rows(path: Path, columns: Mapping[str, str]) -> list[Row]:
    text, _ = decode(path.read_bytes(), path)
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows, seen = [], {}
    for number, line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            last = number == lines[-1][0] and not text.endswith("\n")
            rows.append(Row(number, {}, "truncated_row" if last else "bad_json"))
            continue
        seen.update(dict.fromkeys(found))
        texts = {f: text_of(found.get(h)) for h, f in columns.items()}
        lost = any(LOST in t for t in texts.values())
        rows.append(Row(number, {}, "characters_lost") if lost else Row(number, texts))
    require_columns(str(path), columns, list(seen))
    return rows
