"""The log of all runs: append-only, chained, on SQLite or PostgreSQL with one schema.

Covered: what `append` returned survives the end of the process at any moment; what was appended with `sync` survives the loss of
power too (SQLite in WAL mode; PostgreSQL syncs every commit by itself); two who write at once are put one behind the other; a
changed, missing or added entry shows in `verify`.
Not covered: who may write the database can write a whole new chain, or cut off the end. Against that, keep the head's hash
elsewhere (`sadari log verify` prints it) and give it to `verify` later.
"""

import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sadari.agent.log.database import open_database
from sadari.agent.log.event import STATUS, Draft, Event, canonical, content_hash
from sadari.errors import RunError

LEASE_S = 60.0
"""Seconds for which a process on another machine is believed to hold a run; it holds it anew well before they are over."""

READ_AT_ONCE = 2_000


class MovedOnError(RunError):
    """Somebody else wrote to the run, or holds it: what was to be written was decided on an old state."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """What the list of runs tells of one.

    Args:
        status: "running", "waiting" (for a person), "idle" (answered; may be asked again), "cancelled", "erased".
        parent: The run whose agent started this one; "" if a user did.
    """

    run: str
    user: str
    agent: str
    status: str
    started: str
    updated: str
    parent: str
    events: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a user's runs used on one day: tokens, calls, and money in `money.currency`."""

    tokens: int = 0
    calls: int = 0
    money: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.tokens + other.tokens, self.calls + other.calls, self.money + other.money)


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found.

    Args:
        events: How many there are.
        head: Hash of the last one, to be kept elsewhere.
        faults: One line for each that is wrong, at most 20; () if the log is whole.
        erased: Events whose body was erased, which is no fault.
    """

    events: int
    head: str
    faults: tuple[str, ...]
    erased: int


class Log:
    """Every event of every run.

    Args:
        url: A file of SQLite, made if it is not there; "" keeps everything in memory; or postgresql://user:password@host/database.

    Raises:
        ConfigError: If the URL names another kind of database, or a library is missing.
        RunError: If the database cannot be opened.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        self._database = open_database(self.url)
        self._lock, self._held = threading.Lock(), set[str]()
        self.owner = f"{_host()}:{os.getpid()}:{_started(os.getpid())}:{secrets.token_hex(4)}"
        self.watchers: list[Callable[[Sequence[Event]], None]] = []
        """Told of what this log wrote to a run, behind the commit, in the thread that wrote it."""

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # --- writing -----------------------------------------------------------------------------------------------------

    def start(self, user: str, agent: str, body: dict[str, Any], *, parent: str = "", run: str = "") -> str:
        """A new run; its name.

        Args:
            run: Its name; "" makes one that nobody can guess.

        Raises:
            RunError: If there is a run of that name.
        """
        run, now = run or f"run-{secrets.token_hex(8)}", _now()
        with self._database.writing() as connection:
            row = (run, user, agent, parent, "idle", _text(now), _text(now), 0, "", _text(now))
            connection.execute(_STATEMENTS["insert_run"], _row(_RUN_COLUMNS, row))
            events = self._append(connection, _row(_RUN_COLUMNS, row), [Draft("run.started", body)], _lock(connection))
        self._tell(events)
        return run

    def append(
        self,
        run: str,
        drafts: Sequence[Draft],
        *,
        after: int | None = None,
        spent: Spent | None = None,
        sync: bool = False,
    ) -> list[Event]:
        """Log what happened, all or nothing.

        Args:
            after: The last event that the writer knows of; None writes behind whatever stands there.
            spent: What is added to the day of the run's user.
            sync: Wait until the disk has it. What follows changes the world, or somebody is told that it is kept.

        Raises:
            MovedOnError: If the run has gone on since `after`.
            RunError: If there is no such run, or the database does not take it.
        """
        with self._database.writing(sync=sync) as connection:
            head = _lock(connection)  # first: what is read before it may be old by the time that it is had
            row = connection.execute(_STATEMENTS["run"], {"run": run}).fetchone()
            if row is None:
                raise RunError(f"{run}: there is no such run in the log. `sadari log list` shows those that are.")
            if after is not None and row["events"] != after:
                raise MovedOnError(f"{run} has gone on to event {row['events']} since event {after} was read. Read it again.")
            events = self._append(connection, row, drafts, head)
            if spent is not None:
                self._spend(connection, row["user_id"], spent)
        self._tell(events)
        return events

    def _tell(self, events: Sequence[Event]) -> None:
        for watcher in self.watchers:
            try:
                watcher(events)
            except Exception as error:  # what was committed was done, whoever cannot look at it
                logging.getLogger(__name__).warning("a watcher of the log failed: %s", type(error).__name__)

    def _append(self, connection: Any, row: Mapping[str, Any], drafts: Sequence[Draft], head: Any) -> list[Event]:
        run, seq, is_erased = row["run"], row["events"], row["status"] == "erased"
        now, events = _now(), []
        time = _text(now)
        number, previous = head["id"], head["hash"]
        for draft in drafts:
            number, seq, salt, body = number + 1, seq + 1, secrets.token_hex(8), canonical(draft.body)
            content = content_hash(salt, body)
            kept = (None, "") if is_erased else (body, salt)  # what ends after its run was erased is erased at once
            event = Event(number, run, seq, time, draft.kind, None if is_erased else json.loads(body), kept[1], content)
            previous = event.chained(previous)
            values = (event.id, run, seq, event.time, draft.kind, *kept, content, previous)
            connection.execute(_STATEMENTS["insert_event"], _row(_EVENT_COLUMNS, values))
            events.append(replace(event, hash=previous))
        connection.execute(_STATEMENTS["set_head"], {"id": number, "hash": previous})
        status = next((STATUS[d.kind] for d in reversed(drafts) if d.kind in STATUS), None)
        status = "erased" if is_erased else status
        changed = {"run": run, "events": seq, "updated": time, "status": status, "until": _text(now + _lease())}
        connection.execute(_STATEMENTS["set_run"], {**changed, "owner": self.owner})
        return events

    def spend(self, user: str, spent: Spent) -> None:
        """Add to the day of a user what was used for an answer that nobody waits for any more."""
        with self._database.writing() as connection:
            self._spend(connection, user, spent)

    def _spend(self, connection: Any, user: str, spent: Spent) -> None:
        values = {"user_id": user, "day": _text(_now())[:10]}
        connection.execute(_STATEMENTS["spend"], {**values, "tokens": spent.tokens, "calls": spent.calls, "money": spent.money})

    @contextmanager
    def holding(self, run: str) -> Iterator[None]:
        """Be the only process that goes on with a run.

        Raises:
            MovedOnError: If another process that is alive holds it.
            RunError: If there is no such run.
        """
        with self._lock:
            if run in self._held:
                raise MovedOnError(f"{run} is being worked on by another thread. Wait until it is done.")
            self._held.add(run)
        over = threading.Event()
        try:
            self._hold(run)
            threading.Thread(target=self._go_on_holding, args=(run, over), name="lease", daemon=True).start()
            yield
        finally:
            over.set()
            with self._lock:
                self._held.discard(run)
            with suppress(RunError), self._database.writing() as connection:
                connection.execute(_STATEMENTS["let_go"], {"run": run, "owner": self.owner})

    def holds(self, run: str) -> bool:
        """Whether this log still holds a run, and nobody took it over."""
        with self._database.reading() as connection:
            row = connection.execute(_STATEMENTS["run"], {"run": run}).fetchone()
        return row is not None and row["owner"] == self.owner

    def _go_on_holding(self, run: str, over: threading.Event) -> None:
        """A call or a model may take longer than the time for which a run is held."""
        while not over.wait(LEASE_S / 3):
            values = {"run": run, "owner": self.owner, "until": _text(_now() + _lease())}
            with suppress(RunError), self._database.writing() as connection:
                connection.execute(_STATEMENTS["go_on_holding"], values)

    def _hold(self, run: str) -> None:
        now = _now()
        with self._database.writing() as connection:
            _lock(connection)
            row = connection.execute(_STATEMENTS["run"], {"run": run}).fetchone()
            if row is None:
                raise RunError(f"{run}: there is no such run in the log. `sadari log list` shows those that are.")
            if row["owner"] not in ("", self.owner) and _is_alive(row["owner"], row["until"] > _text(now)):
                raise MovedOnError(f"{run} is being worked on by another process ({row['owner']}). Wait until it is done.")
            connection.execute(_STATEMENTS["hold"], {"run": run, "owner": self.owner, "until": _text(now + _lease())})

    def erase(self, user: str, by: str) -> int:
        """Erase what the runs of a user hold, and whose they were; that there were such events stays. How many runs it were.

        What the user spent today stays until the day is over, or limits would end with it.
        """
        count = self.erase_runs([entry.run for entry in self.runs(user=user) if entry.status != "erased"], by)
        with self._database.writing() as connection:
            connection.execute(_STATEMENTS["erase_spending"], {"user_id": user, "day": _text(_now())[:10]})
        self._database.scrub()
        return count

    def erase_runs(self, runs: Sequence[str], by: str) -> int:
        """Erase what these runs hold, and whose they were; how many it were."""
        for run in runs:
            with self._database.writing() as connection:
                head = _lock(connection)
                connection.execute(_STATEMENTS["erase"], {"run": run})
                row = connection.execute(_STATEMENTS["run"], {"run": run}).fetchone()
                events = self._append(connection, row, [Draft("run.erased", {"by": by})], head)
                connection.execute(_STATEMENTS["erase_user"], {"run": run})
            self._tell(events)
        self._database.scrub()
        return len(runs)

    # --- reading -----------------------------------------------------------------------------------------------------

    def events(self, run: str, after: int = 0) -> list[Event]:
        """The events of a run behind the `after`th, in order; [] if there is no such run."""
        with self._database.reading() as connection:
            rows = connection.execute(_STATEMENTS["events"], {"run": run, "after": after})
            return [_event(row) for row in rows]

    def happened(self, since: str = "", kinds: Collection[str] = ()) -> Iterator[Event]:
        """The events of all runs in the order in which they were written.

        Args:
            since: From this time on (UTC, ISO 8601); "" from the first.
            kinds: Of these kinds; none for all.
        """
        with self._database.reading() as connection:
            last = (connection.execute(_STATEMENTS["end"]).fetchone() or {"id": 0})["id"]
            after = self._before(connection, since, last)
        for row in self._rows(last, after):
            if row["time"] >= since and (not kinds or row["kind"] in kinds):
                yield _event(row)

    def _before(self, connection: Any, since: str, last: int) -> int:
        """The last event before a time: found by halving, since an index of times would slow every step of every run."""
        low, high = 0, last
        while since and low < high:
            middle = (low + high + 1) // 2
            row = connection.execute(_STATEMENTS["time"], {"id": middle}).fetchone()
            low, high = (middle, high) if row and row["time"] < since else (low, middle - 1)
        return low

    def runs(self, *, user: str | None = None, status: str | None = None, parent: str | None = None) -> list[RunEntry]:
        """The runs, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(_STATEMENTS["runs"], {"user_id": user, "status": status, "parent": parent})
            return [
                RunEntry(*(row[c] for c in ("run", "user_id", "agent", "status", "started", "updated", "parent", "events")))
                for row in rows
            ]

    def spent(self, user: str) -> Spent:
        """What the runs of a user used today (UTC)."""
        with self._database.reading() as connection:
            row = connection.execute(_STATEMENTS["spent"], {"user_id": user, "day": _text(_now())[:10]}).fetchone()
        return Spent(row["tokens"], row["calls"], row["money"]) if row else Spent()

    def verify(self, anchor: str = "") -> Verified:
        """Whether every event is as it was written.

        Args:
            anchor: A head that an earlier call gave: it has to be in the chain.
        """
        with self._database.reading() as connection:
            end = connection.execute(_STATEMENTS["end"]).fetchone()  # what is written from now on is not looked at
            owners = {row["run"]: row["user_id"] for row in connection.execute(_STATEMENTS["owners"])}
        if end is None:
            return Verified(0, "", ("the head of the log is missing",), 0)
        faults: list[str] = []
        chain = _Chain(owners, anchor)
        for row in self._rows(end["id"]):
            faults += chain.follow(row)
        if (end["id"], end["hash"]) != (chain.count, chain.head):
            faults.append(f"the log ends at event {chain.count}, but {end['id']} were written: the end was cut off")
        if (end["last"] or 0) > end["id"]:
            faults.append(f"events behind event {end['id']} were added")
        faults += chain.at_end()
        return Verified(chain.count, chain.head, tuple(faults[:20]), chain.erased)

    def _rows(self, last: int, after: int = 0) -> Iterator[Any]:
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(_STATEMENTS["page"], {"after": after, "last": last, "limit": READ_AT_ONCE}).fetchall()
            if not rows:
                return
            yield from rows
            after = rows[-1]["id"]


class _Chain:
    """What is looked at when a log is verified, from the first event on."""

    def __init__(self, owners: Mapping[str, str], anchor: str) -> None:
        self._owners, self._anchor, self._is_anchored = owners, anchor, not anchor
        self._runs, self._emptied, self._erased = set[str](), set[str](), set[str]()
        self.count, self.head, self.erased = 0, "", 0

    def follow(self, row: Any) -> Iterator[str]:
        """What is wrong with the next event."""
        event = Event(row["id"], row["run"], row["seq"], row["time"], row["kind"], None, row["salt"], row["content"], row["hash"])
        place = f"event {event.id} ({event.kind} of {event.run})"
        if event.id != self.count + 1:
            yield f"{event.id - self.count - 1} events before {place} are missing"
        elif event.hash != event.chained(self.head):
            yield f"{place}: it does not follow the event before it; one of the two was changed"
        if row["body"] is not None and event.content != content_hash(event.salt, row["body"]):
            yield f"{place}: its content was changed"
        elif event.kind == "run.started" and row["body"] is not None:
            yield from self._started(event.run, json.loads(row["body"]).get("user"))
        self.count, self.head, self.erased = event.id, event.hash, self.erased + (row["body"] is None)
        self._is_anchored = self._is_anchored or event.hash == self._anchor
        self._runs.add(event.run)
        if row["body"] is None:
            self._emptied.add(event.run)
        if event.kind == "run.erased":
            self._erased.add(event.run)

    def _started(self, run: str, user: str | None) -> Iterator[str]:
        if user is not None and self._owners.get(run, user) != user:
            yield f"{run}: it is listed as a run of somebody else than who began it"

    def at_end(self) -> Iterator[str]:
        """What is wrong with the whole."""
        if not self._is_anchored:
            yield f"the head {self._anchor[:16]}... that was kept elsewhere is not in the log: it was written anew"
        for run in sorted(self._emptied - self._erased):
            yield f"{run}: contents were taken away, but nobody erased it"
        for run in sorted(self._runs - set(self._owners)):
            yield f"{run}: it was taken off the list of runs"


_EVENT_COLUMNS = ("id", "run", "seq", "time", "kind", "body", "salt", "content", "hash")
_RUN_COLUMNS = ("run", "user_id", "agent", "parent", "status", "started", "updated", "events", "owner", "until")

_STATEMENTS = {
    "insert_event": f"INSERT INTO events ({', '.join(_EVENT_COLUMNS)}) VALUES ({', '.join(':' + c for c in _EVENT_COLUMNS)})",
    "insert_run": f"INSERT INTO runs ({', '.join(_RUN_COLUMNS)}) VALUES ({', '.join(':' + c for c in _RUN_COLUMNS)})",
    "run": "SELECT * FROM runs WHERE run = :run",
    "end": "SELECT id, hash, (SELECT MAX(id) FROM events) AS last FROM head",
    "owners": "SELECT run, user_id FROM runs",
    "head": "UPDATE head SET writes = writes + 1 RETURNING id, hash",  # takes the lock that puts writers in order
    "set_head": "UPDATE head SET id = :id, hash = :hash",
    "set_run": (
        "UPDATE runs SET events = :events, updated = :updated, status = COALESCE(:status, status), "
        "until = CASE WHEN owner = :owner THEN :until ELSE until END WHERE run = :run"
    ),
    "hold": "UPDATE runs SET owner = :owner, until = :until WHERE run = :run",
    "go_on_holding": "UPDATE runs SET until = :until WHERE run = :run AND owner = :owner",
    "let_go": "UPDATE runs SET owner = '' WHERE run = :run AND owner = :owner",
    "spend": (
        "INSERT INTO spending (user_id, day, tokens, calls, money) VALUES (:user_id, :day, :tokens, :calls, :money) "
        "ON CONFLICT (user_id, day) DO UPDATE SET tokens = spending.tokens + excluded.tokens, "
        "calls = spending.calls + excluded.calls, money = spending.money + excluded.money"
    ),
    "spent": "SELECT tokens, calls, money FROM spending WHERE user_id = :user_id AND day = :day",
    "erase": "UPDATE events SET body = NULL, salt = '' WHERE run = :run",
    "erase_user": "UPDATE runs SET user_id = '' WHERE run = :run",
    "erase_spending": "DELETE FROM spending WHERE user_id = :user_id AND day < :day",
    "events": "SELECT * FROM events WHERE run = :run AND seq > :after ORDER BY seq",
    "time": "SELECT time FROM events WHERE id = :id",
    "page": "SELECT * FROM events WHERE id > :after AND id <= :last ORDER BY id LIMIT :limit",
    "runs": (
        "SELECT * FROM runs WHERE (CAST(:user_id AS TEXT) IS NULL OR user_id = :user_id) "
        "AND (CAST(:status AS TEXT) IS NULL OR status = :status) "
        "AND (CAST(:parent AS TEXT) IS NULL OR parent = :parent) ORDER BY started DESC, run"
    ),
}


def _event(row: Any) -> Event:
    body = None if row["body"] is None else json.loads(row["body"])
    place = (row["id"], row["run"], row["seq"], row["time"], row["kind"])
    return Event(*place, body, row["salt"], row["content"], row["hash"])


def _row(columns: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(columns, values, strict=True))


def _lock(connection: Any) -> Any:
    """The head of the chain; who has it writes alone until the transaction ends."""
    head = connection.execute(_STATEMENTS["head"]).fetchone()
    if head is None:
        raise RunError("the log has lost its head. `sadari log verify` tells what else; nothing is written to it any more.")
    return head


@cache
def _host() -> str:
    """Where numbers of processes mean the same: containers may share a name and yet not see each other's processes."""
    with suppress(OSError):
        boot, processes = Path("/proc/sys/kernel/random/boot_id").read_text()[:8], Path("/proc/self/ns/pid").stat().st_ino
        return f"{socket.gethostname()}/{boot}/{processes}"
    return socket.gethostname()


def _is_alive(owner: str, is_in_time: bool) -> bool:
    """Whether the process that holds a run may still be at work: of other machines nobody knows, so it is while its time runs."""
    host, pid, started = owner.split(":")[:3]
    return is_in_time if host != _host() else started != "" and started == _started(int(pid))


def _started(pid: int) -> str:
    """When a process began, so that another one with the same number is not taken for it; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return ""
    return "running"


def _lease() -> timedelta:
    return timedelta(seconds=LEASE_S)


def _now() -> datetime:
    return datetime.now(UTC)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
