"""The log as figures need it: questions, calls, rulings and ratings of the last month, each with its time.

The log is read once, and from then on only what was added to it, so that looking costs little however long it is, and nothing is
lost with the process.

Covered: what is erased in the log is gone from here with the next look; of what was said only opening questions are kept.
Not covered: the opening questions themselves (`Journal.openings`) are as they were asked: mask them before they are shown.

Approximated: an answer's first piece is dated by `first_s` of its event where the loop writes that, else by the end of the model's
first turn, which is later. Waiting for a person is taken off the time to the end; where one of two calls is decided, the
work on it until the next pause counts as waiting.
"""

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

from sadari.agent.log import Event, Log

Range = Literal["hour", "day", "week", "month"]
RANGES: tuple[Range, ...] = get_args(Range)

_STEPS: Mapping[Range, tuple[timedelta, int]] = MappingProxyType(
    {
        "hour": (timedelta(minutes=5), 12),
        "day": (timedelta(hours=1), 24),
        "week": (timedelta(days=1), 7),
        "month": (timedelta(days=1), 30),
    }
)
"""Width of a step of each range, and how many there are, the one that has just begun among them."""

KEPT = timedelta(days=31)
"""How far back figures reach."""

MOST_OPENINGS = 400
"""Newest opening questions that are kept for the test of drift."""

OVERLAP = timedelta(seconds=1)
"""How far a clock may step back without an event being missed."""

SLACK_S = 3600.0
"""How much older than `KEPT` something may grow before all that is too old is dropped at once."""

Outcome = Literal["open", "answered", "stopped", "failed", "cancelled"]
_OUTCOMES: Mapping[str, Outcome] = MappingProxyType(
    {"run.answered": "answered", "run.stopped": "stopped", "run.failed": "failed", "run.cancelled": "cancelled"}
)

# --- what is kept ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Asked:
    """A question and what has become of it. Times in seconds since 1970, `end` 0 while it is open; `pauses` wait for a person."""

    run: str
    at: float
    end: float = 0.0
    outcome: Outcome = "open"
    why: str = ""
    first_s: float | None = None
    is_first_exact: bool = False
    pauses: tuple[tuple[float, float], ...] = ()
    read: int = 0
    written: int = 0
    money: float = 0.0
    is_abstained: bool = False
    is_cited: bool = False

    @property
    def waited_s(self) -> float:
        """How long it waited for people."""
        return sum(end - begin for begin, end in self.pauses)


@dataclass(slots=True)
class Called:
    """A call that a model proposed, and its last status; `by` is who refused it."""

    run: str
    at: float
    tool: str
    status: str = "proposed"
    by: str = ""
    asked_at: float = 0.0
    decided_at: float = 0.0
    is_made: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """One ruling of the judge."""

    run: str
    at: float
    decision: str


@dataclass(frozen=True, slots=True)
class Rated:
    """What a person thought of one answer."""

    run: str
    at: float
    is_up: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """The first question of a conversation, as it was asked."""

    run: str
    at: float
    text: str


@dataclass(slots=True)
class _Open:
    """What is known of a run that may go on.

    Args:
        root: The run that a user began, on whose behalf this one is; its own name if a user began it.
        follows: Whether something was said before its first question.
    """

    root: str
    follows: bool = False
    asked: Asked | None = None
    paused: float = 0.0
    calls: dict[str, Called] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Period:
    """What happened between the first and the last of `edges`, which part it in steps."""

    range: Range
    edges: tuple[datetime, ...]
    asked: tuple[Asked, ...]
    called: tuple[Called, ...]
    judged: tuple[Judged, ...]
    rated: tuple[Rated, ...]
    openings: tuple[Opening, ...]


class Journal:
    """The log as figures need it, brought up to date at every look.

    Args:
        log: What is read.
        clock: What time it is.
    """

    def __init__(self, log: Log, clock: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        self.clock = clock
        self._log, self._lock = log, threading.Lock()
        self._last, self._time = 0, ""
        self._runs: dict[str, _Open] = {}
        self._asked: list[Asked] = []
        self._called: list[Called] = []
        self._judged: list[Judged] = []
        self._rated: dict[tuple[str, int], Rated] = {}
        self._openings: deque[Opening] = deque(maxlen=MOST_OPENINGS)

    def look(self, within: Range) -> "Period":
        """What happened in a range until now."""
        with self._lock:
            self._read()
            edges = tuple(_edges(within, self.clock()))
            since = edges[0].timestamp()
            rated = sorted(self._rated.values(), key=_at)
            kept = (self._asked, self._called, self._judged, rated, list(self._openings))
            return Period(within, edges, *(between(rows, since) for rows in kept))  # type: ignore[type-var, arg-type]

    def _read(self) -> None:
        """Take in what was added to the log since the last look."""
        oldest = self.clock() - KEPT
        since = max(_text(oldest), _text(datetime.fromisoformat(self._time) - OVERLAP) if self._time else "")
        erased: set[str] = set()
        for event in self._log.happened(since):
            if event.id <= self._last:
                continue
            self._last, self._time = event.id, event.time
            if event.kind == "run.erased":
                erased.add(event.run)
            elif event.body is not None:
                self._take(event, event.body)
        self._drop(erased, oldest.timestamp())

    def _drop(self, erased: set[str], oldest: float) -> None:
        """Forget what was erased, and what is too old."""
        is_old = bool(self._asked) and self._asked[0].at < oldest - SLACK_S
        if not erased and not is_old:
            return
        self._asked = [one for one in self._asked if one.run not in erased and one.at >= oldest]
        self._called = [one for one in self._called if one.run not in erased and one.at >= oldest]
        self._judged = [one for one in self._judged if one.run not in erased and one.at >= oldest]
        self._rated = {name: one for name, one in self._rated.items() if one.run not in erased and one.at >= oldest}
        self._openings = deque((one for one in self._openings if one.run not in erased), MOST_OPENINGS)
        recent = {one.run for one in self._asked}
        self._runs = {name: one for name, one in self._runs.items() if one.root in recent}

    def _take(self, event: Event, body: Mapping[str, Any]) -> None:
        at = datetime.fromisoformat(event.time).timestamp()
        run = self._runs.get(event.run)
        if run is None:
            run = self._runs[event.run] = _Open(event.run)
        if event.kind.startswith("call."):
            self._take_call(event, body, run, at)
        elif event.kind == "run.started":
            parent = str(body.get("call", "")).rpartition("/")[0]
            run.root = self._runs[parent].root if parent in self._runs else event.run
            run.follows = any(message["role"] == "user" for message in body.get("messages", ()))
        elif event.kind == "model.answered":
            self._take_turn(event, body, run, at)
        elif event.kind == "answer.rated":
            self._rated[event.run, int(body["question"])] = Rated(event.run, at, body["rating"] == "up")
        elif event.kind == "run.waiting":
            root = self._runs.get(run.root, run)
            root.paused = root.paused or at
        elif run.root == event.run:
            self._take_question(event, body, run, at)

    def _take_question(self, event: Event, body: Mapping[str, Any], run: _Open, at: float) -> None:
        """The run's own events; those of a specialist's run belong to the question that it works on."""
        if event.kind == "run.asked":
            run.asked, run.paused, run.calls = Asked(event.run, at), 0.0, {}
            self._asked.append(run.asked)
            if event.seq == 2 and not run.follows:
                self._openings.append(Opening(event.run, at, str(body["text"])))
        elif run.asked is None:  # it was asked too long ago
            return
        elif event.kind in _OUTCOMES:
            self._go_on(run, at)
            run.asked.outcome, run.asked.end = _OUTCOMES[event.kind], at
            run.asked.why = str(body.get("limit") or body.get("reason") or "")
            run.asked.is_abstained, run.asked.is_cited = bool(body.get("abstained")), bool(body.get("citations"))

    def _take_turn(self, event: Event, body: Mapping[str, Any], run: _Open, at: float) -> None:
        """What the model said: its tokens, and the calls that it proposed."""
        root = self._runs.get(run.root)
        asked = root.asked if root is not None else None
        if asked is not None:
            read, written = body["usage"]
            asked.read, asked.written, asked.money = asked.read + read, asked.written + written, asked.money + body["money"]
            if asked.first_s is None and run.root == event.run:
                first_s = body.get("first_s")
                asked.is_first_exact = first_s is not None
                asked.first_s = at - asked.at if first_s is None else float(first_s)
        for call in body["calls"]:
            self._propose(run, event.run, call, at)

    def _propose(self, run: _Open, name: str, call: Mapping[str, Any], at: float) -> None:
        if call.get("in_place_of") in run.calls:
            run.calls[call["in_place_of"]].by = "edited"
        made = run.calls[call["id"]] = Called(name, at, str(call["name"]))
        self._called.append(made)

    def _take_call(self, event: Event, body: Mapping[str, Any], run: _Open, at: float) -> None:
        root, call = self._runs.get(run.root, run), run.calls.get(str(body["id"]))
        if root.paused and event.kind != "call.waiting":
            self._go_on(root, at)
            if any(one.status in ("waiting", "unknown") for one in root.calls.values() if one is not call):
                root.paused = at  # another one is still waited for
        if event.kind == "call.proposed":
            self._propose(run, event.run, body, at)
            return
        if event.kind == "call.ruled":
            ruled = [one["decision"] for one in body["rulings"] if one["by"] == "judge"]
            self._judged += [Judged(event.run, at, decision) for decision in ruled]
        elif call is not None:
            _change(call, event.kind.removeprefix("call."), body, at)

    def _go_on(self, run: _Open, at: float) -> None:
        """A pause is over."""
        if run.paused and run.asked is not None:
            run.asked.pauses = (*run.asked.pauses, (run.paused, at))
        run.paused = 0.0


def _change(call: Called, status: str, body: Mapping[str, Any], at: float) -> None:
    """What an event makes of a call."""
    if status in ("waiting", "unknown"):
        call.asked_at, call.decided_at = at, 0.0
    elif call.status == "waiting" and status in ("approved", "denied", "expired"):
        is_cancelled = status == "denied" and call.by != "edited" and "reason" not in body  # the question was, not the call
        call.decided_at, call.by = at, "cancelled" if is_cancelled else call.by or status
    elif call.status == "unknown":
        call.decided_at, call.by = at, "settled"
    call.is_made = call.is_made or status == "started"
    if status == "refused":
        call.by = str(body.get("reason", ""))
    call.status = status


def _edges(within: Range, now: datetime) -> list[datetime]:
    """Where the steps of a range begin, and now as the end of the last; days and hours begin where this machine's clock says."""
    width, count = _STEPS[within]
    begin = now.replace(second=0, microsecond=0)
    begin = {
        "hour": begin.replace(minute=begin.minute - begin.minute % 5),
        "day": begin.replace(minute=0),
    }.get(within, begin.replace(hour=0, minute=0))
    return [*(begin - width * back for back in reversed(range(count))), now]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_Row = TypeVar("_Row", Asked, Called, Judged, Rated, Opening)


def _at(row: Asked | Called | Judged | Rated | Opening) -> float:
    return row.at


def between(rows: Sequence[_Row], since: float, until: float = inf) -> tuple[_Row, ...]:
    """Those from a time up to another one, of rows in the order of their times."""
    return tuple(rows[bisect_left(rows, since, key=_at) : bisect_left(rows, until, key=_at)])
