"""Records out of a database, read-only: SQLite always, PostgreSQL where a server can be started."""

import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest
from hospital_maker import COURSE, OUTPATIENT, REPORTS, TABLES, section, write_hospital

from p2med.errors import DataError, P2MedError, RecipeError
from p2med.ingest.config import IngestConfig
from p2med.ingest.emr import read_table
from p2med.ingest.run import run
from p2med.schema.identified import IdentifiedCase
from p2med.store import read_items

sa = pytest.importorskip("sqlalchemy")

from p2med.ingest.sql import read_query, tables_of  # noqa: E402

COLUMNS = {"门诊号": "visit_number", "主诉": "chief_complaint"}


def sqlite(path: Path, *statements: str, rows=()) -> str:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
        if rows:
            db.executemany("INSERT INTO 门诊 VALUES (?, ?, ?)", rows)
    return f"sqlite:///{path}"


@pytest.fixture
def database(tmp_path):
    rows = [("MZ2", "流涕", 2.0), ("MZ1", "咳嗽\n发热", 1.5), ("MZ3", "腹泻".encode("gbk"), None)]
    return sqlite(tmp_path / "emr.db", "CREATE TABLE 门诊 (门诊号 TEXT, 主诉 TEXT, 体温 REAL)", rows=rows)


def test_a_table_a_view_and_a_select_give_rows_in_one_order(database, tmp_path):
    with sqlite3.connect(tmp_path / "emr.db") as db:
        db.execute("CREATE VIEW 视图 AS SELECT * FROM 门诊 ORDER BY 体温 DESC")
    for query in ("门诊", "视图", "main.门诊", 'SELECT "主诉", "门诊号", 1 FROM 门诊 ORDER BY 1'):
        rows = read_query(database, query, COLUMNS, tmp_path)
        assert [r.values["visit_number"] for r in rows] == ["MZ1", "MZ2", "MZ3"]
        assert [r.values["chief_complaint"] for r in rows] == ["咳嗽\n发热", "流涕", "腹泻"]
        assert [r.number for r in rows] == [1, 2, 3]
    assert [(name, columns) for name, columns, _ in tables_of(database, tmp_path)] == [
        ("视图", ["门诊号", "主诉", "体温"]),
        ("门诊", ["门诊号", "主诉", "体温"]),
    ]


def test_bytes_of_no_encoding_are_a_named_fault(tmp_path):
    rows = [("MZ1", b"\xff\xff\x80", None)]
    url = sqlite(tmp_path / "emr.db", "CREATE TABLE 门诊 (门诊号 TEXT, 主诉 TEXT, 体温 REAL)", rows=rows)
    assert [r.fault for r in read_query(url, "门诊", COLUMNS, tmp_path)] == ["characters_lost"]


@pytest.mark.parametrize(
    "url, query, words",
    [
        ("{}", "门珍", "no such table"),
        ("{}", "SELECT 门诊号 FROM 门诊", "has no column 主诉"),
        ("{}", "SELECT 没有 FROM 门诊", "no such column"),
        ("sqlite:///nowhere.db", "门诊", "there is no file"),
        ("no url", "门诊", "no URL"),
        ("postgresql://reader:hush@host/his", "门诊", "a password in a recipe"),
    ],
)
def test_what_the_recipe_has_wrong_is_one_line(database, tmp_path, url, query, words):
    with pytest.raises(RecipeError) as error:
        read_query(url.format(database), query, COLUMNS, tmp_path)
    assert words in str(error.value) and "hush" not in str(error.value) and "\n" not in str(error.value)


def test_a_query_cannot_write(database, tmp_path):
    before = (tmp_path / "emr.db").read_bytes()
    for query in ("SELECT 1; DROP TABLE 门诊", "WITH a AS (SELECT 1) DELETE FROM 门诊"):
        with pytest.raises(P2MedError) as error:
            read_query(database, query, COLUMNS, tmp_path)
        assert "\n" not in str(error.value)
    assert (tmp_path / "emr.db").read_bytes() == before


def test_a_server_that_is_not_there_is_one_line(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(DataError, match="database_unreadable"):
        read_query("postgresql://nobody@localhost:1/none", "t", COLUMNS, tmp_path)


def hospital_by_query(root: Path, url: str) -> list[IdentifiedCase]:
    """The same hospital, its records from the database instead of from files."""
    queried = [t if t not in (OUTPATIENT, REPORTS, COURSE) else table_by_query(t) for t in TABLES]
    changes = {"database": url, "tables": queried}
    run(IngestConfig.model_validate(section(root, **changes)), root / "run")
    return list(read_items(root / "run" / "1_ingest", IdentifiedCase))


def table_by_query(table: dict) -> dict:
    return {k: v for k, v in table.items() if k != "file"} | {"query": table["kind"]}


def fill(root: Path, execute) -> None:
    """The exports of the hospital as tables of a database."""
    for table in (OUTPATIENT, REPORTS, COURSE):
        names = ", ".join(f'"{h}" TEXT' for h in table["columns"])
        execute(f"CREATE TABLE {table['kind']} ({names})", None)
        for row in read_table(root / "exports" / table["file"], table["columns"]):
            marks = ", ".join(f":c{n}" for n in range(len(row.values)))
            values = {f"c{n}": v for n, v in enumerate(row.values.values())}
            execute(f"INSERT INTO {table['kind']} VALUES ({marks})", values)


def content(cases) -> list:
    keep = {"record_id"}
    return [
        c.model_dump(exclude={"records"})
        | {"records": sorted(str(r.model_dump(exclude=keep)) for r in c.records)}
        for c in cases
    ]


def from_files(root: Path) -> list:
    run(IngestConfig.model_validate(section(root)), root / "files")
    return content(read_items(root / "files" / "1_ingest", IdentifiedCase))


def test_a_hospital_in_sqlite_gives_the_cases_of_its_files(tmp_path):
    write_hospital(tmp_path)
    with sqlite3.connect(tmp_path / "his.db") as db:
        fill(tmp_path, lambda sql, values: db.execute(sql, values or {}))
    url = f"sqlite:///{tmp_path}/his.db"
    assert content(hospital_by_query(tmp_path, url)) == from_files(tmp_path)
    with sqlite3.connect(tmp_path / "his.db") as db:
        db.execute("UPDATE outpatient_record SET \"主诉\" = '呕吐'")
    # A change in the database is a change of the input, although no file of the recipe changed.
    assert "呕吐" in str(hospital_by_query(tmp_path, url))


# ---------------------------------------------------------------- PostgreSQL


def _program(name: str) -> str | None:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(installed[-1]) if installed else None)


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL of our own on a socket in a temporary folder; it refuses to run as root."""
    pytest.importorskip("psycopg")
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if not (initdb and pg_ctl):
        pytest.skip("no PostgreSQL server binaries on this machine")
    user = None
    if os.geteuid() == 0:
        users = {u.pw_name for u in pwd.getpwall()} & {"postgres", "nobody"}
        if not users:
            pytest.skip("root may not run PostgreSQL, and there is no other user")
        user = max(users)
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    options = {"user": user, "cwd": folder, "capture_output": True, "check": True, "timeout": 60}
    try:
        subprocess.run(
            [initdb, "-D", data, "-U", "reader", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"], **options
        )
        flags = f"-k {folder} -c listen_addresses='' -c fsync=off"
        subprocess.run([pg_ctl, "-D", data, "-w", "-l", folder / "log", "-o", flags, "start"], **options)
        yield f"postgresql://reader@/postgres?host={folder}"
    finally:
        if (data / "postmaster.pid").exists():
            subprocess.run([pg_ctl, "-D", data, "-w", "-m", "immediate", "stop"], **options)
        shutil.rmtree(folder, ignore_errors=True)


def administer(url: str):
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    connection = engine.connect()
    return connection, lambda sql, values: connection.execute(sa.text(sql), values or {})


def test_a_hospital_in_postgresql_gives_the_cases_of_its_files(server, tmp_path):
    write_hospital(tmp_path)
    connection, execute = administer(server)
    with connection:
        fill(tmp_path, execute)
    assert content(hospital_by_query(tmp_path, server)) == from_files(tmp_path)


def test_postgresql_types_schemas_and_writes(server, tmp_path):
    connection, execute = administer(server)
    with connection:
        execute("CREATE SCHEMA emr", None)
        names = '"门诊号" bigint, "主诉" text, "时间" timestamp, "体温" numeric'
        execute(f'CREATE TABLE emr."门诊" ({names})', None)
        execute(
            "CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM emr.\"门诊\"; SELECT 1'", None
        )
        execute("INSERT INTO emr.\"门诊\" VALUES (7, '咳', '2022-10-29 08:30', 38.50)", None)
    columns = COLUMNS | {"时间": "authored_on", "体温": "address"}
    (row,) = read_query(server, "emr.门诊", columns, tmp_path)
    assert list(row.values.values()) == ["7", "咳", "2022-10-29 08:30:00", "38.5"]
    with pytest.raises(DataError, match="ReadOnlySqlTransaction"):
        read_query(server, "SELECT wipe() AS 门诊号, 1 AS 主诉", COLUMNS, tmp_path)
    assert len(read_query(server, "emr.门诊", columns, tmp_path)) == 1
    with pytest.raises(RecipeError, match="does not exist"):
        read_query(server, "emr.没有", COLUMNS, tmp_path)
    with pytest.raises(DataError) as error:  # a database's words may quote a value
        read_query(server, 'SELECT "主诉"::int AS 门诊号, 1 AS 主诉 FROM emr."门诊"', COLUMNS, tmp_path)
    assert "咳" not in str(error.value)


def test_a_postgresql_database_without_an_encoding_holds_gbk(server, tmp_path):
    connection, execute = administer(server)
    with connection:
        execute("CREATE DATABASE old ENCODING 'SQL_ASCII' TEMPLATE template0", None)
    url = server.replace("/postgres?", "/old?")
    connection, execute = administer(url + "&client_encoding=UTF8")
    with connection:
        execute("CREATE TABLE m (n text, t text)", None)
        execute(r"INSERT INTO m VALUES ('1', convert_from('\xbfc8cbd4', 'SQL_ASCII'))", None)
    (row,) = read_query(url, "m", {"n": "visit_number", "t": "chief_complaint"}, tmp_path)
    assert row.values["chief_complaint"] == "咳嗽"
