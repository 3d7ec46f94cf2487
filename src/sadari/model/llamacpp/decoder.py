"""Rows in the sequences of llama.cpp: what several begin with is held once, and what a row computed is kept for the next ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sadari.model.engine.decoder import Turn
from sadari.model.engine.memory import SHORTEST
from sadari.model.engine.row import Row
from sadari.model.llamacpp.native import Native

KEPT = 4
"""Sequences of rows that have ended are kept for rows that begin alike: so many, since every step reads past what is kept."""


@dataclass(slots=True, eq=False)
class _Sequence:
    """One sequence of llama.cpp.

    Args:
        tokens: Whose keys and values it holds.
        parts: Where they are held: the number of a run of cells, and how many of its first ones. A run is shared by all sequences
            that begin alike.
        row: Who writes it.
        used: Tick of the last use.
    """

    id: int
    tokens: list[int] = field(default_factory=list)
    parts: list[tuple[int, int]] = field(default_factory=list)
    row: Row | None = None
    used: int = 0


class LlamaDecoder:
    """A `Decoder` over llama.cpp.

    Args:
        sequences: How many llama.cpp has; `KEPT` of them are for rows that have ended.
    """

    def __init__(self, native: Native, sequences: int) -> None:
        self._native = native
        self.can_share, self.takes_pieces = native.can_cut, True
        self._sequences = [_Sequence(i) for i in range(sequences)]
        self._ticks = 0

    def known(self, row: Row) -> int:
        """Tokens of the row's beginning that are held; see `Decoder`."""
        return self._source(row)[1]

    def admit(self, row: Row) -> bool:
        """Take a row in; see `Decoder`."""
        source, known = self._source(row)
        free = [s for s in self._sequences if s.row is None and s is not source]
        own = source if source is not None and source.row is None and known == len(source.tokens) else None
        if own is None and not free:
            return False
        parts = _cut_parts(source.parts, known) if source is not None else []
        if not self._make_room(len(row.prompt) + row.limit - known, keep=source):
            return False
        place = own or min(free, key=lambda s: (bool(s.tokens), s.used))
        if place is not source:
            self._clear(place)
            if source is not None:
                self._native.copy(source.id, place.id, known)
        self._ticks += 1
        place.tokens, place.row, place.used = row.tokens[:known], row, self._ticks
        place.parts = [*parts, (self._ticks, len(row.prompt) + row.limit - known)]
        if source is not None:
            source.used = self._ticks
        row.place, row.fed = place, known
        return True

    def run(self, turns: Sequence[Turn]) -> Tensor:
        """Compute; see `Decoder`."""
        parts = [(turn.row.place.id, turn.row.fed, turn.tokens, turn.wanted) for turn in turns]
        scores = [torch.from_numpy(some.copy()) for some in self._native.compute(parts)]
        for turn in turns:
            turn.row.place.tokens += turn.tokens
            turn.row.fed += turn.count
        return torch.cat(scores) if scores else torch.empty((0, self._native.vocabulary))

    def rewind(self, row: Row, count: int) -> None:
        """Take back; see `Decoder`."""
        if count:
            place: _Sequence = row.place
            del place.tokens[-count:]
            self._native.cut(place.id, len(place.tokens))

    def leave(self, row: Row) -> None:
        """Let a row go; see `Decoder`."""
        place: _Sequence = row.place
        place.row = row.place = None
        if row.error is not None or not self.can_share or len(place.tokens) < SHORTEST:
            self._clear(place)
        else:
            place.parts = _cut_parts(place.parts, len(place.tokens))
        idle = sorted((s for s in self._sequences if s.row is None and s.tokens), key=lambda s: s.used)
        for old in idle[:-KEPT]:
            self._clear(old)

    def forget(self) -> None:
        """Drop what is kept; see `Decoder`."""
        for sequence in self._sequences:
            if sequence.row is None:
                self._clear(sequence)

    def _source(self, row: Row) -> tuple[_Sequence | None, int]:
        """The sequence that holds the longest beginning of a row, and how long that is."""
        if not self.can_share:
            return None, 0
        found = [(_common(s.tokens, row.tokens[: row.first_wanted]), s.row is None, -s.id, s) for s in self._sequences if s.tokens]
        known, *_, source = max(found, default=(0, False, 0, None))
        return (source, known) if known >= SHORTEST else (None, 0)

    def _make_room(self, cells: int, keep: _Sequence | None) -> bool:
        """Free cells of rows that have ended, those used longest ago first, until so many more are free."""
        idle = sorted((s for s in self._sequences if s.row is None and s.tokens and s is not keep), key=lambda s: s.used)
        while self._used() + cells > self._native.tokens:
            if not idle:
                return False
            self._clear(idle.pop(0))
        return True

    def _used(self) -> int:
        """Cells that are held, or that rows under way may still want."""
        most: Counter[int] = Counter()
        for sequence in self._sequences:
            for run, count in sequence.parts:
                most[run] = max(most[run], count)
        return most.total()

    def _clear(self, sequence: _Sequence) -> None:
        if sequence.tokens or sequence.parts:
            self._native.cut(sequence.id, 0)
        sequence.tokens, sequence.parts = [], []


def _cut_parts(parts: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """The runs of cells that the first `length` tokens are held in."""
    cut = []
    for run, count in parts:
        if length <= 0:
            break
        cut.append((run, min(count, length)))
        length -= count
    return cut


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    most = min(len(one), len(other))
    if list(one[:most]) == list(other[:most]):
        return most
    return next(i for i in range(most) if one[i] != other[i])
