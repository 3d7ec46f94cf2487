"""A store that lives as long as its process: for climbs and tests."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.store.collection import Collection as Snapshot
from sadari.retrieve.store.collection import Part
from sadari.retrieve.store.seam import TermsOf, checked_vectors
from sadari.retrieve.store.segment import Draft, merge
from sadari.retrieve.text import indexed_terms
from sadari.types import EVERYONE, Chunk, Found, Reader

MOST_PARTS = 8
"""Segments held before they are merged into one."""


class MemoryStore:
    """Chunks and vectors in memory, searched as `FolderStore` searches them; vectors are compared one by one."""

    uri = "memory:"

    def __init__(self, dimensions: int = 0, terms_of: TermsOf = indexed_terms) -> None:
        self.dimensions = dimensions
        self._terms_of = terms_of
        self._state: dict[str, str] = {}
        self._parts: list[Part] = []
        self._committed: list[Part] = []
        self._draft = Draft(terms_of, dimensions)
        self._snapshot = Snapshot()

    def put(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None = None) -> None:
        """As `Store.put`."""
        rows = checked_vectors(len(chunks), self.dimensions, vectors)
        held = self._draft.documents.keys() | {d for p in self._parts for d in _left(p)}
        refuse_held({chunk.document for chunk in chunks} & held)
        self._draft.add(chunks, rows)

    def remove(self, documents: Collection[str]) -> None:
        """As `Store.remove`."""
        self._settle()
        gone = frozenset(documents)
        self._parts = [
            Part(p.segment, p.dropped | {d for d, name in enumerate(p.segment.documents) if name in gone}) for p in self._parts
        ]

    def commit(self, state: Mapping[str, str]) -> None:
        """As `Store.commit`."""
        self._settle()
        left = [part for part in self._parts if len(part.dropped) < len(part.segment.documents)]
        if len(left) > MOST_PARTS:
            left = [Part(merge([(part.segment, part.dropped) for part in left]))]
        self._parts = self._committed = left
        self._state = dict(state)
        self._snapshot = Snapshot(left)

    def state(self) -> dict[str, str]:
        """As `Store.state`."""
        return dict(self._state)

    def chunks_of(self, document: str) -> list[Chunk]:
        """As `Store.chunks_of`."""
        return self._snapshot.chunks_of(document)

    def by_terms(self, terms: Sequence[str], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_terms`."""
        return self._snapshot.by_terms(terms, k, reader)

    def by_vector(self, vector: NDArray[np.float32], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_vector`."""
        return self._snapshot.by_vector(vector, k, reader) if self.dimensions else []

    def close(self) -> None:
        """Drop what was not committed."""
        self._parts = self._committed
        self._draft = Draft(self._terms_of, self.dimensions)

    def _settle(self) -> None:
        if len(self._draft):
            self._parts = [*self._parts, Part(self._draft.segment())]
            self._draft = Draft(self._terms_of, self.dimensions)


def refuse_held(documents: Collection[str]) -> None:
    """Stop a document from being held twice."""
    if documents:
        raise ValueError(f'The store holds "{min(documents)}" already. Remove a document before it is put again.')


def _left(part: Part) -> set[str]:
    return {name for d, name in enumerate(part.segment.documents) if d not in part.dropped}
