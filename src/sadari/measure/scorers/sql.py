"""SQL by what it returns: the answer and the reference are run on the same database, and their results compared.

Covered: the file is opened read-only and as immutable; every statement but one SELECT is refused by SQLite's authorizer (PRAGMA,
ATTACH, writes, transactions, functions that touch files or load code); time, rows, bytes, the length of the SQL and of each value
are bounded.
Not covered: temporary files of a sort, which SQLite keeps on disk until the time is up; a database file from somebody who wants to
harm; a database that is written to while it is read (scores then are of no one state).
"""

import re
import sqlite3
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sadari.errors import ConfigError, DataError
from sadari.measure.scorers.fields import fenced
from sadari.measure.scorers.scoring import accepted_texts, shorten
from sadari.types import Answer, Example, Score

GROUP = "{group}"
MOST_ROWS = 100_000
MOST_BYTES = 50_000_000
"""Of one result, texts and blobs together."""
MOST_VALUE_BYTES = 100_000
"""Of one text or blob. One call of a function on longer ones could take more than the whole time, and cannot be stopped."""
MOST_SQL_CHARS = 20_000
DIGITS = 10
"""Significant digits in which two numbers must agree: sums in another order differ in the last of their sixteen."""
MOST_PERMUTED = 20
"""Results with more columns are compared in the order of their columns."""
MOST_COMPARED = 2_000_000
"""Rows that are looked at, over all orders of columns, before two results count as unequal."""

Row = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class SqlScorer:
    """1 if the answer's query returns what the reference's query returns, else 0.

    Rows are compared as a multiset; in their order only if the reference's outermost query has an ORDER BY. Columns may be named
    otherwise and stand in another order, but none may be missing or added. Numbers are equal if they agree to ten digits, 3 equals
    3.0 and not '3', NULL equals NULL, texts are compared in NFC.

    Args:
        database: The SQLite file; `{group}` in its path stands for the group of the example.
        time_s: Longest time of one query.

    Raises:
        ConfigError: If there is no such file or folder.

    Source:
        Execution match of Spider's test suites: Zhong et al. (2020), arXiv 2010.02840. Unlike theirs, DISTINCT counts, and an
        ORDER BY inside a subquery orders nothing.
    """

    database: Path
    time_s: float = 5.0

    def __post_init__(self) -> None:
        known = self.database if GROUP not in str(self.database) else Path(str(self.database).partition(GROUP)[0] + "x").parent
        if not known.exists():
            raise ConfigError(f"score.database: {known} does not exist. A path is relative to the folder of sadari.yaml.")

    @property
    def name(self) -> str:
        return f"sql (by execution, order only as the reference orders, {self.time_s:g} s)"

    def score(self, example: Example, answer: Answer) -> Score:
        sql = fenced(answer.text, "sql").strip()
        if not sql:
            return Score(0.0, "no SQL in the answer")
        if len(sql) > MOST_SQL_CHARS:
            return Score(0.0, f"longer than {MOST_SQL_CHARS:,} characters")
        references = accepted_texts(example)
        connection = _connection(self._database_of(example))
        wanted = [self._run_reference(connection, example, reference) for reference in references]
        if sql in {fenced(reference, "sql").strip() for reference in references}:
            return Score(1.0)
        try:
            said = _run(connection, sql, self.time_s)
        except _FAILURES as error:
            return Score(0.0, shorten(str(error), 120))
        scores = [_compare(said, rows, in_order=_orders(text)) for text, rows in zip(references, wanted, strict=True)]
        return max(scores, key=lambda score: score.value)

    def _run_reference(self, connection: sqlite3.Connection, example: Example, sql: str) -> list[Row]:
        try:
            return _run(connection, fenced(sql, "sql").strip(), self.time_s)
        except _FAILURES as error:
            raise DataError(f"example {example.id}: its reference does not run: {error}. Mend the reference.") from error

    def _database_of(self, example: Example) -> Path:
        if GROUP not in str(self.database):
            return self.database
        if not example.group or set(example.group) & set("/\\\0") or example.group in (".", ".."):
            raise DataError(f"example {example.id}: its group {example.group!r} names no database. Set `group` to the file's name.")
        path = Path(str(self.database).replace(GROUP, example.group))
        if not path.is_file():
            raise DataError(f"example {example.id}: there is no database {path}. Mend its `group`, or add the file.")
        return path


# --- running -------------------------------------------------------------------------------------------------------------

_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
_STEPS_BETWEEN_LOOKS = 100
_MOST_PATTERN_BYTES = 1000
_ENDLESS_FORMAT = re.compile(r"\*|\d{4}")


class _QueryError(Exception):
    """The query is refused, or returns too much."""


_FAILURES = (_QueryError, sqlite3.Error, UnicodeError)


def _connection(database: Path) -> sqlite3.Connection:
    state = database.stat()
    return _open(database, (state.st_ino, state.st_mtime_ns, state.st_size), threading.get_ident())


@lru_cache(8)  # opening a database and reading its schema takes longer than most queries
def _open(database: Path, state: tuple[int, ...], thread: int) -> sqlite3.Connection:
    """A connection of this state of the file, for this thread: SQLite's connections are not shared."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _MOST_PATTERN_BYTES)
    for name in ("printf", "format"):
        connection.create_function(name, -1, _format, deterministic=True)
    connection.set_authorizer(_authorise)
    return connection


def _format(form: Any = None, *values: Any) -> Any:
    """SQLite's own printf, without the widths that keep it busy for minutes."""
    if _ENDLESS_FORMAT.search(str(form)):
        raise ValueError("too wide")
    with closing(sqlite3.connect(":memory:")) as plain:
        return plain.execute(f"SELECT printf({', '.join('?' * (1 + len(values)))})", (form, *values)).fetchone()[0]


def _run(connection: sqlite3.Connection, sql: str, time_s: float) -> list[Row]:
    """The rows of one SELECT, as they are compared.

    Raises:
        _QueryError, sqlite3.Error, UnicodeError: If it does not run, or not within the bounds.
    """
    end = time.monotonic() + time_s
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
    try:
        with closing(connection.execute(sql)) as cursor:
            if cursor.description is None:
                raise _QueryError("this is no query: it returns no table")
            return list(_rows(cursor))
    except sqlite3.OperationalError as error:
        if time.monotonic() > end:
            raise _QueryError(f"still running after {time_s:g} s") from error
        raise
    except sqlite3.Warning as error:  # several statements
        raise _QueryError(str(error)) from error


def _authorise(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _rows(cursor: sqlite3.Cursor) -> Iterator[Row]:
    size = 0
    for count, row in enumerate(cursor, start=1):
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if count > MOST_ROWS or size > MOST_BYTES:
            raise _QueryError(f"returns more than {MOST_ROWS:,} rows or {MOST_BYTES // 10**6} MB")
        yield tuple(map(_cell_key, row))


def _cell_key(value: Any) -> Hashable:
    if isinstance(value, float):
        value = value if value.is_integer() else float(f"{value:.{DIGITS}g}")
        return int(value) if value.is_integer() else value
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


@lru_cache(1024)
def _orders(sql: str) -> bool:
    """Whether the outermost query of a reference has an ORDER BY."""
    if "order" not in sql.lower():
        return False
    import sqlglot
    from sqlglot.errors import SqlglotError

    with suppress(SqlglotError, RecursionError):
        tree = sqlglot.parse_one(fenced(sql, "sql"), read="sqlite")
        while isinstance(tree, sqlglot.exp.Subquery) and not tree.args.get("order"):
            tree = tree.this
        return bool(tree.args.get("order"))
    return False


# --- comparing -----------------------------------------------------------------------------------------------------------


def _compare(said: Sequence[Row], wanted: Sequence[Row], *, in_order: bool) -> Score:
    if len(said) != len(wanted):
        return Score(0.0, f"{len(said):,} rows instead of {len(wanted):,}")
    if not said:
        return Score(1.0, "both results are empty")
    if len(said[0]) != len(wanted[0]):
        return Score(0.0, f"{len(said[0])} columns instead of {len(wanted[0])}")
    if _is_same(said, wanted, in_order=in_order):
        return Score(1.0)
    is_disordered = in_order and _is_same(said, wanted, in_order=False)
    return Score(0.0, "the rows stand in another order" if is_disordered else "the rows differ")


def _is_same(said: Sequence[Row], wanted: Sequence[Row], *, in_order: bool) -> bool:
    """Whether some order of the columns of `said` makes its rows those of `wanted`."""
    if _alike(said, wanted, in_order=in_order):
        return True
    ours, theirs = list(zip(*said, strict=True)), list(zip(*wanted, strict=True))
    if len(ours) > MOST_PERMUTED:
        return False
    bags = [Counter(column) for column in ours]
    candidates = [[at for at, bag in enumerate(bags) if bag == wanted_bag] for wanted_bag in map(Counter, theirs)]
    left = MOST_COMPARED

    def place(chosen: list[int]) -> bool:
        """Whether the columns after `chosen` can be placed so that the rows agree; each column is tried once at each place."""
        nonlocal left
        if len(chosen) == len(theirs):
            return True
        seen: set[Row] = set()
        for at in candidates[len(chosen)]:
            if at in chosen or ours[at] in seen or left <= 0:
                continue
            seen.add(ours[at])
            left -= len(said)
            longer = [*chosen, at]
            pieces, goal = zip(*(ours[i] for i in longer), strict=True), zip(*theirs[: len(longer)], strict=True)
            if _alike(list(pieces), list(goal), in_order=in_order) and place(longer):
                return True
        return False

    return place([])


def _alike(said: Sequence[Row], wanted: Sequence[Row], *, in_order: bool) -> bool:
    return list(said) == list(wanted) if in_order else Counter(said) == Counter(wanted)
