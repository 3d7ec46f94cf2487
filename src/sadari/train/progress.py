"""What a person who waits is told: a line every few seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

TELL_EVERY_S = 5.0


@dataclass(slots=True)
class Progress:
    """Counts since the last line, and since this process began.

    Args:
        steps: Of the whole run.
        tell: Hears the lines.
        price_per_hour: Of the machine; None says nothing of money.
    """

    steps: int
    tell: Callable[[str], None]
    price_per_hour: float | None = None
    _began: float = field(default_factory=time.perf_counter)
    _told: float = field(default_factory=time.perf_counter)
    _done: int = 0
    _tokens: int = 0
    _seconds: float = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Count one more step: tokens of its rows, each in full, and how long it took."""
        self._done += 1
        self._tokens += tokens
        self._seconds += seconds

    def show(self, step: int, loss: float, saved: float, spent_s: float, best: float | None, *, at_once: bool = False) -> None:
        """Tell a line, if the last one is some seconds old.

        Args:
            step: Steps done in the whole run.
            saved: Share of the tokens that sharing spared, in [0, 1].
            spent_s: Seconds of the whole run so far, those before a crash too.
            best: Best score at validation; None before the first look.
            at_once: However new the last one is.
        """
        now = time.perf_counter()
        if not self._done or (now - self._told < TELL_EVERY_S and not at_once):
            return
        left = (self.steps - step) * (now - self._began) / self._done
        parts = [f"step {step} of {self.steps}", f"loss {loss:.3f}"]
        if best is not None:
            parts.append(f"best validation {best:.3f}")
        if self._tokens:
            parts.append(f"{self._tokens / max(self._seconds, 1e-9):,.0f} useful tokens/s")
        parts.append(f"{saved:.0%} of tokens saved")
        if step < self.steps:
            parts.append(f"{in_time(left)} left")
        if self.price_per_hour is not None:
            parts.append(f"{self.price_per_hour * spent_s / 3600:,.2f} spent")
        self.tell(", ".join(parts))
        self._told, self._tokens, self._seconds = now, 0, 0.0


def in_time(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
