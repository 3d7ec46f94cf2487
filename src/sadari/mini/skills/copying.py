"""Copying from the context, the skill under all others: repeated random tokens, spans and keyed records."""

from __future__ import annotations

from random import Random

FIRST_PIECE = 9  # the special tokens come before


def repeated_tokens(r: Random, vocabulary: int, low: int, high: int) -> tuple[list[int], list[float]]:
    """Random pieces, then parts of them again in another order; the loss lies on what can be known.

    Returns:
        Token ids and loss weights. The first token of a repeated part cannot be known and has weight 0.
    """
    n = r.randint(low, high)
    base = [r.randrange(FIRST_PIECE, vocabulary) for _ in range(n)]
    if r.random() < 0.4:
        base = (base[: max(4, n // 2)]) * 1
        times = r.choice((2, 2, 3))
        return base * times, [0.05] * len(base) + [1.0] * (len(base) * (times - 1))
    ids, weights = list(base), [0.05] * n
    for _ in range(r.randint(1, 4)):
        a = r.randrange(0, max(1, n - 4))
        span = base[a : a + r.randint(4, max(5, n // 2))]
        ids += span
        weights += [0.0] + [1.0] * (len(span) - 1)
        if r.random() < 0.3:
            extra = [r.randrange(FIRST_PIECE, vocabulary) for _ in range(r.randint(1, 4))]
            ids += extra
            weights += [0.0] * len(extra)
    return ids, weights[: len(ids)]
