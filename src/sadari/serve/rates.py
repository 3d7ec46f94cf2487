"""How much one key may ask for, in a minute and at once."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sadari.serve.faults import ApiError
from sadari.serve.keys import Identity
from sadari.serve.options import ServeOptions

MINUTE_S = 60.0
MOST_KNOWN = 10_000
"""Keys whose last minute is remembered; beyond, those that rest are forgotten."""


@dataclass(slots=True)
class _Recent:
    begun: deque[float] = field(default_factory=deque)
    running: int = 0


class Rates:
    """Counts what each key does in this process."""

    def __init__(self, options: ServeOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._options, self._clock = options, clock
        self._lock, self._recent = threading.Lock(), dict[str, _Recent]()

    def enter(self, identity: Identity) -> Callable[[], None]:
        """Count a request in; what is called when it is over.

        Raises:
            ApiError: 429, if the key asks for too much; says when it may again.
        """
        per_minute = identity.requests_per_minute or self._options.requests_per_minute
        at_once = identity.concurrent or self._options.concurrent
        name, now = identity.key or identity.user, self._clock()
        with self._lock:
            self._forget(now)
            recent = self._recent.setdefault(name, _Recent())
            while recent.begun and recent.begun[0] <= now - MINUTE_S:
                recent.begun.popleft()
            if len(recent.begun) >= per_minute:
                after_s = recent.begun[0] + MINUTE_S - now
                told = f"This key may ask {per_minute} times in a minute. Try again in {after_s:.0f} s."
                raise ApiError(429, told, code="rate_limit_exceeded", retry_after_s=after_s)
            if recent.running >= at_once:
                told = f"This key may have {at_once} requests at once. Wait until one is done."
                raise ApiError(429, told, code="rate_limit_exceeded", retry_after_s=1)
            recent.begun.append(now)
            recent.running += 1
        return _once(lambda: self._leave(recent))

    def _leave(self, recent: _Recent) -> None:
        with self._lock:
            recent.running -= 1

    def _forget(self, now: float) -> None:
        if len(self._recent) > MOST_KNOWN:
            resting = [k for k, r in self._recent.items() if not r.running and (not r.begun or r.begun[-1] <= now - MINUTE_S)]
            for name in resting:
                del self._recent[name]


def _once(leave: Callable[[], None]) -> Callable[[], None]:
    left = False

    def once() -> None:
        nonlocal left
        if not left:
            left = True
            leave()

    return once
