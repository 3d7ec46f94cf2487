"""How much one key may ask for, in a minute and at once; how often one may guess a password.

Covered: an attempt counts before its password is looked at, so that many at once are no way around; a name and the address that it
comes from are counted each for itself, so that neither one name nor many can be tried from one place; a success clears the name,
not the address; names that do not exist are counted like those that do.
Not covered: a restart forgets the count; from very many addresses a person can be kept waiting, for `LONGEST_WAIT_S` at most.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

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


FREE_BY_NAME, FREE_BY_ADDRESS = 5, 20
"""Failures in a row after which one has to wait: an office shares an address."""

LONGEST_WAIT_S = 900.0
FORGOTTEN_S = 3_600.0
"""Seconds after the last failure in which it is forgotten."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0

    def wait_s(self, free: int, now: float) -> float:
        """Seconds until the next attempt may be: each failure doubles them."""
        return self.last + min(LONGEST_WAIT_S, 2.0 ** min(self.count - free, 20)) - now if self.count >= free else 0.0


class Attempts:
    """Counts failures to sign in, by name and by address, in this process.

    Source:
        Throttling in place of locking for ever: NIST SP 800-63B-4, section 3.2.2.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock, self._failures = clock, threading.Lock(), dict[str, _Failures]()

    def begin(self, name: str, address: str) -> None:
        """Count an attempt as a failure, until it is known to be none.

        Raises:
            ApiError: 429, if there were too many; says when the next one may be.
        """
        now = self._clock()
        with self._lock:
            self._make_room()
            counted = [(self._recent(key, now), free) for key, free in _counted(name, address)]
            wait_s = max(failures.wait_s(free, now) for failures, free in counted)
            if wait_s > 0:
                told = f"Too many attempts to sign in. Try again in {max(1, round(wait_s))} s."
                raise ApiError(429, told, code="too_many_attempts", retry_after_s=wait_s)
            for failures, _ in counted:
                failures.count, failures.last = failures.count + 1, now

    def succeeded(self, name: str, address: str) -> None:
        """The attempt was none of those that count."""
        with self._lock:
            for key, _ in _counted(name, address):
                failures = self._failures.get(key, _Failures())
                failures.count = 0 if key.startswith("name ") else max(0, failures.count - 1)

    def _recent(self, key: str, now: float) -> _Failures:
        failures = self._failures.setdefault(key, _Failures())
        if failures.last <= now - FORGOTTEN_S:
            failures.count = 0
        return failures

    def _make_room(self) -> None:
        if len(self._failures) > MOST_KNOWN:
            self._failures = dict(sorted(self._failures.items(), key=lambda item: item[1].last)[-MOST_KNOWN // 2 :])


def _counted(name: str, address: str) -> list[tuple[str, int]]:
    """What an attempt counts for, and how many failures are free: the name, unless none was given, and the address."""
    by_name = [(f"name {name}", FREE_BY_NAME)] if name else []
    return [*by_name, (f"address {_network(address)}", FREE_BY_ADDRESS)]


def _network(address: str) -> str:
    """The address; of IPv6 the network that one customer is given."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return str(ip)


def _once(leave: Callable[[], None]) -> Callable[[], None]:
    left = False

    def once() -> None:
        nonlocal left
        if not left:
            left = True
            leave()

    return once
