"""An exported table -> rows of text by field; CSV, XLSX or JSON lines.

门诊号,病案号,姓名,就诊日期,主诉,…
MZ0000123,…,…,2022-10-29,"咳嗽4天
发热1天",…
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import fastexcel

from p2med.errors import DataError, RecipeError

MAX_FIELD = 10_000_000
DELIMITERS = (",", "\t", ";", "|")
SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx", ".xls", ".jsonl")
Line = tuple[int, list[str] | str]


@dataclass(frozen=True)
class Row:
    """One row by field name; `number` is the row in the file, the headings being row 1.

    `fault` names why the row cannot be used; then it has no values.
    """

    number: int
    values: dict[str, str]
    fault: str | None = None


def read_table(path: Path, columns: Mapping[str, str]) -> list[Row]:
    """Read a table.

    Args:
      columns: heading in the file -> field name; other headings are not read.

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
    lines = _excel_lines(path) if suffix in (".xlsx", ".xls") else _csv_lines(path, columns)
    _, headings = next(lines, (0, []))
    if isinstance(headings, str):
        raise DataError("table_unreadable", f"{path}: the headings are cut off")
    headings = [h.strip() for h in headings]
    _require(path, columns, headings)
    places = {field: headings.index(heading) for heading, field in columns.items()}
    return [_row(number, cells, len(headings), places) for number, cells in lines]


def _row(number: int, cells: list[str] | str, width: int, places: Mapping[str, int]) -> Row:
    if isinstance(cells, str):
        return Row(number, {}, cells)
    if len(cells) != width:
        return Row(number, {}, "wrong_field_count")
    return Row(number, {field: cells[n].strip() for field, n in places.items()})


def _require(path: Path, columns: Mapping[str, str], headings: list[str]) -> None:
    missing = [c for c in columns if c not in headings]
    if missing:
        shown = ", ".join(h for h in headings if h)[:400]
        raise RecipeError(f"{path} has no column {', '.join(missing)}; its columns are: {shown}")


# ---------------------------------------------------------------- text


def decode(content: bytes, path: Path) -> tuple[str, bool]:
    """Text of a CSV in UTF-8, UTF-16 or GB18030, and whether the file ends inside a character.

    Raises:
      DataError: `table_unreadable`, no encoding fits.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings: tuple[str, ...] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "gb18030")
    for encoding in encodings:
        for cut in range(4):
            try:
                return content[: len(content) - cut].decode(encoding), cut > 0
            except UnicodeDecodeError as error:
                if error.start < len(content) - 4:
                    break
    raise DataError("table_unreadable", f"{path} is neither UTF-8, UTF-16 nor GB18030")


def _csv_lines(path: Path, columns: Mapping[str, str]) -> Iterator[Line]:
    """Headings, then rows; a row that cannot be used is the reason instead of its cells."""
    text, cut = decode(path.read_bytes(), path)
    if not text.strip():
        raise DataError("table_unreadable", f"{path} is empty")
    first = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=lambda d: sum(h.strip(' "\r') in columns for h in first.split(d)))
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


# ---------------------------------------------------------------- other formats


def _excel_lines(path: Path) -> Iterator[Line]:
    """The first sheet, every cell as text."""
    try:
        sheet = fastexcel.read_excel(str(path)).load_sheet(0, header_row=None, dtypes="string")
        table = sheet.to_arrow()
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
        except ValueError:
            found = None
        if not isinstance(found, dict):
            last = number == lines[-1][0] and not text.endswith("\n")
            rows.append(Row(number, {}, "truncated_row" if last else "bad_json"))
            continue
        seen.update(dict.fromkeys(found))
        texts = {f: found.get(h) for h, f in columns.items()}
        rows.append(Row(number, {f: "" if v is None else str(v).strip() for f, v in texts.items()}))
    _require(path, columns, list(seen))
    return rows
