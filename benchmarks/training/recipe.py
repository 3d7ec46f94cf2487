"""What both trainers are told, and what a process gives back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the weights move: AdamW without decay, gradients clipped to norm 1, the defaults of `transformers`.

    Args:
        learning_rate: At the peak; 0 leaves the weights as they are.
        schedule: By the name `transformers` gives it.
        budget_s: After so many seconds no further step is begun.
    """

    learning_rate: float
    schedule: str = "linear"
    warmup_steps: int = 0
    seed: int = 0
    budget_s: float = float("inf")

    def is_spent(self, seconds: float) -> bool:
        """Whether the budget is used up."""
        return seconds >= self.budget_s


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds and loss of each step, in order."""

    seconds: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Seconds and losses of the timed steps, and the most bytes that the process held (on an accelerator: its allocator)."""

    seconds: tuple[float, ...]
    losses: tuple[float, ...]
    peak_bytes: int

    @property
    def step_s(self) -> float:
        """Mean seconds of a step."""
        return sum(self.seconds) / len(self.seconds)


@dataclass(frozen=True, slots=True)
class Learnt:
    """Loss on the validation rows in nats per token, before and after, and how the training went."""

    before: float
    after: float
    training: Found
