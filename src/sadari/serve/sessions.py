"""Sessions of people who signed in with a browser.

Covered: a session is 256 random bits in a cookie, and kept as a hash; each sign-in has a new one; it ends when it is not used, when
its time is over, at the sign-out, and with whatever changes the person's `stamp` (`sadari.serve.people`); role and labels are read
from the person at each request; what a page sends back against forged requests belongs to this one session.
Not covered: a machine that others use while the person is signed in.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sadari.agent.log.database import Database
from sadari.serve.keys import Identity

NOTED_S = 60
"""Seconds that the last use may be off, so that not every request writes."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is open.

    Args:
        csrf: What a page sends back with whatever changes something.
    """

    identity: Identity
    csrf: str


class Sessions:
    """The sessions in one database.

    Args:
        idle_s: Seconds without a request after which one ends.
        longest_s: Seconds after which one ends whatever is done.
    """

    def __init__(self, database: Database, idle_s: float, longest_s: float) -> None:
        self._database, self._idle, self._longest = database, timedelta(seconds=idle_s), timedelta(seconds=longest_s)

    def begin(self, user: str, now: datetime | None = None) -> str:
        """Begin a session of a person; what its cookie holds."""
        moment, secret = now or datetime.now(UTC), secrets.token_urlsafe(32)
        values = {
            "hash": _hash(secret),
            "user_id": user,
            "now": _text(moment),
            "expires": _text(moment + self._longest),
            "idle": _text(moment - self._idle),
        }
        with self._database.writing(sync=True) as connection:
            connection.execute("DELETE FROM serve_sessions WHERE expires <= :now OR used <= :idle", values)
            connection.execute(_BEGIN, values)
        return secret

    def find(self, secret: str, now: datetime | None = None) -> Session | None:
        """The session of a cookie; None if it is none, or over."""
        if not secret:
            return None
        moment = now or datetime.now(UTC)
        values = {"hash": _hash(secret), "now": _text(moment), "idle": _text(moment - self._idle)}
        with self._database.reading() as connection:
            row = connection.execute(_FIND, values).fetchone()
        if row is None:
            return None
        if row["used"] <= _text(moment - timedelta(seconds=NOTED_S)):
            with self._database.writing() as connection:
                connection.execute("UPDATE serve_sessions SET used = :now WHERE hash = :hash AND used < :now", values)
        labels = tuple(row["labels"].split("\n")) if row["labels"] else ()
        return Session(Identity(row["user_id"], row["role"], labels), csrf_of(secret))

    def end(self, secret: str) -> None:
        """End a session, if there is one."""
        with self._database.writing(sync=True) as connection:
            connection.execute("DELETE FROM serve_sessions WHERE hash = :hash", {"hash": _hash(secret)})


def csrf_of(secret: str) -> str:
    """What a page of this session sends back; it tells nothing of the cookie."""
    return hmac.digest(secret.encode(), b"csrf", "sha256").hex()


_BEGIN = (
    "INSERT INTO serve_sessions (hash, user_id, stamp, used, expires) "
    "SELECT :hash, user_id, stamp, :now, :expires FROM serve_people WHERE user_id = :user_id AND disabled = 0"
)
_FIND = (
    "SELECT s.used, p.user_id, p.role, p.labels FROM serve_sessions s JOIN serve_people p "
    "ON p.user_id = s.user_id AND p.stamp = s.stamp AND p.disabled = 0 "
    "WHERE s.hash = :hash AND s.expires > :now AND s.used > :idle"
)


def _hash(secret: str) -> str:
    """256 random bits cannot be tried out: a fast hash protects them as well as a slow one."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
