"""The text around a citation, in the document as it is now.

Covered: whoever may not see a document is told the same as if there were none; nothing of it is shown but what stands around a span
that an answer to this very person cites.
Not covered: what an answer says of a document to somebody who might see it then, and may not any more.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sadari.errors import SadariError
from sadari.files import read_lines
from sadari.retrieve.library import open_library
from sadari.types import Chunk, Document, Reader, Retrieval, Span, System

AROUND = 700
"""Characters that are shown before the span, and behind it."""

LONGEST_TITLE = 24
"""Characters of a title that makes an example question."""

_EMPTY_LINES = re.compile(r"\n\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Passage:
    """A span as its document shows it.

    Args:
        is_as_cited: Whether the document still says it there or elsewhere; else only the words that were cited are shown.
    """

    before: str
    marked: str
    after: str
    is_as_cited: bool = True


def passage_of(system: System | None, span: Span, reader: Reader) -> Passage | None:
    """The span in its document; None if there is none that this reader may see."""
    if system is None or not (system.documents or system.index):
        return None
    try:
        library = open_library(system.documents, system.retrieval or Retrieval(), system.index)
        chunks = [chunk for chunk in library.chunks_of(span.document) if reader.may_see(chunk)]
    except (SadariError, OSError):
        return None
    return _marked(_joined(chunks), span) if chunks else None


def _joined(chunks: Sequence[Chunk]) -> str:
    """The text of a document, each chunk at its place; between them, where a store holds nothing, are line breaks."""
    parts: list[str] = []
    at = 0
    for chunk in sorted(chunks, key=lambda c: (c.start, c.end)):
        parts.append("\n" * max(0, chunk.start - at))
        if chunk.end > at:
            parts.append(chunk.text[max(0, at - chunk.start) :])
            at = chunk.end
    return "".join(parts)


def _marked(text: str, span: Span) -> Passage:
    start = span.start if text[span.start : span.end] == span.quote else text.find(span.quote)
    if start < 0 or not span.quote:
        return Passage("", span.quote, "", is_as_cited=False)
    end = start + len(span.quote)
    first = max(0, start - AROUND)
    first = 0 if not first else max(first, text.find("\n", first, start) + 1)
    last = text.rfind("\n", end, end + AROUND) if end + AROUND < len(text) else len(text)
    before, after = text[first:start], text[end : last if last > end else end + AROUND]
    return Passage(_tidy(before).lstrip(), span.quote, _tidy(after).rstrip())


def _tidy(text: str) -> str:
    return _EMPTY_LINES.sub("\n\n", text)


def titles_of(system: System | None, reader: Reader, most: int) -> list[str]:
    """Titles of documents that the reader may see and that are short enough to ask about, spread over all of them."""
    if system is None or system.documents is None or system.index:
        return []
    try:
        held = [d for d in read_lines(system.documents, Document) if not d.access or not reader.labels.isdisjoint(d.access)]
    except (SadariError, OSError):
        return []
    titles = list(dict.fromkeys(d.title for d in held if 0 < len(d.title) <= LONGEST_TITLE and d.title.isprintable()))
    return titles[:: max(1, len(titles) // most)][:most]
