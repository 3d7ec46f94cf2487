"""Cut documents into chunks that keep their character spans, so that every answer can be traced to its source."""

import re
from collections.abc import Iterable
from itertools import pairwise

from sadari.retrieve.text import sentence_spans
from sadari.types import Chunk, Document

_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)


def chunk_documents(documents: Iterable[Document], chunk_chars: int) -> list[Chunk]:
    """Chunks of at most `chunk_chars` characters (one longer sentence stays whole), in document order.

    A chunk never crosses a Markdown heading. Long sections are cut between sentences.
    """
    return [chunk for document in documents for chunk in _chunks_of(document, chunk_chars)]


def sentences_of(chunk: Chunk) -> list[Chunk]:
    """The sentences of a chunk as chunks of their own, in order."""
    return [
        Chunk(chunk.document, chunk.title, chunk.start + start, chunk.start + end, chunk.text[start:end])
        for start, end in sentence_spans(chunk.text)
    ]


def _chunks_of(document: Document, chunk_chars: int) -> list[Chunk]:
    headings = list(_HEADING.finditer(document.text))
    edges = [(0, 0, "")] + [(m.start(), m.end(), m.group(1)) for m in headings] + [(len(document.text), 0, "")]
    chunks = []
    for (_, body, heading), (end, _, _) in pairwise(edges):
        title = " - ".join(dict.fromkeys(t for t in (document.title, heading) if t))
        for start, stop in _pack(document.text[body:end], chunk_chars):
            text = document.text[body + start : body + stop]
            chunks.append(Chunk(document.id, title, body + start, body + stop, text))
    return chunks


def _pack(section: str, chunk_chars: int) -> list[tuple[int, int]]:
    packed: list[tuple[int, int]] = []
    for start, end in sentence_spans(section):
        if packed and end - packed[-1][0] <= chunk_chars:
            packed[-1] = (packed[-1][0], end)
        else:
            packed.append((start, end))
    return packed
