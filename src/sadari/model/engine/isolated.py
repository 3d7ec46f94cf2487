"""Rows one after another: for layers that keep a running state, or mask in ways of their own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sadari.model.engine.decoder import Turn
from sadari.model.engine.row import Row


class IsolatedDecoder:
    """One row at a time, its prompt whole and then a token after another, as `transformers` itself generates.

    Nothing else is sure to be exact: some layers keep their state in the module, some forget it when several tokens come at once.
    """

    can_share = takes_pieces = False

    def __init__(self, model: Any) -> None:
        self.model, self._is_taken = model, False

    def known(self, row: Row) -> int:
        """Nothing is held; see `Decoder`."""
        return 0

    def admit(self, row: Row) -> bool:
        """Take a row in; see `Decoder`."""
        if self._is_taken:
            return False
        self._is_taken = True
        row.place, row.fed = None, 0
        return True

    def run(self, turns: Sequence[Turn]) -> Tensor:
        """Compute; see `Decoder`."""
        return torch.cat([self._run(turn) for turn in turns])

    def rewind(self, row: Row, count: int) -> None:
        """A running state cannot be taken back."""
        raise NotImplementedError

    def leave(self, row: Row) -> None:
        """Let a row go; see `Decoder`."""
        self._is_taken = False
        row.place = None

    def forget(self) -> None:
        """Nothing is kept."""

    def _run(self, turn: Turn) -> Tensor:
        pieces = [turn.tokens] if not turn.row.fed else [[token] for token in turn.tokens]
        lines = torch.cat([self._scores(turn.row, piece, max(turn.wanted, 1)) for piece in pieces])
        turn.row.fed += turn.count
        return lines[len(lines) - turn.wanted :].float()

    def _scores(self, row: Row, tokens: Sequence[int], last: int) -> Tensor:
        ids = torch.tensor([tokens], device=self.model.device)
        held = {} if row.place is None else {"past_key_values": row.place}
        out = self.model(input_ids=ids, use_cache=True, logits_to_keep=last, **held)
        row.place = out.past_key_values
        scores: Tensor = out.logits[0, -last:]
        return scores
