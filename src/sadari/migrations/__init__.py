"""The tables of the log and of the server, and how those of an older sadari become those of today.

Covered: a database that was made before there were migrations is taken over as it is; whoever opens it first brings it up to date,
under a lock, while others wait; it is brought up wholly or not at all; one of a newer sadari is refused.
Not covered: the way back. Make a backup before an upgrade (`sadari backup`), and restore that.
"""

import threading
from pathlib import Path
from typing import Any, Protocol

from sadari.errors import RunError

HEAD = "0003"
"""The newest revision; the last file in `versions/`."""

_LOCK = 0x5ADA21
"""Number of the lock that PostgreSQL gives to one at a time."""

_one_at_a_time = threading.Lock()  # Alembic keeps what it works on in a module


class Upgraded(Protocol):
    """A database that can be brought up to date."""

    dialect: str
    """As SQLAlchemy names it, with the driver."""

    def reading(self) -> Any:
        """A connection to read from, as a context manager."""
        ...

    def connect(self) -> Any:
        """A connection of the driver, for the one who asks alone."""
        ...


def revision_of(database: Upgraded) -> str:
    """The revision of a database; "" if it has none yet."""
    try:
        with database.reading() as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except RunError:  # there is no such table; whatever else it is, the migration will tell
        return ""
    return str(row["version_num"]) if row else ""


def bring_up(database: Upgraded, to: str = HEAD) -> None:
    """Bring the tables of a database to a revision; nothing is loaded if they are there.

    Raises:
        RunError: If a newer sadari made them, or the database does not take it; it is then as it was.
    """
    if revision_of(database) == to:
        return
    with _one_at_a_time:
        _bring_up(database, to)


def _bring_up(database: Upgraded, to: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine(f"{database.dialect}://", creator=database.connect, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            run_on(connection, to)
    except DBAPIError as error:
        why = str(error.orig).splitlines()[0][:200] if error.orig else type(error).__name__
        raise RunError(f"the log cannot be brought up to date: {why}. Nothing was changed; mend the database.") from error
    finally:
        engine.dispose()


def run_on(connection: Any, to: str = HEAD) -> None:
    """Bring the tables behind a connection of SQLAlchemy to a revision, in the transaction that is its caller's.

    Raises:
        RunError: If a newer sadari made them.
    """
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "sqlite":  # its driver begins no transaction before tables are changed
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    config = _config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = MigrationContext.configure(connection).get_current_revision() or ""
    for one in (found, to):
        if one and one not in known:
            told = f"the log is at revision {one}, made by a newer sadari; this one knows up to {HEAD}."
            raise RunError(f"{told} Install that version, or restore a backup of before.")
    if found != to:  # else another one did it while this one waited
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _config() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
