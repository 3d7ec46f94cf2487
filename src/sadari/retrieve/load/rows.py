"""Documents that stand in one JSONL file, a line at a time, so that the file may be larger than the memory."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.parsed import clean, compose, iso_date
from sadari.retrieve.load.sources import Fault, Item
from sadari.types import Document

_IDS = ("id", "doc_id", "_id")


def read_rows(item: Item, limits: Limits) -> Iterator[tuple[str, Document] | Fault]:
    """One document a line: `id` (or `doc_id`), `text`, and if there are any `title`, `date`, `access` and `metadata`.

    Ids are those of the rows if the file was named itself, and below the file's path if a folder was.
    """
    assert item.path is not None
    is_empty = True
    most = 4 * limits.text_chars + 65_536
    try:
        with item.path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(most + 1), b""), 1):
                if not line.strip():
                    continue
                is_empty = False
                where = f"{item.shown} line {number}"
                if len(line) > most:
                    yield Fault(
                        where, f"is longer than {limits.text_chars:,} characters (`text_chars`); reading stopped there. Split it."
                    )
                    return
                yield from _row(line, where, "" if item.is_named else f"{item.id}/", limits)
    except OSError as error:
        yield Fault(item.shown, f"cannot be read ({error.strerror or error}). Check its permissions.")
        return
    if is_empty:
        yield Fault(item.shown, "holds no document. Add lines, one document each.")


def _row(line: bytes, where: str, prefix: str, limits: Limits) -> Iterator[tuple[str, Document] | Fault]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 at byte {error.start} of the line (0x{line[error.start]:02x}). Convert it: iconv -f cp949 -t utf-8."
        yield Fault(where, reason)
        return
    except (ValueError, RecursionError) as error:
        yield Fault(where, f"broken JSON ({error}). Each line must be one whole JSON object.")
        return
    name = next((str(row[key]) for key in _IDS if row.get(key)), "") if isinstance(row, dict) else ""
    text = row.get("text") if isinstance(row, dict) else None
    if not name or not isinstance(text, str) or not text.strip():
        yield Fault(where, "needs `id` and a `text` that is not empty. Fill them in or delete the line.")
    elif len(text) > limits.text_chars:
        yield Fault(where, f"holds {len(text):,} characters; the limit is {limits.text_chars:,} (`text_chars`). Split it.")
    elif not _are_labels(row.get("access")):
        yield Fault(where, "`access` is no list of labels. Write a list of strings, or leave it out for everyone.")
    else:
        yield where, _document(row, prefix + compose(name), text)


def _document(row: Mapping[str, Any], name: str, text: str) -> Document:
    access = row.get("access") or ()
    metadata = row.get("metadata")
    named = metadata.items() if isinstance(metadata, dict) else ()
    return Document(
        name,
        compose(str(row.get("title") or name)),
        compose(text),
        date=iso_date(row.get("date")),
        access=(access,) if isinstance(access, str) else tuple(access),
        metadata={clean(str(key)): clean(str(value)) for key, value in named if isinstance(value, str | int | float)},
    )


def _are_labels(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return value is None or (
        isinstance(value, list) and bool(value) and all(isinstance(label, str) and label.strip() for label in value)
    )
