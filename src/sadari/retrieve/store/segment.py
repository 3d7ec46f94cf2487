"""A segment: some thousand chunks, the postings of their terms, their vectors. Made once, never changed, memory-mapped."""

import json
import os
from array import array
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sadari.retrieve.store.seam import TermsOf
from sadari.types import Chunk

NAMES = "names.json"
_MOST_COUNTED = 65_535
_CHUNK = TypeAdapter(Chunk)

Kind = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]
"""Access labels and metadata, which many chunks share: who may see a chunk is decided once for each kind."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Chunks by position, 0 to n - 1; those of one document stand together.

    Args:
        terms: Hashes of the V terms, ascending.
        starts: Postings of term v are `[starts[v], starts[v + 1])`, shape (V + 1,).
        positions: Chunks that hold the term, ascending, shape (P,).
        counts: How often, shape (P,).
        lengths: Terms of each chunk, repeats included, shape (n,).
        kinds_at: Index into `kinds`, shape (n,).
        first: Chunks of document d are `[first[d], first[d + 1])`, shape (documents + 1,).
        text: All chunks as JSON in UTF-8, one after another.
        text_starts: Where in `text` each begins, shape (n + 1,).
        vectors: Shape (n, dimensions); dimensions may be 0.
    """

    documents: tuple[str, ...]
    kinds: tuple[Kind, ...]
    terms: NDArray[np.uint64]
    starts: NDArray[np.int64]
    positions: NDArray[np.uint32]
    counts: NDArray[np.uint16]
    lengths: NDArray[np.uint32]
    kinds_at: NDArray[np.uint32]
    first: NDArray[np.int64]
    text: NDArray[np.uint8]
    text_starts: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.lengths)

    def chunk(self, position: int) -> Chunk:
        """The chunk at a position."""
        return _CHUNK.validate_json(self.text[self.text_starts[position] : self.text_starts[position + 1]].tobytes())

    def alive(self, dropped: Collection[int]) -> NDArray[np.bool_]:
        """Which chunks are left when the documents with these numbers are dropped, shape (n,)."""
        left = np.ones(len(self), dtype=np.bool_)
        for document in dropped:
            left[self.first[document] : self.first[document + 1]] = False
        return left


@lru_cache(maxsize=65_536)  # a few words make most of a text
def hash_term(term: str) -> int:
    """64 bits that stand for a term: among a million terms, two share theirs with a chance of 1 in 40 million."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class Draft:
    """Chunks that wait to become a segment."""

    def __init__(self, terms_of: TermsOf, dimensions: int) -> None:
        self._terms_of = terms_of
        self._dimensions = dimensions
        self._vocabulary: defaultdict[str, int] = defaultdict()
        self._vocabulary.default_factory = self._vocabulary.__len__
        self._terms = array("I")
        self._lengths = array("I")
        self._kinds: dict[Kind, int] = {}
        self._kinds_at = array("I")
        self._text: list[bytes] = []
        self._vectors: list[NDArray[np.float32]] = []
        self.documents: dict[str, int] = {}  # id -> number of its chunks

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None) -> None:
        """Take chunks in; those of one document are brought together."""
        seen: dict[str, int] = {}
        for chunk in chunks:
            seen.setdefault(chunk.document, len(seen))
        order = sorted(range(len(chunks)), key=lambda i: seen[chunks[i].document])
        for i in order:
            self._add(chunks[i])
        if vectors is not None:
            self._vectors.append(vectors[order])

    def _add(self, chunk: Chunk) -> None:
        text = _CHUNK.dump_json(chunk)  # first: what cannot be written must not be half taken in
        terms = self._terms_of(chunk)
        self._terms.extend(map(self._vocabulary.__getitem__, terms))
        self._lengths.append(len(terms))
        kind = (chunk.access, tuple(sorted(chunk.metadata.items())))
        self._kinds_at.append(self._kinds.setdefault(kind, len(self._kinds)))
        self._text.append(text)
        self.documents[chunk.document] = self.documents.get(chunk.document, 0) + 1

    def segment(self) -> Segment:
        """What was taken in."""
        n = len(self)
        lengths = np.array(self._lengths, dtype=np.uint32)
        hashes = np.array([hash_term(term) for term in self._vocabulary], dtype=np.uint64)
        terms, place = np.unique(hashes, return_inverse=True)
        # One number for each (term, chunk), so that one sort groups the postings and counts the repeats. There are some ten million
        # of them, and they are most of the memory that indexing takes: so in place wherever that is possible.
        pairs = place[np.frombuffer(self._terms, dtype=np.uintc)].astype(np.int64, copy=False)
        pairs *= n
        pairs += np.repeat(np.arange(n, dtype=np.uint32), lengths)
        pairs.sort()
        firsts = np.flatnonzero(np.diff(pairs, prepend=-1))
        counts = np.minimum(np.diff(firsts, append=len(pairs)), _MOST_COUNTED).astype(np.uint16)
        pairs = pairs[firsts]
        del firsts
        starts = np.searchsorted(pairs, np.arange(len(terms) + 1) * n)
        pairs %= max(n, 1)
        return Segment(
            documents=tuple(self.documents),
            kinds=tuple(self._kinds),
            terms=terms,
            starts=starts.astype(np.int64),
            positions=pairs.astype(np.uint32),
            counts=counts,
            lengths=lengths,
            kinds_at=np.array(self._kinds_at, dtype=np.uint32),
            first=_starts([*self.documents.values()]),
            text=np.frombuffer(b"".join(self._text), dtype=np.uint8),
            text_starts=_starts([len(line) for line in self._text]),
            vectors=np.concatenate(self._vectors) if self._vectors else np.zeros((n, self._dimensions), dtype=np.float32),
        )


def merge(parts: Sequence[tuple[Segment, Collection[int]]]) -> Segment:
    """One segment of all chunks that are left when, of each segment, the documents with the given numbers are dropped."""
    alive = [segment.alive(dropped) for segment, dropped in parts]
    offsets = _starts([int(left.sum()) for left in alive])
    segments = [segment for segment, _ in parts]
    kinds = {kind: i for i, kind in enumerate(dict.fromkeys(kind for s in segments for kind in s.kinds))}
    held = [_postings(s, left, int(at)) for s, left, at in zip(segments, alive, offsets[:-1], strict=True)]
    hashes, positions, counts = (np.concatenate(column) for column in zip(*held, strict=True))
    order = np.argsort(hashes, kind="stable")  # within a term the positions ascend already
    terms, starts = np.unique(hashes[order], return_index=True)
    kept = [(s, d) for s, dropped in parts for d in range(len(s.documents)) if d not in dropped]
    return Segment(
        documents=tuple(s.documents[d] for s, d in kept),
        kinds=tuple(kinds),
        terms=terms,
        starts=np.append(starts, len(hashes)).astype(np.int64),
        positions=positions[order],
        counts=counts[order],
        lengths=_joined(segments, alive, "lengths"),
        kinds_at=np.concatenate(
            [
                np.array([kinds[kind] for kind in s.kinds], dtype=np.uint32)[s.kinds_at[left]]
                for s, left in zip(segments, alive, strict=True)
            ]
        ),
        first=_starts([int(s.first[d + 1] - s.first[d]) for s, d in kept]),
        text=np.concatenate([s.text[np.repeat(left, np.diff(s.text_starts))] for s, left in zip(segments, alive, strict=True)]),
        text_starts=_starts(np.concatenate([np.diff(s.text_starts)[left] for s, left in zip(segments, alive, strict=True)])),
        vectors=_joined(segments, alive, "vectors"),
    )


def _postings(segment: Segment, alive: NDArray[np.bool_], offset: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Term hash, new position and count of every posting that is left."""
    left = alive[segment.positions]
    moved = (np.cumsum(alive) - 1 + offset).astype(np.uint32)
    hashes = np.repeat(segment.terms, np.diff(segment.starts))
    return hashes[left], moved[segment.positions[left]], segment.counts[left]


def _joined(segments: Sequence[Segment], alive: Sequence[NDArray[np.bool_]], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(s, name)[left] for s, left in zip(segments, alive, strict=True)])


def _starts(sizes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, dtype=np.int64))]).astype(np.int64)


def save_segment(segment: Segment, folder: Path) -> None:
    """Write a segment to a new folder, and wait until it is on the disk."""
    folder.mkdir(parents=True)
    for field in fields(segment):
        value = getattr(segment, field.name)
        if isinstance(value, np.ndarray):
            with (folder / f"{field.name}.npy").open("wb") as file:
                np.save(file, value)
                _flush(file)
    with (folder / NAMES).open("wb") as file:
        file.write(json.dumps({"documents": segment.documents, "kinds": segment.kinds}, ensure_ascii=False).encode())
        _flush(file)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def map_segment(folder: Path) -> Segment:
    """A segment as it was saved, read from the disk as it is needed.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged.
    """
    names = json.loads((folder / NAMES).read_bytes())
    arrays = {
        field.name: np.asarray(np.load(folder / f"{field.name}.npy", mmap_mode="r"))
        for field in fields(Segment)
        if field.name not in ("documents", "kinds")
    }
    kinds = tuple((tuple(access), tuple((name, value) for name, value in metadata)) for access, metadata in names["kinds"])
    return Segment(documents=tuple(names["documents"]), kinds=kinds, **arrays)
