"""SQLite that can only be read.

Covered: a file is opened with `mode=ro`; the authorizer allows reading the columns that may be read, and the listed functions, and
nothing else; long queries are stopped, long values and patterns refused, nothing can be attached.
Not covered: temporary files of a sort, which SQLite keeps until the time is up; a database file from somebody who wants to harm.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sadari.agent.tools.sql.database import Bounds, QueryError, Result, fetch
from sadari.agent.tools.sql.dialects import functions_of
from sadari.agent.tools.sql.guard import Guarded
from sadari.agent.tools.sql.schema import Column, Dialect, Schema, Table, fold
from sadari.errors import ConfigError

MOST_VALUE_BYTES = 100_000
"""Of one text: one call of a function on longer ones can take more than the whole time, and cannot be stopped."""
_STEPS_BETWEEN_LOOKS = 1_000


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A SQLite file.

    Raises:
        ConfigError: If it is none.
    """

    path: Path
    dialect: Dialect = "sqlite"

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise ConfigError(f"sql: there is no file {self.path}. A path is meant from the folder of sadari.yaml.")

    @contextmanager
    def opened(self, seconds: float) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write."""
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=seconds)) as connection:
            yield connection

    def read_schema(self) -> Schema:
        """The tables and views of the file."""
        try:
            with self.opened(5.0) as connection:
                return sqlite_schema(connection)
        except sqlite3.Error as error:
            raise ConfigError(f"sql: {self.path} cannot be read as a SQLite database ({error}). Name another file.") from error

    def run(self, query: Guarded, schema: Schema, bounds: Bounds, now: datetime) -> Result:
        """The rows of a query."""
        with self.opened(bounds.seconds) as connection:
            return run_sqlite(connection, query, schema, bounds)


@dataclass(frozen=True, slots=True)
class SqliteImage:
    """A SQLite database in memory, as bytes that nobody changes; every query has a copy."""

    image: bytes
    dialect: Dialect = "sqlite"

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """A connection to a copy."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.deserialize(self.image)
            connection.execute("PRAGMA query_only = ON")
            yield connection

    def read_schema(self) -> Schema:
        """The tables."""
        with self.opened() as connection:
            return sqlite_schema(connection)

    def run(self, query: Guarded, schema: Schema, bounds: Bounds, now: datetime) -> Result:
        """The rows of a query."""
        with self.opened() as connection:
            return run_sqlite(connection, query, schema, bounds)


def run_sqlite(connection: sqlite3.Connection, query: Guarded, schema: Schema, bounds: Bounds) -> Result:
    """The rows of a query, by a connection that is allowed nothing but what the schema shows.

    Raises:
        QueryError: If SQLite refuses it, or the time is up.
    """
    end = time.monotonic() + bounds.seconds
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000)
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
    connection.set_authorizer(_authorizer(schema))
    try:
        with closing(connection.execute(query.sql)) as cursor:
            return fetch([column[0] for column in cursor.description or ()], cursor, bounds)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise QueryError(str(error), is_late=time.monotonic() > end) from error


def _authorizer(schema: Schema) -> Any:
    """Allows to read what the schema shows: the second lock behind the guard, in the database itself."""
    shown = {fold(table.name): {fold(column.name) for column in table.columns} for table in schema.tables}
    whole = {fold(table.name) for table in schema.tables if not table.hides}
    views = {fold(table.name) for table in schema.tables if table.is_view}
    functions = functions_of("sqlite").names | {"substr", "substring", "->", "->>"}

    def authorise(action: int, first: str | None, second: str | None, _: str | None, accessor: str | None) -> int:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            is_allowed = (second or "").lower() in functions
        elif action == sqlite3.SQLITE_READ:
            table, column = fold(first or ""), fold(second or "")
            is_shown = column in shown.get(table, ()) or (
                column in ("", "rowid") and table in shown and (not column or table in whole)
            )
            is_allowed = is_shown or fold(accessor or "") in views
        else:
            is_allowed = False
        return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY

    return authorise


def sqlite_schema(connection: sqlite3.Connection) -> Schema:
    """The tables and views of a SQLite database; comments are those of the CREATE statements."""
    found = connection.execute(
        "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY rowid"
    ).fetchall()
    tables, others = [], {"sqlite_master", "sqlite_schema"}
    for name, kind, ddl in found:
        if name.startswith("sqlite_") or (ddl or "").upper().startswith("CREATE VIRTUAL"):
            others.add(name)
            continue
        comments = _ddl_comments(ddl or "")
        links = {
            row[3]: f"{row[2]}.{row[4] or ''}".rstrip(".")
            for row in connection.execute(f"PRAGMA foreign_key_list({in_quotes(name)})")
        }
        columns = tuple(
            Column(row[1], row[2], bool(row[5]), links.get(row[1], ""), comments.get(fold(row[1]), ""))
            for row in connection.execute(f"PRAGMA table_info({in_quotes(name)})")
        )
        tables.append(Table(name, columns, comment=comments.get("", ""), is_view=kind == "view"))
    return Schema("sqlite", tuple(tables), frozenset(others))


def in_quotes(name: str) -> str:
    """A name as SQLite takes any."""
    return '"' + name.replace('"', '""') + '"'


def _ddl_comments(ddl: str) -> dict[str, str]:
    """Comments at the ends of the lines, by the name that the line begins with; "" is the comment of the line of CREATE itself."""
    comments: dict[str, str] = {}
    for line in ddl.splitlines():
        code, mark, comment = line.partition("--")
        words = code.strip().lstrip("(,").split()
        if mark and words and comment.strip():
            name = "" if words[0].upper() == "CREATE" else fold(words[0].strip('"`[](),'))
            comments.setdefault(name, comment.strip()[:80])
    return comments
