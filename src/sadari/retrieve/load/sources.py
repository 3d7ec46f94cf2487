"""What a user names, taken apart: folders, globs, single files, web addresses and database queries as single items."""

import glob
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from sadari.retrieve.load.database import Query, query_documents
from sadari.retrieve.load.fetch import FetchError, fetch
from sadari.retrieve.load.kinds import HEAD_BYTES, is_document
from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.parsed import compose
from sadari.types import Document

Source = str | Path | Query
"""A folder, a file, a glob pattern, an `https://` address, or a query of a database."""

READ = ".md, .txt, .html, .pdf, .docx, .pptx, .xlsx, .csv, .jsonl, .hwpx, .hwp, .eml or .zip"
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that should have become a document and did not.

    Args:
        source: Which file, and where in it.
        reason: What is wrong and what to do.
    """

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is no document: a picture, a program, a link to what is read elsewhere."""

    source: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to read.

    Args:
        id: Of the document that it becomes.
        shown: How messages name it.
        path: The file on disk that holds it; None if `document` is given.
        name: The file's own name, whose suffix may tell the kind.
        chain: Names of the archive member or attachment that is meant, from outside to inside.
        date: When the file was last written.
        is_named: Whether the user named this very file, not a folder or pattern.
    """

    id: str
    shown: str
    path: Path | None
    name: str = ""
    chain: tuple[str, ...] = ()
    date: str = ""
    is_named: bool = False
    document: Document | None = None

    @property
    def name_inside(self) -> str:
        """The name of the innermost file."""
        return self.chain[-1] if self.chain else self.name

    def inside(self, name: str) -> "Item":
        """A file that lies in this one."""
        return replace(self, id=f"{self.id}/{name}", shown=f"{self.shown}/{name}", chain=(*self.chain, name))


def find_items(
    sources: Iterable[Source], folder: Path | None, hosts: tuple[str, ...], limits: Limits
) -> Iterator[Item | Fault | Skipped]:
    """Everything that the sources name, in their order; a source that names nothing is a fault."""
    named = list(sources)
    for source in named:
        if isinstance(source, Query):
            yield from _queried(source, limits)
        elif isinstance(source, str) and _ADDRESS.match(source):
            yield from _fetched(source, hosts, limits)
        else:
            yield from _on_disk(source, folder, is_alone=len(named) == 1)


def _on_disk(source: str | Path, folder: Path | None, is_alone: bool) -> Iterator[Item | Fault | Skipped]:
    path = Path(source)
    shown = _shown(path, folder)
    if os.path.isdir(path):  # unlike the methods of Path these never raise
        prefix = "" if is_alone else f"{compose(path.resolve().name)}/"
        items = list(_walk(path, "" if shown == "." else f"{shown.rstrip('/')}/", prefix))
        yield from items
        if all(isinstance(item, Skipped) for item in items):
            yield Fault(shown, f"holds no document. Put {READ} files there, or leave `documents` out.")
    elif os.path.exists(path):
        yield _item(path, compose(path.name), shown, is_named=True)
    elif glob.has_magic(str(source)):
        yield from _globbed(str(source), shown, folder)
    else:
        what = "no such file" if path.suffix else "no such folder"
        yield Fault(shown, f"{what}. Give a folder of {READ} files, or leave `documents` out.")


def _walk(root: Path, shown: str, prefix: str) -> Iterator[Item | Fault | Skipped]:
    """The files below a folder in the order of their names in NFC; hidden ones are left out, links out of it are faults."""
    inside: list[tuple[str, Path]] = []
    faults: list[Fault] = []

    def unreadable(error: OSError) -> None:
        where = compose(os.path.relpath(error.filename or root, root))
        faults.append(Fault(f"{shown}{where}", f"cannot be opened ({error.strerror}). Check its permissions."))

    for parent, folders, files in os.walk(root, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*files, *links):
            if not name.startswith((".", "~$")):
                path = Path(parent, name)
                inside.append((compose(path.relative_to(root).as_posix()), path))
    yield from faults
    real = root.resolve()
    for name, path in sorted(inside):
        yield _checked(path, real, prefix + name, shown + name)


def _checked(path: Path, root: Path, name: str, shown: str) -> Item | Fault | Skipped:
    if not Path(os.path.realpath(path)).is_relative_to(root):  # a pattern may have followed a folder that is a link
        return Fault(shown, "is a link to something outside of the folder, which is not followed. Copy it there.")
    if os.path.islink(path) and os.path.isdir(path):
        return Skipped(shown)  # it is read where it lies
    if not os.path.isfile(path):
        return Fault(shown, "is no regular file, or a broken link. Delete it.")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return Fault(shown, f"cannot be read ({error.strerror or error}). Check its permissions.")
    return _item(path, name, shown) if is_document(path.name, head) else Skipped(shown)


def _globbed(pattern: str, shown: str, folder: Path | None) -> Iterator[Item | Fault | Skipped]:
    parts = Path(pattern).parts
    fixed = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed])
    found = sorted((compose(os.path.relpath(name, root)), Path(name)) for name in glob.glob(pattern, recursive=True))
    files = [(name, path) for name, path in found if not os.path.isdir(path)]
    if not files:
        yield Fault(shown, "matches no file. Mend the pattern, or put files there.")
    for name, path in files:
        yield _checked(path, root.resolve(), name, _shown(path, folder))


def _item(path: Path, name: str, shown: str, *, is_named: bool = False) -> Item | Fault:
    try:
        path.stat()
    except (OSError, ValueError, OverflowError) as error:
        return Fault(shown, f"cannot be read ({error}). Check its permissions.")
    return Item(name, shown, path, PurePosixPath(name).name, is_named=is_named)


def _fetched(address: str, hosts: tuple[str, ...], limits: Limits) -> Iterator[Item | Fault]:
    """A page, kept in a file of its own while it is read."""
    try:
        page = fetch(address, hosts, limits)
    except FetchError as error:
        yield Fault(address, str(error))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page")
        path.write_bytes(page.data)
        yield Item(address, address, path, page.name, date=page.date, is_named=True)


def _queried(query: Query, limits: Limits) -> Iterator[Item | Fault]:
    for found in query_documents(query, limits):
        if isinstance(found, Document):
            yield Item(found.id, found.id, None, document=found)
        else:
            yield Fault(query.name, found)


def _shown(path: Path, folder: Path | None) -> str:
    """The path as messages print it: relative to `folder` where it lies inside."""
    if folder is not None and path.resolve().is_relative_to(folder.resolve()):
        return compose(path.resolve().relative_to(folder.resolve()).as_posix())
    return compose(str(path))
