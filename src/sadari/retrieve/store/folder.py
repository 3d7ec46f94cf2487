"""The embedded store: one folder, no server, many readers, one writer.

    FOLDER/manifest.json          what is held; replaced by renaming, so that a commit is there or not
    FOLDER/state-<n>.json         document id -> content hash, of one commit
    FOLDER/segments/<n>-<m>/      chunks that never change; what the manifest does not name is swept away by the next writer
    FOLDER/lock                   held by the writer, with its name in it

*Covered*: a kill at any moment, a full disk, a second writer, readers that stay open (they map what they read, and a file stays
until the last map is gone). *Not covered*: network file systems without `flock`; a second machine.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sadari.errors import ConfigError, RunError
from sadari.files import read_json, to_json, write_text
from sadari.retrieve.store.collection import EXACT_UP_TO, GRAPH_FROM, Part
from sadari.retrieve.store.collection import Collection as Snapshot
from sadari.retrieve.store.graph import Graph, save_graph
from sadari.retrieve.store.memory import refuse_held
from sadari.retrieve.store.seam import TermsOf, checked_vectors, name_of
from sadari.retrieve.store.segment import Draft, Segment, map_segment, merge, save_segment
from sadari.retrieve.text import indexed_terms
from sadari.types import EVERYONE, Chunk, Found, Reader

MANIFEST, LOCK, SEGMENTS, GRAPH = "manifest.json", "lock", "segments", "graph.usearch"
FORMAT = 1

CHUNKS_HELD = 50_000
"""Chunks that wait in memory before they are written as a segment."""

MERGED_TOGETHER = 8
"""Segments of about the same size before they are merged into one."""

LARGEST_MERGED = 200_000
"""Chunks of a segment that is merged no more, which bounds the memory that a merge takes."""

_TRIES = 20
_STATE = TypeAdapter(dict[str, str])


@dataclass(frozen=True, slots=True)
class _Entry:
    """A segment of the manifest; `dropped` are the numbers of documents in it that are deleted."""

    name: str
    chunks: int
    dropped: tuple[int, ...] = ()
    has_graph: bool = False


@dataclass(frozen=True, slots=True)
class _Manifest:
    format: int = FORMAT
    dimensions: int = 0
    terms: str = ""
    commit: int = 0
    entries: tuple[_Entry, ...] = ()


class FolderStore:
    """Chunks and vectors in a folder, memory-mapped.

    Args:
        path: The folder; made by the first write.
        dimensions: Of the vectors; None takes what the folder holds.
        terms_of: The terms that chunks are found by; a folder remembers the name of its function.

    Raises:
        ConfigError: If the folder holds vectors of other dimensions, or other terms.
        RunError: If the folder is damaged.
    """

    def __init__(self, path: Path | str, dimensions: int | None = None, terms_of: TermsOf = indexed_terms) -> None:
        self.path = Path(path)
        self._terms_of = terms_of
        self._segments: dict[str, Segment] = {}
        self._graphs: dict[str, Graph] = {}
        self._signature: tuple[int, ...] | None = None
        self._manifest = _Manifest(dimensions=dimensions or 0, terms=name_of(terms_of))
        self._snapshot = Snapshot()
        self._writer: _Writer | None = None
        self._refreshing = Lock()
        self._refresh()
        if dimensions is not None and dimensions != self.dimensions:
            raise ConfigError(
                f"{path} holds vectors of {self.dimensions} dimensions, not {dimensions}. Index into a new folder, or use the "
                "embedder that it was made with."
            )
        if self._manifest.terms != name_of(terms_of):
            raise ConfigError(f"{path} was indexed by {self._manifest.terms}, not by {name_of(terms_of)}. Index into a new folder.")

    @property
    def uri(self) -> str:
        """The folder."""
        return str(self.path)

    @property
    def dimensions(self) -> int:
        """Of the vectors; 0 if none are held."""
        return self._manifest.dimensions

    def put(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None = None) -> None:
        """As `Store.put`."""
        self._refresh()
        rows = checked_vectors(len(chunks), self.dimensions, vectors)
        with self._writing() as writer:
            writer.put(chunks, rows)

    def remove(self, documents: Collection[str]) -> None:
        """As `Store.remove`."""
        with self._writing() as writer:
            writer.remove(documents)

    def commit(self, state: Mapping[str, str]) -> None:
        """As `Store.commit`."""
        with self._writing() as writer:
            writer.commit(state)
        self._refresh()

    def state(self) -> dict[str, str]:
        """As `Store.state`."""
        for _ in range(_TRIES):
            self._refresh()
            if not self._manifest.commit:
                return {}
            try:
                text = (self.path / _state_file(self._manifest.commit)).read_bytes()
            except FileNotFoundError:  # there is a newer commit
                continue
            try:
                return _STATE.validate_json(text)
            except ValueError as error:
                raise RunError(f"{self.path} is damaged ({error}). Delete it and index again.") from error
        raise RunError(f"{self.path} is damaged: {_state_file(self._manifest.commit)} is missing. Delete it and index again.")

    def chunks_of(self, document: str) -> list[Chunk]:
        """As `Store.chunks_of`."""
        self._refresh()
        return self._snapshot.chunks_of(document)

    def by_terms(self, terms: Sequence[str], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_terms`."""
        self._refresh()
        return self._snapshot.by_terms(terms, k, reader)

    def by_vector(self, vector: NDArray[np.float32], k: int, reader: Reader = EVERYONE) -> list[Found]:
        """As `Store.by_vector`."""
        self._refresh()
        return self._snapshot.by_vector(vector, k, reader) if self.dimensions else []

    def close(self) -> None:
        """As `Store.close`."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @contextmanager
    def _writing(self) -> Iterator["_Writer"]:
        """The writer; after a failure nothing of its work is left, and the next write begins anew."""
        try:
            if self._writer is None:
                self._writer = _Writer(self.path, self._terms_of, self._manifest)
            yield self._writer
        except ValueError:
            raise
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                why = error.strerror or str(error)
                raise RunError(
                    f"{self.path} cannot be written: {why}. What was committed is kept. "
                    "Free space or mend the folder, then index again."
                ) from error
            raise

    def _refresh(self) -> None:
        """Take up what another process committed; costs one look at the manifest's entry in its folder."""
        if _signature(self.path / MANIFEST) == self._signature:
            return
        with self._refreshing:
            self._reopen()

    def _reopen(self) -> None:
        for _ in range(_TRIES):
            signature = _signature(self.path / MANIFEST)
            if signature is None or signature == self._signature:
                return
            manifest = _read_manifest(self.path)
            try:
                parts = [self._part(entry) for entry in manifest.entries]
            except FileNotFoundError:  # merged away since: there is a newer manifest
                time.sleep(0.01)
                continue
            except ValueError as error:
                raise RunError(f"{self.path} is damaged ({error}). Delete it and index again.") from error
            self._manifest, self._snapshot, self._signature = manifest, Snapshot(parts), signature
            named = {entry.name for entry in manifest.entries}
            self._segments = {name: s for name, s in self._segments.items() if name in named}
            self._graphs = {name: g for name, g in self._graphs.items() if name in named}
            return
        raise RunError(f"{self.path} is damaged: files that {MANIFEST} names are missing. Delete it and index again.")

    def _part(self, entry: _Entry) -> Part:
        folder = self.path / SEGMENTS / entry.name
        if entry.name not in self._segments:
            self._segments[entry.name] = map_segment(folder)
        if entry.has_graph and entry.name not in self._graphs:
            self._graphs[entry.name] = Graph(folder / GRAPH)
        return Part(self._segments[entry.name], frozenset(entry.dropped), self._graphs.get(entry.name))


class _Writer:
    """Holds the lock and what is not committed yet."""

    def __init__(self, path: Path, terms_of: TermsOf, default: _Manifest) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._terms_of = terms_of
        self._lock = _take_lock(path)
        try:
            self._manifest = _read_manifest(path) if (path / MANIFEST).exists() else default
            self._entries = [*self._manifest.entries]
            self._segments = {e.name: map_segment(path / SEGMENTS / e.name) for e in self._entries}
            self._held = {d: e.name for e in self._entries for d in _documents(self._segments[e.name], e.dropped)}
            self._made = 0
            self._draft = Draft(terms_of, self._manifest.dimensions)
            self._sweep()
        except BaseException:
            self._lock.close()
            raise

    def put(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32] | None) -> None:
        refuse_held({c.document for c in chunks} & (self._held.keys() | self._draft.documents.keys()))
        self._draft.add(chunks, vectors)
        if len(self._draft) >= CHUNKS_HELD:
            self._settle()

    def remove(self, documents: Collection[str]) -> None:
        gone = {d for d in documents if d in self._held or d in self._draft.documents}
        if not gone.isdisjoint(self._draft.documents):
            self._settle()
        places: dict[str, set[str]] = {}
        for document in gone:
            places.setdefault(self._held.pop(document), set()).add(document)
        self._entries = [self._without(entry, places[entry.name]) if entry.name in places else entry for entry in self._entries]

    def commit(self, state: Mapping[str, str]) -> None:
        self._settle()
        self._compact()
        if self._manifest.dimensions and sum(entry.chunks for entry in self._entries) > EXACT_UP_TO:
            self._entries = [self._with_graph(entry) for entry in self._entries]
        number = self._manifest.commit + 1
        write_text(self._path / _state_file(number), to_json(dict(state), dict[str, str]))
        manifest = _Manifest(FORMAT, self._manifest.dimensions, self._manifest.terms, number, tuple(self._entries))
        _sync_folder(self._path / SEGMENTS)
        write_text(self._path / MANIFEST, to_json(manifest))
        _sync_folder(self._path)
        self._manifest = manifest
        self._made = 0
        self._sweep()

    def close(self) -> None:
        with suppress(OSError):
            self._sweep()
        self._lock.close()

    def _settle(self) -> None:
        """Write the draft as a segment."""
        if len(self._draft):
            segment = self._draft.segment()
            self._draft = Draft(self._terms_of, self._manifest.dimensions)
            self._entries.append(self._written(segment))

    def _written(self, segment: Segment) -> _Entry:
        self._made += 1
        entry = _Entry(f"{self._manifest.commit + 1:06d}-{self._made}", len(segment))
        folder = self._path / SEGMENTS / entry.name
        save_segment(segment, folder)
        self._segments[entry.name] = map_segment(folder)
        self._held.update(dict.fromkeys(segment.documents, entry.name))
        return entry

    def _without(self, entry: _Entry, documents: set[str]) -> _Entry:
        numbers = {i for i, name in enumerate(self._segments[entry.name].documents) if name in documents}
        return _Entry(entry.name, entry.chunks, tuple(sorted(numbers.union(entry.dropped))), entry.has_graph)

    def _compact(self) -> None:
        """Merge small segments with their like, and write anew those of which most is deleted."""
        left = {entry.name: self._left(entry) for entry in self._entries}
        self._entries = [entry for entry in self._entries if left[entry.name]]
        while group := self._group(left):
            merged = self._written(merge([(self._segments[e.name], frozenset(e.dropped)) for e in group]))
            left[merged.name] = merged.chunks
            place = self._entries.index(group[0])
            self._entries = [e for e in self._entries if e not in group]
            self._entries.insert(place, merged)

    def _group(self, left: Mapping[str, int]) -> list[_Entry]:
        """Segments to merge now; none if all is well."""
        for entry in self._entries:
            if left[entry.name] < entry.chunks / 2:
                return [entry]
        tiers: dict[int, list[_Entry]] = {}
        for entry in self._entries:
            tiers.setdefault(len(str(left[entry.name])), []).append(entry)
        for tier in sorted(tiers):
            sizes = accumulate(left[entry.name] for entry in tiers[tier])
            group = [entry for entry, size in zip(tiers[tier], sizes, strict=True) if size <= LARGEST_MERGED]
            if len(group) >= MERGED_TOGETHER:
                return group
        return []

    def _left(self, entry: _Entry) -> int:
        return int(self._segments[entry.name].alive(entry.dropped).sum()) if entry.dropped else entry.chunks

    def _with_graph(self, entry: _Entry) -> _Entry:
        if entry.has_graph or entry.chunks < GRAPH_FROM:
            return entry
        folder = self._path / SEGMENTS / entry.name
        save_graph(self._segments[entry.name].vectors, folder / GRAPH)
        _sync_file(folder / GRAPH)
        return _Entry(entry.name, entry.chunks, entry.dropped, has_graph=True)

    def _sweep(self) -> None:
        """Delete what the manifest does not name."""
        named = {entry.name for entry in self._manifest.entries}
        for folder in (self._path / SEGMENTS).glob("*"):
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)
        for file in (*self._path.glob("state-*.json"), *self._path.glob(".*.tmp")):
            if file.name != _state_file(self._manifest.commit):
                file.unlink(missing_ok=True)


def _documents(segment: Segment, dropped: Collection[int]) -> list[str]:
    gone = frozenset(dropped)
    return [name for number, name in enumerate(segment.documents) if number not in gone]


def _state_file(commit: int) -> str:
    return f"state-{commit:06d}.json"


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


def _read_manifest(path: Path) -> _Manifest:
    manifest = read_json(path / MANIFEST, _Manifest)
    if manifest.format != FORMAT:
        raise RunError(f"{path} has the format {manifest.format}, but this version reads {FORMAT}. Delete it and index again.")
    return manifest


def _take_lock(path: Path) -> IO[str]:
    file = (path / LOCK).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise RunError(f"{path} is being written by {holder}. Wait until it is done, or stop it; then index again.") from error
    file.truncate(0)
    file.write(f"process {os.getpid()} ({Path(sys.argv[0]).name}, since {time.strftime('%Y-%m-%d %H:%M:%S')})")
    file.flush()
    return file


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    """Make renames in a folder last through a power cut."""
    if path.is_dir():
        _sync_file(path)
