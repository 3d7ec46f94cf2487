"""Search over segments: BM25 with the statistics of the whole collection, and vectors, exactly or by graph.

A collection is a snapshot. What a reader may not see is masked before the best are taken, so that `k` chunks are found wherever
there are so many.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.store.bm25 import AskedTerm, Hit, Postings, best_by_terms, best_places, length_norms
from sadari.retrieve.store.graph import Graph
from sadari.retrieve.store.seam import term_weight
from sadari.retrieve.store.segment import Segment, hash_term
from sadari.types import Chunk, Found, Reader

EXACT_UP_TO = 50_000
"""Chunks up to which vectors are compared one by one; above, large segments have a graph. To compare 100,000 of 384 dimensions
takes a core 12 ms, more than half of what a search may take."""

GRAPH_FROM = 20_000
"""Chunks that a segment has before a graph is worth it."""

LEAST_SEEN = 0.1
"""Share of a segment that a reader sees from which on its graph is asked; what fewer there are is compared one by one."""

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
        mean = sum(int(n.sum(dtype=np.int64)) for n in lengths) / max(1, self.chunks)
        self._norms = [length_norms(part.segment.lengths, mean) for part in parts]
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
        best: list[tuple[int, Hit]] = []
        for at, view in enumerate(self._seen_by(reader)):
            asked_here = zip(weights, repeats, postings[at], strict=True)
            held = [AskedTerm(weight, times, found) for weight, times, found in asked_here if found is not None]
            if held and view.seen:
                best += [(at, hit) for hit in best_by_terms(held, self._norms[at], k, view.mask)]
        best.sort(key=lambda pair: -pair[1].score)
        whole = sum(weights)
        return [Found(self._chunk(at, hit.position), hit.score, hit.held / whole) for at, hit in best[:k]]

    def by_vector(self, vector: NDArray[np.float32], k: int, reader: Reader) -> list[Found]:
        """As `Store.by_vector`."""
        candidates = []
        for at, view in enumerate(self._seen_by(reader)):
            if not view.seen or k < 1:
                continue
            positions = self._near(at, vector, k, view)
            scores = self._parts[at].segment.vectors[positions] @ vector
            candidates += [_Candidate(at, int(positions[i]), float(scores[i])) for i in best_places(scores, k)]
        best = sorted(candidates, key=lambda c: -c.score)[:k]
        return [Found(self._chunk(c.part, c.position), c.score) for c in best]

    def chunks_of(self, document: str) -> list[Chunk]:
        """As `Store.chunks_of`."""
        at, number = self._places.get(document, (0, -1))
        if number < 0:
            return []
        first = self._parts[at].segment.first
        return [self._chunk(at, position) for position in range(int(first[number]), int(first[number + 1]))]

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        """The part that holds a document, and its number in it."""
        return {
            name: (at, number)
            for at, part in enumerate(self._parts)
            for number, name in enumerate(part.segment.documents)
            if number not in part.dropped
        }

    def _chunk(self, part: int, position: int) -> Chunk:
        return self._parts[part].segment.chunk(position)

    def _postings(self, hashes: Sequence[int]) -> list[list[Postings | None]]:
        """For each part and each term, where the term stands."""
        wanted = np.array(hashes, dtype=np.uint64)
        found: list[list[Postings | None]] = []
        for part in self._parts:
            s = part.segment
            places = np.searchsorted(s.terms, wanted)
            row: list[Postings | None] = []
            for place, sought in zip(places.tolist(), hashes, strict=True):
                held = place < len(s.terms) and int(s.terms[place]) == sought
                span = slice(int(s.starts[place]), int(s.starts[place + 1])) if held else slice(0)
                row.append(Postings(s.positions[span], s.counts[span]) if held else None)
            found.append(row)
        return found

    def _holding(self, term: int, postings: Sequence[Sequence[Postings | None]]) -> int:
        """How many chunks of the collection hold a term."""
        count = 0
        for row, left in zip(postings, self._alive, strict=True):
            found = row[term]
            if found is not None:
                count += len(found.positions) if left is None else int(left[found.positions].sum())
        return count

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
                return positions[best_places(part.segment.vectors[positions] @ vector, k)]
        scores = part.segment.vectors @ vector
        if view.mask is not None:
            scores[~view.mask] = -np.inf
        return best_places(scores, min(k, view.seen))

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
