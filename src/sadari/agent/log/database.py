"""SQLite and PostgreSQL behind one face: statements with `:name` parameters, rows as mappings, transactions.

Their own drivers are called without a layer between: a step of an agent writes three times, and may take 2 ms.
"""

import re
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from sadari.errors import ConfigError, RunError
from sadari.migrations import bring_up

MOST_CONNECTIONS = 16
"""To a server, of one process for one purpose; PostgreSQL lets 100 in as it comes, and a server has more threads than that."""

PATIENCE_S = 30.0
"""Seconds that a thread waits for its turn."""


class Connection(Protocol):
    """What statements are given to."""

    def execute(self, statement: str, values: Mapping[str, Any] = ...) -> Any:
        """A cursor over rows that are read by the names of their columns."""
        ...


class Database(Protocol):
    """One database, used from several threads."""

    dialect: str
    """As SQLAlchemy names it, with the driver."""

    def writing(self, *, sync: bool = False) -> Any:
        """A transaction, as a context manager; `sync` waits until the disk has it."""
        ...

    def reading(self) -> Any:
        """A connection to read from, as a context manager."""
        ...

    def connect(self) -> Any:
        """A connection of the driver, for the one who asks alone."""
        ...

    def scrub(self) -> None:
        """Take what was deleted from the disk as well, as far as the database can."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def open_database(url: str) -> Database:
    """The database at `url`, its tables brought up to date: a file of SQLite, "" for memory, or postgresql://user:password@host/name.

    Raises:
        ConfigError: If it is another kind, or a library is missing.
        RunError: If it cannot be opened, or a newer sadari made its tables.
    """
    if not url:
        return _in_memory()
    database = database_at(url)
    bring_up(database)
    return database


def _in_memory() -> Database:
    database = SqliteDatabase("")
    with _tables().reading():  # nobody else reads it meanwhile
        _tables().connect().backup(database.connect())
    return database


@cache
def _tables() -> "SqliteDatabase":
    """Empty ones: they are made in 20 ms and copied in none."""
    database = SqliteDatabase("")
    bring_up(database)
    return database


def database_at(url: str) -> "SqliteDatabase | PostgresDatabase":
    """The database as it is, whatever its tables are.

    Raises:
        ConfigError: If it is another kind, or a library is missing.
        RunError: If it cannot be opened.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme in ("postgresql", "postgres"):
        return PostgresDatabase(url)
    if scheme not in ("", "sqlite"):
        raise ConfigError(f"{scheme}:// keeps no log. Give a file, or postgresql://user@host/database.")
    return SqliteDatabase(url.removeprefix("sqlite:///"))


class SqliteDatabase:
    """A file, with a connection for each thread; in memory there is one for all of them."""

    dialect = "sqlite"

    def __init__(self, path: str) -> None:
        self._path, self._own = path, threading.local()
        self._shared = None if path else self._connect(":memory:", _Kept)
        self._turn = threading.RLock()
        if path:
            try:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunError(f"the log cannot be opened: {error}.") from error
        self._connection()  # a wrong path shows now

    def connect(self) -> sqlite3.Connection:
        """A new connection; in memory there is but the one."""
        return self._shared or self._connect(self._path)

    def _connect(self, path: str, kind: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False, factory=kind)
            connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode = WAL", "secure_delete = ON"):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise RunError(f"the log cannot be opened: {error}.") from error
        return connection

    def _connection(self) -> sqlite3.Connection:
        if self._shared is not None:
            return self._shared
        if not hasattr(self._own, "connection"):
            self._own.connection = self._connect(self._path)
        connection: sqlite3.Connection = self._own.connection
        return connection

    @contextmanager
    def writing(self, *, sync: bool = False) -> Iterator[Connection]:
        """In WAL mode a commit that is not synced survives the end of the process, not the loss of power."""
        with self._alone(), _told_as("written", sqlite3.Error):
            connection = self._connection()
            if getattr(self._own, "syncs", None) != sync:
                connection.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
                self._own.syncs = sync
            connection.execute("BEGIN IMMEDIATE")  # begun late, two writers could wait for each other for ever
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """What was committed last."""
        with self._alone(), _told_as("read", sqlite3.Error):
            yield self._connection()

    def scrub(self) -> None:
        """The pages themselves are overwritten (`secure_delete`); the write-ahead log still holds them as they were."""
        with self.reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread at a time, where they share a connection."""
        if self._shared is None:
            yield
        else:
            with self._turn:
                yield

    def close(self) -> None:
        """Connections of other threads close with them."""
        connection = self._shared or getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
        self._own = threading.local()


class _Kept(sqlite3.Connection):
    """The only connection to a database in memory, which would end with it; it is let go of when nobody has it."""

    def close(self) -> None:
        """Not yet."""


class PostgresDatabase:
    """A server, with a few connections that threads take in turn, made anew when they break."""

    dialect = "postgresql+psycopg"

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise ConfigError("a log in PostgreSQL needs psycopg. Install it: pip install 'sadari[postgres]'.") from error
        self._url, self._psycopg = url, psycopg
        self._idle: deque[Any] = deque()
        self._free, self._is_closed = threading.BoundedSemaphore(MOST_CONNECTIONS), False
        with self.reading():  # a wrong address shows now
            pass

    def connect(self) -> Any:
        """A new connection, whose rows are tuples."""
        with _told_as("opened", self._psycopg.Error):
            return self._psycopg.connect(self._url, connect_timeout=10)

    @contextmanager
    def writing(self, *, sync: bool = False) -> Iterator[Connection]:
        """A commit is synced by the server unless it was told otherwise; with `sync` always."""
        with _told_as("written", self._psycopg.Error), self._lent() as connection, connection.transaction():
            if sync:  # whatever the role's default is
                connection.execute("SET LOCAL synchronous_commit TO on")
            yield _Named(connection)

    def scrub(self) -> None:
        """Give the old versions of rows back; archived write-ahead logs and backups keep them."""
        with self.reading() as connection:
            connection.execute("VACUUM events")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """What was committed last."""
        with _told_as("read", self._psycopg.Error), self._lent() as connection:
            yield _Named(connection)

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        """A connection that answers, for one thread."""
        if not self._free.acquire(timeout=PATIENCE_S):
            raise RunError(f"the log cannot be reached: all {MOST_CONNECTIONS} connections were busy for {PATIENCE_S:.0f} s.")
        connection = None
        try:
            connection = self._alive()
            yield connection
        finally:
            if connection is not None and not connection.broken:
                self._idle.append(connection)
            self._free.release()
            if self._is_closed:
                self.close()

    def _alive(self) -> Any:
        """The server may have been restarted since the last use."""
        from psycopg.rows import dict_row

        while self._idle:
            connection = self._idle.pop()
            try:
                connection.execute("SELECT 1")
                return connection
            except self._psycopg.OperationalError:
                connection.close()
        return self._psycopg.connect(self._url, autocommit=True, row_factory=dict_row, connect_timeout=10)

    def close(self) -> None:
        """What is lent is closed when it comes back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()


class _Named:
    """Statements with `:name` for a driver that writes `%(name)s`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Mapping[str, Any] = {}) -> Any:
        return self._connection.execute(re.sub(r"(?<!:):(\w+)", r"%(\1)s", statement), values)


@contextmanager
def _told_as(done: str, kind: type[Exception]) -> Iterator[None]:
    """Errors of the driver without the statement and its values, which may be personal."""
    try:
        yield
    except kind as error:
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        remedy = "" if done == "read" else " Nothing was done; mend the database."
        raise RunError(f"the log cannot be {done}: {why}.{remedy}") from error
