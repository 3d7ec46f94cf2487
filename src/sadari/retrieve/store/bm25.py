"""BM25 over postings in memory: which chunks are best, exactly, without adding up what cannot matter."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.store.seam import K1, B

COMMON = 0.1
"""Share of the chunks from which on a term that they hold is common."""


class Postings(NamedTuple):
    """The chunks that hold a term, by ascending position, and how often each holds it; both of shape (P,)."""

    positions: NDArray[np.uint32]
    counts: NDArray[np.uint16]


class AskedTerm(NamedTuple):
    """A term of a query: its weight (inverse document frequency), how often it is asked for, and where it stands."""

    weight: float
    times: int
    postings: Postings


class Hit(NamedTuple):
    """A chunk, its BM25, and the weight of the asked terms that it holds."""

    position: int
    score: float
    held: float


def length_norms(lengths: NDArray[np.uint32], mean: float) -> NDArray[np.float32]:
    """What BM25 adds to the count of a term, shape (n,): more for a chunk that is longer than `mean`."""
    return (K1 * (1 - B + B * lengths / max(1e-9, mean))).astype(np.float32)


def best_by_terms(
    terms: Sequence[AskedTerm], norms: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None = None
) -> list[Hit]:
    """The best `k` chunks of those that hold a term and that `mask` shows, best first; ties by position.

    Args:
        norms: From `length_norms`.
        mask: Shape (n,); None shows all.
    """
    positions, scores = _scored([(term.weight * term.times, term.postings) for term in terms], norms, k, mask)
    best = best_places(scores, k)
    held = np.zeros(len(best))
    for term in terms:
        held += term.weight * _places(term.postings, positions[best].astype(np.uint32))[1]
    columns = (positions[best].tolist(), scores[best].tolist(), held.tolist())
    return [Hit(*row) for row in zip(*columns, strict=True)]


def best_places(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Where the `k` highest scores stand, best first; ties by place."""
    places = np.arange(len(scores))
    if k < len(scores):
        places = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
    return places[np.argsort(-scores[places], kind="stable")][:k]


def _scored(
    weighted: Sequence[tuple[float, Postings]], norms: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions, the best `k` among them, and their BM25.

    A term that stands in many chunks adds little to each. So rare terms are added up first; as soon as few chunks are left that
    the rest could still lift among the best, only those are looked at.

    Source:
        Turtle and Flood (1995), Query evaluation: strategies and optimizations (its MaxScore).
    """
    scores = np.zeros(len(norms))
    waiting = sorted(weighted, key=lambda pair: len(pair[1].positions))
    for i, (weight, found) in enumerate(waiting):
        if len(found.positions) > COMMON * len(norms):
            candidates = _liftable(scores, k, sum(w for w, _ in waiting[i:]), mask)
            if k <= len(candidates) <= COMMON * len(norms):
                return candidates, scores[candidates] + _added(waiting[i:], candidates.astype(np.uint32), norms[candidates])
        scores[found.positions] += weight * _saturated(found.counts, norms[found.positions])
    candidates = _liftable(scores, k, 0.0, mask)
    return candidates, scores[candidates]


def _liftable(scores: NDArray[np.float64], k: int, most: float, mask: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Where a score that may be seen is among the best `k`, or would be if `most` were added to it alone."""
    positions = np.flatnonzero(scores if mask is None else scores * mask)
    if len(positions) < k:
        return positions
    held = scores[positions]
    least = float(np.partition(held, len(held) - k)[len(held) - k])
    if most and least <= most:  # even a chunk that has nothing yet could be lifted
        return np.arange(len(scores))
    near: NDArray[np.bool_] = held >= least - most
    return positions[near]


def _added(
    weighted: Sequence[tuple[float, Postings]], positions: NDArray[np.uint32], norms: NDArray[np.float32]
) -> NDArray[np.float64]:
    """What some terms add to the scores of some positions."""
    added = np.zeros(len(positions))
    for weight, found in weighted:
        places, holds = _places(found, positions)
        added += weight * holds * _saturated(found.counts[places], norms)
    return added


def _saturated(counts: NDArray[np.uint16], norms: NDArray[np.float32]) -> NDArray[np.float32]:
    """What repeats of a term are worth, in [0, 1)."""
    times = counts.astype(np.float32)
    return times / (times + norms)


def _places(found: Postings, positions: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where in the postings of a term some positions stand, and whether they do. With one type no copy of the postings is made."""
    places = np.minimum(found.positions.searchsorted(positions), len(found.positions) - 1)
    return places, found.positions[places] == positions
