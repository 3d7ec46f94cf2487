"""From what a task file names to a database that can only be read."""

from pathlib import Path
from typing import Any

from sadari.agent.tools.sql.database import Database
from sadari.agent.tools.sql.duck import DuckFile
from sadari.agent.tools.sql.schema import Dialect
from sadari.agent.tools.sql.server import Server, check_role
from sadari.agent.tools.sql.sqlite import SqliteFile
from sadari.errors import ConfigError

_SERVERS: dict[str, tuple[Dialect, str]] = {
    "postgresql": ("postgres", "psycopg"),
    "postgres": ("postgres", "psycopg"),
    "mysql": ("mysql", "pymysql"),
    "mariadb": ("mysql", "pymysql"),
}
_DUCK_SUFFIXES = (".duckdb", ".ddb")
FILE_SCHEMES = ("sqlite:///", "duckdb:///")


def open_database(url: str, file: Path | None, *, password: str, schemas: tuple[str, ...], allow_writable: bool) -> Database:
    """The database that a task file names, which cannot be written.

    Args:
        url: As it was written: a path, or a URL of SQLAlchemy.
        file: The file that it means; None for a server.
        password: For `url`; "" for none.
        schemas: Further schemas of a server that are read.

    Raises:
        ConfigError: If there is none, a library is missing, or the role could write.
    """
    if file is not None:
        is_duck = url.startswith("duckdb:") or file.suffix in _DUCK_SUFFIXES
        return DuckFile(file) if is_duck else SqliteFile(file)
    scheme, _, rest = url.partition("://")
    kind, _, driver = scheme.partition("+")
    if kind not in _SERVERS:
        raise ConfigError(
            f'sql: "{scheme}" is no database that can be read. Write a path, or postgresql://, mysql://, duckdb:/// or sqlite:///.'
        )
    dialect, default = _SERVERS[kind]
    kind = "postgresql" if dialect == "postgres" else kind
    try:
        import sqlalchemy

        address = sqlalchemy.make_url(f"{kind}+{driver or default}://{rest}")
        address = address.set(password=password) if password else address
        engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.pool.NullPool, **_transport(dialect))
    except ImportError as error:
        raise ConfigError(f"sql: {error}. Install it: pip install sqlalchemy {driver or default}.") from error
    except sqlalchemy.exc.ArgumentError as error:
        raise ConfigError("sql: `url` is no URL of SQLAlchemy. Example: postgresql://reader@db.example.com/shop") from error
    server = Server(engine, dialect, schemas)
    check_role(server, allow_writable)
    return server


def _transport(dialect: Dialect) -> dict[str, Any]:
    if dialect == "mysql":
        return {"connect_args": {"connect_timeout": 10, "local_infile": False, "charset": "utf8mb4"}}
    return {"connect_args": {"connect_timeout": 10}}
