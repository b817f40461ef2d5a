"""A hospital's database -> rows of text by field, read-only, through SQLAlchemy.

sqlite:///run:emr.db, postgresql://reader@emr/his + 门诊病历 or "SELECT …"  ->  the rows of emr.read_table

A password does not belong in a recipe: PostgreSQL takes it from PGPASSWORD or ~/.pgpass.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from p2med.errors import DataError, RecipeError
from p2med.ingest.cells import LOST, text_of
from p2med.ingest.emr import Row, require_columns
from p2med.store import resolve

BATCH = 5000
ENCODINGS = (None, "UTF8", "GB18030")
"""Of a client; None: what the database says of itself."""
BAD_ENCODING = "22021"
"""SQLSTATE character_not_in_repertoire."""


def read_query(database: str, query: str, columns: Mapping[str, str], root: Path) -> list[Row]:
    """Every row of a table, a view (schema.name) or a SELECT.

    Args:
      columns: column name -> field; other columns are not read of a table.

    Returns:
      Rows sorted by their values, for a database promises no order; `number` counts from 1.

    Raises:
      RecipeError: no such database, table or column, or a password in the URL.
      DataError: `database_unreadable`.
    """
    for encoding in ENCODINGS:
        try:
            rows = _fetch(database, query, columns, root, encoding)
            break
        except (UnicodeDecodeError, TypeError):
            # A database without an encoding (SQL_ASCII) sends bytes, which SQLAlchemy itself cannot take.
            if encoding == ENCODINGS[-1]:
                raise DataError("database_unreadable", "its text is neither UTF-8 nor GB18030") from None
    places = {field: n for n, field in enumerate(columns.values())}
    return [_row(number, values, places) for number, values in enumerate(sorted(rows), 1)]


def _fetch(
    database: str, query: str, columns: Mapping[str, str], root: Path, encoding: str | None
) -> list[tuple[str, ...]]:
    with _connection(database, root, encoding) as connection:
        result = connection.execution_options(stream_results=True).execute(_statement(query, columns))
        found = list(result.keys())
        require_columns("the query", columns, found)
        order = [found.index(column) for column in columns]
        return [tuple(text_of(r[n]) for n in order) for b in result.partitions(BATCH) for r in b]


def tables_of(database: str, root: Path) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Every table and view with its columns and its first rows, for `p2med map`."""
    with _connection(database, root) as connection:
        inspector = sa.inspect(connection)
        for name in sorted([*inspector.get_table_names(), *inspector.get_view_names()]):
            result = connection.execute(sa.select(sa.text("*")).select_from(sa.table(name)).limit(BATCH))
            yield name, list(result.keys()), [[text_of(v) for v in row] for row in result]


def _row(number: int, values: tuple[str, ...], places: Mapping[str, int]) -> Row:
    if any(LOST in v for v in values):
        return Row(number, {}, "characters_lost")
    return Row(number, dict(zip(places, values, strict=True)))


def _statement(query: str, columns: Mapping[str, str]) -> sa.Executable:
    words = query.split(None, 1)
    if len(words) > 1 and words[0].upper() in ("SELECT", "WITH"):
        return sa.text(query)
    schema, _, name = query.strip().rpartition(".")
    table = sa.table(name, *map(sa.column, columns), schema=schema or None)
    return sa.select(*table.c)


@contextmanager
def _connection(database: str, root: Path, encoding: str | None = None) -> Iterator[sa.Connection]:
    """A connection that cannot write, for one consistent look."""
    url, options = _url(database, root), {}
    if url.get_backend_name() == "postgresql":
        options = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
        url = url.update_query_dict({"client_encoding": encoding} if encoding else {})
    engine = None
    try:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            yield connection.execution_options(**options)
    except SQLAlchemyError as error:
        raise _refusal(error) from None
    finally:
        if engine is not None:
            engine.dispose()


def _url(database: str, root: Path) -> URL:
    """SQLite paths may be `run:` and `data:` paths; the file is opened read-only and must be there."""
    try:
        url = make_url(database)
    except SQLAlchemyError:
        raise RecipeError(
            "database: this is no URL; e.g. sqlite:///emr.db, postgresql://reader@host/his"
        ) from None
    if url.password is not None:
        raise RecipeError(
            "database: a password in a recipe; use PGPASSWORD, ~/.pgpass or your driver's own way"
        )
    if url.get_backend_name() == "sqlite":
        path = resolve(url.database or "", root)
        if not path.is_file():
            raise RecipeError(f"database: there is no file {path}")
        file = f"file:{quote(str(path.resolve()))}"
        return URL.create("sqlite", database=file, query={"mode": "ro", "uri": "true"})
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _refusal(error: SQLAlchemyError) -> Exception:
    """A database's own words may quote a patient's value; only those about names of tables are passed on."""
    original: Any = getattr(error, "orig", None)
    words, state = str(original or "").split("\n")[0], str(getattr(original, "sqlstate", "") or "")
    if state == BAD_ENCODING:
        return TypeError(state)  # read_query tries the next encoding
    if words.startswith(("no such", "near ")) or state.startswith("42"):
        return RecipeError(f"database: {words}")
    why = type(original or error).__name__
    return DataError("database_unreadable", f"{why}; is the URL right, and may this account read?")
