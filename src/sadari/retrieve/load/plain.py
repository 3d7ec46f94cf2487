"""Readers of plain files: Markdown with front matter, text, CSV and TSV."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from sadari.retrieve.load.encoding import decode
from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.markdown import first_heading, split_front_matter, table
from sadari.retrieve.load.parsed import Parsed, UnreadableError, clean, compose, iso_date

_DELIMITERS = ",;\t|"


def read_markdown(data: bytes, limits: Limits) -> Parsed:
    """Markdown as it stands; YAML front matter becomes title, date, access labels and metadata."""
    front, text = split_front_matter(compose(decode(data)))
    return Parsed(
        text,
        str(front.get("title") or "") or first_heading(text),
        date=iso_date(front.get("updated") or front.get("date")),
        access=_labels(front.get("access")),
        metadata=_metadata(front),
    )


def read_text(data: bytes, limits: Limits) -> Parsed:
    """Text as it stands; its title is its first Markdown heading, if it has one."""
    text = compose(decode(data))
    return Parsed(text, first_heading(text))


def read_csv(data: bytes, limits: Limits) -> Parsed:
    """The rows as one Markdown table whose header is the first row; the delimiter is found out."""
    text = decode(data).replace("\0", "")
    csv.field_size_limit(min(limits.text_chars, 2**31 - 1))
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=False))
    except csv.Error as error:
        raise UnreadableError(f"is no table ({error}). Quote cells that hold line breaks or quotes.") from error
    return Parsed(clean(table(rows)))


def _delimiter(text: str) -> str:
    lines = [line for line in text[:20_000].split("\n")[:20] if line.strip()]
    counts = {mark: [line.count(mark) for line in lines] for mark in _DELIMITERS}
    steady = [mark for mark in _DELIMITERS if lines and min(counts[mark]) > 0]
    return max(steady or _DELIMITERS, key=lambda mark: sum(counts[mark]))


def _labels(value: Any) -> tuple[str, ...]:
    """Access labels of front matter. What is there but cannot be read as labels closes the document, never opens it."""
    if value is None:
        return ()
    labels = [value] if isinstance(value, str | int | float) else value if isinstance(value, list) else []
    named = tuple(compose(str(label)).strip() for label in labels if isinstance(label, str | int | float) and str(label).strip())
    if not named:
        raise UnreadableError("front matter: `access` names no label. Write `access: [hr, sales]`, or leave it out for everyone.")
    return named


def _metadata(front: Mapping[str, Any]) -> dict[str, str]:
    known = ("title", "date", "updated", "access")
    return {
        compose(str(name)): compose(str(value))
        for name, value in front.items()
        if name not in known and isinstance(value, str | int | float) and str(value)
    }
