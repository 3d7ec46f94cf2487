"""Documents that answers are looked up in: files of every format that `retrieve.load` reads; here a bad one is an error."""

import glob
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from sadari.errors import DataError
from sadari.task.config import DocumentsConfig, SourceConfig
from sadari.task.files import resolve_path, shown_path
from sadari.task.text import nfc
from sadari.types import Document

if TYPE_CHECKING:
    from sadari.retrieve.load import Fault, Loaded, Options, Source


@dataclass(frozen=True, slots=True)
class Sources:
    """What documents are read from, and how.

    Args:
        named: Folders, files, glob patterns, allowed addresses, database queries.
        options: Limits, labels and hosts; messages name files relative to its folder.
    """

    named: "tuple[Source, ...]"
    options: "Options"

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that are files, folders or patterns."""
        return tuple(source for source in self.named if isinstance(source, Path))

    @property
    def roots(self) -> tuple[Path, ...]:
        """The same, the folder that it is matched in for a pattern."""
        return tuple(path if path.exists() else _fixed(path) for path in self.files)

    @property
    def missing(self) -> tuple[str, ...]:
        """Files, folders and patterns behind which there is nothing."""
        folder = self.options.folder
        return tuple(shown_path(path, folder) for path in self.files if not path.exists() and not glob.glob(str(path)))

    def load(self) -> "Loaded":
        """The documents, and the faults of what could not be read."""
        return load_all(self.named, options=self.options)

    def unread(self, faults: "Sequence[Fault]", held: Collection[str]) -> list[str]:
        """Of documents that were read before, the ids of those that cannot be read now because of such faults."""
        rests = [rest for fault in faults for rest in self._ids(fault.source)]
        return [name for name in held if any(_is_part(name, rest) or _is_part(rest, name) for rest in rests)]

    def _ids(self, shown: str) -> list[str]:
        """What may have the id of a document in a place that a fault names."""
        places = [_place(path, self.options.folder, is_alone=len(self.named) == 1) for path in self.files]
        inside = [start + shown.removeprefix(place) for place, start in places if shown.startswith(place)]
        return [name for name in (shown, *inside) if name]


def sources_of(config: DocumentsConfig, folder: Path) -> Sources:
    """What a task names as its documents; paths and SQLite files are relative to its folder.

    Raises:
        ConfigError: If a variable in the address of a database is not set.
        DataError: If a variable in a path is not set.
    """
    from sadari.retrieve.load import Options

    hosts = tuple(dict.fromkeys(host for source in config.sources for host in source.allowed_hosts))
    named = tuple(_source(source, folder) for source in config.sources)
    return Sources(named, Options(access=config.access, hosts=hosts, folder=folder))


def _source(config: SourceConfig, folder: Path) -> "Source":
    if config.path is not None:
        return resolve_path(config.path, folder)
    if config.url is not None:
        return config.url
    from sadari.retrieve.address import fill_address
    from sadari.retrieve.load import Query

    url = fill_address(config.sql or "")
    driver, mark, file = url.partition(":///")
    if mark and driver.partition("+")[0] == "sqlite":
        url = f"{driver}:///{folder / file}"
    return Query(
        url,
        config.table or config.query or "",
        name=config.name or config.table or "",
        key=config.key,
        title=config.title,
        date=config.date,
    )


def _place(path: Path, folder: Path | None, *, is_alone: bool) -> tuple[str, str]:
    """How messages begin that name a file of a source, and how the ids begin of its documents."""
    if path.is_dir():
        shown = shown_path(path, folder)
        return "" if shown == "." else f"{shown.rstrip('/')}/", "" if is_alone else f"{nfc(path.resolve().name)}/"
    if path.exists():
        return shown_path(path, folder), nfc(path.name)
    shown = shown_path(_fixed(path), folder)
    return "" if shown == "." else f"{shown}/", ""


def _fixed(pattern: Path) -> Path:
    """The folder that a pattern is matched in."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parts))


def _is_part(name: str, whole: str) -> bool:
    """Whether `name` is `whole`, a member of it ("a.zip/b.md") or a place in it ("a.pdf page 2")."""
    return name == whole or name.startswith((f"{whole}/", f"{whole} "))


def load_documents(path: Path, *, folder: Path | None = None) -> tuple[Document, ...]:
    """Every document under a folder, in the order of their ids, or those of one file; texts and names in NFC.

    Args:
        path: A folder, or one file; a `.jsonl` file holds `id` (or `doc_id`), `title` and `text` per line.
        folder: Messages name files relative to it.

    Raises:
        DataError: If nothing is there, the folder holds no document, or a document cannot be read; all of them are named.
    """
    loaded = load_all(path, folder=folder)
    if loaded.faults:
        raise DataError([str(fault) for fault in loaded.faults])
    return loaded.documents


def read_documents(config: DocumentsConfig | None, folder: Path) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The documents of a task, and a note for each file that was left out because the task says to go on without it.

    Args:
        folder: Where the task file is.

    Raises:
        ConfigError: If a variable in the address of a database is not set.
        DataError: If there is no document, or one cannot be read and the task does not say to go on.
    """
    if config is None:
        return (), ()
    loaded = sources_of(config, folder).load()
    faults = tuple(str(fault) for fault in loaded.faults)
    if faults and (config.bad_files == "stop" or not loaded.documents):
        raise DataError(list(faults))
    return loaded.documents, tuple(f"left out: {fault}" for fault in faults)


def load_all(sources: "Source | Iterable[Source]", *, folder: Path | None = None, options: "Options | None" = None) -> "Loaded":
    """The documents that can be read and the faults of the others, for a caller that goes on without them.

    Args:
        sources: Folders, files, glob patterns, allowed addresses, database queries.
        folder: Messages name files relative to it, unless `options` says otherwise.
        options: Limits, access labels, allowed hosts and OCR.
    """
    from sadari.retrieve import load  # the whole of `retrieve` comes with it: not for a task without documents

    return load.load_all(sources, options if options is not None else load.Options(folder=folder))
