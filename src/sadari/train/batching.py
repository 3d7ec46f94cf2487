"""Which rows make a step, and how a step is cut to fit the memory.

A step is made of families: rows that share more than the beginning common to all, as the turns of one conversation do. The families
are in random order; inside a step, nothing depends on the order. The cut never changes the result: losses are summed over the whole
step and divided by its whole weight.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sadari.train.rows import Row
from sadari.train.trie import needed, shared_length

Item = tuple[Row, ...]
"""Rows that are learnt from together: one, or the chosen and the rejected answer of a preference."""

FAMILY_SHARE = 0.5
"""Rows are of one family if they share at least this part of what the shorter one has beyond the common beginning."""


def steps_of(items: Sequence[Item], batch_tokens: int, epochs: float, seed: int) -> list[list[int]]:
    """Positions of the items of every step of a run, in order; the order of families is drawn anew for each epoch.

    Args:
        batch_tokens: Tokens of a step, the beginning that all items share counted once. An item alone may have more.
        epochs: Passes over the items; a part of a pass takes its first steps.
    """
    families, common = _families(items, batch_tokens)
    sizes = [[_own_tokens(items[i], common) for i in family] for family in families]
    rng = np.random.default_rng(seed)
    steps: list[list[int]] = []
    for epoch in range(int(np.ceil(epochs))):
        drawn: list[list[int]] = []
        room = 0
        for f in rng.permutation(len(families)).tolist():
            size = sum(sizes[f])
            if not drawn or size > room:
                drawn.append([])
                room = batch_tokens - common
            drawn[-1] += families[f]
            room -= size
        share = min(1.0, epochs - epoch)
        steps += drawn[: max(1, round(share * len(drawn)))]
    return steps


def _families(items: Sequence[Item], batch_tokens: int) -> tuple[list[list[int]], int]:
    """Positions grouped into families of at most half a step, and the length of the beginning common to all."""
    order = sorted(range(len(items)), key=lambda i: items[i][0].ids)
    common = shared_length(items[order[0]][0].ids, items[order[-1]][0].ids)
    families: list[list[int]] = []
    size = 0
    for before, i in zip([None, *order], order, strict=False):
        own = _own_tokens(items[i], common)
        is_kin = False
        if before is not None:
            a, b = items[before][0].ids, items[i][0].ids
            beyond = min(len(a), len(b)) - common
            is_kin = beyond > 0 and shared_length(a, b) - common >= FAMILY_SHARE * beyond
        if not is_kin or size + own > batch_tokens // 2:
            families.append([])
            size = 0
        families[-1].append(i)
        size += own
    return families, common


def _own_tokens(item: Item, common: int) -> int:
    """Tokens beyond the common beginning; one at least, or any number of equal rows would fit a step."""
    return sum(max(1, len(row.ids) - common) for row in item)


@dataclass(slots=True)
class _Bin:
    items: list[int]
    room: int


EVEN_WITHIN = 1 / 16
"""Share of the budget to which batches are made even."""


def cut(items: Sequence[Item], packed_tokens: int, *, share: bool = True) -> list[list[int]]:
    """Cut the items of one step into batches of at most `packed_tokens` computed tokens; positions in `items`.

    Items come in the order of their tokens, where neighbours share most, and each goes where it adds fewest tokens, of such places
    into the fullest (best fit). Of budgets with as few batches the smallest is kept: the largest batch decides the memory. An item
    that is larger than the budget is a batch of its own.
    """
    known: dict[tuple[int, int | None], int] = {}

    def added(i: int, last: int | None) -> int:
        """Tokens that item `i` adds to a batch that ends with item `last`."""
        if (i, last) not in known:
            known[i, last] = _added(items[i], items[last][-1] if share and last is not None else None)
        return known[i, last]

    order = sorted(range(len(items)), key=lambda i: items[i][0].ids)
    batches = _filled(order, packed_tokens, added)
    low, high = packed_tokens // 2, packed_tokens
    while len(batches) > 1 and high - low > max(1, EVEN_WITHIN * packed_tokens):
        middle = (low + high) // 2
        smaller = _filled(order, middle, added)
        if len(smaller) == len(batches):
            batches, high = smaller, middle
        else:
            low = middle
    return batches


def _filled(order: Sequence[int], tokens: int, added: Callable[[int, int | None], int]) -> list[list[int]]:
    """Items in order, each put where it adds fewest tokens."""
    bins: list[_Bin] = []
    for i in order:
        costs = [(added(i, held.items[-1]), held.room, b) for b, held in enumerate(bins)]
        cost, _, best = min((c for c in costs if c[0] <= c[1]), default=(added(i, None), 0, len(bins)))
        if best == len(bins):
            bins.append(_Bin([], tokens))
        bins[best].items.append(i)
        bins[best].room -= cost
    return [held.items for held in bins]


def cut_padded(items: Sequence[Item], padded_tokens: int) -> list[list[int]]:
    """The same for rows that are filled up to the longest of their batch: items of like length go together."""
    widths = [max(needed(row) for row in item) for item in items]
    batches: list[list[int]] = []
    rows = 0
    for i in sorted(range(len(items)), key=widths.__getitem__):
        if not batches or (rows + len(items[i])) * widths[i] > padded_tokens:
            batches.append([])
            rows = 0
        batches[-1].append(i)
        rows += len(items[i])
    return batches


def _added(item: Item, before: Row | None) -> int:
    """Tokens that the rows of `item` add to a batch that ends with the row `before`; never too few."""
    added = 0
    for row in item:
        # Only what is computed of the row before can be shared.
        shared = 0 if before is None else min(shared_length(before.ids, row.ids), needed(before))
        added += max(0, needed(row) - shared)
        before = row
    return added
