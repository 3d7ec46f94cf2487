"""From the bytes of one file to what it says. Runs where it may crash: in a worker, or for small plain files in the caller."""

import importlib
from contextlib import suppress

from sadari.retrieve.load.kinds import kind_of
from sadari.retrieve.load.limits import Limits, megabytes
from sadari.retrieve.load.parsed import Parsed, UnreadableError

_READERS = {
    "markdown": ("plain", "read_markdown"),
    "text": ("plain", "read_text"),
    "csv": ("plain", "read_csv"),
    "tsv": ("plain", "read_csv"),
    "html": ("html", "read_html"),
    "pdf": ("pdf", "read_pdf"),
    "docx": ("office", "read_docx"),
    "pptx": ("office", "read_pptx"),
    "xlsx": ("office", "read_xlsx"),
    "hwpx": ("hwp", "read_hwpx"),
    "hwp": ("hwp", "read_hwp"),
    "eml": ("mail", "read_mail"),
    "zip": ("package", "list_archive"),
}
_LIBRARIES = {"html": "bs4", "eml": "bs4", "pdf": "pypdfium2", "docx": "docx", "pptx": "pptx", "xlsx": "openpyxl", "hwp": "olefile"}
_PACKAGES = {"bs4": "beautifulsoup4", "docx": "python-docx", "pptx": "python-pptx"}
PLAIN = ("markdown", "text", "csv", "tsv")
"""Kinds whose readers are this project's own and linear in the file, so that small ones need no worker."""


def parse(data: bytes, name: str, limits: Limits) -> Parsed:
    """What a file says, read as the kind that its content shows.

    Raises:
        UnreadableError: If it cannot be read, or says nothing, or too much.
    """
    kind = kind_of(data, name)
    if kind == "jsonl":
        raise UnreadableError("is a list of documents. Name it by itself as `documents`, outside of archives and mails.")
    module, function = _READERS[kind]
    try:
        parsed: Parsed = getattr(importlib.import_module(f"sadari.retrieve.load.{module}"), function)(data, limits)
    except ImportError as error:
        library = str(error.name).partition(".")[0]
        raise UnreadableError(f"needs the package {_PACKAGES.get(library, library)}, which is not installed.") from error
    except RecursionError as error:
        raise UnreadableError("is nested too deeply to be read. Save it again in its program, or delete it.") from error
    except MemoryError as error:
        raise UnreadableError(f"needs more than {megabytes(limits.memory_bytes)} of memory (`memory_bytes`). Split it.") from error
    if len(parsed.text) > limits.text_chars:
        raise UnreadableError(
            f"holds {len(parsed.text):,} characters; the limit is {limits.text_chars:,} (`text_chars`). Split it."
        )
    if not (parsed.text.strip() or parsed.pictures or kind == "zip"):
        raise UnreadableError("is empty. Fill it in or delete it.")
    return parsed


def open_inner(data: bytes, name: str, chain: tuple[str, ...], limits: Limits) -> tuple[bytes, str]:
    """The bytes and the name of a file that lies in an archive or a mail, or in a mail in an archive."""
    for inner in chain:
        module, function = ("package", "read_member") if data.startswith(b"PK") else ("mail", "read_attachment")
        data = getattr(importlib.import_module(f"sadari.retrieve.load.{module}"), function)(data, inner, limits)
        name = inner
    return data, name


def warm(name: str) -> None:
    """Import what the suffix of a name will need, if it is installed; no byte of the file is looked at."""
    from sadari.retrieve.load.kinds import SUFFIXES, suffix_of

    kind = SUFFIXES.get(suffix_of(name), "")
    with suppress(ImportError):
        if kind in _READERS:
            importlib.import_module(f"sadari.retrieve.load.{_READERS[kind][0]}")
        if kind in _LIBRARIES:
            importlib.import_module(_LIBRARIES[kind])
