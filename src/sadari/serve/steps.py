"""What is done in runs, as steps with a beginning and an end, joined from the events that this process writes to the log.

Counters and traces are made of these, so that nothing in the agent is told twice. What another process began is read from the log
when this one goes on with it.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from sadari.agent.log import Event, Log

StepKind = Literal["question", "model", "ruling", "approval", "tool", "rating"]

MOST_FOLLOWED = 10_000
"""Runs of which something is open; beyond, the oldest are forgotten, and read anew when they go on."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done in a run, or is being done.

    Args:
        name: Of the tool; else "".
        call: Its id, of a tool, a ruling or an approval.
        began, ended: UTC, ISO 8601; `ended` is "" while it goes on.
        end: What came of it: of a question "answered", "stopped", "failed", "cancelled", "erased" or "waiting" for a person; of a
            tool "succeeded", "failed", "unknown" or "handed"; of an approval "approved", "denied" or "expired".
        body: Of the event that began it while it goes on, of that which ended it then.
        parent: The run on whose behalf its run is; "" if a user began it.
    """

    kind: StepKind
    run: str
    began: str
    ended: str = ""
    name: str = ""
    call: str = ""
    end: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""


class Watcher(Protocol):
    """What is told of steps; it may not take long, since the run waits."""

    def begun(self, step: Step) -> None:
        """A question was asked, or a run goes on after it had waited."""
        ...

    def done(self, step: Step) -> None:
        """Something is over."""
        ...


@dataclass(slots=True)
class _Run:
    """What is open in a run; times as in events."""

    parent: str = ""
    began: str = ""
    last: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)


class Steps:
    """Follows the events of one process.

    Args:
        log: Where what another process wrote is read.
        watchers: Who is told.
    """

    def __init__(self, log: Log, watchers: Sequence[Watcher]) -> None:
        self._log, self._watchers = log, watchers
        self._lock, self._runs = threading.Lock(), OrderedDict[str, _Run]()

    def __call__(self, events: Sequence[Event]) -> None:
        """Take what was written to one run."""
        if not events:
            return
        run = self._known(events[0])
        for event in events:
            self._take(run, event, self._tell)
        if not run.began and not run.asked and events[-1].kind != "run.started":
            with self._lock:
                self._runs.pop(events[0].run, None)

    def _known(self, first: Event) -> _Run:
        with self._lock:
            run = self._runs.get(first.run)
            if run is None:
                run = self._runs[first.run] = _Run()
                if len(self._runs) > MOST_FOLLOWED:
                    self._runs.popitem(last=False)
            else:
                self._runs.move_to_end(first.run)
                return run
        if first.seq > 1 and first.kind not in _ALONE:
            for event in self._log.events(first.run):
                if event.seq < first.seq:
                    self._take(run, event, lambda step: None)
            run.began, run.last = "", first.time  # when this process took it up
        return run

    def _tell(self, step: Step) -> None:
        for watcher in self._watchers:
            if step.ended:
                watcher.done(step)
            else:
                watcher.begun(step)

    def _take(self, run: _Run, event: Event, tell: Callable[[Step], None]) -> None:
        body = event.body or _NOTHING
        if event.kind == "run.started":
            run.parent = str(body.get("call", "")).rpartition("/")[0]
        goes_on = event.kind in _WORK and not run.began
        if event.kind == "run.asked" or goes_on:
            run.began = run.last if goes_on else event.time
            tell(Step("question", event.run, run.began, body=body, parent=run.parent))
        take = _TAKES.get(event.kind)
        if take is not None:
            for step in take(run, event, body):
                tell(step)
        run.last = event.time


_WORK = frozenset({"model.answered", "call.ruled", "call.started"})
"""Events that only work on a run writes; decisions of people are written by others."""

_ALONE = frozenset({"run.asked", "run.cancelled", "run.erased", "answer.rated"})
"""Events that are understood without those before them."""

_Take = Callable[[_Run, Event, Mapping[str, Any]], list[Step]]


def _spoke(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
    for call in body.get("calls", ()):
        run.tools[call["id"]], run.arguments[call["id"]] = call["name"], call["arguments"]
    return [Step("model", event.run, run.last, event.time, body=body, parent=run.parent)]


def _proposed(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
    if body:
        run.tools[body["id"]], run.arguments[body["id"]] = body["name"], body["arguments"]
    return []


def _ruled(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
    call = body.get("id", "")
    return [Step("ruling", event.run, run.last, event.time, run.tools.get(call, ""), call, "", body, run.parent)]


def _asked_for(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
    run.asked.setdefault(body.get("id", ""), event.time)
    return []


def _decided(end: str) -> _Take:
    def take(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
        call = body.get("id", "")
        began = run.asked.pop(call, "")
        if not began:  # allowed without a person
            return []
        return [Step("approval", event.run, began, event.time, run.tools.get(call, ""), call, end, body, run.parent)]

    return take


def _began(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
    run.started[body.get("id", "")] = event.time
    return []


def _made(end: str) -> _Take:
    def take(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
        call = body.get("id", "")
        began = run.started.pop(call, "")
        if not began:  # settled by a person, or refused before it was made
            return []
        told = {**body, "arguments": run.arguments.get(call)}
        return [Step("tool", event.run, began, event.time, run.tools.get(call, ""), call, end, told, run.parent)]

    return take


def _over(end: str) -> _Take:
    def take(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
        began, run.began = run.began, ""
        if end != "waiting":
            for left in (run.tools, run.arguments, run.started, run.asked):
                left.clear()
        if end == "erased" and not began:  # long over
            return []
        return [Step("question", event.run, began or event.time, event.time, end=end, body=body, parent=run.parent)]

    return take


def _rated(run: _Run, event: Event, body: Mapping[str, Any]) -> list[Step]:
    return [Step("rating", event.run, event.time, event.time, end=str(body.get("rating", "")), body=body)]


_TAKES: Mapping[str, _Take] = {
    "model.answered": _spoke,
    "call.proposed": _proposed,
    "call.ruled": _ruled,
    "call.waiting": _asked_for,
    "call.approved": _decided("approved"),
    "call.denied": _decided("denied"),
    "call.expired": _decided("expired"),
    "call.started": _began,
    "call.handed": _made("handed"),
    "call.succeeded": _made("succeeded"),
    "call.failed": _made("failed"),
    "call.unknown": _made("unknown"),
    "run.waiting": _over("waiting"),
    "run.answered": _over("answered"),
    "run.stopped": _over("stopped"),
    "run.failed": _over("failed"),
    "run.cancelled": _over("cancelled"),
    "run.erased": _over("erased"),
    "answer.rated": _rated,
}
