"""Keys: who asks, and what that person may do.

Covered: a key is shown once and kept as a hash; it is looked up by its public part and compared in constant time; it expires and
can be revoked, which counts from the next request on; the user it was made for is the tenant of everything that it does.
Not covered: a key that its owner gives away. Its expiry, its limits and `revoke` bound the damage.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from sadari.agent.log.database import Database
from sadari.errors import ConfigError, DataError
from sadari.types import Reader

Role = Literal["user", "approver", "operator", "admin"]
Permission = Literal["ask", "approve", "operate", "administer"]

ROLES: tuple[Role, ...] = get_args(Role)

PERMITS: dict[Role, frozenset[Permission]] = {
    "user": frozenset({"ask"}),
    "approver": frozenset({"ask", "approve"}),
    "operator": frozenset({"ask", "operate"}),
    "admin": frozenset({"ask", "approve", "operate", "administer"}),
}
"""Ask and see one's own runs; decide on calls that wait; see and move all runs and the metrics; keep the keys."""

PREFIX = "sk-sadari-"
_WRITTEN = re.compile(rf"{PREFIX}([0-9a-f]{{12}})-([\w-]{{43}})")
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Args:
        user: The tenant.
        labels: Access labels, of which documents ask for one.
        key: Public part of the key; "" where no keys are asked for.
        requests_per_minute, concurrent: None for those of the server.
    """

    user: str
    role: Role = "user"
    labels: tuple[str, ...] = ()
    key: str = ""
    requests_per_minute: int | None = None
    concurrent: int | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the role permits it."""
        return permission in PERMITS[self.role]

    @property
    def reader(self) -> Reader:
        """Which documents this person may see."""
        return Reader(frozenset(self.labels))


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """What the list of keys tells of one; times in UTC, "" for never."""

    key: str
    identity: Identity
    created: str
    expires: str
    revoked: str

    def is_open(self, now: str) -> bool:
        """Whether it lets in."""
        return not self.revoked and (not self.expires or now < self.expires)


class Keys:
    """The keys in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.writing() as connection:
            connection.execute(_SCHEMA)

    def add(self, identity: Identity, days: float | None = None) -> str:
        """Make a key; its text, which is kept nowhere.

        Args:
            identity: For whom; its `key` is chosen here.
            days: After which it expires; None for never.

        Raises:
            ConfigError: If the name or the role is none, or the time is over already.
        """
        if not re.fullmatch(r"[\w.@+-]{1,64}", identity.user):
            raise ConfigError(f"user {identity.user[:64]!r}: write 1 to 64 letters, digits or . @ + - _")
        if identity.role not in ROLES:
            raise ConfigError(f"role {identity.role!r} is not known. Write one of {', '.join(ROLES)}.")
        if days is not None and days <= 0:
            raise ConfigError(f"days is {days:g}: a key that has expired lets nobody in.")
        key, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        row = {
            "key": key,
            "hash": _hash(secret),
            "user_id": identity.user,
            "role": identity.role,
            "labels": "\n".join(identity.labels),
            "created": _text(now),
            "expires": "" if days is None else _text(now + timedelta(days=days)),
            "per_minute": identity.requests_per_minute,
            "concurrent": identity.concurrent,
        }
        with self._database.writing(sync=True) as connection:
            connection.execute(_INSERT, row)
        return f"{PREFIX}{key}-{secret}"

    def who(self, written: str) -> Identity | None:
        """Whose key this is; None if it is none, has expired or was revoked."""
        match = _WRITTEN.fullmatch(written)
        key, secret = (match[1], match[2]) if match else ("", "")
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM serve_keys WHERE key = :key", {"key": key}).fetchone()
        is_right = hmac.compare_digest(_hash(secret), row["hash"] if row else _NOBODY)
        if row is None or not is_right:
            return None
        entry = _entry(row)
        return entry.identity if entry.is_open(_text(datetime.now(UTC))) else None

    def all(self, user: str | None = None) -> list[KeyEntry]:
        """The keys, newest first."""
        with self._database.reading() as connection:
            rows: Sequence[Any] = connection.execute("SELECT * FROM serve_keys ORDER BY created DESC, key").fetchall()
        return [_entry(row) for row in rows if user is None or row["user_id"] == user]

    def revoke(self, key: str) -> None:
        """Let a key in no more.

        Args:
            key: Its public part, or the whole of it.

        Raises:
            DataError: If there is no such key.
        """
        match = _WRITTEN.fullmatch(key)
        values = {"key": match[1] if match else key, "now": _text(datetime.now(UTC))}
        with self._database.writing(sync=True) as connection:
            row = connection.execute("SELECT key FROM serve_keys WHERE key = :key", {"key": values["key"]}).fetchone()
            if row is None:
                raise DataError(f"{key[:40]}: there is no such key. `sadari serve keys list` shows those that are.")
            connection.execute("UPDATE serve_keys SET revoked = :now WHERE key = :key AND revoked = ''", values)


_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS serve_keys (key TEXT PRIMARY KEY, hash TEXT NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL, "
    "labels TEXT NOT NULL, created TEXT NOT NULL, expires TEXT NOT NULL, revoked TEXT NOT NULL, per_minute INTEGER, "
    "concurrent INTEGER)"
)
_INSERT = (
    "INSERT INTO serve_keys (key, hash, user_id, role, labels, created, expires, revoked, per_minute, concurrent) "
    "VALUES (:key, :hash, :user_id, :role, :labels, :created, :expires, '', :per_minute, :concurrent)"
)


def _entry(row: Any) -> KeyEntry:
    labels = tuple(row["labels"].split("\n")) if row["labels"] else ()
    identity = Identity(row["user_id"], row["role"], labels, row["key"], row["per_minute"], row["concurrent"])
    return KeyEntry(row["key"], identity, row["created"], row["expires"], row["revoked"])


def _hash(secret: str) -> str:
    """A secret of 256 random bits cannot be tried out, so that a slow hash would protect nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
