"""Documents that answers are looked up in: files of every format that `retrieve.load` reads; here a bad one is an error."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sadari.errors import DataError
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


def load_all(sources: "Source | Iterable[Source]", *, folder: Path | None = None, options: "Options | None" = None) -> "Loaded":
    """The documents that can be read and the faults of the others, for a caller that goes on without them.

    Args:
        sources: Folders, files, glob patterns, allowed addresses, database queries.
        folder: Messages name files relative to it, unless `options` says otherwise.
        options: Limits, access labels, allowed hosts and OCR.
    """
    from sadari.retrieve import load  # the whole of `retrieve` comes with it: not for a task without documents

    return load.load_all(sources, options if options is not None else load.Options(folder=folder))
