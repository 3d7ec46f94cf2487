"""What computes rows: it holds what they have computed, and computes what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sadari.model.engine.row import Row


@dataclass(frozen=True, slots=True)
class Turn:
    """What one row brings to a step: its next `count` tokens and `draft`; after the last `wanted` of them scores are wanted."""

    row: Row
    count: int
    wanted: int
    draft: tuple[int, ...] = ()

    @property
    def tokens(self) -> list[int]:
        """The tokens that are computed."""
        return self.row.tokens[self.row.fed : self.row.fed + self.count] + list(self.draft)


class Decoder(Protocol):
    """Holds what rows have computed, and computes what comes next."""

    can_share: bool
    """Whether rows may begin with what others have computed, and take back what they have."""

    takes_pieces: bool
    """Whether a prompt may come in pieces."""

    def known(self, row: Row) -> int:
        """Tokens of the row's beginning that are held already."""
        ...

    def admit(self, row: Row) -> bool:
        """Take a row in, with as much of its beginning as is held already; False if there is no room yet.

        Raises:
            ModelError: If there never will be.
        """
        ...

    def run(self, turns: Sequence[Turn]) -> Tensor:
        """Compute; returns the wanted scores, float32, shape (sum of `wanted`, V), turn by turn."""
        ...

    def rewind(self, row: Row, count: int) -> None:
        """Take back the last `count` tokens that were computed for a row."""
        ...

    def leave(self, row: Row) -> None:
        """Let a row go; what it computed may be kept for others."""
        ...

    def forget(self) -> None:
        """Drop what is kept for others: the weights may have changed."""
        ...
