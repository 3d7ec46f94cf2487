"""Whether a run has left the road: its loss climbs far above what it was, and stays there."""

from collections.abc import Sequence
from dataclasses import dataclass

MEMORY = 0.98
"""Share of the smoothed loss that is kept at each step: about a hundred steps are averaged, so that steps of few rows, whose losses
are spread by one or two nats, move it by little."""

MARGIN = 1.0
"""Nats above twice the best, so that a loss near nothing may double without alarm."""

STEPS = 25
"""So many steps are seen before one counts as the best, and so many in a row must stand above the line."""


@dataclass(slots=True)
class Smoothed:
    """An exponential mean of the losses without the pull of its start, and its lowest value.

    Source:
        The correction of the start: Kingma and Ba (2015), arXiv 1412.6980, section 3.
    """

    count: int = 0
    best: float = float("inf")
    above: int = 0
    _sum: float = 0.0

    @classmethod
    def over(cls, losses: Sequence[float]) -> "Smoothed":
        """What it is after these losses."""
        smoothed = cls()
        for loss in losses:
            smoothed.add(loss)
        return smoothed

    def add(self, loss: float) -> None:
        """Count the loss of one more step."""
        self.count += 1
        self._sum = MEMORY * self._sum + (1 - MEMORY) * loss
        if self.count < STEPS:
            return
        self.best = min(self.best, self.value)
        self.above = self.above + 1 if self.value > self.best + abs(self.best) + MARGIN else 0

    @property
    def value(self) -> float:
        """Nats; of at least one loss."""
        return self._sum / (1 - MEMORY**self.count)

    @property
    def has_diverged(self) -> bool:
        """Whether the mean has stood above twice its best and a nat for many steps.

        An ordinary run cannot reach it, since its mean falls or lies flat; one whose rate is far too high gets there in some forty
        steps. What climbs more slowly is left to the looks at validation, of which the best is kept.
        """
        return self.above >= STEPS
