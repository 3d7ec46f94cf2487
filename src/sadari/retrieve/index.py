"""A lexical index over chunks or examples: BM25 (through `bm25s`) on the terms of `retrieve.text`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import bm25s
import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.text import search_terms


@dataclass(frozen=True, slots=True)
class Hit:
    """One found text.

    Args:
        position: Its place in the indexed sequence.
        score: BM25 score.
        coverage: Share of the query's term weight (inverse document frequency) that the text holds, in [0, 1].
    """

    position: int
    score: float
    coverage: float


class LexicalIndex:
    """BM25 with k1 = 1.2 and b = 0.75 over whole texts.

    Source:
        Robertson and Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and Beyond.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        terms = [search_terms(text) for text in texts]
        self._held = [frozenset(t) for t in terms]
        self._weights = _inverse_document_frequency(self._held)
        self._unseen_weight = float(np.log(1 + len(texts)))
        self._index: bm25s.BM25 | None = None
        if any(terms):
            self._index = bm25s.BM25(k1=1.2, b=0.75)
            self._index.index(terms, show_progress=False)

    def search(self, query: str, k: int, exclude: Collection[int] = ()) -> list[Hit]:
        """The best `k` texts, best first; ties by position. Texts that share no term with the query are left out."""
        wanted = search_terms(query)
        known = [t for t in wanted if t in self._weights]
        if self._index is None or not known:
            return []
        scores: NDArray[np.float32] = self._index.get_scores(known)
        if exclude:
            scores = scores.copy()
            scores[list(exclude)] = 0.0
        order = np.argsort(-scores, kind="stable")[:k]
        return [Hit(int(i), float(scores[i]), self._coverage(frozenset(wanted), int(i))) for i in order if scores[i] > 0]

    def _coverage(self, wanted: frozenset[str], position: int) -> float:
        weigh = {t: self._weights.get(t, self._unseen_weight) for t in wanted}
        return sum(w for t, w in weigh.items() if t in self._held[position]) / sum(weigh.values())


def _inverse_document_frequency(held: Sequence[frozenset[str]]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for terms in held:
        for term in terms:
            counts[term] = counts.get(term, 0) + 1
    return {t: float(np.log(1 + (len(held) - n + 0.5) / (n + 0.5))) for t, n in counts.items()}
