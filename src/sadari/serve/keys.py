"""Keys: who asks, and what that person may do.

Covered: a key is shown once and kept as a hash; it is looked up by its public part and compared in constant time; it expires and
can be revoked, which counts from the next request on; the user it was made for is the tenant of everything that it does; a scope
narrows what it is good for; what it uses on a day (UTC) is counted, and beyond its limit it is told to come again tomorrow.
Not covered: a key that its owner gives away: its scope, its expiry, its limits and `revoke` bound the damage. What is under way
when a limit is reached goes on to its end, so that a day may come out above it by as much as the key may ask at once. What a run
uses that goes on by itself after an approval counts for the day of its user, not of a key.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from sadari.agent.log import Spent
from sadari.agent.log.database import Database
from sadari.errors import BudgetError, ConfigError, DataError
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

MODEL = "model:"
"""How a scope that names a model begins."""

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
        tokens_per_day, money_per_day: Most of a key on a day (UTC); None for no limit.
        scope: All that a key is good for, of what its role permits: permissions, and `model:NAME` to ask that model; () for
            everything.
    """

    user: str
    role: Role = "user"
    labels: tuple[str, ...] = ()
    key: str = ""
    requests_per_minute: int | None = None
    concurrent: int | None = None
    tokens_per_day: int | None = None
    money_per_day: float | None = None
    scope: tuple[str, ...] = ()

    def may(self, permission: Permission) -> bool:
        """Whether the role permits it, and the key is good for it."""
        is_in_scope = not self.scope or permission in self.scope or (permission == "ask" and bool(self._models))
        return permission in PERMITS[self.role] and is_in_scope

    def may_use(self, model: str) -> bool:
        """Whether this model may be asked, if any may."""
        return self.may("ask") and (not self._models or model in self._models)

    @property
    def _models(self) -> list[str]:
        return [one.removeprefix(MODEL) for one in self.scope if one.startswith(MODEL)]

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

    def is_open(self, now: str = "") -> bool:
        """Whether it lets in, now or at another time."""
        return not self.revoked and (not self.expires or (now or _text(datetime.now(UTC))) < self.expires)


class Keys:
    """The keys in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, identity: Identity, days: float | None = None) -> str:
        """Make a key; its text, which is kept nowhere.

        Args:
            identity: For whom; its `key` is chosen here.
            days: After which it expires; None for never.

        Raises:
            ConfigError: If the name, the role, the scope or a limit is none, or the time is over already.
        """
        user = unicodedata.normalize("NFKC", identity.user)
        check_person(user, identity.role, identity.labels)
        _check_key(identity, days)
        key, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        row = {
            "key": key,
            "hash": _hash(secret),
            "user_id": user,
            "role": identity.role,
            "labels": "\n".join(identity.labels),
            "created": _text(now),
            "expires": "" if days is None else _text(now + timedelta(days=days)),
            "per_minute": identity.requests_per_minute,
            "concurrent": identity.concurrent,
            "tokens": identity.tokens_per_day,
            "money": identity.money_per_day,
            "scope": "\n".join(identity.scope),
        }
        with self._database.writing(sync=True) as connection:
            connection.execute(_INSERT, row)
        return f"{PREFIX}{key}-{secret}"

    def who(self, written: str) -> Identity | None:
        """Whose key this is; None if it is none, has expired or was revoked, or its person was disabled."""
        match = _WRITTEN.fullmatch(written)
        key, secret = (match[1], match[2]) if match else ("", "")
        with self._database.reading() as connection:
            row = connection.execute(_WHO, {"key": key}).fetchone()
        is_right = is_same(_hash(secret), row["hash"] if row else _NOBODY)
        if row is None or not is_right or row["disabled"]:
            return None
        entry = _entry(row)
        return entry.identity if entry.is_open() else None

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

    # --- what a key uses on a day ------------------------------------------------------------------------------------

    def spend(self, key: str, spent: Spent) -> None:
        """Add to the day of a key."""
        values = {"key": key, "day": _today(), "tokens": spent.tokens, "money": spent.money}
        with self._database.writing() as connection:
            connection.execute(_SPEND, values)

    def spent(self, key: str) -> Spent:
        """What was used with a key today (UTC)."""
        with self._database.reading() as connection:
            row = connection.execute(_SPENT, {"key": key, "day": _today()}).fetchone()
        return Spent(row["tokens"], 0, row["money"]) if row else Spent()

    def check_day(self, identity: Identity) -> None:
        """Refuse a key whose day is spent.

        Raises:
            BudgetError: Says which limit is reached.
        """
        if identity.tokens_per_day is None and identity.money_per_day is None:
            return
        spent = self.spent(identity.key)
        if identity.tokens_per_day is not None and spent.tokens >= identity.tokens_per_day:
            raise BudgetError(f"This key has used its {identity.tokens_per_day:,} tokens of today (UTC). Come again tomorrow.")
        if identity.money_per_day is not None and spent.money >= identity.money_per_day:
            raise BudgetError(f"This key has used its {identity.money_per_day:,g} of money for today (UTC). Come again tomorrow.")


_INSERT = (
    "INSERT INTO serve_keys (key, hash, user_id, role, labels, created, expires, revoked, per_minute, concurrent, tokens_per_day, "
    "money_per_day, scope) "
    "VALUES (:key, :hash, :user_id, :role, :labels, :created, :expires, '', :per_minute, :concurrent, :tokens, :money, :scope)"
)
_WHO = "SELECT k.*, p.disabled FROM serve_keys k LEFT JOIN serve_people p ON p.user_id = k.user_id WHERE k.key = :key"
_SPEND = (
    "INSERT INTO serve_key_days (key, day, tokens, money) VALUES (:key, :day, :tokens, :money) ON CONFLICT (key, day) "
    "DO UPDATE SET tokens = serve_key_days.tokens + excluded.tokens, money = serve_key_days.money + excluded.money"
)
_SPENT = "SELECT tokens, money FROM serve_key_days WHERE key = :key AND day = :day"

MOST = 2**31 - 1
"""Largest limit of requests; what a column of the database holds."""


def check_person(user: str, role: str, labels: Sequence[str]) -> None:
    """Refuse what is no name, no role or no label.

    Raises:
        ConfigError: Says what to write.
    """
    if not re.fullmatch(r"[\w.@+-]{1,64}", user):
        raise ConfigError(f"user {user[:64]!r}: write 1 to 64 letters, digits or . @ + - _")
    if role not in ROLES:
        raise ConfigError(f"role {role!r} is not known. Write one of {', '.join(ROLES)}.")
    for label in labels:
        if not 0 < len(label) <= 64 or not label.isprintable():
            raise ConfigError(f"label {label[:64]!r}: write 1 to 64 printable characters.")


def _check_key(identity: Identity, days: float | None) -> None:
    if days is not None and not 0 < days <= 36_500:
        raise ConfigError(f"days is {days:g}: write a number above 0 and up to 36500. A key that has expired lets nobody in.")
    for name, most in (("requests_per_minute", MOST), ("concurrent", MOST), ("tokens_per_day", 2**62), ("money_per_day", 1e18)):
        value = getattr(identity, name)
        if value is not None and not 0 < value <= most:
            raise ConfigError(f"{name} is {value:g}: write a number above 0, or nothing for no limit of its own.")
    for one in identity.scope:
        is_model = one.startswith(MODEL) and one.isprintable() and len(MODEL) < len(one) <= 200
        if not is_model and one not in get_args(Permission):
            known = ", ".join(get_args(Permission))
            raise ConfigError(f"scope {one[:64]!r} is not known. Write {known}, or {MODEL}NAME of a model.")


def _entry(row: Any) -> KeyEntry:
    identity = Identity(
        row["user_id"],
        row["role"],
        _listed(row["labels"]),
        row["key"],
        row["per_minute"],
        row["concurrent"],
        row["tokens_per_day"],
        row["money_per_day"],
        _listed(row["scope"]),
    )
    return KeyEntry(row["key"], identity, row["created"], row["expires"], row["revoked"])


def _listed(written: str) -> tuple[str, ...]:
    return tuple(written.split("\n")) if written else ()


def is_same(sent: str, expected: str) -> bool:
    """Whether two secrets are the same, in the same time whatever they are."""
    return hmac.compare_digest(sent.encode(errors="replace"), expected.encode())


def _hash(secret: str) -> str:
    """A secret of 256 random bits cannot be tried out, so that a slow hash would protect nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _today() -> str:
    return _text(datetime.now(UTC))[:10]
