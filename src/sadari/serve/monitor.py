"""Monitor as a whole: the figures of the log, drift, what the climb forgot, and whether judge and sandbox are at work.

Covered: whoever looks waits for nothing that hangs: a sandbox that does not answer in time is told as such; what is costly
is computed once a minute.
Not covered: what other processes on the same log do at this moment; their answers are in the figures all the same.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from sadari.errors import SadariError
from sadari.serve.climbs import Climbs
from sadari.serve.drift import Drift, find_drift
from sadari.serve.figures import Figures, Prices, figures_of
from sadari.serve.journal import Journal, Range
from sadari.serve.lines import masked

if TYPE_CHECKING:
    from sadari.serve.service import Service

KEPT_S = 60.0
"""Seconds for which what is costly is not computed anew."""

PATIENCE_S = 3.0
"""Seconds in which a sandbox has to run a line."""

T = TypeVar("T")


@dataclass(slots=True)
class _Slot(Generic[T]):
    """A value, () while it is not made, and the moment until which it counts."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = inf
    made: tuple[T, ...] = ()


class Kept(Generic[T]):
    """Values that are made once and kept for a while; only who wants the same one waits while it is made."""

    def __init__(self, seconds: float = KEPT_S, most: int = 64) -> None:
        self._seconds, self._most, self._lock = seconds, most, threading.Lock()
        self._slots: dict[Any, _Slot[T]] = {}

    def get(self, name: Any, make: Callable[[], T]) -> T:
        """The value of that name, or what `make` makes."""
        with self._lock:
            now = time.monotonic()
            self._slots = {n: slot for n, slot in self._slots.items() if slot.until >= now}
            if name not in self._slots and len(self._slots) >= self._most:
                self._slots.pop(next(iter(self._slots)))
            slot = self._slots.setdefault(name, _Slot())
        with slot.lock:
            if not slot.made:
                slot.made = (make(),)
                slot.until = time.monotonic() + self._seconds
            return slot.made[0]


@dataclass(frozen=True, slots=True)
class SandboxState:
    """A tool that runs code, and whether its sandbox works: "ok", "late" or "failed"."""

    tool: str
    kind: str
    state: Literal["ok", "late", "failed"]
    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """How things stand at the moment.

    Args:
        waiting: Calls that wait for a person.
        running: Requests that are worked on.
        cut_off: Runs that are not over and that this process does not work on.
        sandboxes: Of the tools that run code; () if there are none.
        judge: The model that is asked about calls; "" if only the fixed rules are.
        forgetting: Rung, level and reason of each tuned rung of the newest climb.
        statuses: Requests of this process by HTTP status.
    """

    waiting: int
    running: int
    cut_off: int
    sandboxes: tuple[SandboxState, ...]
    judge: str
    forgetting: tuple[tuple[str, str, str], ...]
    statuses: Mapping[str, int]


class Monitor:
    """What is watched of one service."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self.climbs = Climbs(service.options.task)
        self.journal = Journal(service.log)
        self.drawn: Kept[str] = Kept(most=256)
        """Plots by name, range, theme and language."""
        self._drifts: Kept[Drift] = Kept()
        self._sandboxes: Kept[tuple[SandboxState, ...]] = Kept()
        self._prices: Kept[Prices] = Kept()
        self._probe = ThreadPoolExecutor(1, "probe")

    def figures(self, within: Range) -> Figures:
        """What happened in a range until now."""
        return figures_of(self.journal.look(within), self._prices.get("", self._read_prices))

    def drift(self, within: Range) -> Drift:
        """Whether people ask what the test set asks; what they asked is masked, and what was erased since is left out."""
        asked = self.journal.look(within).openings
        found = self._drifts.get(within, lambda: find_drift(asked, self.climbs.test_questions()))
        there = {one.run for one in asked}
        return replace(found, unlike=tuple(replace(one, text=masked(one.text)) for one in found.unlike if one.run in there))

    def now(self) -> Now:
        """How things stand at the moment."""
        service, newest = self._service, next(iter(self.climbs.all()), None)
        return Now(
            waiting=len(service.waiting.at(datetime.now().astimezone())),
            running=service.workers.running,
            cut_off=sum(not service.log.holds(entry.run) for entry in service.unfinished),
            sandboxes=self._sandboxes.get("", self._try_sandboxes),
            judge=self._judge(),
            forgetting=tuple(newest.forgetting) if newest is not None else (),
            statuses=service.metrics.statuses(),
        )

    def told(self, within: Range) -> dict[str, Any]:
        """All of it as plain JSON."""
        return {"figures": asdict(self.figures(within)), "drift": asdict(self.drift(within)), "now": asdict(self.now())}

    def _read_prices(self) -> Prices:
        """Those of the task; else those that limits in money count by."""
        prices, options = self.climbs.prices(), self._service.options
        if prices.by or not options.is_priced:
            return prices
        return Prices(prices.currency, None, options.price_per_1k_prompt_tokens, options.price_per_1k_completion_tokens)

    def _judge(self) -> str:
        from sadari.agent.config import agent_config

        config = self.climbs.config()
        try:
            judge = agent_config(config.agent).judge if config is not None else None
        except SadariError:
            return ""
        return "" if config is None or judge is None else judge.model or config.model

    def _try_sandboxes(self) -> tuple[SandboxState, ...]:
        tools = self._service.stage.current.loop.agent.tools
        return tuple(self._try(tool.spec.name, tool.sandbox) for tool in tools if hasattr(tool, "sandbox"))

    def _try(self, tool: str, sandbox: Any) -> SandboxState:
        """Run a line in a sandbox."""
        kind, began = type(sandbox).__name__.removesuffix("Sandbox").lower(), time.monotonic()
        try:
            ran = self._probe.submit(sandbox.run, "print(1 + 1)", datetime.now().astimezone()).result(PATIENCE_S)
            state: Literal["ok", "late", "failed"] = "ok" if ran.printed.strip() == "2" else "failed"
        except LateError:
            state = "late"
        except Exception:  # whatever it is, code does not run
            state = "failed"
        return SandboxState(tool, kind, state, time.monotonic() - began)
