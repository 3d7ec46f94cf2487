"""How a canary does: what conversations with either system came to, read from the log.

The outcome of a conversation is one number in [0, 1], the mean over its questions:

    rated up 1, rated down 0; without a rating
    no answer came, or a limit stopped it 0
    it said that it does not know 0.5
    a sign that something went wrong (asked again in other words, an objection, a call that a person changed or denied) 1 less how
    sure that sign is (`sadari.agent.signals`)
    any other answer 1

A conversation counts once nobody said anything in it for a while, whatever came of it, and is not counted again: what is rated
later is kept and shown, but moves no canary. So the order in which conversations count does not depend on how they went.

Covered: the same log gives the same numbers, also after a restart; conversations that both systems answered count for neither.
Not covered: users who differ: where users are drawn and few ask often, their differences look like those of the systems.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from sadari.agent.log import Event, Log
from sadari.agent.log.event import Kind
from sadari.agent.signals import Turn, signals_of, turns_of
from sadari.measure.sequential import Finding, difference_interval, finding

_ENDS: tuple[Kind, ...] = ("run.answered", "run.stopped", "run.failed", "run.cancelled")
_KINDS: tuple[Kind, ...] = ("run.started", "run.asked", *_ENDS, "run.erased", "agent.changed")

UNKNOWN = 0.5
"""Outcome of an answer that says that it does not know."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a canary does so far.

    Args:
        candidate, incumbent: Conversations that count.
        candidate_mean, incumbent_mean: Of their outcomes; 0 for none.
        low, high: Where the difference of the means lies, at all looks at once.
    """

    candidate: int
    incumbent: int
    candidate_mean: float
    incumbent_mean: float
    low: float
    high: float
    finding: Finding

    @property
    def words(self) -> str:
        """The same for people."""
        seen = f"{self.candidate:,} conversations at {self.candidate_mean:.1%}, {self.incumbent:,} at {self.incumbent_mean:.1%}"
        return f"{seen}; difference {100 * self.low:+.1f} to {100 * self.high:+.1f} points at all looks (95 %)"


def outcome(turns: Sequence[Turn], now: datetime) -> float:
    """What a conversation came to, in [0, 1]; see above."""
    signals = signals_of(turns, now)
    return fmean(_outcome(turn, max((s.sure for s in signals if s.question == turn.question), default=0.0)) for turn in turns)


def _outcome(turn: Turn, sure: float) -> float:
    if turn.rating is not None:
        return 1.0 if turn.rating["rating"] == "up" else 0.0
    if turn.end in ("run.failed", "run.stopped"):
        return 0.0
    return min(UNKNOWN if turn.abstained else 1.0, 1.0 - sure)


@dataclass(slots=True)
class _Conversation:
    version: str
    since: datetime
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared: versions of agents, from a time (UTC, ISO 8601) on."""

    incumbent: str
    candidate: str
    since: str


@dataclass(slots=True)
class Tally:
    """The outcomes of both sides, brought up to date at every look.

    Args:
        settle_s: Seconds without a word after which a conversation counts.
        margin: Loss up to which the candidate is not worse.
    """

    log: Log
    sides: Sides
    settle_s: float
    margin: float
    standing: Standing = field(default=Standing(0, 0, 0.0, 0.0, -1.0, 1.0, "open"), init=False)
    _last: int = field(default=0, init=False)
    _time: str = field(default="", init=False)
    _open: dict[str, _Conversation] = field(default_factory=dict, init=False)
    _outcomes: dict[str, list[float]] = field(default_factory=dict, init=False)
    _lock: Any = field(default_factory=threading.Lock, init=False)

    def look(self, now: datetime) -> Standing:
        """How it stands at `now`."""
        with self._lock:
            self._read()
            over = sorted((c.since, run) for run, c in self._open.items() if not c.is_open and c.since + self._settle <= now)
            for since, run in over:
                conversation = self._open.pop(run)
                self._count(run, conversation.version, since + self._settle)
            if over:
                self.standing = self._stand()
            return self.standing

    def is_like(self, other: "Tally") -> bool:
        """Whether the other one would count the same."""
        return (self.sides, self.settle_s, self.margin) == (other.sides, other.settle_s, other.margin)

    @property
    def _settle(self) -> timedelta:
        return timedelta(seconds=self.settle_s)

    def _read(self) -> None:
        for event in self.log.happened(self._time or self.sides.since, _KINDS):
            if event.id > self._last:
                self._take(event)
                self._last, self._time = event.id, event.time

    def _take(self, event: Event) -> None:
        time = datetime.fromisoformat(event.time)
        if event.kind == "run.started":
            version = str((event.body or {}).get("agent", ""))
            if version in (self.sides.incumbent, self.sides.candidate):
                self._open[event.run] = _Conversation(version, time, is_open=True)
        elif event.run not in self._open:
            return
        elif event.kind in ("run.erased", "agent.changed"):
            del self._open[event.run]
        else:
            self._open[event.run].is_open = event.kind == "run.asked"
            self._open[event.run].since = time

    def _count(self, run: str, version: str, until: datetime) -> None:
        told = [event for event in self.log.events(run) if datetime.fromisoformat(event.time) <= until]
        if turns := turns_of(told):
            self._outcomes.setdefault(version, []).append(outcome(turns, until))

    def _stand(self) -> Standing:
        new, old = (self._outcomes.get(version, []) for version in (self.sides.candidate, self.sides.incumbent))
        interval = difference_interval(new, old)
        means = fmean(new) if new else 0.0, fmean(old) if old else 0.0
        return Standing(len(new), len(old), *means, *interval, finding(interval, self.margin))
