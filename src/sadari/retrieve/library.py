"""The documents of a system, cut as it wants them, and the search in them: as a file has them, or as an index has them by now."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from sadari.errors import ConfigError, DataError
from sadari.files import read_lines
from sadari.retrieve.address import fill_address, shown_address
from sadari.retrieve.embed import Embedder, load_embedder
from sadari.retrieve.living import Preparation, preparation_of, prepared_as, stored_terms
from sadari.retrieve.rerank import Judged, load_reranker
from sadari.retrieve.search import Fusion, Question, Searcher
from sadari.retrieve.sections import section_around
from sadari.retrieve.store import MemoryStore, Store, open_store
from sadari.types import EVERYONE, Chunk, Document, Found, Reader, Retrieval


class Library:
    """Documents that can be searched: those of a store.

    Args:
        store: Holds their chunks, and may change meanwhile; each search sees its last commit.
        retrieval: How they are searched; how many are wanted and how they are shown changes nothing here.
        embedder: The one that the vectors were made with; None searches by words alone.
    """

    def __init__(self, store: Store, retrieval: Retrieval, embedder: Embedder | None = None) -> None:
        reranker = load_reranker(retrieval.reranker) if retrieval.reranker else None
        self._store = store
        self._searcher = Searcher(
            store, embedder, terms=retrieval.terms, fusion=Fusion(vectors=retrieval.vectors), reranker=reranker
        )

    def search(self, query: str, k: int, reader: Reader = EVERYONE) -> list[Found]:
        """The best `k` chunks that the reader may see, best first."""
        return self._searcher.search(query, k, reader)

    def judged(self, questions: Sequence[Question]) -> list[Judged]:
        """As `Searcher.judged`."""
        return self._searcher.judged(questions)

    def around(self, chunk: Chunk, tokens: int) -> Chunk:
        """A chunk with what stands around it in its section, up to so many tokens; 0 leaves it alone.

        It is left alone, too, if its document was changed or deleted since it was found.
        """
        if not tokens:
            return chunk
        section = section_around(chunk, self.chunks_of(chunk.document))
        return section.widened(chunk, tokens) if section else chunk

    def chunks_of(self, document: str) -> list[Chunk]:
        """The chunks of a document, in order; [] if it is not held."""
        return list(self._store.chunks_of(document))


def open_library(documents: Path | None, retrieval: Retrieval, index: str | None = None) -> Library:
    """The library of a system; those used last are kept.

    Args:
        documents: JSONL of `Document`s, read into memory, and again when the file changed; not read if there is an `index`.
        retrieval: How they are cut and searched.
        index: URI of a store that `sadari index` keeps up to date. Secrets in it are `${NAME}`.

    Raises:
        ConfigError: If the index was made for another retrieval, or is not finished; the message says which command makes it.
        DataError: If there is neither, or the documents cannot be read.
        RunError: If the index is damaged, or its server does not answer.
    """
    cut = Retrieval(
        chunk_tokens=retrieval.chunk_tokens,
        overlap=retrieval.overlap,
        terms=retrieval.terms,
        embedder=retrieval.embedder,
        vectors=retrieval.vectors,
        reranker=retrieval.reranker,
    )
    if index is not None:
        return _living(index, cut)
    if documents is None:
        raise DataError("the system retrieves from documents but has none: give `documents:` a folder in the task file")
    state = documents.stat() if documents.exists() else None
    return _in_memory(documents, cut, (state.st_mtime_ns, state.st_size) if state else None)


def index_command(retrieval: Retrieval, index: str) -> str:
    """What makes an index that a system with this retrieval can search."""
    flags = f"--chunk-tokens {retrieval.chunk_tokens} --overlap {retrieval.overlap} --terms {stored_terms(retrieval)}"
    return f"sadari index TASK --store {shown_address(index)} {flags} --embed {retrieval.embedder or 'none'}"


@lru_cache(maxsize=8)
def _in_memory(documents: Path, retrieval: Retrieval, version: tuple[int, int] | None) -> Library:
    preparation, embedder = _prepared(retrieval)
    store = MemoryStore(embedder.dimensions if embedder else 0, preparation.terms_of)
    chunks = preparation.chunk(read_lines(documents, Document))
    store.put(chunks, preparation.embed(chunks) if preparation.embed else None)
    store.commit({})
    return Library(store, retrieval, embedder)


@lru_cache(maxsize=8)
def _living(index: str, retrieval: Retrieval) -> Library:
    preparation, embedder = _prepared(retrieval)
    command = f"This system's index is made by: {index_command(retrieval, index)}"
    try:
        store = open_store(fill_address(index), embedder.dimensions if embedder else 0, preparation.terms_of)
    except ConfigError as error:
        raise ConfigError(f"{error} {command}") from error
    held = prepared_as(store)
    if held == preparation.name:
        return Library(store, retrieval, embedder)
    store.close()
    if held is None:
        raise ConfigError(f"{shown_address(index)} holds no finished index. {command}")
    raise ConfigError(f"{shown_address(index)} was indexed as {held}, but the system wants {preparation.name}. {command}")


def _prepared(retrieval: Retrieval) -> tuple[Preparation, Embedder | None]:
    embedder = load_embedder(retrieval.embedder) if retrieval.embedder else None
    return preparation_of(retrieval, embedder), embedder
