"""Search over segments: BM25 with the statistics of the whole collection, and vectors, exactly or by graph.

A collection is a snapshot. What a reader may not see is masked before the best are taken, so that `k` chunks are found wherever
there are so many.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.store.graph import Graph
from sadari.retrieve.store.seam import K1, B, term_weight
from sadari.retrieve.store.segment import Segment, hash_term
from sadari.types import Chunk, Found, Reader

EXACT_UP_TO = 50_000
"""Chunks up to which vectors are compared one by one; above, large segments have a graph. To compare 100,000 of 384 dimensions
takes a core 12 ms, more than half of what a search may take."""

GRAPH_FROM = 20_000
"""Chunks that a segment has before a graph is worth it."""

LEAST_SEEN = 0.1
"""Share of a segment that a reader sees from which on its graph is asked; what fewer there are is compared one by one."""

COMMON = 0.1
"""Share of a segment's chunks from which on a term that they hold is common."""

READERS_KEPT = 64
"""Readers whose view is remembered."""


@dataclass(frozen=True, slots=True)
class Part:
    """A segment, the numbers of the documents in it that are deleted, and its graph if it has one."""

    segment: Segment
    dropped: frozenset[int] = frozenset()
    graph: Graph | None = None


class _View(NamedTuple):
    """Which chunks of a part a reader sees, and how many it sees; `mask` is None for all of them."""

    mask: NDArray[np.bool_] | None
    seen: int


class _Postings(NamedTuple):
    """Where a term stands in a part."""

    positions: NDArray[np.uint32]
    counts: NDArray[np.uint16]


class _Candidate(NamedTuple):
    part: int
    position: int
    score: float


class Collection:
    """What one commit left, searchable."""

    def __init__(self, parts: Sequence[Part] = ()) -> None:
        self._parts = tuple(parts)
        self._alive = [part.segment.alive(part.dropped) if part.dropped else None for part in parts]
        sizes = [len(p.segment) if left is None else int(left.sum()) for p, left in zip(parts, self._alive, strict=True)]
        lengths = [
            p.segment.lengths if left is None else p.segment.lengths[left] for p, left in zip(parts, self._alive, strict=True)
        ]
        self.chunks = sum(sizes)
        mean = max(1e-9, sum(int(n.sum(dtype=np.int64)) for n in lengths) / max(1, self.chunks))
        self._norms = [(K1 * (1 - B + B * part.segment.lengths / mean)).astype(np.float32) for part in parts]
        self._views: dict[object, list[_View]] = {}
        self._lock = Lock()

    def by_terms(self, terms: Sequence[str], k: int, reader: Reader) -> list[Found]:
        """As `Store.by_terms`."""
        asked = Counter(terms)
        if not asked or not self.chunks or k < 1:
            return []
        postings = self._postings([hash_term(term) for term in asked])
        weights = [term_weight(self.chunks, self._holding(i, postings)) for i in range(len(asked))]
        repeats = [*asked.values()]
        candidates = []
        for at, view in enumerate(self._seen_by(reader)):
            held = [(i, found) for i, found in enumerate(postings[at]) if found is not None]
            if not held or not view.seen:
                continue
            positions, scores = self._scored(at, [(weights[i] * repeats[i], found) for i, found in held], k, view)
            candidates += [_Candidate(at, int(positions[i]), float(scores[i])) for i in _best(scores, k)]
        best = sorted(candidates, key=lambda c: -c.score)[:k]
        held_weights = _held_weights(best, postings, weights)
        return [Found(self._chunk(c), c.score, held / sum(weights)) for c, held in zip(best, held_weights, strict=True)]

    def by_vector(self, vector: NDArray[np.float32], k: int, reader: Reader) -> list[Found]:
        """As `Store.by_vector`."""
        candidates = []
        for at, view in enumerate(self._seen_by(reader)):
            if not view.seen or k < 1:
                continue
            positions = self._near(at, vector, k, view)
            scores = self._parts[at].segment.vectors[positions] @ vector
            candidates += [_Candidate(at, int(positions[i]), float(scores[i])) for i in _best(scores, k)]
        return [Found(self._chunk(c), c.score) for c in sorted(candidates, key=lambda c: -c.score)[:k]]

    def _chunk(self, candidate: _Candidate) -> Chunk:
        return self._parts[candidate.part].segment.chunk(candidate.position)

    def _postings(self, hashes: Sequence[int]) -> list[list[_Postings | None]]:
        """For each part and each term, where the term stands."""
        wanted = np.array(hashes, dtype=np.uint64)
        found: list[list[_Postings | None]] = []
        for part in self._parts:
            s = part.segment
            places = np.searchsorted(s.terms, wanted)
            row: list[_Postings | None] = []
            for place, sought in zip(places.tolist(), hashes, strict=True):
                held = place < len(s.terms) and int(s.terms[place]) == sought
                span = slice(int(s.starts[place]), int(s.starts[place + 1])) if held else slice(0)
                row.append(_Postings(s.positions[span], s.counts[span]) if held else None)
            found.append(row)
        return found

    def _holding(self, term: int, postings: Sequence[Sequence[_Postings | None]]) -> int:
        """How many chunks of the collection hold a term."""
        count = 0
        for row, left in zip(postings, self._alive, strict=True):
            found = row[term]
            if found is not None:
                count += len(found.positions) if left is None else int(left[found.positions].sum())
        return count

    def _scored(
        self, at: int, held: Sequence[tuple[float, _Postings]], k: int, view: _View
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions in a part that the reader sees, the best `k` among them, and their BM25.

        A term that stands in many chunks adds little to each. So rare terms are added up first; as soon as few chunks are left that
        the rest could still lift among the best, only those are looked at.

        Source:
            Turtle and Flood (1995), Query evaluation: strategies and optimizations (its MaxScore).
        """
        norms = self._norms[at]
        scores = np.zeros(len(norms))
        waiting = sorted(held, key=lambda pair: len(pair[1].positions))
        for i, (weight, found) in enumerate(waiting):
            if len(found.positions) > COMMON * len(norms):
                candidates = _liftable(scores, k, sum(w for w, _ in waiting[i:]), view)
                if k <= len(candidates) <= COMMON * len(norms):
                    return candidates, scores[candidates] + _added(waiting[i:], candidates.astype(np.uint32), norms[candidates])
            scores[found.positions] += weight * _saturated(found.counts, norms[found.positions])
        candidates = _liftable(scores, k, 0.0, view)
        return candidates, scores[candidates]

    def _near(self, at: int, vector: NDArray[np.float32], k: int, view: _View) -> NDArray[np.int64]:
        """Positions among which the best `k` are."""
        part = self._parts[at]
        if part.graph is not None and view.seen >= LEAST_SEEN * len(part.segment):
            wanted = int(2 * k * len(part.segment) / view.seen) + 16
            near = part.graph.near(vector, wanted)
            seen = near if view.mask is None else near[view.mask[near]]
            if len(seen) >= min(k, view.seen):
                return seen
        if view.mask is not None:
            positions = np.flatnonzero(view.mask)
            if view.seen < len(part.segment) // 4:  # few rows: fetching them is cheaper than reading all
                return positions[_best(part.segment.vectors[positions] @ vector, k)]
        scores = part.segment.vectors @ vector
        if view.mask is not None:
            scores[~view.mask] = -np.inf
        return _best(scores, min(k, view.seen))

    def _seen_by(self, reader: Reader) -> list[_View]:
        key = (reader.labels, tuple(sorted((name, values) for name, values in reader.within.items())))
        views = self._views.get(key)
        if views is None:
            views = [self._view(at, reader) for at in range(len(self._parts))]
            with self._lock:
                if len(self._views) >= READERS_KEPT:
                    self._views.clear()  # they are cheap to make again
                self._views[key] = views
        return views

    def _view(self, at: int, reader: Reader) -> _View:
        segment = self._parts[at].segment
        probe = (Chunk("", "", 0, 0, "", access=access, metadata=dict(metadata)) for access, metadata in segment.kinds)
        open_kinds = np.array([reader.may_see(chunk) for chunk in probe], dtype=np.bool_)
        if open_kinds.all() and self._alive[at] is None:
            return _View(None, len(segment))
        mask = open_kinds[segment.kinds_at]
        left = self._alive[at]
        mask = mask if left is None else mask & left
        return _View(mask, int(mask.sum()))


def _best(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Where the `k` highest scores stand, best first; ties by place."""
    places = np.arange(len(scores))
    if k < len(scores):
        places = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
    return places[np.argsort(-scores[places], kind="stable")][:k]


def _liftable(scores: NDArray[np.float64], k: int, most: float, view: _View) -> NDArray[np.int64]:
    """Where a reader sees a score that is among the best `k`, or would be if `most` were added to it alone."""
    positions = np.flatnonzero(scores if view.mask is None else scores * view.mask)
    if len(positions) < k:
        return positions
    held = scores[positions]
    least = float(np.partition(held, len(held) - k)[len(held) - k])
    if most and least <= most:  # even a chunk that has nothing yet could be lifted
        return np.arange(len(scores))
    near: NDArray[np.bool_] = held >= least - most
    return positions[near]


def _added(
    held: Sequence[tuple[float, _Postings]], positions: NDArray[np.uint32], norms: NDArray[np.float32]
) -> NDArray[np.float64]:
    """What some terms add to the scores of some positions."""
    added = np.zeros(len(positions))
    for weight, found in held:
        places, holds = _places(found, positions)
        added += weight * holds * _saturated(found.counts[places], norms)
    return added


def _saturated(counts: NDArray[np.uint16], norms: NDArray[np.float32]) -> NDArray[np.float32]:
    """What repeats of a term are worth, in [0, 1)."""
    times = counts.astype(np.float32)
    return times / (times + norms)


def _held_weights(
    candidates: Sequence[_Candidate], postings: Sequence[Sequence[_Postings | None]], weights: Sequence[float]
) -> NDArray[np.float64]:
    """The weight of the asked terms that each candidate holds."""
    held = np.zeros(len(candidates))
    for at in {candidate.part for candidate in candidates}:
        mine = [i for i, candidate in enumerate(candidates) if candidate.part == at]
        positions = np.array([candidates[i].position for i in mine], dtype=np.uint32)
        for weight, found in zip(weights, postings[at], strict=True):
            if found is not None:
                held[mine] += weight * _places(found, positions)[1]
    return held


def _places(found: _Postings, positions: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where in the postings of a term some positions stand, and whether they do. With one type no copy of the postings is made."""
    places = np.minimum(found.positions.searchsorted(positions), len(found.positions) - 1)
    return places, found.positions[places] == positions
