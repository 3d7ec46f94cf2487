"""Keep an index in step with documents that change: by content hashes, in batches that survive a kill.

What was deleted is committed first, so that nothing gone can be cited while the rest is embedded. Then every batch is committed as
it is done: a killed run continues where it stopped, and what was embedded is not embedded again.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sadari.errors import SadariError
from sadari.retrieve.chunk import chunk_documents
from sadari.retrieve.embed import Embedder, identity_of
from sadari.retrieve.store.seam import Store, TermsOf
from sadari.retrieve.terms import Terms, chunk_terms
from sadari.retrieve.text import embedded_text, indexed_terms
from sadari.types import Chunk, Document, Retrieval

BATCH_DOCUMENTS, BATCH_CHARS = 500, 1_000_000
"""Documents, and characters of them, that are cut, embedded and committed together; a kill costs this much work at most."""

PREPARED = ""
"""Under this name, which no document has, the state of a store says how all its documents were prepared."""

_DOCUMENT = TypeAdapter(Document)


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update did, in numbers of documents; `chunks` were written."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    unchanged: int = 0
    chunks: int = 0

    @property
    def any(self) -> bool:
        """Whether the index is another one than before."""
        return bool(self.added or self.changed or self.deleted)


@dataclass(frozen=True, slots=True)
class Preparation:
    """How documents become what a store holds.

    Args:
        chunk: Cuts documents into chunks.
        embed: Gives the vectors of chunks, shape (chunks, dimensions), or None for a store without vectors.
        name: Changes with whatever changes chunks or vectors, such as "400 tokens, mini-embed"; documents that were prepared under
            another name are prepared again.
        terms_of: What a store finds chunks by; it remembers this itself.
    """

    chunk: Callable[[Sequence[Document]], Sequence[Chunk]]
    embed: Callable[[Sequence[Chunk]], NDArray[np.float32]] | None = None
    name: str = ""
    terms_of: TermsOf = indexed_terms


def preparation_of(retrieval: Retrieval, embedder: Embedder | None = None) -> Preparation:
    """How documents are prepared for a system that retrieves so, by the embedder that it names."""
    name = f"{retrieval.chunk_tokens} tokens, {retrieval.overlap} of overlap"
    name += f", {identity_of(embedder.name)}" if embedder else ""
    return Preparation(
        lambda documents: chunk_documents(documents, retrieval.chunk_tokens, retrieval.overlap),
        (lambda chunks: embedder.embed([embedded_text(c) for c in chunks])) if embedder else None,
        name,
        chunk_terms(stored_terms(retrieval)),
    )


def stored_terms(retrieval: Retrieval) -> Terms:
    """The terms that a store is filled with; a search by vectors alone still tells by them how much of a question is covered."""
    return "bigrams" if retrieval.terms == "none" else retrieval.terms


def prepared_as(store: Store) -> str | None:
    """How all documents of a store were prepared; None if it was never finished, or is being prepared in another way."""
    return store.state().get(PREPARED)


def content_hash(document: Document, name: str = "") -> str:
    """Changes with anything of a document that an index holds: text, title, pages, date, access, metadata."""
    return hashlib.sha256(name.encode() + b"\0" + _DOCUMENT.dump_json(document)).hexdigest()[:32]


def update_index(
    documents: Iterable[Document],
    store: Store,
    preparation: Preparation,
    *,
    keep: Collection[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Changes:
    """Make `store` hold exactly `documents`: add what is new, replace what changed, delete what is gone.

    Args:
        keep: Ids that are not deleted though they are missing, such as files that could not be read just now.
        tell: Takes a line of progress after each batch.

    Raises:
        RunError: If another process writes to the store, or it cannot be written. What was committed stays.
    """
    store.remove(())  # takes the writer's place first: nobody changes what is compared next
    held = store.state()
    was_prepared = held.pop(PREPARED, None)
    wanted = {document.id: document for document in documents}
    hashes = {name: content_hash(document, preparation.name) for name, document in wanted.items()}
    gone = held.keys() - wanted.keys() - set(keep)
    stale = [document for name, document in wanted.items() if held.get(name) != hashes[name]]
    changed = sum(document.id in held for document in stale)
    done = {name: value for name, value in held.items() if name not in gone}
    if was_prepared == preparation.name:
        done[PREPARED] = preparation.name
    if gone:
        store.remove(gone)
        store.commit(done)
    chunks = documents_done = 0
    for batch in _batches(stale):
        chunks += _put(batch, store, preparation)
        done.update((document.id, hashes[document.id]) for document in batch)
        store.commit(done)
        documents_done += len(batch)
        tell(f"indexed {documents_done:,} of {len(stale):,} documents, {chunks:,} chunks")
    if preparation.name and PREPARED not in done:
        _finish(store, done, preparation.name, others=len(done.keys() - wanted.keys()), tell=tell)
    return Changes(len(stale) - changed, changed, len(gone), len(wanted) - len(stale), chunks)


def _finish(store: Store, done: Mapping[str, str], name: str, *, others: int, tell: Callable[[str], None]) -> None:
    """Say how all documents are prepared, unless `others` were kept that nobody could prepare anew."""
    if others:
        tell(f"{others:,} documents could not be read, so they are still indexed as before. Mend or delete them, and index again.")
    else:
        store.commit({**done, PREPARED: name})


def _put(batch: Sequence[Document], store: Store, preparation: Preparation) -> int:
    chunks = preparation.chunk(batch)
    vectors = preparation.embed(chunks) if preparation.embed is not None and chunks else None
    store.remove([document.id for document in batch])
    if chunks:
        store.put(chunks, vectors)
    return len(chunks)


def _batches(documents: Sequence[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        if batch and (len(batch) >= BATCH_DOCUMENTS or size + len(document.text) > BATCH_CHARS):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += len(document.text)
    if batch:
        yield batch


class Clock(Protocol):
    """What waiting is done by; `threading.Event` is one, and can end it."""

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds; True ends the waiting for good."""
        ...


class Sleep:
    """A clock that never ends."""

    def wait(self, timeout: float) -> bool:
        """Sleep."""
        time.sleep(timeout)
        return False


def repeat(
    update: Callable[[], None],
    every_s: float,
    *,
    watched: Sequence[Path] = (),
    clock: Clock | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Call `update` now and every `every_s` seconds; with `watched`, only where files there changed since it last began.

    What goes wrong in one round is told, and the next one comes; a half-written file mends itself so.

    Args:
        watched: Files and folders; a change is another name, size or time of modification.
        clock: Ends the repeating when its `wait` gives True.
    """
    clock = clock or Sleep()
    seen: Mapping[str, tuple[int, int]] | None = None
    while True:
        now = _files(watched)
        if not watched or now != seen:
            try:
                update()
                seen = now
            except SadariError as error:
                tell(f"{error} The next try is in {every_s:g} s.")
        if clock.wait(every_s):
            return


def _files(watched: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Size and time of modification of every file; hidden ones do not count."""
    found: dict[str, tuple[int, int]] = {}
    for root in watched:
        for file in root.rglob("*") if root.is_dir() else [root]:
            try:
                about = file.stat()
            except OSError:  # deleted meanwhile
                continue
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts):
                found[str(file)] = (about.st_mtime_ns, about.st_size)
    return found
