"""Erasing: what has rested for longer than it may be kept, and all that is kept of one user.

Covered: what was said and done in a conversation, the facts and summaries made of it, its reviews and the keys of its questions go;
that there were so many events stays, so that the log can still be verified; what goes is overwritten on the disk (SQLite).
Not covered: backups, rows that were exported, traces and lines that left this machine; what a user wrote in the conversation of
somebody else; the names of those who rate, review and administer, beside what they decided; accounts and keys, which are revoked.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sadari.agent.log import Log
from sadari.agent.log.database import Database
from sadari.errors import SadariError

DAY_S = 86_400.0

FIRST_S = 60.0
"""Seconds after the start of a server until it looks for the first time."""

BY = "retention"
"""Who erased, as the log tells it, where nobody did."""


@dataclass(frozen=True, slots=True)
class Erased:
    """How many runs were erased, and how many facts deleted."""

    runs: int
    facts: int


class Retention:
    """Erases from one log.

    Args:
        database: That of the log.
        days: After which a conversation that rests is erased; None keeps everything.
    """

    def __init__(self, log: Log, database: Database, days: int | None = None) -> None:
        self._log, self._database, self.days = log, database, days
        self._over, self._last = threading.Event(), ("", 0)

    def state(self) -> dict[str, Any]:
        """The days; when it was last looked (UTC; "" for not since the start), and how many runs went then and would go now."""
        due = len(self.due(datetime.now(UTC))) if self.days is not None else 0
        return {"days": self.days, "last": self._last[0], "erased": self._last[1], "due": due}

    def due(self, now: datetime, days: int | None = None) -> list[str]:
        """The runs of conversations in which nothing happened for as many days."""
        before = _before(now, days or self.days)
        entries = {entry.run: entry for entry in self._log.runs()}

        def has_rested(run: str) -> bool:
            while entries[run].parent in entries:  # a specialist's goes with the conversation that it was asked in
                run = entries[run].parent
            return entries[run].updated < before

        return [run for run, entry in entries.items() if entry.status != "erased" and has_rested(run)]

    def apply(self, now: datetime, days: int | None = None, by: str = BY) -> int:
        """Erase what is due; how many runs that were."""
        runs, before = self.due(now, days), _before(now, days or self.days)
        count = self._log.erase_runs(runs, by)
        with self._database.writing(sync=True) as connection:
            _delete(connection, _OF_ERASED_RUNS + _OLD, {"before": before, "day": before[:10]})
        self._database.scrub()
        self._last = (_text(now), count)
        return count

    def erase_user(self, user: str, by: str) -> Erased:
        """Erase all that is kept of a user."""
        runs = self._log.erase(user, by)
        with self._database.writing(sync=True) as connection:
            facts = _delete(connection, _FACTS, {"user_id": user})
            _delete(connection, _OF_ERASED_RUNS + _OF_USER, {"user_id": user})
        self._database.scrub()
        return Erased(runs, facts)

    # --- every day ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look every day, in a thread, if anything may go."""
        if self.days is not None:
            threading.Thread(target=self._watch, name="retention", daemon=True).start()

    def _watch(self) -> None:
        wait_s = FIRST_S
        while not self._over.wait(wait_s):
            wait_s = DAY_S
            try:
                self.apply(datetime.now(UTC))
            except SadariError as error:
                logging.getLogger(__name__).error("nothing was erased: %s", error)
                wait_s = DAY_S / 24

    def close(self) -> None:
        """Look no more."""
        self._over.set()


_OF_ERASED_RUNS = tuple(
    f"DELETE FROM {table} WHERE run IN (SELECT run FROM runs WHERE status = 'erased')"
    for table in ("facts", "serve_reviews", "serve_questions")
)
_FACTS = ("DELETE FROM facts WHERE user_id = :user_id",)
_OF_USER = (
    "DELETE FROM summaries WHERE user_id = :user_id",
    "DELETE FROM serve_questions WHERE user_id = :user_id",
    "DELETE FROM serve_sessions WHERE user_id = :user_id",
    "UPDATE serve_blind_ratings SET note = '' WHERE rater = :user_id AND note <> ''",
    "UPDATE serve_reviews SET text = '' WHERE who = :user_id AND text <> ''",
)
_OLD = (
    "DELETE FROM summaries WHERE date < :before",
    "DELETE FROM serve_questions WHERE created < :before",
    "DELETE FROM spending WHERE day < :day",
    "DELETE FROM serve_key_days WHERE day < :day",
)


def _delete(connection: Any, statements: tuple[str, ...], values: dict[str, str]) -> int:
    return sum(connection.execute(statement, values).rowcount for statement in statements)


def _before(now: datetime, days: int | None) -> str:
    return _text(now - timedelta(days=days)) if days is not None else ""


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
