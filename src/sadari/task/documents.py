"""Documents that answers are looked up in: files of every format that `retrieve.load` reads; here a bad one is an error."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sadari.errors import DataError
from sadari.task.config import DocumentsConfig
from sadari.task.files import resolve_path
from sadari.types import Document

if TYPE_CHECKING:
    from sadari.retrieve.load import Loaded, Options, Source


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
        DataError: If there is no document, or one cannot be read and the task does not say to go on.
    """
    if config is None:
        return (), ()
    from sadari.retrieve.load import Options

    loaded = load_all(resolve_path(config.path, folder), options=Options(access=config.access, folder=folder))
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
