"""What keeps one answer within its constraint while it is written, token by token."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Guide(Protocol):
    """The state of one constrained answer.

    A step of the engine goes: `prepare` (in another thread, while the model computes), `restrict`, a token is chosen, `accept`,
    `forced`. An end-of-answer token is never given to `accept`.
    """

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing but the end may follow."""
        ...

    def prepare(self) -> None:
        """Compute what may come next. Touches nothing but this guide, and releases the interpreter where it can."""
        ...

    def restrict(self, scores: Tensor) -> None:
        """Set the scores of tokens that may not come next to -inf, in place; those that end the answer stay where it may end.

        Args:
            scores: Shape (V,), float32, on the CPU.
        """
        ...

    def accept(self, token: int) -> None:
        """Take one token, which `restrict` left possible.

        Raises:
            ModelError: If the constraint forbids it.
        """
        ...

    def forced(self) -> Sequence[int]:
        """Tokens that have no alternative, taken already by this call: they need no scores, and are fed together."""
        ...
