"""People who sign in: their passwords, roles and labels.

Covered: passwords are kept as Argon2id, and again whenever its usual parameters change; a name that does not exist costs the same
work as one that does, and is answered the same; guessing is slowed down by name and by address; so few are looked at at once that
signing in cannot take the memory of the server; whoever is disabled is let in no more, by password, session or key; what changes a
password, a role, or whether somebody is let in, ends that person's sessions.
Not covered: passwords that leaked elsewhere, beyond a few of the commonest; a second factor, for which there is OpenID Connect.
"""

import secrets
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from sadari.agent.log.database import Database
from sadari.errors import ConfigError, DataError
from sadari.serve.faults import busy
from sadari.serve.keys import Identity, Role, check_person
from sadari.serve.rates import Attempts

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 10, 256
"""Characters of a password. Nothing is asked of what they are: NIST SP 800-63B-4, section 3.1.1.2."""

AT_ONCE, PATIENCE_S = 2, 5.0
"""Passwords that are looked at at once, each with 64 MiB and all cores; how long the next waits."""

_COMMONEST = """
1234567890 12345678910 123456789a 0123456789 0987654321 9876543210 1q2w3e4r5t 1qaz2wsx3edc q1w2e3r4t5 qwertyuiop qwerty1234
qwerty12345 asdfghjkl; zxcvbnm123 password12 password123 password1234 passw0rd123 iloveyou12 changeme123 letmein123
administrator admin12345 administrator1 welcome123 abcdefghij abcd123456 a123456789 abc1234567 sadari1234
"""
COMMONEST = frozenset(_COMMONEST.split())
"""Those that are tried first, of `SHORTEST` characters or more."""


@dataclass(frozen=True, slots=True)
class Person:
    """What the list of people tells of one; times in UTC.

    Args:
        has_password: Whether it is a password that lets in.
        subject: Issuer and subject of the provider that lets in; "" where none did yet.
    """

    user: str
    role: Role
    labels: tuple[str, ...]
    disabled: bool
    has_password: bool
    subject: str
    created: str

    @property
    def identity(self) -> Identity:
        """This person as one who asks."""
        return Identity(self.user, self.role, self.labels)


class People:
    """The people in one database.

    Args:
        attempts: Counts those who guess.
    """

    def __init__(self, database: Database, attempts: Attempts | None = None) -> None:
        self._database, self._attempts = database, attempts or Attempts()
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    # --- keeping -----------------------------------------------------------------------------------------------------

    def add(self, user: str, role: Role = "user", labels: Sequence[str] = (), password: str | None = None) -> None:
        """Let a person in from now on.

        Args:
            password: None for somebody who comes from the OpenID Connect provider.

        Raises:
            ConfigError: If the name, the role, a label or the password is none, or the name is taken.
        """
        name = _normal(user)
        check_person(name, role, labels)
        row = {
            "user_id": name,
            "hash": "" if password is None else self._hashed(check_password(name, password)),
            "role": role,
            "labels": "\n".join(labels),
            "stamp": secrets.token_hex(8),
            "created": _now(),
        }
        with self._database.writing(sync=True) as connection:
            if not connection.execute(_INSERT, row).rowcount:
                raise ConfigError(f"{name} is there already. Change that person: sadari serve people change {name}.")

    def all(self) -> list[Person]:
        """Everybody, by name."""
        with self._database.reading() as connection:
            return [_person(row) for row in connection.execute("SELECT * FROM serve_people ORDER BY user_id").fetchall()]

    def find(self, user: str) -> Person | None:
        """The person of this name."""
        row = self._row(user)
        return _person(row) if row else None

    def change(
        self,
        user: str,
        *,
        role: Role | None = None,
        labels: Sequence[str] | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> None:
        """Change what is given. A new role or password, and being disabled, end the person's sessions.

        Raises:
            ConfigError: If the role, a label or the password is none.
            DataError: If there is no such person.
        """
        before = self.find(user)
        if before is None:
            raise DataError(f"{user[:64]}: there is no such person. `sadari serve people list` shows those that are.")
        new_role, new_labels = role or before.role, before.labels if labels is None else tuple(labels)
        check_person(before.user, new_role, new_labels)
        hashed = None if password is None else self._hashed(check_password(before.user, password))
        is_out = before.disabled if disabled is None else disabled
        ends = hashed is not None or (new_role, is_out) != (before.role, before.disabled)
        row = {
            "user_id": before.user,
            "hash": hashed,
            "role": new_role,
            "labels": "\n".join(new_labels),
            "disabled": int(is_out),
            "stamp": secrets.token_hex(8) if ends else None,
        }
        with self._database.writing(sync=True) as connection:
            connection.execute(_CHANGE, row)

    # --- letting in --------------------------------------------------------------------------------------------------

    def who(self, user: str, password: str, address: str = "") -> Identity | None:
        """Who signs in; None if it is not the right password, or nobody has that name, or the person is disabled.

        Args:
            address: Where the attempt comes from.

        Raises:
            ApiError: 429, if there were too many attempts; 503, if too many come at once.
        """
        name = _normal(user)[:65]
        self._attempts.begin(name, address)
        row = self._row(name)
        is_right = self._is_right(row["hash"] if row and row["hash"] else _nobodys(), _normal(password)[: LONGEST + 1])
        if row is None or not row["hash"] or row["disabled"] or not is_right:
            return None
        self._attempts.succeeded(name, address)
        if _hasher().check_needs_rehash(row["hash"]):
            self._hash_again(name, row["hash"], password)
        return _person(row).identity

    def meet(self, user: str, subject: str, role: Role | None, labels: Sequence[str] | None, usual: Role | None) -> Identity | None:
        """Who came from the OpenID Connect provider, and is known from now on; None if this person is not let in.

        Args:
            subject: Issuer and subject, by which a person is known again: names are given anew, and some choose theirs.
            role, labels: As the provider tells them; None to leave those of somebody who is known.
            usual: Role of somebody new of whom it tells none; None lets in nobody new.

        Raises:
            ConfigError: If the name is none that is taken here.
        """
        known = self.find(user)
        if known is None:
            new_role = role or usual
            if new_role is None:
                return None
            self.add(user, new_role, labels or ())
        elif known.disabled or known.has_password or known.subject not in ("", subject):
            return None
        else:
            self.change(known.user, role=role, labels=labels)
        with self._database.writing(sync=True) as connection:
            connection.execute(_BIND, {"user_id": _normal(user), "subject": subject})
        met = self.find(user)
        return met.identity if met is not None and met.subject == subject else None

    @property
    def is_empty(self) -> bool:
        """Whether there is nobody."""
        with self._database.reading() as connection:
            return connection.execute("SELECT user_id FROM serve_people LIMIT 1").fetchone() is None

    # --- passwords ---------------------------------------------------------------------------------------------------

    def _row(self, user: str) -> Any:
        name = _normal(user)
        with self._database.reading() as connection:  # a name that is none finds nobody; PostgreSQL takes no NUL
            return connection.execute(_FIND, {"user_id": name if name.isprintable() else ""}).fetchone()

    def _is_right(self, hashed: str, password: str) -> bool:
        from argon2.exceptions import Argon2Error, InvalidHashError

        try:
            with _Turn(self._turns):
                return _hasher().verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False

    def _hashed(self, password: str) -> str:
        with _Turn(self._turns):
            return _hasher().hash(password)

    def _hash_again(self, name: str, before: str, password: str) -> None:
        """Keep the password under today's parameters, unless it was changed meanwhile."""
        values = {"user_id": name, "before": before, "hash": self._hashed(_normal(password))}
        with self._database.writing() as connection:
            connection.execute("UPDATE serve_people SET hash = :hash WHERE user_id = :user_id AND hash = :before", values)


class _Turn:
    """One of the few places in which a password is looked at."""

    def __init__(self, turns: threading.BoundedSemaphore) -> None:
        self._turns = turns

    def __enter__(self) -> None:
        if not self._turns.acquire(timeout=PATIENCE_S):
            raise busy("Too many people sign in at the moment. Try again in a moment.")

    def __exit__(self, *_: object) -> None:
        self._turns.release()


def check_password(user: str, password: str) -> str:
    """The password in its one spelling.

    Raises:
        ConfigError: If it is too short, too long, the name, or among the commonest.
    """
    text = _normal(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise ConfigError(f"the password has {len(text)} characters: take {SHORTEST} to {LONGEST}. A sentence is good.")
    folded, name = text.casefold(), _normal(user).casefold()
    if not folded.replace(name, "") or len(set(folded)) < 4 or folded in COMMONEST:
        raise ConfigError("the password is the name, or one of those that are tried first. Take another; a sentence is good.")
    return text


# `stamp` changes with all that ends sessions: a session is good for the stamp under which it began.
_INSERT = (
    "INSERT INTO serve_people (user_id, hash, role, labels, disabled, stamp, subject, created) "
    "VALUES (:user_id, :hash, :role, :labels, 0, :stamp, '', :created) ON CONFLICT (user_id) DO NOTHING"
)
_CHANGE = (
    "UPDATE serve_people SET hash = COALESCE(:hash, hash), role = :role, labels = :labels, disabled = :disabled, "
    "stamp = COALESCE(:stamp, stamp) WHERE user_id = :user_id"
)
_BIND = "UPDATE serve_people SET subject = :subject WHERE user_id = :user_id AND subject = '' AND hash = ''"
_FIND = "SELECT * FROM serve_people WHERE user_id = :user_id"


def _person(row: Any) -> Person:
    labels = tuple(row["labels"].split("\n")) if row["labels"] else ()
    known = (row["user_id"], row["role"], labels, bool(row["disabled"]))
    return Person(*known, bool(row["hash"]), row["subject"], row["created"])


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _nobodys() -> str:
    """What the password of a name that does not exist is compared with; nobody knows it."""
    return _hasher().hash(secrets.token_urlsafe(32))


def _normal(text: str) -> str:
    """The one spelling of what keyboards write in several ways; what is no text at all is shown to be."""
    return unicodedata.normalize("NFKC", text.encode(errors="replace").decode())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
