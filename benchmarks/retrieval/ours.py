"""The ways to search of sadari that are compared."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collected import Collected
from frameworks import AbsentError, minilm

from sadari.retrieve.embed import Embedder, load_embedder
from sadari.retrieve.rerank import LEARNED, Reranker, load_reranker
from sadari.retrieve.search import Fusion, Searcher
from sadari.retrieve.store import MemoryStore
from sadari.retrieve.terms import Terms, chunk_terms
from sadari.types import Chunk, Retriever


@dataclass(frozen=True, slots=True)
class Way:
    """One way to search; what it is, as printed."""

    name: str
    terms: Terms | None = "bigrams"
    embedder: Embedder | None = None
    fusion: Fusion | None = None
    reranker: Reranker | None = None

    def retriever(self, collected: Collected) -> Retriever:
        """A searcher over a collection, in memory."""
        embedder = self.embedder
        store = MemoryStore(embedder.dimensions if embedder else 0, chunk_terms(self.terms or "bigrams"))
        store.put(collected.chunks, embedder.embed([embedded_text(c) for c in collected.chunks]) if embedder else None)
        store.commit({})
        return Searcher(store, embedder, terms=self.terms or "none", fusion=self.fusion or Fusion(), reranker=self.reranker)


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a way found: for each question the documents, best first; and how long a question took, in milliseconds."""

    name: str
    found: tuple[tuple[str, ...], ...]
    milliseconds: float | None = None


def embedded_text(chunk: Chunk) -> str:
    """What of a chunk is embedded."""
    return f"{chunk.title}\n{chunk.text}"


def embedders() -> Iterator[Embedder]:
    """Those at hand: the bundled one, and MiniLM if it can be fetched."""
    yield load_embedder("bundled")
    try:
        yield load_embedder(str(minilm()))
    except AbsentError as error:
        print(f"MiniLM: left out, {error}", flush=True)


def ways(at_hand: Sequence[Embedder]) -> list[Way]:
    """Everything that is compared, the plain index first; `DEFAULT` is what sadari does unless told otherwise."""
    bundled, learned = at_hand[0], load_reranker(LEARNED)
    dense = [Way(f"vectors, {_short(e)}", None, e) for e in at_hand]
    hybrid = [Way(f"bigrams + vectors, {_short(e)}", "bigrams", e) for e in at_hand]
    return [
        Way("bigrams"),
        Way("morphemes (Kiwi)", "morphemes"),
        Way("bigrams + morphemes", "both"),
        *dense,
        *hybrid,
        Way("bigrams, reranked", reranker=learned),
        Way("bigrams + morphemes, reranked", "both", reranker=learned),
        Way("bigrams + vectors, reranked", embedder=bundled, reranker=learned),
    ]


DEFAULT = "bigrams, reranked"


def searched(way: Way, collected: Collected, k: int) -> Ranked:
    """What a way finds in a collection."""
    retriever = way.retriever(collected)
    started = time.perf_counter()
    found = tuple(tuple(dict.fromkeys(f.chunk.document for f in retriever.search(q.text, k))) for q in collected.questions)
    return Ranked(way.name, found, 1000 * (time.perf_counter() - started) / max(1, len(found)))


def _short(embedder: Embedder) -> str:
    return "MiniLM" if "minilm" in embedder.name else embedder.name
