"""A batch of rows as one token trie: a beginning that rows share stands in it once.

Tokens are laid out depth first, so everything below a token follows it without a gap. Which tokens a token may see is then told by
one number per token: `end`, where its descendants end. Token `q` sees token `k` if `k <= q < end[k]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sadari.errors import TrainingError
from sadari.train.rows import Row

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Targets = tuple[tuple[int, float], ...]
"""What one prediction should be: ids with their shares."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens `[start, end)` that follow one another with no branch between; their descendants are `[end, stop)`."""

    start: int
    end: int
    stop: int


@dataclass(frozen=True, slots=True)
class Trie:
    """Rows packed for one forward pass; N tokens, of which M places predict something that is learnt.

    Args:
        ids: Token ids, shape (N,), depth first.
        depth: Position of each token in its row, shape (N,).
        end: For each token, the index past its last descendant, shape (N,).
        segments: Maximal runs without a branch, in order.
        at: For each prediction the token it is made from, shape (M,).
        targets: The predicted ids, shape (M, K); K is 1 but for soft targets.
        shares: Share of each target in its prediction, shape (M, K); 1 where K is 1, 0 for padding.
        weights: Weight of each prediction, shape (M,): the sum over the rows it stands in.
        among: For each prediction the ids it is chosen among, () for all; empty if none is constrained.
        row_of, prediction_of, weight_of: One entry for each learnt token of each row: the row's index, the prediction, the weight.
        tokens_before: Tokens of all rows, each counted in full.
    """

    ids: Ints
    depth: Ints
    end: Ints
    segments: tuple[Segment, ...]
    at: Ints
    targets: Ints
    shares: Floats
    weights: Floats
    among: tuple[tuple[int, ...], ...]
    row_of: Ints
    prediction_of: Ints
    weight_of: Floats
    tokens_before: int

    def __len__(self) -> int:
        return len(self.ids)


def needed(row: Row) -> int:
    """How many tokens of a row are computed: what stands after the last prediction is of no use."""
    return max((i for i, weight in enumerate(row.weights) if weight > 0), default=0)


def shared_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning of two token sequences."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    different = np.asarray(a[:length]) != np.asarray(b[:length])
    return int(different.argmax())


def build_trie(rows: Sequence[Row], *, share: bool = True) -> Trie:
    """The trie of some rows. Each learnt token keeps its own weight, counted as often as it stands in the rows.

    Args:
        rows: At least one, each with a weight above 0 after its first token.
        share: False lays the rows out side by side, with nothing in common: the same loss, more work.

    Raises:
        TrainingError: If a row has nothing to learn.
    """
    order = sorted(range(len(rows)), key=lambda i: rows[i].ids) if share else range(len(rows))
    lengths = [needed(row) for row in rows]
    if not all(lengths):
        raise TrainingError(
            f"row {rows[lengths.index(0)].id}: no token after its first has a weight above 0, and nothing predicts the first. "
            "Give the tokens of the answer a weight, or leave the row out."
        )
    size = max(lengths)
    path = np.zeros(size, dtype=np.int64)  # packed index of each token of the row before
    ids = np.empty(sum(lengths), dtype=np.int64)
    depth, end = np.empty_like(ids), np.empty_like(ids)
    predictions = _Predictions()
    before: tuple[int, ...] = ()
    count = 0
    held = 0  # tokens on `path`
    for index in order:
        row, length = rows[index], lengths[index]
        wanted = row.ids[:length]
        shared = min(held, shared_length(before, wanted)) if share else 0
        new = length - shared
        if shared < length or not share:
            end[path[shared:held]] = count
            path[shared:length] = np.arange(count, count + new)
            ids[count : count + new] = wanted[shared:]
            depth[count : count + new] = np.arange(shared, length)
            count += new
            before, held = wanted, length
        predictions.add(index, row, path)
    end[path[:held]] = count
    ids, depth, end = ids[:count], depth[:count], end[:count]
    return predictions.trie(ids, depth, end, sum(len(row.ids) for row in rows))


def behind(trie: Trie, length: int) -> Trie:
    """What attention needs of the trie with a root of `length` tokens above all its own; places of predictions are not moved."""
    moved = (Segment(s.start + length, s.end + length, s.stop + length) for s in trie.segments)
    return replace(
        trie,
        depth=np.concatenate([np.arange(length), trie.depth + length]),
        end=np.concatenate([np.full(length, length + len(trie)), trie.end + length]),
        segments=(Segment(0, length, length + len(trie)), *moved),
    )


class _Predictions:
    """What is predicted from where, collected row by row."""

    def __init__(self) -> None:
        self._index: dict[tuple[int, Targets, tuple[int, ...]], int] = {}
        self._entries: list[tuple[int, int, float]] = []

    def add(self, index: int, row: Row, path: Ints) -> None:
        for place in range(1, len(row.ids)):
            weight = row.weights[place]
            if weight <= 0:
                continue
            soft = row.soft[place] if row.soft else ()
            targets = tuple(soft) or ((row.ids[place], 1.0),)
            key = (int(path[place - 1]), targets, row.among[place] if row.among else ())
            self._entries.append((index, self._index.setdefault(key, len(self._index)), weight))

    def trie(self, ids: Ints, depth: Ints, end: Ints, tokens_before: int) -> Trie:
        at, wanted, among = zip(*self._index, strict=True)
        most = max(map(len, wanted))
        targets = np.zeros((len(wanted), most), dtype=np.int64)
        shares = np.zeros((len(wanted), most), dtype=np.float32)
        for i, some in enumerate(wanted):
            targets[i, : len(some)] = [token for token, _ in some]
            shares[i, : len(some)] = [share for _, share in some]
        row_of, prediction_of, weight_of = (np.array(values) for values in zip(*self._entries, strict=True))
        weights = np.bincount(prediction_of, weight_of, minlength=len(wanted)).astype(np.float32)
        return Trie(
            ids=ids,
            depth=depth,
            end=end,
            segments=_segments(depth, end),
            at=np.array(at, dtype=np.int64),
            targets=targets,
            shares=shares,
            weights=weights,
            among=among if any(among) else (),
            row_of=row_of,
            prediction_of=prediction_of,
            weight_of=weight_of.astype(np.float32),
            tokens_before=tokens_before,
        )


def _segments(depth: Ints, end: Ints) -> tuple[Segment, ...]:
    cuts = np.flatnonzero((np.diff(depth) != 1) | (np.diff(end) != 0)) + 1
    starts, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(depth)]
    return tuple(Segment(start, stop, int(end[start])) for start, stop in zip(starts, ends, strict=True))
