"""What every store can do, and the ranking that all of them give."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sadari.types import EVERYONE, Chunk, Found, Reader

K1, B = 1.2, 0.75
"""BM25: how fast repeats of a term saturate, and how much long chunks are discounted."""

TermsOf = Callable[[Chunk], list[str]]
"""The terms that a chunk is found by, repeats included."""


@runtime_checkable
class Store(Protocol):
    """Keeps chunks and finds them again.

    What `put` and `remove` change is seen by nobody, this store's own searches included, until `commit`. One store at a time
    writes; any number read, and see a commit at their next search.
    """

    @property
    def uri(self) -> str:
        """What `open_store` opens it by."""
        ...

    @property
    def dimensions(self) -> int:
        """Of the vectors; 0 if none are held."""
        ...

    def put(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None = None) -> None:
        """Add the chunks of documents that are not held, each document whole.

        Args:
            vectors: Unit rows, shape (chunks, `dimensions`); None if `dimensions` is 0.

        Raises:
            ValueError: If `vectors` does not fit, or a document is held: `remove` it first.
            RunError: If the store cannot be written, or another process writes to it.
        """
        ...

    def remove(self, documents: Collection[str]) -> None:
        """Take documents out; ids that are not held are passed over."""
        ...

    def commit(self, state: Mapping[str, str]) -> None:
        """Show all changes at once, and keep `state` with them: document id -> content hash."""
        ...

    def state(self) -> dict[str, str]:
        """What the last commit kept."""
        ...

    def chunks_of(self, document: str) -> list[Chunk]:
        """All chunks of a document, in their order, as the last commit left them; none if it is not held."""
        ...

    def by_terms(self, terms: Sequence[str], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """The best `k` chunks that the reader may see, by BM25 over the whole collection; `coverage` is filled.

        Chunks that hold none of `terms` are left out. Equal scores come in the order of the index.
        """
        ...

    def by_vector(self, vector: NDArray[np.float32], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """The best `k` chunks that the reader may see, by cosine; nothing if no vectors are held."""
        ...

    def close(self) -> None:
        """Let go of files and connections; what was not committed is dropped."""
        ...


def term_weight(chunks: int, holding: int) -> float:
    """Inverse document frequency of a term that `holding` of `chunks` chunks hold; of one that none holds, ln(1 + chunks).

    Source:
        Robertson and Zaragoza (2009), in the form that Lucene made never negative.
    """
    return float(np.log(1 + chunks if not holding else 1 + (chunks - holding + 0.5) / (holding + 0.5)))


def name_of(terms_of: TermsOf) -> str:
    """What a store remembers of the terms it was filled with, so that it is not searched with others."""
    if isinstance(terms_of, partial):
        given = ", ".join(str(getattr(value, "__name__", value)) for value in (*terms_of.args, *terms_of.keywords.values()))
        return f"{terms_of.func.__name__}({given})"
    return terms_of.__name__


def checked_vectors(count: int, dimensions: int, vectors: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """`vectors` as float32, if they fit `count` chunks of a store with `dimensions`.

    Raises:
        ValueError: If the shape is another one, or a number is not finite.
    """
    if not dimensions:
        if vectors is not None:
            raise ValueError("The store holds no vectors, but vectors were given. Open it with the dimensions of the embedder.")
        return None
    if vectors is None:
        raise ValueError(f"The store holds vectors of {dimensions} numbers, but none were given. Embed the chunks first.")
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.shape != (count, dimensions):
        raise ValueError(
            f"Vectors have the shape {rows.shape}, but {count} chunks of a store with {dimensions} dimensions need "
            f"({count}, {dimensions})."
        )
    if not np.isfinite(rows).all():
        raise ValueError("Some vectors hold numbers that are not finite. Embed those chunks again.")
    return rows
