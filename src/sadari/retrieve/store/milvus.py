"""A store in Milvus: embedded in a file (`milvus-lite`), or a cluster.

Korean compounds are lost to Milvus's own analyzers, so what it searches are sparse vectors of this project's terms. It has no
transactions; a commit becomes visible through one row, the head, which every search reads first: rows newer than the head are
filtered out of every search, and so are rows of the documents that the head says are going. What a killed writer left is taken away
by the next one.

*Covered*: access labels are part of every search; texts never stand in a condition, only numbers made from them; a writer that is
killed at any moment. *Not covered*: two writers that begin within the same moment (there is no lock to take, only a row to leave
one's name in). The embedded form serves its file to this machine on a local port without a password, looks at every row in every
search, and holds all postings in memory: it is for trying out and for tests.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sadari.errors import ConfigError, RunError
from sadari.retrieve.store.memory import refuse_held
from sadari.retrieve.store.ranking import Statistics, candidates, rank, sparse_chunk, sparse_query
from sadari.retrieve.store.seam import TermsOf, checked_vectors, name_of
from sadari.retrieve.store.segment import Kind, hash_term
from sadari.retrieve.text import indexed_terms
from sadari.types import EVERYONE, Chunk, Found, Reader

T = TypeVar("T")

CHUNKS, NOTES = "sadari_chunks", "sadari_notes"
"""The collections: chunks, and everything else as (key, value)."""

FORMAT = 2
"""Of the collections."""

LONGEST = 65_535
"""Bytes of one value, which Milvus bounds."""

BUCKETS = 4_096
"""Notes that the counts of terms are spread over. A note for each term would be 100,000 rows a commit, which takes longer than the
chunks themselves; so many hold some ten million terms before one is full."""

KINDS_LISTED = 20_000
"""Letters up to which the head lists the combinations of access labels and metadata that chunks have. Then a search asks for those
that its reader may see, by number; beyond, for labels and metadata themselves, which are arrays. The embedded Milvus looks at
arrays row by row: at 5,000 chunks that takes 270 ms, and numbers take 5."""

LEASE_S = 600
"""Seconds without a sign of life after which a writer is taken for dead."""

_ROWS = 2_000
_DOCUMENTS = 1_000  # named in one condition
_HEAD, _WRITER = "head", "writer"
_CHUNK = TypeAdapter(Chunk)
_NUMBERS = count(1)
_PROCESS = token_hex(8)  # process ids come again, in containers at every start


@dataclass(frozen=True, slots=True)
class _Head:
    """What is visible.

    Args:
        commit: Rows added by it or before it are visible; 0 before the first.
        going: Numbers of documents whose rows older than `commit` are not; kept in so many `going_pieces`, beside the head.
        chunks, length: How many chunks, and of how many terms.
        pieces: Notes that the state is cut into.
        is_counting: Whether a writer was changing the counts of terms; if it died, they are counted anew.
        kinds: Access labels and metadata that some chunk has or had; None if there are too many to list.
    """

    dimensions: int
    terms: str
    commit: int = 0
    going: tuple[int, ...] = ()
    going_pieces: int = 0
    chunks: int = 0
    length: int = 0
    pieces: int = 0
    next_id: int = 1
    is_counting: bool = False
    kinds: tuple[Kind, ...] | None = ()
    format: int = 1


class MilvusStore:
    """Chunks and vectors in Milvus.

    Args:
        uri: "milvus:///folder/file.db", or "milvus+http://[user:password@]host:19530".
        dimensions: Of the vectors; None takes what is held.

    Raises:
        ConfigError: If `pymilvus` is not installed, or other dimensions or terms are held.
        RunError: If the server does not answer.
    """

    def __init__(self, uri: str, dimensions: int | None = None, terms_of: TermsOf = indexed_terms) -> None:
        self.uri = uri
        self._terms_of = terms_of
        self._pymilvus = _pymilvus()
        self._client = self._asked(lambda: self._pymilvus.MilvusClient(**_address(uri)))
        self._is_writer = False
        self._signed_at = 0.0
        self._name = f"process {os.getpid()}, store {next(_NUMBERS)}"
        self._added: dict[str, list[tuple[Chunk, NDArray[np.float32] | None]]] = {}
        self._removed: set[str] = set()
        self._known: dict[str, bool] = {}  # whether a document is held, as far as this writer asked since its last commit
        self._is_made = self._asked(lambda: self._client.has_collection(NOTES))
        if self._is_made:  # after a restart of the server they are on its disk only
            self._asked(lambda: self._client.load_collection(NOTES))
            self._asked(lambda: self._client.load_collection(CHUNKS))
        held = self._head() if self._is_made else None
        if held and held.format != FORMAT:
            raise RunError(f"{_shown(uri)} was indexed by another version of sadari. Use another database.")
        self.dimensions = held.dimensions if held else dimensions or 0
        if dimensions is not None and dimensions != self.dimensions:
            raise ConfigError(
                f"{_shown(uri)} holds vectors of {self.dimensions} dimensions, not {dimensions}. Use another database."
            )
        if held and held.terms != name_of(terms_of):
            raise ConfigError(f"{_shown(uri)} was indexed by {held.terms}, not by {name_of(terms_of)}. Use another database.")

    def put(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None = None) -> None:
        """As `Store.put`; held in memory until `commit`."""
        rows = checked_vectors(len(chunks), self.dimensions, vectors)
        documents = {chunk.document for chunk in chunks}
        with self._writing():
            refuse_held(documents & self._added.keys() | self._held(documents - self._removed))
            for i, chunk in enumerate(chunks):
                self._added.setdefault(chunk.document, []).append((chunk, None if rows is None else rows[i]))

    def remove(self, documents: Collection[str]) -> None:
        """As `Store.remove`."""
        with self._writing():
            for document in documents:
                self._added.pop(document, None)
            self._removed |= self._held(set(documents) - self._removed)

    def commit(self, state: Mapping[str, str]) -> None:
        """As `Store.commit`."""
        with self._writing():
            head = self._need_head()
            gone = [_CHUNK.validate_json(row["body"]) for row in self._rows_of(sorted(self._removed), head, "body")]
            new = replace(head, commit=head.commit + 1, going=tuple(sorted(map(_number, self._removed))), is_counting=False)
            self._note({_HEAD: _dumped(replace(head, is_counting=True))})
            rows, terms = self._rows(new)
            new = replace(
                new,
                chunks=head.chunks + len(rows) - len(gone),
                length=head.length + sum(map(len, terms)) - sum(len(self._terms_of(chunk)) for chunk in gone),
                next_id=head.next_id + len(rows),
                pieces=self._note_state(new.commit, state),
                going_pieces=self._note_going(new),
                kinds=_with_kinds(head.kinds, (chunk for pairs in self._added.values() for chunk, _ in pairs)),
            )
            for at in range(0, len(rows), _ROWS):
                batch = rows[at : at + _ROWS]
                self._asked(partial(self._client.insert, CHUNKS, batch))
            self._asked(lambda: self._client.flush(CHUNKS))
            self._count((t for held in terms for t in set(held)), (t for chunk in gone for t in set(self._terms_of(chunk))))
            self._note({_HEAD: _dumped(new)})  # from here on it is visible
            self._finish(new)
            self._drop()

    def state(self) -> dict[str, str]:
        """As `Store.state`."""
        head = self._head() if self._is_made else None
        if head is None:
            return {}
        notes = self._noted([f"state {head.commit} {i}" for i in range(head.pieces)])
        return {name: held for text in notes.values() for name, held in json.loads(text).items()}

    def chunks_of(self, document: str) -> list[Chunk]:
        """As `Store.chunks_of`."""
        held = (_CHUNK.validate_json(row["body"]) for row in self._rows_of([document], self._need_head(), "body"))
        return sorted((chunk for chunk in held if chunk.document == document), key=lambda chunk: (chunk.start, chunk.end))

    def by_terms(self, terms: Sequence[str], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_terms`."""
        head = self._need_head()
        statistics = Statistics(head.chunks, head.length / max(1, head.chunks), self._holding(set(terms)))
        query = sparse_query(terms, statistics)
        if not query or k < 1:
            return []
        found = self._search("terms", query, candidates(k), head, reader)
        return rank((chunk for chunk, _ in found), terms, statistics, self._terms_of)[:k]

    def by_vector(self, vector: NDArray[np.float32], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_vector`."""
        if not self.dimensions or k < 1:
            return []
        return [Found(*hit) for hit in self._search("vector", vector.tolist(), k, self._need_head(), reader)]

    def close(self) -> None:
        """As `Store.close`."""
        self._drop()
        if self._is_writer:
            self._is_writer = False
            self._asked(lambda: self._client.delete(NOTES, ids=[_WRITER]))
        self._client.close()

    def _drop(self) -> None:
        """Forget what is not committed."""
        self._added, self._removed, self._known = {}, set(), {}

    def _search(self, field: str, query: Any, k: int, head: _Head, reader: Reader) -> list[tuple[Chunk, float]]:
        hits = self._asked(
            lambda: self._client.search(
                CHUNKS,
                [query],
                filter=_visible(reader, head),
                limit=k,
                anns_field=field,
                output_fields=["body"],
                search_params={"metric_type": "IP", "params": {"ef": max(200, 2 * k)} if field == "vector" else {}},
            )
        )
        return [(_CHUNK.validate_json(hit["entity"]["body"]), float(hit["distance"])) for hit in hits[0]]

    def _rows(self, head: _Head) -> tuple[list[dict[str, Any]], list[list[str]]]:
        """What is inserted, and the terms of each chunk."""
        added = [pair for pairs in self._added.values() for pair in pairs]
        terms = [self._terms_of(chunk) for chunk, _ in added]
        mean = (head.length + sum(map(len, terms))) / max(1, head.chunks + len(terms))
        return [
            _row(head.next_id + i, chunk, vector, sparse_chunk(terms[i], mean), head.commit)
            for i, (chunk, vector) in enumerate(added)
        ], terms

    def _held(self, documents: Collection[str]) -> set[str]:
        unknown = sorted(set(documents) - self._known.keys())
        if unknown:
            head = self._need_head()
            rows = self._rows_of(unknown, head, "source") if head.chunks else ()
            numbers = {row["source"] for row in rows}
            self._known.update((name, _number(name) in numbers) for name in unknown)
        return {name for name in documents if self._known[name]}

    def _rows_of(self, documents: Sequence[str], head: _Head, field: str) -> Iterator[dict[str, Any]]:
        """One field of the visible rows of documents."""
        for at in range(0, len(documents), _DOCUMENTS):
            batch = documents[at : at + _DOCUMENTS]
            yield from self._all(f"source in {_numbers(batch)} and {_at(head)}", field)

    def _all(self, condition: str, field: str) -> Iterator[dict[str, Any]]:
        rows = self._asked(lambda: self._client.query_iterator(CHUNKS, filter=condition, output_fields=[field], batch_size=_ROWS))
        while batch := self._asked(rows.next):
            yield from batch
        rows.close()

    def _need_head(self) -> _Head:
        if not self._is_made and self._asked(lambda: self._client.has_collection(NOTES)):
            self._is_made = True
        head = self._head() if self._is_made else None
        return head or self._first_head()

    def _first_head(self) -> _Head:
        return _Head(self.dimensions, name_of(self._terms_of), format=FORMAT)

    def _head(self) -> _Head | None:
        notes = self._noted([_HEAD])
        if not notes:
            return None
        head = TypeAdapter(_Head).validate_json(notes[_HEAD])
        pieces = self._noted(_going_notes(head)).values()
        return replace(head, going=tuple(number for piece in pieces for number in json.loads(piece)))

    def _noted(self, keys: Sequence[str]) -> dict[str, str]:
        rows: list[dict[str, str]] = []
        for at in range(0, len(keys), _ROWS):
            batch = list(keys[at : at + _ROWS])
            rows += self._asked(partial(self._client.get, NOTES, ids=batch, output_fields=["key", "value"]))
        return {row["key"]: row["value"] for row in rows}

    def _note(self, notes: Mapping[str, str]) -> None:
        rows = [{"key": key, "value": value, "place": [0.0, 1.0]} for key, value in notes.items()]
        for at in range(0, len(rows), _ROWS):
            batch = rows[at : at + _ROWS]
            self._asked(partial(self._client.upsert, NOTES, batch))

    def _note_state(self, commit: int, state: Mapping[str, str]) -> int:
        """Write the state in pieces; how many."""
        pieces: list[dict[str, str]] = [{}]
        size = 0
        for name, value in state.items():
            size += len(json.dumps({name: value})) + 2
            if size > LONGEST - 100:
                pieces.append({})
                size = len(json.dumps({name: value})) + 2
            pieces[-1][name] = value
        self._note({f"state {commit} {i}": json.dumps(piece) for i, piece in enumerate(pieces)})
        return len(pieces)

    def _note_going(self, head: _Head) -> int:
        """Write in pieces which documents are going; how many."""
        pieces = [head.going[at : at + _ROWS] for at in range(0, len(head.going), _ROWS)]
        self._note({f"going {head.commit} {i}": json.dumps(piece) for i, piece in enumerate(pieces)})
        return len(pieces)

    def _count(self, more: Iterable[str], fewer: Iterable[str]) -> None:
        changes = Counter(more)
        changes.subtract(Counter(fewer))
        changed: dict[str, dict[str, int]] = {}
        for term, n in changes.items():
            if n:
                bucket, name = _counted_as(term)
                changed.setdefault(bucket, {})[name] = n
        held = self._noted([*changed])
        self._note({bucket: _with_counts(held.get(bucket, "{}"), counts) for bucket, counts in changed.items()})

    def _holding(self, terms: Collection[str]) -> dict[str, int]:
        """How many chunks hold each term, of those that some chunk holds."""
        places = {term: _counted_as(term) for term in terms}
        counts = {bucket: json.loads(note) for bucket, note in self._noted(sorted({b for b, _ in places.values()})).items()}
        return {term: counts[bucket][name] for term, (bucket, name) in places.items() if name in counts.get(bucket, {})}

    def _finish(self, head: _Head) -> None:
        """Take away what the head hides."""
        for at in range(0, len(head.going), _DOCUMENTS):
            batch = list(head.going[at : at + _DOCUMENTS])
            self._asked(partial(self._client.delete, CHUNKS, filter=f"source in {batch} and added < {head.commit:d}"))
        self._note({_HEAD: _dumped(replace(head, going=(), going_pieces=0))})
        old = [f"state {head.commit - 1} {i}" for i in range(head.pieces + 1)] + _going_notes(head)
        self._asked(lambda: self._client.delete(NOTES, ids=old))
        self._asked(lambda: self._client.flush(NOTES))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the writer; after a failure what was not committed is dropped."""
        try:
            if not self._is_writer:
                self._begin()
            elif time.time() > self._signed_at + LEASE_S / 10:
                self._sign()
            yield
        except ValueError:
            raise
        except BaseException:
            self._drop()
            self._is_writer = False
            raise

    def _begin(self) -> None:
        if not self._need_head().commit and not self._is_made:
            self._make_collections()
        holder = json.loads(self._noted([_WRITER]).get(_WRITER, "{}"))
        is_elsewhere = holder and holder["name"] != self._name and holder["until"] > time.time()
        if is_elsewhere and not (self.uri.startswith("milvus://") and holder["process"] != _PROCESS):  # one process has the file
            raise RunError(
                f"{_shown(self.uri)} is being written by {holder['name']}. Wait until it is done, or stop it and wait "
                f"{LEASE_S // 60} minutes; then index again."
            )
        self._sign()
        self._is_writer = True
        head = self._need_head()
        self._asked(lambda: self._client.delete(CHUNKS, filter=f"added > {head.commit:d}"))
        if head.is_counting:
            self._recount(head)
        if head.going:
            self._finish(head)

    def _sign(self) -> None:
        """Say that the writer is alive."""
        self._signed_at = time.time()
        self._note({_WRITER: json.dumps({"name": self._name, "process": _PROCESS, "until": self._signed_at + LEASE_S})})

    def _recount(self, head: _Head) -> None:
        """Count terms anew after a writer died over them."""
        self._asked(lambda: self._client.delete(NOTES, filter='key like "terms %"'))
        chunks = (_CHUNK.validate_json(row["body"]) for row in self._all(_at(head), "body"))
        self._count((term for chunk in chunks for term in set(self._terms_of(chunk))), ())
        self._note({_HEAD: _dumped(replace(head, is_counting=False))})

    def _make_collections(self) -> None:
        kind = self._pymilvus.DataType
        notes = self._client.create_schema()
        notes.add_field("key", kind.VARCHAR, is_primary=True, max_length=4_096)
        notes.add_field("value", kind.VARCHAR, max_length=LONGEST)
        notes.add_field("place", kind.FLOAT_VECTOR, dim=2)  # a collection must have one
        chunks = self._client.create_schema()
        chunks.add_field("id", kind.INT64, is_primary=True)
        chunks.add_field("source", kind.INT64)
        chunks.add_field("body", kind.VARCHAR, max_length=LONGEST)
        chunks.add_field("kind", kind.INT64)
        chunks.add_field("is_open", kind.BOOL)
        for name in ("access", "facets"):
            chunks.add_field(name, kind.ARRAY, element_type=kind.INT64, max_capacity=1_024)
        chunks.add_field("added", kind.INT64)
        chunks.add_field("terms", kind.SPARSE_FLOAT_VECTOR)
        indexes = self._client.prepare_index_params()
        indexes.add_index("terms", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        if self.dimensions:
            chunks.add_field("vector", kind.FLOAT_VECTOR, dim=self.dimensions)
            graph = {"M": 16, "efConstruction": 200}
            indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=graph)
        flat = self._client.prepare_index_params()
        flat.add_index("place", index_type="FLAT", metric_type="L2")
        strong = {"consistency_level": "Strong"}
        self._asked(lambda: self._client.create_collection(CHUNKS, schema=chunks, index_params=indexes, **strong))
        self._asked(lambda: self._client.create_collection(NOTES, schema=notes, index_params=flat, **strong))
        self._is_made = True
        self._note({_HEAD: _dumped(self._first_head())})

    def _asked(self, ask: Callable[[], T]) -> T:
        """What the server answers."""
        try:
            return ask()
        except (self._pymilvus.MilvusException, OSError) as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise RunError(
                f"{_shown(self.uri)} did not answer: {why}. What was committed is kept. "
                "See that it runs, then run the same command again."
            ) from error


def _row(number: int, chunk: Chunk, vector: NDArray[np.float32] | None, terms: Mapping[int, float], commit: int) -> dict[str, Any]:
    body = _CHUNK.dump_json(chunk).decode()
    if len(body.encode()) > LONGEST:
        raise ValueError(
            f"{chunk.document} [{chunk.start}-{chunk.end}] is too long for Milvus ({LONGEST} bytes). Make smaller chunks."
        )
    row = {
        "id": number,
        "source": _number(chunk.document),
        "body": body,
        "kind": _number(_kind_name(_kind(chunk))),
        "is_open": not chunk.access,
        "access": [_number(label) for label in chunk.access],
        "facets": [_number(_facet(name, value)) for name, value in chunk.metadata.items()],
        "added": commit,
        "terms": terms or {0: 1e-9},  # an empty vector is refused
    }
    return row if vector is None else {**row, "vector": vector.tolist()}


def _visible(reader: Reader, head: _Head) -> str:
    """The condition under which a chunk is open to a reader."""
    if head.kinds is not None:
        probes = ((kind, Chunk("", "", 0, 0, "", access=kind[0], metadata=dict(kind[1]))) for kind in head.kinds)
        seen = [_kind_name(kind) for kind, probe in probes if reader.may_see(probe)]
        return f"{_at(head)} and kind in {_numbers(seen or ['none'])}"
    is_open = "is_open == true"
    if reader.labels:
        is_open = f"({is_open} or array_contains_any(access, {_numbers(reader.labels)}))"
    within = (
        f"array_contains_any(facets, {_numbers(_facet(name, value) for value in values)})" for name, values in reader.within.items()
    )
    return " and ".join((_at(head), is_open, *within))


def _at(head: _Head) -> str:
    """The condition under which a row is visible at all."""
    visible = f"added <= {head.commit:d}"
    return f"{visible} and not (source in {list(head.going)} and added < {head.commit:d})" if head.going else visible


def _kind(chunk: Chunk) -> Kind:
    return tuple(chunk.access), tuple(sorted(chunk.metadata.items()))


def _kind_name(kind: Kind) -> str:
    return json.dumps(kind, ensure_ascii=False)


def _with_kinds(kinds: tuple[Kind, ...] | None, chunks: Iterable[Chunk]) -> tuple[Kind, ...] | None:
    if kinds is None:
        return None
    listed = tuple(dict.fromkeys((*kinds, *map(_kind, chunks))))
    return listed if sum(len(_kind_name(kind)) for kind in listed) <= KINDS_LISTED else None


def _counted_as(term: str) -> tuple[str, str]:
    """The note that counts a term, and its name there."""
    number = hash_term(term)
    return f"terms {number % BUCKETS}", f"{number:x}"


def _with_counts(note: str, changes: Mapping[str, int]) -> str:
    counts = Counter(json.loads(note))
    counts.update(changes)
    return json.dumps({name: n for name, n in counts.items() if n > 0}, separators=(",", ":"))


def _facet(name: str, value: str) -> str:
    return json.dumps([name, value], ensure_ascii=False)


def _number(text: str) -> int:
    """What stands for a text in conditions, so that none ever holds a text: 63 bits, as many as Milvus takes."""
    return hash_term(text) >> 1


def _numbers(texts: Iterable[str]) -> str:
    return str(sorted(map(_number, texts)))


def _going_notes(head: _Head) -> list[str]:
    return [f"going {head.commit} {i}" for i in range(head.going_pieces)]


def _dumped(head: _Head) -> str:
    return json.dumps({**asdict(head), "going": ()}, ensure_ascii=False)


def _address(uri: str) -> dict[str, str]:
    if uri.startswith("milvus://"):
        file = Path(uri.removeprefix("milvus://"))
        if file.suffix != ".db":
            raise ConfigError(f"{uri}: the file of an embedded Milvus ends in .db. Name it so, or give milvus+http://HOST:PORT.")
        file.parent.mkdir(parents=True, exist_ok=True)
        return {"uri": str(file)}
    scheme, _, place = uri.removeprefix("milvus+").partition("://")
    token, _, host = place.rpartition("@")
    return {"uri": f"{scheme}://{host}", **({"token": token} if token else {})}


def _shown(uri: str) -> str:
    """The URI without its password."""
    scheme, _, place = uri.partition("://")
    return f"{scheme}://{place.rpartition('@')[2]}"


def _pymilvus() -> Any:
    try:
        import pymilvus
    except ImportError as error:
        raise ConfigError("A store in Milvus needs pymilvus: pip install 'sadari[milvus]'.") from error
    return pymilvus
