"""BM25 for a server of vectors: sparse ones choose candidates there, and the published formula ranks them here.

A server cannot know the mean length of the chunks that are put later, nor how rare a term will be. So a chunk's sparse vector holds
what its own counts say (under the mean length when it was put), a query's holds how rare its terms are now, and their inner product
is nearly the BM25 score. Of the best by that, several times as many as are asked for, the score is computed anew and exactly.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sadari.retrieve.store.seam import K1, B, TermsOf, term_weight
from sadari.retrieve.store.segment import hash_term
from sadari.types import Chunk, Found

WIDTH = 1_000_000_000
"""Dimensions of the sparse vectors. Terms that share one are told apart by the exact ranking."""

CANDIDATES, LEAST_CANDIDATES = 5, 100
"""Candidates for each chunk that is asked for, and at least."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of a whole collection: its chunks, their mean length in terms, and how many hold each of a query's terms."""

    chunks: int
    mean_length: float
    holding: Mapping[str, int]

    def weight(self, term: str) -> float:
        """Inverse document frequency."""
        return term_weight(self.chunks, self.holding.get(term, 0))


def candidates(k: int) -> int:
    """How many chunks a server is asked for, where `k` are wanted."""
    return max(LEAST_CANDIDATES, CANDIDATES * k)


def sparse_chunk(terms: Sequence[str], mean_length: float) -> dict[int, float]:
    """Dimension -> how much a chunk says about a term, in (0, 1)."""
    norm = K1 * (1 - B + B * len(terms) / max(mean_length, 1e-9))
    return _sparse((term, count / (count + norm)) for term, count in Counter(terms).items())


def sparse_query(terms: Sequence[str], statistics: Statistics) -> dict[int, float]:
    """Dimension -> how much a term counts, of those that some chunk holds."""
    asked = Counter(term for term in terms if statistics.holding.get(term))
    return _sparse((term, times * statistics.weight(term)) for term, times in asked.items())


def rank(chunks: Iterable[Chunk], terms: Sequence[str], statistics: Statistics, terms_of: TermsOf) -> list[Found]:
    """`chunks` by BM25, best first; those that hold none of `terms` are left out."""
    asked = Counter(terms)
    weights = {term: statistics.weight(term) for term in asked}
    whole = sum(weights.values())
    found = []
    for chunk in chunks:
        held = terms_of(chunk)
        counts = Counter(held)
        norm = K1 * (1 - B + B * len(held) / max(statistics.mean_length, 1e-9))
        shared = [term for term in asked if counts[term]]
        if shared:
            score = sum(weights[t] * asked[t] * counts[t] / (counts[t] + norm) for t in shared)
            found.append(Found(chunk, score, sum(weights[t] for t in shared) / whole))
    return sorted(found, key=lambda f: -f.score)


def _sparse(weights: Iterable[tuple[str, float]]) -> dict[int, float]:
    vector: dict[int, float] = {}
    for term, weight in weights:
        place = hash_term(term) % WIDTH
        vector[place] = vector.get(place, 0.0) + weight
    return vector
