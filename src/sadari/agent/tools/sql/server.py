"""PostgreSQL and MySQL that can only be read, through SQLAlchemy.

Covered: a role that could write, or read files of the server, is refused when the tool is opened, unless the task file allows it
in so many words; every query runs in a read-only transaction with the server's own time limit, and is rolled back; rows and bytes
that are fetched are counted.
Not covered: one value is sent whole, however long it is; memory and temporary files of the server; what functions and views that
the owner of the database made do; MySQL's roles, which count as rights to write.
"""

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sadari.agent.tools.sql.database import Bounds, QueryError, Result, fetch
from sadari.agent.tools.sql.guard import Guarded
from sadari.agent.tools.sql.schema import Column, Dialect, Schema, Table
from sadari.errors import ConfigError

_BATCH = 20


@dataclass(frozen=True, slots=True)
class Server:
    """A database behind SQLAlchemy.

    Args:
        engine: Without a pool: a connection lives for one query.
        schemas: Further schemas that are read, beside the default one.
    """

    engine: Any
    dialect: Dialect
    schemas: tuple[str, ...] = ()

    @contextmanager
    def opened(self, seconds: float, now: datetime | None = None) -> Iterator[Any]:
        """A connection in a read-only transaction with a time limit, which is rolled back."""
        with self.engine.connect() as connection:
            for statement in self._settings(seconds, now):
                connection.exec_driver_sql(statement)
            try:
                yield connection
            finally:
                connection.rollback()

    def _settings(self, seconds: float, now: datetime | None) -> list[str]:
        offset = now.strftime("%z") if now is not None else ""
        zone = f"{offset[:3]}:{offset[3:5]}" if offset else "+00:00"
        millis = max(1, int(seconds * 1000))
        if self.dialect == "postgres":
            return [
                "SET TRANSACTION READ ONLY",
                f"SET LOCAL statement_timeout = {millis}",
                f"SET LOCAL lock_timeout = {millis}",
                "SET LOCAL max_parallel_workers_per_gather = 0",
                "SET LOCAL standard_conforming_strings = on",
                f"SET LOCAL TIME ZONE INTERVAL '{zone}' HOUR TO MINUTE",
            ]
        limit = f"max_statement_time = {seconds:g}" if self.engine.dialect.is_mariadb else f"max_execution_time = {millis}"
        return [
            "ROLLBACK",  # what is set of a transaction holds for the next one
            f"SET SESSION {limit}",
            "SET SESSION sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES'",
            f"SET SESSION time_zone = '{zone}'",
            "START TRANSACTION READ ONLY",
        ]

    def read_schema(self) -> Schema:
        """The tables and views of the default schema, and of those named."""
        import sqlalchemy

        try:
            with self.opened(60.0) as connection:
                inspector = sqlalchemy.inspect(connection)
                default = inspector.default_schema_name or ""
                places = list(dict.fromkeys([default, *self.schemas]))
                tables = [table for place in places for table in _server_tables(inspector, place, place == default)]
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise ConfigError(
                f"sql: {_shown_url(self.engine)} does not answer ({_first_line(error)}). Check `url` and password."
            ) from error
        return Schema(self.dialect, tuple(tables))

    def run(self, query: Guarded, schema: Schema, bounds: Bounds, now: datetime) -> Result:
        """The rows of a query."""
        import sqlalchemy

        end = time.monotonic() + bounds.seconds
        try:
            with self.opened(bounds.seconds, now) as connection:
                options = {"no_parameters": True, "stream_results": True, "yield_per": _BATCH}
                found = connection.exec_driver_sql(query.sql, execution_options=options)
                return fetch(list(found.keys()), _until(found, end), bounds)
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise QueryError(_first_line(error), is_late=time.monotonic() > end - 0.05) from error


def _until(rows: Iterable[Any], end: float) -> Iterator[Any]:
    for row in rows:
        if time.monotonic() > end:
            raise QueryError("the time is up", is_late=True)
        yield row


def _first_line(error: Any) -> str:
    return (str(getattr(error, "orig", None) or error).strip().splitlines() or ["no reason given"])[0]


def _shown_url(engine: Any) -> str:
    return str(engine.url.render_as_string(hide_password=True))


def _server_tables(inspector: Any, place: str, is_default: bool) -> Iterator[Table]:
    import sqlalchemy

    kinds = {"schema": place, "kind": sqlalchemy.engine.reflection.ObjectKind.ANY}
    columns, keys = inspector.get_multi_columns(**kinds), inspector.get_multi_pk_constraint(**kinds)
    links, views = inspector.get_multi_foreign_keys(**kinds), set(inspector.get_view_names(schema=place))
    comments = inspector.get_multi_table_comment(**kinds) if inspector.dialect.supports_comments else {}
    for key in sorted(columns):
        primary = set((keys.get(key) or {}).get("constrained_columns") or ())
        refers = {
            own: f"{link['referred_table']}.{other}"
            for link in links.get(key) or ()
            for own, other in zip(link["constrained_columns"], link["referred_columns"], strict=False)
        }
        shown = tuple(
            Column(
                c["name"],
                str(c["type"]).partition(" COLLATE")[0],
                c["name"] in primary,
                refers.get(c["name"], ""),
                (c.get("comment") or "")[:80],
            )
            for c in columns[key]
        )
        comment = ((comments.get(key) or {}).get("text") or "")[:80]
        if shown:
            yield Table(key[1], shown, place, comment, is_view=key[1] in views, is_default=is_default)


_POSTGRES_RIGHTS = """
SELECT CASE WHEN rolsuper THEN 'is a superuser' END,
  CASE WHEN rolcreaterole OR rolcreatedb THEN 'may create roles or databases' END,
  (SELECT 'has the rights of ' || string_agg(other.rolname, ', ') FROM pg_catalog.pg_roles other
   WHERE other.rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_read_server_files', 'pg_execute_server_program')
   AND pg_catalog.pg_has_role(other.oid, 'MEMBER')),
  (SELECT 'may write to ' || min(n.nspname || '.' || c.relname) FROM pg_catalog.pg_class c
   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'f')
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
  (SELECT 'may create tables in ' || min(nspname) FROM pg_catalog.pg_namespace
   WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND pg_catalog.has_schema_privilege(oid, 'CREATE'))
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
_MYSQL_READS = frozenset({"SELECT", "USAGE", "SHOW VIEW", "SHOW DATABASES"})


def check_role(server: Server, allow_writable: bool) -> None:
    """Refuse a role that could write: a read-only transaction is the second lock, not the first.

    Raises:
        ConfigError: If it could, and nobody allowed that; names what it may do, and how a role is made that may not.
    """
    import sqlalchemy

    try:
        with server.opened(60.0) as connection:
            reasons = _postgres_rights(connection) if server.dialect == "postgres" else _mysql_rights(connection)
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise ConfigError(
            f"sql: {_shown_url(server.engine)} does not answer ({_first_line(error)}). Check `url` and password."
        ) from error
    if not reasons:
        return
    what = f"sql: the user of {_shown_url(server.engine)} can do more than read: it {'; it '.join(reasons)}."
    if not allow_writable:
        raise ConfigError(f"{what} Use one with SELECT alone:\n{_remedy(server)}\nor set `allow_writable_role: true`.")
    warnings.warn(f"{what} `allow_writable_role: true` lets it; only the checks of sadari stand before the data.", stacklevel=3)


def _postgres_rights(connection: Any) -> list[str]:
    return [reason for reason in connection.exec_driver_sql(_POSTGRES_RIGHTS).one() if reason]


def _mysql_rights(connection: Any) -> list[str]:
    reasons = []
    for (grant,) in connection.exec_driver_sql("SHOW GRANTS"):
        rights = grant.removeprefix("GRANT ").partition(" ON ")[0]
        names = {right.partition("(")[0].strip().upper() for right in rights.split(",")}
        if not names <= _MYSQL_READS:
            reasons.append(f"has {rights[:80]}")
    return reasons


def _remedy(server: Server) -> str:
    database = server.engine.url.database or "DATABASE"
    if server.dialect == "postgres":
        return (
            "  CREATE ROLE sadari_reader LOGIN PASSWORD '...';\n"
            "  GRANT USAGE ON SCHEMA public TO sadari_reader;\n"
            "  GRANT SELECT ON ALL TABLES IN SCHEMA public TO sadari_reader;"
        )
    return f"  CREATE USER sadari_reader IDENTIFIED BY '...';\n  GRANT SELECT ON `{database}`.* TO sadari_reader;"
