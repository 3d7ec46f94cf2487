"""Money and pace of requests: a cap is checked against the worst case before a request leaves."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sadari.errors import BudgetError
from sadari.types import Usage


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """Money per million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, usage: Usage) -> float:
        """What this many tokens cost."""
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6


class Purse:
    """What was spent and what may yet be, for requests in flight.

    Args:
        owner: Whose money an error says it is.
        cap: Most that may be spent; None for any amount.
    """

    def __init__(self, owner: str, prices: TokenPrices, cap: float | None) -> None:
        self._owner, self._prices, self._cap = owner, prices, cap
        self.spent = 0.0
        self._reserved = 0.0
        self._lock = threading.Lock()

    def fare(self, worst: Usage) -> "Fare":
        """What one request may cost at most, not reserved yet."""
        return Fare(self, worst)

    def reserve(self, worst: Usage) -> None:
        """Set money aside.

        Raises:
            BudgetError: If that could exceed the cap.
        """
        cost = self._prices.cost(worst)
        with self._lock:
            if self._cap is not None and self.spent + self._reserved + cost > self._cap:
                raise BudgetError(
                    f"{self._owner}: {self.spent:.4g} of {self._cap:.4g} is spent and {self._reserved:.4g} under way; "
                    f"the next request could cost {cost:.4g}. Raise money_cap, or ask less."
                )
            self._reserved += cost

    def settle(self, worst: Usage, used: Usage) -> None:
        """Pay for what was used, and free the rest of what was set aside."""
        with self._lock:
            self._reserved -= self._prices.cost(worst)
            self.spent += self._prices.cost(used)


class Fare:
    """The money of one request, over all its attempts."""

    def __init__(self, purse: Purse, worst: Usage) -> None:
        self._purse, self._worst = purse, worst
        self._is_open = False

    def begin(self) -> None:
        """Set the money for one attempt aside.

        Raises:
            BudgetError: If that could exceed the cap.
        """
        self._purse.reserve(self._worst)
        self._is_open = True

    def end(self, used: Usage | None) -> None:
        """Pay for the attempt, if one is open. `used` is None where nobody knows: then it was the dearest."""
        if self._is_open:
            self._is_open = False
            self._purse.settle(self._worst, self._worst if used is None else used)


class Pace:
    """Lets so many requests a minute through; None for any number."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap_s = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, sleep: Callable[[float], object]) -> None:
        """Return when the next request may leave."""
        if not self._gap_s:
            return
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._next)
            self._next = mine + self._gap_s
        if mine > now:
            sleep(mine - now)
