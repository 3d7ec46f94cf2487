"""From what a user names to documents, and to a fault for everything that should be one but could not be read.

    load  ->  sources.find_items  ->  a small plain file is read here, all else in the worker (`isolation`, `worker`, `parse`)

Covered: nothing named is lost silently; a bad file spoils no other; links out of a folder are not followed; no parser of others'
code runs in this process. Not covered: files that change while they are read.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from sadari.retrieve.load.encoding import is_text
from sadari.retrieve.load.isolation import Worker
from sadari.retrieve.load.kinds import HEAD_BYTES, SUFFIXES, suffix_of
from sadari.retrieve.load.limits import Limits, megabytes
from sadari.retrieve.load.parse import PLAIN, parse
from sadari.retrieve.load.parsed import Parsed, UnreadableError, clean, compose, join_pages
from sadari.retrieve.load.rows import read_rows
from sadari.retrieve.load.sources import Fault, Item, Skipped, Source, find_items
from sadari.types import Document

SMALL_BYTES = 1 << 20
"""A plain file up to this size is read in this process."""


@dataclass(frozen=True, slots=True)
class Options:
    """How sources are read.

    Args:
        limits: What one file may cost.
        access: Labels by glob over document ids. The last pattern that matches the id or what it lies in wins, also
            over what a file says of itself.
        hosts: Hosts that documents may be fetched from, `https` only.
        ocr: Text of a page from its picture (PNG) and its number from 1; None: a page without text is a fault.
        folder: Messages name files relative to it.
    """

    limits: Limits = field(default_factory=Limits)
    access: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    ocr: Callable[[bytes, int], str] | None = None
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of some sources.

    Args:
        documents: In the order of the sources; within a folder in the order of their ids.
        faults: What was not read, and why.
        skipped: What was found but is no document, such as pictures.
    """

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def load_all(sources: Source | Iterable[Source], options: Options = Options()) -> Loaded:
    """Everything that `load` yields, sorted into documents, faults and what is no document."""
    found = list(load(sources, options))
    return Loaded(
        tuple(item for item in found if isinstance(item, Document)),
        tuple(item for item in found if isinstance(item, Fault)),
        tuple(item for item in found if isinstance(item, Skipped)),
    )


def load(sources: Source | Iterable[Source], options: Options = Options()) -> Iterator[Document | Fault | Skipped]:
    """Documents of folders, files, globs, web addresses and databases, one at a time.

    An id is the path below the folder that was named (`archive.zip/name` inside an archive or a mail), the name of a single file,
    the address of a page. With several sources, those of a folder begin with its name.

    Args:
        sources: Paths, glob patterns, `https://` addresses of `options.hosts`, `Query`s.

    Yields:
        A document, or a fault, or what is no document; the memory of one file at a time is held.
    """
    named = [sources] if isinstance(sources, Source) else list(sources)
    taken: set[str] = set()
    unused = set(options.access)
    with Worker(options.limits) as worker:
        for item in find_items(named, options.folder, options.hosts, options.limits):
            for found in [item] if isinstance(item, Fault | Skipped) else _read(item, options, worker):
                if isinstance(found, tuple):
                    shown, document = found
                    if document.id in taken:
                        yield Fault(shown, f'id: "{document.id}" stands twice. Give each document its own id.')
                        continue
                    taken.add(document.id)
                    yield _labelled(document, options.access, unused)
                else:
                    yield found
    for pattern in sorted(unused):  # what was to be closed may stand open under another id
        yield Fault(f"access: {pattern}", "matches no document. Patterns match ids such as `hr/pay.md`; mend it or leave it out.")


def _read(item: Item, options: Options, worker: Worker) -> Iterator[tuple[str, Document] | Fault]:
    """Documents with the place they came from, and faults."""
    if item.document is not None:
        yield item.shown, item.document
        return
    assert item.path is not None
    if not item.chain and SUFFIXES.get(suffix_of(item.name)) == "jsonl":
        yield from read_rows(item, options.limits)
        return
    parsed = _parsed(item, options.limits, worker)
    if isinstance(parsed, Fault):
        yield parsed
        return
    if parsed.pictures:
        parsed, faults = _with_pictures(parsed, item, options.ocr, worker)
        yield from faults
    if parsed.text.strip():
        yield item.shown, _document(item, parsed)
    for name, reason in parsed.unread:
        yield Fault(f"{item.shown}/{name}", reason)
    for name in parsed.inner:
        yield from _read(item.inside(name), options, worker)
    if not (parsed.text.strip() or parsed.unread or parsed.inner or parsed.pictures):
        yield Fault(item.shown, "holds no document. Fill it in or delete it.")


def _parsed(item: Item, limits: Limits, worker: Worker) -> Parsed | Fault:
    assert item.path is not None
    try:
        size = item.path.stat().st_size
        if size > limits.file_bytes:
            most = megabytes(limits.file_bytes)
            return Fault(item.shown, f"holds {megabytes(size)}; the limit is {most} (`file_bytes`). Split it, or raise the limit.")
        if not item.chain and size <= SMALL_BYTES and SUFFIXES.get(suffix_of(item.name), "") in PLAIN:
            data = item.path.read_bytes()
            if is_text(data[:HEAD_BYTES]) and b"%PDF-" not in data[:1024] and b"<html" not in data[:HEAD_BYTES].lower():
                return parse(data, item.name, limits)
    except UnreadableError as error:
        return Fault(item.shown + error.where, error.reason)
    except OSError as error:
        return Fault(item.shown, f"cannot be read ({error.strerror or error}). Check its permissions.")
    reply = worker.ask(item.path, item.name, item.chain)
    return Fault(item.shown + reply["where"], reply["fault"]) if "fault" in reply else _from_reply(reply["parsed"])


def _from_reply(reply: Mapping[str, Any]) -> Parsed:
    """The noun again: JSON knows lists alone."""
    lists = {name: tuple(value) for name, value in reply.items() if isinstance(value, list)}
    unread = tuple((str(name), str(reason)) for name, reason in reply["unread"])
    return Parsed(**{**reply, **lists, "unread": unread})


def _with_pictures(
    parsed: Parsed, item: Item, ocr: Callable[[bytes, int], str] | None, worker: Worker
) -> tuple[Parsed, list[Fault]]:
    """The pages that are pictures read by the OCR; without one each of them is a fault, or the file if it has no other pages."""
    if ocr is None:
        places = [item.shown] if not parsed.text.strip() else [f"{item.shown} page {at + 1}" for at in parsed.pictures]
        return parsed, [Fault(place, "no text: scanned; give an OCR hook.") for place in places]
    ends = (*parsed.pages[1:], len(parsed.text))
    pages = [parsed.text[start:end] for start, end in zip(parsed.pages, ends, strict=True)]
    faults = []
    for at in parsed.pictures:
        place = f"{item.shown} page {at + 1}"
        assert item.path is not None
        reply = worker.ask(item.path, item.name, item.chain, page=at)
        try:
            pages[at] = ocr(base64.b64decode(reply["picture"]), at + 1) if "picture" in reply else ""
        except Exception as error:  # somebody's own program: its fault is this page's
            faults.append(Fault(place, f"the OCR hook failed ({type(error).__name__}: {error})."))
            continue
        if not pages[at].strip():
            faults.append(Fault(place, reply.get("fault") or "no text: the OCR hook found none."))
    text, starts = join_pages(pages)
    return replace(parsed, text=text, pages=starts), faults


def _document(item: Item, parsed: Parsed) -> Document:
    title = " ".join(parsed.title.split()) or PurePosixPath(item.name_inside).stem
    return Document(
        item.id, clean(title), parsed.text, parsed.pages, parsed.date or item.date, parsed.access, dict(parsed.metadata)
    )


def _labelled(document: Document, access: Mapping[str, Sequence[str]], unused: set[str]) -> Document:
    """With the labels of the last pattern that matches the document or what it lies in; what matches is no longer unused."""
    parts = document.id.split("/")
    places = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    labels = document.access
    for pattern, given in access.items():
        if any(fnmatchcase(place, compose(pattern).rstrip("/")) for place in places):
            labels = (given,) if isinstance(given, str) else tuple(given)
            unused.discard(pattern)
    return replace(document, access=labels)
