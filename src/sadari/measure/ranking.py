"""How well a ranking holds what is sought: recall@k, reciprocal rank, nDCG@k, one value per question, so that two can be paired.

What is sought is a set of items: character spans of the sources, which stay what they are however the sources are cut, or whole
documents. Every measure is computed from the rank at which each item first appears.
"""

from collections.abc import Collection, Sequence
from math import log2

from sadari.types import Chunk, Span

Ranks = Sequence[int | None]
"""For each item that is sought, its rank from 1; None if it was not found."""

LEAST_SHARED = 0.5
"""A chunk holds a span if they share so much of the shorter of the two."""


def ranks_of_spans(found: Sequence[Chunk], sought: Sequence[Span]) -> list[int | None]:
    """The rank of the first chunk that holds each span."""
    return [next((rank for rank, chunk in enumerate(found, 1) if holds(chunk, span)), None) for span in sought]


def ranks_of_documents(found: Sequence[str], sought: Collection[str]) -> list[int | None]:
    """The rank at which each document first appears among the documents of what was found, repeats included."""
    return [next((rank for rank, document in enumerate(found, 1) if document == item), None) for item in sought]


def holds(chunk: Chunk, span: Span) -> bool:
    """Whether a chunk and a span share at least half of the shorter of the two: a chunk may be one sentence of a gold paragraph."""
    if chunk.document != span.document:
        return False
    shared = min(chunk.end, span.end) - max(chunk.start, span.start)
    return shared > 0 and shared >= LEAST_SHARED * min(chunk.end - chunk.start, span.end - span.start)


def recall_at(ranks: Ranks, k: int) -> float:
    """Share of the items that stand among the first `k`, in [0, 1].

    Raises:
        ValueError: If nothing is sought: a question that the documents do not answer has no recall.
    """
    _check(ranks)
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks)


def reciprocal_rank(ranks: Ranks) -> float:
    """One over the rank of the first item found; 0 if none is. Its mean over questions is MRR.

    Raises:
        ValueError: If nothing is sought.

    Source:
        Voorhees (1999), The TREC-8 Question Answering Track Report.
    """
    _check(ranks)
    return max((1 / rank for rank in ranks if rank is not None), default=0.0)


def ndcg_at(ranks: Ranks, k: int = 10) -> float:
    """Discounted gain of the first `k`, over that of the best order, in [0, 1]. Each item gains once, where it first appears.

    One chunk may hold several spans; then the best order of single items could be surpassed, and 1 is given.

    Raises:
        ValueError: If nothing is sought.

    Source:
        Järvelin and Kekäläinen (2002), doi 10.1145/582415.582418; gains are 0 or 1.
    """
    _check(ranks)
    gain = sum(1 / log2(1 + rank) for rank in ranks if rank is not None and rank <= k)
    best = sum(1 / log2(1 + rank) for rank in range(1, min(len(ranks), k) + 1))
    return min(1.0, gain / best)


def _check(ranks: Ranks) -> None:
    if not ranks:
        raise ValueError("nothing is sought, so nothing can be found. Leave out questions that the documents do not answer.")
