"""The whole database of a log in one file, made while the server runs, and put back.

The file is a zip: `manifest.json`, and `log.sqlite` with every table, whichever database it came from. It goes back into either.

Covered: it holds what was committed at one moment, while others write; a file that was damaged or cut short is refused; a log goes
back only where there is none, whole or not at all, once its hashes and its chain were checked; a copy cut off by a crash or a full
disk leaves nothing under the name that was asked for.
Not covered: secrecy. The file holds conversations, and the hashes of keys and passwords: only its owner may read it, but encrypt it
yourself before it leaves the machine (age, gpg). Who may write the file can write a whole new one: keep the head that is printed
elsewhere, and give it to `restore`. Users who were erased and keys that were revoked since are in it as they were: erase and revoke
anew after restoring.
"""

import errno
import hashlib
import json
import os
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import IO, Any

from sadari import __version__
from sadari.agent.log import Log
from sadari.agent.log.database import PostgresDatabase, SqliteDatabase, database_at
from sadari.errors import ConfigError, DataError, RunError
from sadari.migrations import HEAD, bring_up, revision_of, run_on

MANIFEST, PAYLOAD = "manifest.json", "log.sqlite"

LARGEST_MANIFEST = 2**20

AT_ONCE = 2_000
"""Rows that are held in memory."""

_PIECE = 2**20

_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, TypeError, ValueError, OverflowError, RuntimeError)
"""What `zipfile` raises for a file that is none, or no more."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Args:
        made: When, UTC.
        version: Of sadari.
        revision: Of the tables; "" if sadari 0.1 made them.
        events, head: Of the log: how many, and the hash of the last one.
        rows: In each table.
        size, sha256: Of the database in it, in bytes and as hexadecimal digits.
    """

    made: str
    version: str
    revision: str
    events: int
    head: str
    rows: dict[str, int]
    size: int
    sha256: str


# --- making ------------------------------------------------------------------------------------------------------------


def back_up(url: str, file: Path) -> Manifest:
    """Write the database of a log to a file, whose name has to be free.

    Raises:
        ConfigError: If the name is taken, or the log is in memory only.
        RunError: If there is no log, or the file cannot be written; nothing is then left of it.
    """
    if not url or ("://" not in url and not Path(url).is_file()):
        raise RunError(f"{url or 'a log in memory'}: there is nothing to back up. Name a task, a log file, or postgresql://...")
    _check_free(file)
    with _beside(file) as name, _told_as(f"{file} cannot be written"):
        copy = name("sqlite")
        database = database_at(url)
        try:
            if isinstance(database, PostgresDatabase):
                _copy_server(database, copy)
            else:
                _copy_file(database, copy)
        finally:
            database.close()
        manifest = _manifest_of(copy)
        _pack(copy, manifest, name("zip"))
        _put(name("zip"), file)
    return manifest


def _copy_file(database: SqliteDatabase, copy: Path) -> None:
    """In one step: it reads what was committed when it began, while others write on."""
    with closing(database.connect()) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # the copy is one file


def _copy_server(database: PostgresDatabase, copy: Path) -> None:
    """Row by row, in one transaction that sees what was committed when it began."""
    from psycopg import Error, IsolationLevel

    revision = revision_of(database)
    if not revision:
        raise RunError("sadari 0.1 made the tables of this log. Bring them up to date once: sadari log verify LOG.")
    target = SqliteDatabase(str(copy))
    bring_up(target, revision)
    source = database.connect()
    source.isolation_level, source.read_only = IsolationLevel.REPEATABLE_READ, True
    try:
        with source, source.transaction(), target.writing(sync=True) as connection:
            written: Any = connection
            for table, columns in _tables(written).items():
                written.execute(f'DELETE FROM "{table}"')
                into = f'INSERT INTO "{table}" ({_named(columns)}) VALUES ({", ".join("?" * len(columns))})'
                for rows in _pages(source, table, columns):
                    written.executemany(into, rows)
    except Error as error:
        raise RunError(f"the log cannot be read: {type(error).__name__}. Nothing was written; mend the database.") from error
    with target.reading() as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    target.close()


def _pages(source: Any, table: str, columns: list[str]) -> Iterator[list[Any]]:
    with source.cursor(name="backup") as cursor:
        cursor.execute(f'SELECT {_named(columns)} FROM "{table}"')
        while rows := cursor.fetchmany(AT_ONCE):
            yield rows


def _manifest_of(copy: Path) -> Manifest:
    with closing(sqlite3.connect(copy)) as connection:
        tables = _tables(connection)
        if not {"events", "head"} <= set(tables):
            raise RunError("this is no log: it has no table of events. Name the file that `sadari log list` reads.")
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone() if _is_versioned(connection) else None
        events, head = connection.execute("SELECT id, hash FROM head").fetchone() or (0, "")
        rows = {table: connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0] for table in tables}
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with copy.open("rb") as read:
        sha256 = hashlib.file_digest(read, "sha256").hexdigest()
    return Manifest(made, __version__, revision[0] if revision else "", events, head, rows, copy.stat().st_size, sha256)


def _pack(copy: Path, manifest: Manifest, file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=2))
        archive.write(copy, PAYLOAD)


# --- putting back ------------------------------------------------------------------------------------------------------


def restore(file: Path, url: str, anchor: str = "") -> Manifest:
    """Put the database of a log back where there is none.

    Args:
        anchor: A head of the log that was kept elsewhere: the log in the backup has to hold it.

    Raises:
        DataError: If the file is no whole backup, or the log in it is not whole.
        ConfigError: If there is a log already.
        RunError: If it cannot be written; nothing is then left of it.
    """
    if not url:
        raise ConfigError("a log in memory would be gone at once. Name a file, or postgresql://...")
    if "://" in url and not url.startswith("sqlite:"):
        with _told_as(f"{file} cannot be unpacked"), TemporaryDirectory(prefix="sadari-") as folder:
            manifest = _unpack(file, Path(folder) / PAYLOAD, anchor)
            _load(Path(folder) / PAYLOAD, url)
        return manifest
    place = Path(url.removeprefix("sqlite:///"))
    for name in (place, *(place.with_name(place.name + end) for end in ("-wal", "-shm", "-journal"))):
        _check_free(name)
    with _beside(place) as beside, _told_as(f"{place} cannot be written"):
        manifest = _unpack(file, beside("sqlite"), anchor)
        _put(beside("sqlite"), place)
    return manifest


def read_manifest(file: Path) -> Manifest:
    """What a backup says that it holds.

    Raises:
        DataError: If it is none.
    """
    with _is_whole(file), zipfile.ZipFile(file) as archive:
        return _manifest_in(archive)


def _manifest_in(archive: zipfile.ZipFile) -> Manifest:
    with archive.open(MANIFEST) as read:
        return Manifest(**json.loads(read.read(LARGEST_MANIFEST)))


def _unpack(file: Path, target: Path, anchor: str) -> Manifest:
    """The database of a backup as a file, checked from its bytes to its chain, and up to date."""
    with _is_whole(file), zipfile.ZipFile(file) as archive:
        manifest = _manifest_in(archive)
        with archive.open(PAYLOAD) as read:
            size, sha256 = _write(read, target, manifest.size)
        if (size, sha256) != (manifest.size, manifest.sha256):
            raise ValueError("its content is not the one that its manifest names")
    log = Log(target)
    found = log.verify(anchor)
    log.close()
    with closing(sqlite3.connect(target)) as connection:
        faults = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        connection.execute("PRAGMA journal_mode = DELETE")
    faults += found.faults
    if (found.events, found.head) != (manifest.events, manifest.head):
        faults.append(f"the manifest names {manifest.events} events up to {manifest.head[:16]}..., but there are {found.events}")
    if faults:
        told = [f"{file}: the log in it is not whole: {fault}" for fault in faults]
        raise DataError([*told, "Nothing was restored. Take an older backup; `unzip` shows what is in this one."])
    return manifest


def _write(read: IO[bytes], target: Path, most: int) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with target.open("r+b" if target.exists() else "xb") as written:
        while size <= most and (piece := read.read(_PIECE)):
            size += len(piece)
            digest.update(piece)
            written.write(piece)
    return size, digest.hexdigest()


def _load(source: Path, url: str) -> None:
    """Make the tables and fill them, in one transaction that ends only if what stands there then is what was read."""
    from psycopg import Error
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    target = database_at(url)
    engine = create_engine(f"{target.dialect}://", creator=target.connect, poolclass=NullPool)
    try:
        with closing(sqlite3.connect(source)) as rows, engine.begin() as connection:
            tables = _tables(rows)
            taken = sorted(set(tables) & set(inspect(connection).get_table_names()))
            if taken:
                raise ConfigError(f"there is a log already ({', '.join(taken[:3])}). Restore into an empty database.")
            run_on(connection, HEAD)
            driver = connection.connection.driver_connection
            for table, columns in tables.items():
                _fill(rows, driver, table, columns)
    except (Error, DBAPIError) as error:
        raise RunError(f"the log cannot be restored: {type(error).__name__}. Nothing was kept; mend the database.") from error
    finally:
        engine.dispose()
        target.close()


def _fill(rows: sqlite3.Connection, driver: Any, table: str, columns: list[str]) -> None:
    read = f'SELECT {_named(columns)} FROM "{table}"'
    with driver.cursor() as cursor:
        cursor.execute(f'DELETE FROM "{table}"')
        with cursor.copy(f'COPY "{table}" ({_named(columns)}) FROM STDIN') as copy:
            for row in rows.execute(read):
                copy.write_row(row)
    with driver.cursor(name="check") as cursor:
        cursor.execute(read)
        if _digest(cursor) != _digest(rows.execute(read)):
            raise RunError(f"{table}: the database holds something else than it was given. Nothing was kept; see its encoding.")


def _digest(rows: Any) -> tuple[int, int]:
    """Of rows in any order: how many, and the sum of their hashes."""
    count, total = 0, 0
    for row in rows:
        count += 1
        total += int.from_bytes(hashlib.sha256(repr(tuple(row)).encode()).digest(), "big")
    return count, total % 2**256


# --- both --------------------------------------------------------------------------------------------------------------


def _tables(connection: Any) -> dict[str, list[str]]:
    """The tables of an SQLite database with their columns, but for the one that tells its revision."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
    names = [row[0] for row in found.fetchall() if row[0] != "alembic_version"]
    return {name: [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")').fetchall()] for name in names}


def _is_versioned(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is not None


def _named(columns: list[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _check_free(file: Path) -> None:
    if file.exists() or file.is_symlink():
        raise ConfigError(f"{file} is there already, and nothing is overwritten. Take another name, or move it away.")


@contextmanager
def _beside(file: Path) -> Iterator[Callable[[str], Path]]:
    """Names beside `file` by their ends, readable for nobody else; what is under them is gone at the end."""
    made: dict[str, Path] = {}

    def name(end: str) -> Path:
        if end not in made:
            made[end] = file.with_name(f".{file.name}.{token_hex(4)}.{end}")
            os.close(os.open(made[end], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return made[end]

    with _told_as(f"{file} cannot be written"):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield name
    finally:
        for one in made.values():
            for path in (one, *(one.with_name(one.name + end) for end in ("-wal", "-shm", "-journal"))):
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def _put(made: Path, file: Path) -> None:
    """Give a file that is whole on the disk its name, which nobody else took meanwhile."""
    with made.open("rb") as written:
        os.fsync(written.fileno())
    try:
        os.link(made, file)
    except FileExistsError:
        _check_free(file)
        raise
    except OSError:  # a disk without second names
        _check_free(file)
        made.rename(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _told_as(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
        raise RunError(f"{what}: {why}. Nothing is left of it; the log is as it was.") from error


@contextmanager
def _is_whole(file: Path) -> Iterator[None]:
    if not file.is_file():
        raise DataError(f"{file}: there is no such file. `sadari backup LOG FILE` makes one.")
    try:
        yield
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that of a place in the file that cannot be
            raise
        why = str(error).strip("'\"")[:200]
        raise DataError(f"{file} is no whole backup: {why}. Nothing was restored; take another one.") from error
