"""Find chunks by their words, by their meaning, or by both, and put the best first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.embed import Embedder
from sadari.retrieve.rerank import Candidate, Judged, Reranker
from sadari.retrieve.store import Store
from sadari.retrieve.terms import Terms, chunk_terms, query_terms
from sadari.types import EVERYONE, Chunk, Found, Reader

DEPTH = 50
"""Chunks taken from each ranking before they are fused, and chunks that are reranked. Of 885 training questions of ko-wiki-qa
97.6 % have their answer there, 96.5 % among 30; reranked, 91 % have it among the first five, of 30 it would be 90 %."""

RANK_OFFSET = 60
"""Of reciprocal ranks: the higher, the less the first places count."""

Question = tuple[str, Callable[[Chunk], bool]]
"""A question, and whether a chunk answers it."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the ranking by words and the ranking by vectors become one.

    The default was chosen with the bundled embedder on the training questions of ko-wiki-qa, where ranks are a bad exchange: the
    vectors rank so much worse than the words that equal shares halve recall@1 (0.34 for 0.62).

    Args:
        by: "rank": each adds 1 / (60 + rank). "score": BM25 as a share of the best, and cosine, are added.
        vectors: Weight of the vectors, in [0, 1]; the words have the rest.

    Source:
        Reciprocal rank fusion: Cormack, Clarke and Büttcher (2009), doi 10.1145/1571941.1572114.
    """

    by: Literal["rank", "score"] = "score"
    vectors: float = 0.3


class Searcher:
    """A `Retriever` over a store.

    Args:
        embedder: The one that the vectors of the store were made with; None searches by words alone.
        terms: What the words are: those the store was filled with (`terms.chunk_terms`); "none" searches by vectors alone.
        reranker: Looks again at the first `DEPTH` chunks; None leaves the order as it is.

    Raises:
        ConfigError: If `terms` is not known.
        ValueError: If there is nothing to search by, or embedder and store do not fit each other.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder | None = None,
        *,
        terms: Terms | Literal["none"] = "bigrams",
        fusion: Fusion = Fusion(),
        reranker: Reranker | None = None,
    ) -> None:
        if embedder is None and terms == "none":
            raise ValueError("A search needs words or vectors. Give an embedder, or terms other than none.")
        if embedder is not None and embedder.dimensions != store.dimensions:
            raise ValueError(
                f"The store holds vectors of {store.dimensions} numbers, but {embedder.name} makes {embedder.dimensions}. "
                "Index the documents again with this embedder."
            )
        self._store, self._embedder, self._fusion, self._reranker = store, embedder, fusion, reranker
        self._terms_of = None if terms == "none" else query_terms(terms)
        self._held_of = chunk_terms("bigrams" if terms == "none" else terms)

    def search(self, query: str, k: int, reader: Reader = EVERYONE) -> list[Found]:
        """The best `k` chunks that the reader may see, best first; `coverage` is the share of the question's words in each."""
        if self._embedder is None and self._reranker is None and self._terms_of is not None:
            return self._store.by_terms(self._terms_of(query), k, reader)
        candidates = self.candidates(query, max(k, DEPTH), reader)[: max(k, DEPTH)]
        if self._reranker is None or not candidates:
            return [Found(c.chunk, c.fused, c.coverage) for c in candidates[:k]]
        scores = self._reranker.scores(query, candidates)
        order = np.argsort(-scores, kind="stable")[:k]
        return [Found(candidates[i].chunk, float(scores[i]), candidates[i].coverage) for i in order]

    def candidates(self, query: str, depth: int = DEPTH, reader: Reader = EVERYONE) -> list[Candidate]:
        """What both rankings found, fused, best first: up to `depth` of each."""
        by_terms = self._store.by_terms(self._terms_of(query), depth, reader) if self._terms_of else []
        by_vector: list[Found] = []
        if self._embedder is not None:
            by_vector = self._store.by_vector(self._embedder.embed([query], is_query=True)[0], depth, reader)
        found = {_key(f.chunk): f for f in [*by_vector, *by_terms]}
        terms, vectors = ({_key(f.chunk): (i, f.score) for i, f in enumerate(row, 1)} for row in (by_terms, by_vector))
        lowest = min((f.score for f in by_vector), default=0.0)
        candidates = [
            Candidate(
                chunk=f.chunk,
                terms=terms[key][1] if key in terms else 0.0,
                cosine=vectors[key][1] if key in vectors else lowest,
                coverage=f.coverage if key in terms else self._share(query, f.chunk),
                term_rank=terms[key][0] if key in terms else None,
                vector_rank=vectors[key][0] if key in vectors else None,
            )
            for key, f in found.items()
        ]
        return fused(candidates, self._fusion)

    def judged(self, questions: Sequence[Question]) -> list[Judged]:
        """What is found for each question, and which of it is right: what `learn_fusion` and `train_reranker` learn from.

        Questions for which nothing right is found are left out.
        """
        rows = [(query, self.candidates(query)[:DEPTH], is_right) for query, is_right in questions]
        judged = [Judged(query, tuple(found), tuple(is_right(c.chunk) for c in found)) for query, found, is_right in rows]
        return [row for row in judged if any(row.right)]

    def _share(self, query: str, chunk: Chunk) -> float:
        """Of a chunk that only its vector found, how many of the question's words it holds."""
        asked = {*(self._terms_of or query_terms("bigrams"))(query)}
        return len(asked & {*self._held_of(chunk)}) / len(asked) if asked else 0.0


def fused(candidates: Sequence[Candidate], fusion: Fusion) -> list[Candidate]:
    """Candidates with their fused score, best first."""
    scores = _fused_scores(candidates, fusion)
    return [candidates[i].with_fused(float(scores[i])) for i in np.argsort(-scores, kind="stable")]


def learn_fusion(judged: Sequence[Judged], by: Literal["rank", "score"] = "score") -> Fusion:
    """The weight of the vectors, in steps of 0.05, with the highest mean reciprocal rank; of equals, the middle one."""

    def quality(weight: float) -> float:
        ranks = []
        for row in judged:
            scores = _fused_scores(row.candidates, Fusion(by, weight))
            right = scores[np.array(row.right)].max()
            ranks.append(1 + int((scores > right).sum()))
        return float(np.mean(1 / np.array(ranks))) if ranks else 0.0

    weights = [i / 20 for i in range(21)]
    qualities = [round(quality(weight), 6) for weight in weights]
    best = [weight for weight, q in zip(weights, qualities, strict=True) if q == max(qualities)]
    return Fusion(by, best[len(best) // 2])


def _fused_scores(candidates: Sequence[Candidate], fusion: Fusion) -> NDArray[np.float64]:
    weights = np.array([1 - fusion.vectors, fusion.vectors])
    if fusion.by == "rank":
        ranks = [[c.term_rank or np.inf, c.vector_rank or np.inf] for c in candidates]
        return np.asarray((1 / (RANK_OFFSET + np.array(ranks).reshape(-1, 2))) @ weights)
    top = max((c.terms for c in candidates), default=0.0) or 1.0
    return np.asarray(np.array([[c.terms / top, c.cosine] for c in candidates]).reshape(-1, 2) @ weights)


def _key(chunk: Chunk) -> tuple[str, int, int]:
    return chunk.document, chunk.start, chunk.end
