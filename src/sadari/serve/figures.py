"""What Monitor shows of a range, from the journal: how much was asked, what became of it, how long it took, what it used."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from sadari.measure.statistics import percentile, wilson
from sadari.serve.journal import Asked, Called, Outcome, Period, Range, between

_ENDED = ("answered", "stopped", "failed")
"""With these there is an answer whose time counts; who cancels did not wait for one."""


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `of`, and its 95 % interval by Wilson."""

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """In [0, 1]; None of nothing."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, in seconds; None of nothing."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class ToolFigures:
    """What became of the calls of one tool. `refused` by the rules or the judge, `denied` by a person."""

    tool: str
    proposed: int
    made: int
    succeeded: int
    failed: int
    refused: int
    denied: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Approvals:
    """What people decided, and how long that took them."""

    approved: int
    denied: int
    edited: int
    settled: int
    expired: int
    took: Times


@dataclass(frozen=True, slots=True)
class Judgements:
    """What the judge said of calls; unsure is left to a person."""

    allowed: int
    refused: int
    unsure: int


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One step of a range; times in ISO 8601, latency to the end in seconds, cost None where it is not priced."""

    since: str
    until: str
    asked: int
    answered: int
    abstained: int
    failed: int
    p50: float | None
    p95: float | None
    read: int
    written: int
    cost: float | None
    up: int
    down: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in a range.

    Args:
        asked: Questions of users, by what became of them.
        first: To the first piece of an answer; `first_bounds` of these are upper bounds (see the module).
        end: To the end of an answer, without waiting for people.
        cost: In `currency`; None where nothing has a price.
        cost_by: What is counted: "logged" money, "tokens", "machine" hours at work, or "" for nothing.
        errors: What went wrong, the most frequent first.
        refusals: Refused calls by what refused them.
    """

    range: Range
    since: str
    until: str
    asked: Mapping[Outcome, int]
    first: Times
    first_bounds: int
    end: Times
    read: int
    written: int
    cost: float | None
    currency: str
    cost_by: str
    errors: tuple[tuple[str, int], ...]
    satisfaction: Share
    abstention: Share
    citation: Share
    tools: tuple[ToolFigures, ...]
    refusals: tuple[tuple[str, int], ...]
    approvals: Approvals
    judgements: Judgements
    steps: tuple[StepFigures, ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """What serving costs, in `currency`; None is not priced.

    Args:
        hour: Of the machine that answers, for the hours in which it is at work.
        read, written: Of 1,000 tokens of a remote model.
    """

    currency: str = ""
    hour: float | None = None
    read: float | None = None
    written: float | None = None

    @property
    def by(self) -> str:
        """What is counted."""
        return "tokens" if self.read is not None else "machine" if self.hour is not None else ""


def figures_of(period: Period, prices: Prices) -> Figures:
    """What happened in a period as numbers."""
    answered = [one for one in period.asked if one.outcome == "answered"]
    firsts = [one for one in period.asked if one.first_s is not None]
    told = [one for one in answered if not one.is_abstained]
    costs = _Costs(period.asked, prices)
    outcomes = Counter(one.outcome for one in period.asked)
    refused = Counter(one.by for one in period.called if one.status == "refused")
    return Figures(
        range=period.range,
        since=period.edges[0].isoformat(),
        until=period.edges[-1].isoformat(),
        asked={name: outcomes[name] for name in get_args(Outcome)},
        first=times([one.first_s for one in firsts if one.first_s is not None]),
        first_bounds=sum(not one.is_first_exact for one in firsts),
        end=times([_lasted(one) for one in period.asked if one.outcome in _ENDED]),
        read=sum(one.read for one in period.asked),
        written=sum(one.written for one in period.asked),
        cost=costs.between(period.edges[0].timestamp(), period.edges[-1].timestamp()),
        currency=prices.currency,
        cost_by=costs.by,
        errors=tuple(_errors(period).most_common(12)),
        satisfaction=share(sum(one.is_up for one in period.rated), len(period.rated)),
        abstention=share(len(answered) - len(told), len(answered)),
        citation=share(sum(one.is_cited for one in told), len(told)),
        tools=_tools(period),
        refusals=tuple(refused.most_common()),
        approvals=_approvals(period),
        judgements=_judgements(period),
        steps=tuple(_step(period, begin, end, costs) for begin, end in zip(period.edges, period.edges[1:], strict=False)),
    )


def _step(period: Period, begin: datetime, end: datetime, costs: "_Costs") -> StepFigures:
    since, until = begin.timestamp(), end.timestamp()
    asked = between(period.asked, since, until)
    rated = [one.is_up for one in between(period.rated, since, until)]
    took = times([_lasted(one) for one in asked if one.outcome in _ENDED])
    outcomes = Counter(one.outcome for one in asked)
    return StepFigures(
        since=begin.isoformat(),
        until=end.isoformat(),
        asked=len(asked),
        answered=outcomes["answered"],
        abstained=sum(one.is_abstained for one in asked),
        failed=outcomes["failed"] + outcomes["stopped"],
        p50=took.p50,
        p95=took.p95,
        read=sum(one.read for one in asked),
        written=sum(one.written for one in asked),
        cost=costs.between(since, until),
        up=sum(rated),
        down=len(rated) - sum(rated),
    )


def _errors(period: Period) -> Counter[str]:
    """Questions and calls that did not end well, by kind. What a library said of it is left in the log: it may be personal."""
    found = Counter(f"limit:{one.why}" for one in period.asked if one.outcome == "stopped")
    found["model"] = sum(one.outcome == "failed" for one in period.asked)
    found["cancelled"] = sum(one.outcome == "cancelled" for one in period.asked)
    found.update(f"tool:{one.tool}" for one in period.called if one.status == "failed")
    found.update(f"unknown:{one.tool}" for one in period.called if one.status == "unknown")
    return +found


def _tools(period: Period) -> tuple[ToolFigures, ...]:
    by_tool: dict[str, list[Called]] = {}
    for one in period.called:
        by_tool.setdefault(one.tool, []).append(one)
    return tuple(_tool(name, called) for name, called in sorted(by_tool.items(), key=lambda item: (-len(item[1]), item[0])))


def _approvals(period: Period) -> Approvals:
    decided = [one for one in period.called if one.decided_at]
    ends = Counter(one.by for one in decided)
    by_person = [one.decided_at - one.asked_at for one in decided if one.by not in ("expired", "cancelled")]
    return Approvals(ends["approved"], ends["denied"], ends["edited"], ends["settled"], ends["expired"], times(by_person))


def _judgements(period: Period) -> Judgements:
    said = Counter(one.decision for one in period.judged)
    return Judgements(said["allow"], said["refuse"], said["ask"])


def share(count: int, of: int) -> Share:
    """`count` of `of`, with its interval."""
    return Share(count, of, *wilson(count, of))


def times(seconds: Sequence[float]) -> Times:
    """The percentiles of some times."""
    if not seconds:
        return Times(0, None, None, None)
    return Times(len(seconds), *(percentile(seconds, at) for at in (0.5, 0.95, 0.99)))


class _Costs:
    """What questions cost, by what the log says, by their tokens, or by the hours in which they kept a machine at work."""

    def __init__(self, asked: Sequence[Asked], prices: Prices) -> None:
        self._asked, self._prices = asked, prices
        self.by = "logged" if any(one.money for one in asked) else prices.by
        self._busy = _busy(asked) if self.by == "machine" else []

    def between(self, since: float, until: float) -> float | None:
        """In the currency of the prices; None if nothing has a price."""
        prices = self._prices
        if self.by == "machine":
            return _within(self._busy, since, until) / 3600 * (prices.hour or 0.0)
        asked = between(self._asked, since, until)
        if self.by == "logged":
            return sum(one.money for one in asked)
        if self.by == "tokens":
            return sum(one.read * (prices.read or 0.0) + one.written * (prices.written or 0.0) for one in asked) / 1000
        return None


def _lasted(asked: Asked) -> float:
    return max(0.0, asked.end - asked.at - asked.waited_s)


def _busy(asked: Iterable[Asked]) -> list[tuple[float, float]]:
    """When at least one question was worked on, in order and apart: a machine is paid once for all that it does at once."""
    busy: list[tuple[float, float]] = []
    for begin, end in sorted(span for one in asked for span in _worked(one)):
        if busy and begin <= busy[-1][1]:
            busy[-1] = (busy[-1][0], max(busy[-1][1], end))
        else:
            busy.append((begin, end))
    return busy


def _worked(asked: Asked) -> list[tuple[float, float]]:
    """When a question was worked on; one that is not over is not counted yet."""
    if not asked.end:
        return []
    begins = [asked.at, *(end for _, end in asked.pauses)]
    ends = [*(begin for begin, _ in asked.pauses), asked.end]
    return list(zip(begins, ends, strict=True))


def _within(spans: Sequence[tuple[float, float]], since: float, until: float) -> float:
    """Seconds of the spans, which are in order and apart, that lie between two moments."""
    first = max(0, bisect_left(spans, (since, since)) - 1)
    parts = (min(end, until) - max(begin, since) for begin, end in spans[first : bisect_left(spans, (until, until))])
    return sum(part for part in parts if part > 0)


def _tool(name: str, called: Sequence[Called]) -> ToolFigures:
    ends = Counter(one.status for one in called)
    denied = sum(one.by == "denied" for one in called if one.decided_at)
    succeeded = ends["succeeded"] + ends["settled"]
    made = sum(one.is_made for one in called)
    return ToolFigures(name, len(called), made, succeeded, ends["failed"], ends["refused"], denied, ends["unknown"])
