"""A hospital: a folder of DICOM files and exported tables or a database, joined to visits.

pacs/….dcm + 影像报告.csv (检查号 = AccessionNumber) + 门诊病历.csv (门诊号)  ->  one case a visit
"""

import hashlib
from pathlib import Path

from pydantic import Field, model_validator

from p2med.errors import RecipeError
from p2med.imaging.identity import canonical_id
from p2med.ingest.emr import decode
from p2med.ingest.join import JoinOptions, joined
from p2med.ingest.records import Reader, TableOptions, read_tables, reader
from p2med.ingest.scan import scan
from p2med.ingest.tally import Yield
from p2med.store import resolve

SOURCE = "hospital"


class Options(JoinOptions):
    dicom_dir: str
    exports_dir: str | None = None
    database: str | None = None
    """A SQLAlchemy URL without a password: sqlite:///run:emr.db, postgresql://reader@host/his."""
    tables: tuple[TableOptions, ...] = Field(min_length=1)
    bench_patients: str | None = None
    """A file of patient numbers, one a line: these patients are kept for the benchmark."""

    @model_validator(mode="after")
    def _has_what_its_tables_need(self) -> "Options":
        if any(t.file for t in self.tables) and self.exports_dir is None:
            raise ValueError("a table is a file: name the folder in `exports_dir`")
        if any(t.query for t in self.tables) and self.database is None:
            raise ValueError("a table is a query: name the `database`")
        return self


def read(options: Options, root: Path) -> Yield:
    """One case a visit, in the order of patients and visits; what does not join is refused by name."""
    bench = bench_patients(options.bench_patients, root)
    tables = read_tables(options.tables, _reader(options, root))
    found = scan(options.dicom_dir, root)
    yield from joined(SOURCE, tables, found, bench, options)


def fingerprint(options: Options, root: Path) -> str:
    """Changes when what the queries give changes; files are looked at by ingest.run."""
    digest = hashlib.sha256()
    for table in (t for t in options.tables if t.query):
        for row in _reader(options, root)(table):
            digest.update(repr((table.label, row.fault, list(row.values.values()))).encode())
    return digest.hexdigest()


def _reader(options: Options, root: Path) -> Reader:
    exports = resolve(options.exports_dir or ".", root)
    if options.exports_dir is not None and not exports.is_dir():
        raise RecipeError(f"there is no exports folder {exports} (in the recipe: {options.exports_dir})")
    return reader(exports, options.database, root)


def bench_patients(path: str | None, root: Path) -> frozenset[str]:
    if path is None:
        return frozenset()
    real = resolve(path, root)
    if not real.is_file():
        raise RecipeError(f"there is no file of benchmark patients {real} (in the recipe: {path})")
    lines = decode(real.read_bytes(), real)[0].splitlines()
    return frozenset(canonical_id(line) for line in lines if line.strip())
