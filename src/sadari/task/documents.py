"""Documents that answers are looked up in: a folder of Markdown and text files, or a JSONL file of them."""

import json
import re
from pathlib import Path

from sadari.errors import DataError
from sadari.task.files import read_text, shown_path
from sadari.task.text import nfc
from sadari.types import Document

SUFFIXES = (".md", ".markdown", ".txt")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t#]*(?:\{[^}\n]*\}[ \t]*)?$", re.MULTILINE)
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)


def load_documents(path: Path, *, folder: Path | None = None) -> tuple[Document, ...]:
    """Every Markdown and text file under a folder, in the order of their ids; texts and names in NFC.

    Args:
        path: A folder, or a `.jsonl` file with `id` (or `doc_id`), `title` and `text` per line.
        folder: Messages name files relative to it.

    Raises:
        DataError: If nothing is there, the folder holds no document, or files are empty or not UTF-8; all of them are named.
    """
    shown = shown_path(path, folder)
    if path.is_file() and path.suffix == ".jsonl":
        return _from_jsonl(path, shown)
    if not path.exists():
        raise DataError(f"{shown}: no such folder. Give a folder of {', '.join(SUFFIXES)} files, or leave `documents` out.")
    if not path.is_dir():
        raise DataError(
            f"{shown}: is a file, but `documents` names a folder of {', '.join(SUFFIXES)} files. Name the folder it is in."
        )
    files = sorted((nfc(file.relative_to(path).as_posix()), file) for file in path.rglob("*") if _is_document(file, path))
    if not files:
        raise DataError(f"{shown}: holds no document. Put {', '.join(SUFFIXES)} files there, or leave `documents` out.")
    documents: list[Document] = []
    problems: list[str] = []
    for name, file in files:
        where = f"{shown.rstrip('/')}/{name}"
        try:
            text = read_text(file, where).replace("\r\n", "\n")
        except DataError as error:
            problems += error.problems
            continue
        if not text.strip():
            problems.append(f"{where}: is empty. Fill it in or delete it.")
        documents.append(Document(name, _title(text, name), text))
    if problems:
        raise DataError(problems)
    return tuple(documents)


def _is_document(file: Path, root: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return file.is_file() and not is_hidden and file.suffix.lower() in SUFFIXES


def _title(text: str, name: str) -> str:
    heading = _HEADING.search(_FENCE.sub("", text))
    return heading.group(1).strip() if heading else Path(name).stem


def _from_jsonl(path: Path, shown: str) -> tuple[Document, ...]:
    documents: dict[str, Document] = {}
    problems: list[str] = []
    for number, line in enumerate(read_text(path, shown).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{shown} line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            problems.append(f"{where}: broken JSON ({error}). Each line must be one whole JSON object.")
            continue
        name = next((str(row[key]) for key in ("id", "doc_id", "_id") if row.get(key)), "") if isinstance(row, dict) else ""
        text = row.get("text") if isinstance(row, dict) else None
        if not name or not isinstance(text, str) or not text.strip():
            problems.append(f"{where}: needs `id` and a `text` that is not empty. Fill them in or delete the line.")
            continue
        name = nfc(name)
        if name in documents:
            problems.append(f'{where}: id: "{name}" stands twice. Give each document its own id.')
        documents[name] = Document(name, nfc(str(row.get("title") or name)), nfc(text))
    if not documents and not problems:
        problems.append(f"{shown}: holds no document. Add lines, one document each.")
    if problems:
        raise DataError(problems)
    return tuple(documents.values())
