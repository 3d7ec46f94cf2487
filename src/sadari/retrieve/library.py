"""The documents of a system, cut as it wants them, and the search in them."""

from functools import lru_cache
from pathlib import Path

from sadari.files import read_lines
from sadari.retrieve.chunk import chunk_documents, widened
from sadari.retrieve.embed import load_embedder
from sadari.retrieve.rerank import load_reranker
from sadari.retrieve.search import Searcher
from sadari.retrieve.store import MemoryStore
from sadari.retrieve.terms import chunk_terms
from sadari.retrieve.text import embedded_text
from sadari.types import EVERYONE, Chunk, Document, Found, Reader, Retrieval


class Library:
    """Documents that are read into memory: those of a climb, or of a bundle.

    Args:
        documents: JSONL of `Document`s.
        retrieval: How they are cut and searched; how many are wanted and how they are shown changes nothing here.

    Raises:
        DataError: If the documents cannot be read.
    """

    def __init__(self, documents: Path, retrieval: Retrieval) -> None:
        held = read_lines(documents, Document)
        self._texts = {document.id: document.text for document in held}
        chunks = chunk_documents(held, retrieval.chunk_tokens, retrieval.overlap)
        embedder = load_embedder(retrieval.embedder) if retrieval.embedder else None
        terms = "bigrams" if retrieval.terms == "none" else retrieval.terms
        store = MemoryStore(embedder.dimensions if embedder else 0, chunk_terms(terms))
        store.put(chunks, embedder.embed([embedded_text(c) for c in chunks]) if embedder else None)
        store.commit({})
        reranker = load_reranker(retrieval.reranker) if retrieval.reranker else None
        self._searcher = Searcher(store, embedder, terms=retrieval.terms, reranker=reranker)

    def search(self, query: str, k: int, reader: Reader = EVERYONE) -> list[Found]:
        """The best `k` chunks that the reader may see, best first."""
        return self._searcher.search(query, k, reader)

    def around(self, chunk: Chunk, tokens: int) -> Chunk:
        """A chunk with what stands around it in its section, up to so many tokens; 0 leaves it alone."""
        return widened(chunk, self._texts[chunk.document], tokens) if tokens else chunk


def open_library(documents: Path, retrieval: Retrieval) -> Library:
    """The library of a system; those used last are kept, as long as the file stays as it is."""
    cut = Retrieval(
        chunk_tokens=retrieval.chunk_tokens,
        overlap=retrieval.overlap,
        terms=retrieval.terms,
        embedder=retrieval.embedder,
        reranker=retrieval.reranker,
    )
    state = documents.stat() if documents.exists() else None
    return _library(documents, cut, (state.st_mtime_ns, state.st_size) if state else None)


@lru_cache(maxsize=8)
def _library(documents: Path, retrieval: Retrieval, version: tuple[int, int] | None) -> Library:
    return Library(documents, retrieval)
