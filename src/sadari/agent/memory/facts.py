"""What an agent knows of its users beyond one conversation: facts, each with its source, its date and its end.

Covered: every statement names the user, so nobody's facts are shown to, changed by or deleted for another one; of somebody unknown
nothing is kept; orders to the model, passwords and numbers of identity or payment are refused; a fact from a conversation that held
text from outside is marked, and never becomes a part of the instructions; what is deleted is overwritten on the disk (SQLite).
Not covered: who the user is. The host says it, and has checked it. Backups of the database.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sadari.agent.log import Log
from sadari.agent.log.database import open_database
from sadari.agent.memory.options import USUAL, MemoryOptions
from sadari.errors import DataError, ToolRefusedError
from sadari.retrieve.passages import without_template_signs
from sadari.text.credentials import find_credentials
from sadari.text.injection import find_injections
from sadari.text.privacy import find_personal

LONGEST = 300
"""Characters of a fact."""

NEVER_KEPT = frozenset({"resident", "card", "passport", "licence", "account"})
"""Kinds of personal data (`sadari.text.privacy`) that no fact may hold."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is known of a user.

    Args:
        run, message: Where it was said: the run, and the call in it.
        date, expires: UTC, ISO 8601.
        is_trusted: Whether the conversation held no text from outside when it was kept.
    """

    user: str
    text: str
    run: str
    message: str
    date: str
    expires: str
    is_trusted: bool


class Memory:
    """Facts and summaries of all users, in tables of their own beside the log.

    Args:
        url: The database of the log, as in `Log`.

    Raises:
        ConfigError: If the URL names another kind of database, or a library is missing.
        RunError: If the database cannot be opened.
    """

    def __init__(self, url: str | Path, options: MemoryOptions = USUAL) -> None:
        self.options = options
        self._database = open_database(str(url))

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # --- facts -------------------------------------------------------------------------------------------------------

    def keep(self, user: str, text: str, *, source: tuple[str, str], now: datetime, is_trusted: bool) -> Fact:
        """Keep a fact; one that is known already is dated anew.

        Args:
            source: The run, and the message or call in it.

        Raises:
            ToolRefusedError: If nobody knows who the user is, or the text is nothing that may be kept.
            DataError: If it is empty or too long.
        """
        if not user or self.options.facts == 0:
            raise ToolRefusedError("nothing is remembered of somebody unknown" if not user else "this agent keeps no facts")
        text = _checked(text)
        expires = now + timedelta(days=self.options.expiry_days)
        fact = Fact(user, text, *source, _text(now), _text(expires), is_trusted)
        values = (user, _key(text), text, fact.run, fact.message, fact.date, fact.expires, int(is_trusted))
        with self._database.writing(sync=True) as connection:
            connection.execute(_STATEMENTS["keep"], dict(zip(_COLUMNS, values, strict=True)))
            connection.execute(_STATEMENTS["expire"], {"user_id": user, "now": _text(now)})
            connection.execute(_STATEMENTS["crowd"], {"user_id": user, "most": self.options.facts})
        return fact

    def facts(self, user: str, now: datetime) -> list[Fact]:
        """What is known of a user, newest first; [] for somebody unknown."""
        if not user:
            return []
        with self._database.reading() as connection:
            rows = connection.execute(_STATEMENTS["facts"], {"user_id": user, "now": _text(now)}).fetchall()
        return [_fact(row) for row in rows]

    def find(self, user: str, query: str, now: datetime, most: int) -> list[Fact]:
        """The facts of a user that share most with `query`, best first; of equals, and for an empty query, the newest first."""
        wanted = _pairs(query)
        known = [(len(wanted & _pairs(fact.text)), fact) for fact in self.facts(user, now)]
        found = [(shared, fact) for shared, fact in known if shared or not wanted]
        return [fact for _, fact in sorted(found, key=lambda one: -one[0])[:most]]

    def forget(self, user: str, facts: Sequence[Fact]) -> int:
        """Delete these facts of a user; how many there were."""
        count = 0
        with self._database.writing(sync=True) as connection:
            for fact in facts:
                count += connection.execute(_STATEMENTS["forget"], {"user_id": user, "key": _key(fact.text)}).rowcount
        return count

    # --- summaries ---------------------------------------------------------------------------------------------------

    def summary(self, user: str, key: str) -> str | None:
        """The summary that was kept under `key`; None if there is none."""
        with self._database.reading() as connection:
            row = connection.execute(_STATEMENTS["summary"], {"user_id": user, "key": key}).fetchone()
        return str(row["text"]) if row else None

    def keep_summary(self, user: str, key: str, text: str, now: datetime) -> None:
        """Keep a summary; of somebody unknown nothing is kept, and what is older than facts may be is deleted."""
        if not user:
            return
        old = now - timedelta(days=self.options.expiry_days)
        with self._database.writing() as connection:
            connection.execute(_STATEMENTS["keep_summary"], {"user_id": user, "key": key, "text": text, "date": _text(now)})
            connection.execute(_STATEMENTS["old_summaries"], {"user_id": user, "old": _text(old)})

    # --- all of it ---------------------------------------------------------------------------------------------------

    def forget_user(self, user: str) -> int:
        """Delete all that is kept of a user; how many facts there were."""
        with self._database.writing(sync=True) as connection:
            connection.execute(_STATEMENTS["forget_summaries"], {"user_id": user})
            return int(connection.execute(_STATEMENTS["forget_user"], {"user_id": user}).rowcount)


def forget_me(memory: Memory, log: Log, user: str, by: str) -> tuple[int, int]:
    """Delete what is kept of a user, and erase what his runs hold: how many facts, how many runs."""
    return memory.forget_user(user), log.erase(user, by)


def _checked(text: str) -> str:
    """The fact on one line, as it may be kept."""
    if find_injections(text):
        raise ToolRefusedError("an order to the model is no fact")
    seen = "".join(ch for ch in unicodedata.normalize("NFC", text) if ch.isprintable() or ch.isspace())
    text = " ".join(without_template_signs(seen).split())
    if not text or len(text) > LONGEST:
        raise DataError(f"a fact has 1 to {LONGEST} characters, this one has {len(text)}. Say it in one short sentence.")
    if find_injections(text):  # what was invisible in it had hidden the order
        raise ToolRefusedError("an order to the model is no fact")
    if find_credentials(text) or any(found.kind in NEVER_KEPT for found in find_personal(text)):
        raise ToolRefusedError("passwords and numbers of identity, cards or accounts are not kept")
    return text


def _key(text: str) -> str:
    return hashlib.sha256(text.casefold().encode()).hexdigest()


def _pairs(text: str) -> set[str]:
    """Character bigrams, which find Korean words behind their particles."""
    words = unicodedata.normalize("NFC", text).casefold().split()
    return {word[at : at + 2] for word in words for at in range(max(1, len(word) - 1))}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _fact(row: Any) -> Fact:
    return Fact(
        user=row["user_id"],
        text=row["text"],
        run=row["run"],
        message=row["message"],
        date=row["date"],
        expires=row["expires"],
        is_trusted=bool(row["trusted"]),
    )


_COLUMNS = ("user_id", "key", "text", "run", "message", "date", "expires", "trusted")

_STATEMENTS = {
    # What was said by the user once stays trusted when it is said again where nobody can tell.
    "keep": (
        f"INSERT INTO facts ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + c for c in _COLUMNS)}) "
        "ON CONFLICT (user_id, key) DO UPDATE SET date = excluded.date, expires = excluded.expires, "
        "run = CASE WHEN facts.trusted >= excluded.trusted THEN facts.run ELSE excluded.run END, "
        "message = CASE WHEN facts.trusted >= excluded.trusted THEN facts.message ELSE excluded.message END, "
        "trusted = CASE WHEN facts.trusted >= excluded.trusted THEN facts.trusted ELSE excluded.trusted END"
    ),
    "expire": "DELETE FROM facts WHERE user_id = :user_id AND expires <= :now",
    "crowd": (
        "DELETE FROM facts WHERE user_id = :user_id AND key NOT IN "
        "(SELECT key FROM facts WHERE user_id = :user_id ORDER BY date DESC, key LIMIT :most)"
    ),
    "facts": "SELECT * FROM facts WHERE user_id = :user_id AND expires > :now ORDER BY date DESC, key",
    "forget": "DELETE FROM facts WHERE user_id = :user_id AND key = :key",
    "forget_user": "DELETE FROM facts WHERE user_id = :user_id",
    "summary": "SELECT text FROM summaries WHERE user_id = :user_id AND key = :key",
    "keep_summary": (
        "INSERT INTO summaries (user_id, key, text, date) VALUES (:user_id, :key, :text, :date) "
        "ON CONFLICT (user_id, key) DO UPDATE SET text = excluded.text, date = excluded.date"
    ),
    "old_summaries": "DELETE FROM summaries WHERE user_id = :user_id AND date <= :old",
    "forget_summaries": "DELETE FROM summaries WHERE user_id = :user_id",
}
