"""`p2med map EXPORT`: a column mapping for a recipe, proposed from headings; samples with values hidden.

- file: 门诊病历.csv
  kind: outpatient_record
  columns:
    门诊号: visit_number        # 字字9999999
    主诉: chief_complaint       # text of 8 to 31 characters

Nothing is decided here: a person reads the proposal, mends it and puts it into the recipe.
"""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from p2med.errors import DataError, RecipeError
from p2med.ingest.cells import text_of
from p2med.ingest.dates import read_date
from p2med.ingest.emr import SUFFIXES, TITLE_LINES, decode, open_lines, sheets_of
from p2med.ingest.headings import headings, plain
from p2med.ingest.records import PATIENT_FIELDS, RECORD_FIELDS, SEX
from p2med.ingest.sections import split
from p2med.schema.terms import RecordKind, Section

SAMPLE_ROWS = 500
LONG = 20
ENOUGH = 0.8
"""So many of the values must look like what their heading says."""
FILE_NAMES = (
    (r"首次病程|first.?course", "first_course_record"),
    (r"主任", "chief_round_record"),
    (r"主治|查房|round", "attending_round_record"),
    (r"门诊|急诊|outpatient", "outpatient_record"),
    (r"影像|放射|检查报告|报告|radiology|report|RIS|PACS", "radiology_report"),
    (r"患者|病人|患儿|patient", "patient"),
)
_SECTIONS = {s.value for s in Section}
_PHONE = re.compile(r"1[3-9]\d{9}|0\d{2,3}-?\d{7,8}")
_ID_NUMBER = re.compile(r"\d{17}[\dXx]|\d{15}")


@dataclass
class Proposal:
    """What one table may be."""

    label: str
    is_query: bool
    kind: str | None
    columns: dict[str, str]
    hidden: dict[str, str]
    """Heading -> its values, hidden."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Heading -> why it is not read, or doubtful."""
    missing: tuple[str, ...] = ()
    sheet: str = ""


def propose(export: str, root: Path = Path(".")) -> list[Proposal]:
    """A proposal for every table of a file, a folder or a database URL.

    Raises:
      RecipeError: there is no such export.
    """
    if "://" in export:
        sql = importlib.import_module("p2med.ingest.sql")
        return [_proposal(name, True, found, rows) for name, found, rows in sql.tables_of(export, root)]
    path = Path(export)
    if not path.exists():
        raise RecipeError(f"there is no export {export}; name a table, a folder of tables or a database URL")
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found = []
    for file in files:
        label = file.relative_to(path).as_posix() if path.is_dir() else file.name
        if file.suffix.lower() in SUFFIXES:
            sheets = sheets_of(file) if file.suffix.lower() in (".xlsx", ".xls") else []
            found += [_of_file(file, label, s if n else "") for n, s in enumerate(sheets or [""])]
    return found


def _of_file(file: Path, label: str, sheet: str) -> Proposal:
    try:
        found = _proposal(f"{label}!{sheet}" if sheet else label, False, *_read(file, sheet))
    except DataError as error:
        found = Proposal(label, False, None, {}, {}, {"": error.reason})
    return replace(found, label=label, sheet=sheet)


def _read(file: Path, sheet: str) -> tuple[list[str], list[list[str]]]:
    """Headings and the first rows; the line with the most headings that are known is taken for them."""
    if file.suffix.lower() == ".jsonl":
        return _read_json(file)
    known = {h.spelling for h in headings()}
    every = () if file.suffix.lower() == ".parquet" else known
    lines = [c for _, c in islice(open_lines(file, every, sheet), SAMPLE_ROWS) if isinstance(c, list)]
    if not lines:
        raise DataError("table_unreadable", "no line can be read")
    names = {plain(k) for k in known}
    best = max(
        range(min(TITLE_LINES, len(lines))), key=lambda n: (sum(plain(c) in names for c in lines[n]), -n)
    )
    width = len(lines[best])
    return [c.strip() for c in lines[best]], [row for row in lines[best + 1 :] if len(row) == width]


def _read_json(file: Path) -> tuple[list[str], list[list[str]]]:
    rows = []
    for line in decode(file.read_bytes(), file)[0].split("\n")[:SAMPLE_ROWS]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        rows += [row] if isinstance(row, dict) else []
    names = list(dict.fromkeys(k for row in rows for k in row))
    return names, [[text_of(row.get(n)) for n in names] for row in rows]


# ---------------------------------------------------------------- what a table is


def _proposal(label: str, is_query: bool, names: list[str], rows: list[list[str]]) -> Proposal:
    values = {n: [r[i].strip() for r in rows if r[i].strip()] for i, n in enumerate(names) if n}
    kind = _kind(label, list(values))
    found = Proposal(label, is_query, kind, {}, {n: hide(v) for n, v in values.items()})
    if kind is None:
        return found
    ranked = sorted((_rank(n, kind), n) for n in values if _rank(n, kind) is not None)
    taken: dict[str, str] = {}
    for (_, means), name in ranked:
        if means == "other":
            continue
        if means in taken:
            found.remarks[name] = f"{means}, too; {taken[means]} is taken"
        elif (fault := _fault(means, values[name])) is not None:
            found.remarks[name] = f"{means}? but {fault}"
        else:
            taken[means] = name
    for name in values:
        means = next((m for m, n in taken.items() if n == name), None) or _by_values(
            name, values, taken, kind
        )
        if means is not None:
            taken.setdefault(means, name)
            found.columns[name] = means
    needed = ("patient_id",) if kind == "patient" else ("patient_id", "authored_on")
    found.missing = tuple(f for f in needed if f not in taken)
    return found


def _kind(label: str, names: list[str]) -> str | None:
    """The kind with the most headings of its own, the table's name counting as three."""
    spelled = {plain(n) for n in names}
    scores = dict.fromkeys(
        ["patient", *(k.value for k in RecordKind if k is not RecordKind.CONSULTATION)], 0.0
    )
    named = next((kind for words, kind in FILE_NAMES if re.search(words, label, re.IGNORECASE)), None)
    if named:
        scores[named] += 3
    own = {h.means for h in headings() if plain(h.spelling) in spelled and not h.kinds}
    scores["patient"] += (
        len(own & {"sex", "birth_date", "id_number", "guardian_name", "phone", "address"}) / 2
    )
    for h in headings():
        if plain(h.spelling) in spelled:
            for kind in h.kinds:
                scores[kind] += 1 / len(h.kinds)
    best = max(scores, key=lambda k: scores[k])
    return best if scores[best] > 0 else None


def _rank(name: str, kind: str) -> tuple[int, str] | None:
    """A heading's place among the spellings, those of the kind before those of any, and its meaning."""
    fields = PATIENT_FIELDS if kind == "patient" else (*RECORD_FIELDS, *_SECTIONS)
    found = [
        (n + (0 if h.kinds else 10_000), h.means)
        for n, h in enumerate(headings())
        if plain(h.spelling) == plain(name)
        and (kind in h.kinds or not h.kinds)
        and (h.means in fields or h.means == "other")
    ]
    return min(found, default=None)


def _fault(means: str, values: list[str]) -> str | None:
    """Why the values cannot be what the heading says."""
    if not values:
        return None
    fits = {
        "authored_on": _is_date,
        "birth_date": _is_date,
        "sex": lambda v: v.upper() in SEX,
        "patient_id": lambda v: len(v) <= 40,
        "patient_name": lambda v: len(v) <= 40,
    }.get(means, lambda v: True)
    share = sum(map(fits, values)) / len(values)
    return None if share >= ENOUGH else f"{share:.0%} of its values are such"


def _by_values(name: str, values: dict[str, list[str]], taken: dict[str, str], kind: str) -> str | None:
    """What an unknown heading's values show: a whole record as text, a phone or an identity card."""
    own = values[name]
    if not own or _rank(name, kind) is not None:
        return None
    if kind == "patient":
        tests = {"phone": _PHONE.fullmatch, "id_number": _ID_NUMBER.fullmatch}
    else:
        tests = {"text": lambda v: len(split(v, RecordKind(kind))) > 1}
    for means, fits in tests.items():
        if means not in taken and sum(bool(fits(v)) for v in own) >= ENOUGH * len(own):
            return means
    return None


def _is_date(value: str) -> bool:
    try:
        return read_date(value) is not None
    except DataError:
        return False


# ---------------------------------------------------------------- what is shown


def hide(values: list[str]) -> str:
    """The shape of the values: 字 for a Chinese character, x for a letter, 9 for a digit; texts by length."""
    if not values:
        return "empty"
    lengths = sorted(len(v) for v in values)
    if lengths[len(lengths) // 2] > LONG:
        return f"text of {lengths[0]} to {lengths[-1]} characters"
    shapes = list(dict.fromkeys(_shape(v) for v in values if len(v) <= LONG))
    return ", ".join(shapes[:3])


def _shape(value: str) -> str:
    def one(c: str) -> str:
        if c.isdigit():
            return "9"
        if c.isalpha():
            return "x" if c.isascii() else "字"
        return " " if c.isspace() else c

    return "".join(map(one, value))


def as_yaml(proposals: list[Proposal]) -> str:
    """The proposals as `tables` of a recipe's source, to be read and mended."""
    return "tables:\n" + "\n".join(line for p in proposals for line in _lines(p)) + "\n"


def _lines(p: Proposal) -> Iterator[str]:
    if p.kind is None:
        why = p.remarks.get("") or "no heading is known: " + ", ".join(p.hidden)
        yield f"  # {p.label}{p.sheet and '!' + p.sheet}: {why}"
        return
    yield f"  - {'query' if p.is_query else 'file'}: {_quoted(p.label)}"
    if p.sheet:
        yield f"    sheet: {_quoted(p.sheet)}"
    yield f"    kind: {p.kind}"
    yield "    columns:"
    for name, means in p.columns.items():
        yield f"      {_quoted(name)}: {means:<30} # {p.hidden[name]}"
    for name in p.hidden:
        if name not in p.columns:
            yield f"      # not read: {name} ({p.hidden[name]}) {p.remarks.get(name, '')}".rstrip()
    for name in p.missing:
        yield f"      # missing: a {p.kind} table needs a column for {name}"


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[^\W\d][\w.]*", name) else json.dumps(name, ensure_ascii=False)
