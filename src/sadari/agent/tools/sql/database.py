"""What every database of this room can be asked, and how much it may answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sadari.agent.tools.sql.guard import Guarded
from sadari.agent.tools.sql.schema import Dialect, Schema


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one query may take.

    Args:
        rows: Most rows that are fetched.
        seconds: Longest time of a query.
        result_bytes: Of all fetched values together, as UTF-8.
    """

    rows: int = 100
    seconds: float = 5.0
    result_bytes: int = 100_000


@dataclass(frozen=True, slots=True)
class Result:
    """What a query returned.

    Args:
        is_cut: Whether there was more than the bounds allow.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_cut: bool = False


class QueryError(Exception):
    """A query did not run.

    Args:
        is_late: Whether it was stopped at the time limit.
    """

    def __init__(self, message: str, *, is_late: bool = False) -> None:
        super().__init__(" ".join(message.split())[:300])
        self.is_late = is_late


class Database(Protocol):
    """What can be asked. Every call has a connection of its own, so that several may run at once."""

    @property
    def dialect(self) -> Dialect:
        """How its SQL is parsed."""
        ...

    def read_schema(self) -> Schema:
        """All that the connection can read."""
        ...

    def run(self, query: Guarded, schema: Schema, bounds: Bounds, now: datetime) -> Result:
        """The rows of a query that the guard let through.

        Raises:
            QueryError: If the database refuses it, or the time is up.
        """
        ...


def fetch(columns: Sequence[str], rows: Iterable[Sequence[Any]], bounds: Bounds) -> Result:
    """The first rows, as many as the bounds allow."""
    taken: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        size += sum(_size(value) for value in row)
        if len(taken) >= bounds.rows or size > bounds.result_bytes:
            return Result(tuple(columns), tuple(taken), is_cut=True)
        taken.append(tuple(row))
    return Result(tuple(columns), tuple(taken))


def _size(value: Any) -> int:
    return len(value) if isinstance(value, bytes | bytearray) else len(str(value).encode("utf-8", "replace"))
