"""DuckDB that can only be read.

Covered: the file is opened read-only, with no access to other files, extensions or variables of Python, its settings locked, its
memory bounded; a query is interrupted when its time is up.
Not covered: the time that one file of another process keeps it locked, which is an error.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sadari.agent.tools.sql.database import Bounds, QueryError, Result, fetch
from sadari.agent.tools.sql.guard import Guarded
from sadari.agent.tools.sql.schema import Column, Dialect, Schema, Table
from sadari.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DuckFile:
    """A DuckDB file.

    Raises:
        ConfigError: If it is none, or the library is missing.
    """

    path: Path
    dialect: Dialect = "duckdb"

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise ConfigError(f"sql: there is no file {self.path}. A path is meant from the folder of sadari.yaml.")
        try:
            import duckdb  # noqa: F401
        except ImportError as error:
            raise ConfigError("sql: DuckDB is not installed: pip install duckdb.") from error

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """A connection that can neither write nor reach anything but this file."""
        import duckdb

        settings: dict[str, Any] = {
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": "512MB",
            "threads": "2",
            "lock_configuration": "true",
        }
        with duckdb.connect(str(self.path), read_only=True, config=settings) as connection:
            yield connection

    def read_schema(self) -> Schema:
        """The tables and views of the file."""
        import duckdb

        try:
            with self.opened() as connection:
                return _duck_schema(connection)
        except duckdb.Error as error:
            raise ConfigError(f"sql: {self.path} cannot be read as a DuckDB database ({error}). Name another file.") from error

    def run(self, query: Guarded, schema: Schema, bounds: Bounds, now: datetime) -> Result:
        """The rows of a query."""
        import duckdb

        end = time.monotonic() + bounds.seconds
        with self.opened() as connection:
            stop = threading.Timer(bounds.seconds, connection.interrupt)
            stop.start()
            try:
                cursor = connection.execute(query.sql)
                names = [column[0] for column in cursor.description or ()]
                return fetch(names, iter(cursor.fetchone, None), bounds)
            except duckdb.Error as error:
                raise QueryError(str(error).partition("\n\nLINE")[0], is_late=time.monotonic() > end) from error
            finally:
                stop.cancel()


def _duck_schema(connection: Any) -> Schema:
    columns: dict[tuple[str, str], list[Column]] = {}
    for place, table, name, kind, comment in connection.execute(
        "SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal"
        " ORDER BY schema_name, table_name, column_index"
    ).fetchall():
        columns.setdefault((place, table), []).append(Column(name, kind, comment=(comment or "")[:80]))
    named = connection.execute(
        "SELECT schema_name, table_name, comment, false FROM duckdb_tables() WHERE NOT internal UNION ALL"
        " SELECT schema_name, view_name, comment, true FROM duckdb_views() WHERE NOT internal ORDER BY 1, 2"
    ).fetchall()
    tables = [
        Table(name, tuple(columns.get((place, name), ())), place, (comment or "")[:80], is_view=is_view, is_default=place == "main")
        for place, name, comment, is_view in named
    ]
    return Schema("duckdb", tuple(table for table in tables if table.columns))
