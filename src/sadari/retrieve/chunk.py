"""Cut documents into chunks that keep their character spans, so that every answer can be traced to its source."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sadari.retrieve.tokens import token_counts
from sadari.text.sentences import sentence_spans
from sadari.types import Chunk, Document

SENTENCE = 1
"""A `chunk_tokens` so small that every chunk is one sentence, one row of a table or one line of code."""

LONGEST_SENTENCE = 1000
"""Characters; a longer sentence is a list or a listing without line breaks, and is cut between words."""

_HEADING = re.compile(r"#{1,6}[ \t]+(.+?)[ \t]*#*")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Characters `[start, end)` that are never cut; `header` is that of the table it was cut from."""

    start: int
    end: int
    header: str = ""


def chunk_documents(documents: Iterable[Document], chunk_tokens: int, overlap: int = 0) -> list[Chunk]:
    """Chunks of at most `chunk_tokens` tokens (one longer sentence stays whole), in document order.

    A chunk never crosses a Markdown heading. Tables and code stay whole if they fit; else they are cut between lines, and rows
    keep the header of their table. Everything else is cut between sentences.

    Args:
        overlap: Tokens at the end of a chunk that the next one of the same section begins with again, in whole sentences.
    """
    return [chunk for document in documents for chunk in _chunks_of(document, chunk_tokens, overlap)]


def sentences_of(chunk: Chunk) -> list[Chunk]:
    """The sentences, rows and lines of a chunk as chunks of their own, in order."""
    return [
        replace(
            chunk,
            start=chunk.start + piece.start,
            end=chunk.start + piece.end,
            text=chunk.text[piece.start : piece.end],
            header=piece.header or chunk.header,
        )
        for _, pieces in _sections(chunk.text, SENTENCE)
        for piece in pieces
    ]


def widened(chunk: Chunk, text: str, tokens: int) -> Chunk:
    """A chunk with what stands around it in its section of `text`, the document's, up to so many tokens together."""
    section = next((pieces for _, pieces in _sections(text, SENTENCE) if _holds(pieces, chunk)), [])
    inside = [i for i, piece in enumerate(section) if piece.start < chunk.end and chunk.start < piece.end]
    if not inside:
        return chunk
    counts = token_counts([text[piece.start : piece.end] for piece in section])
    first, last = inside[0], inside[-1]
    total = sum(counts[first : last + 1])
    while True:  # what follows first: an answer is explained after it is given
        if last + 1 < len(section) and total + counts[last + 1] <= tokens:
            last += 1
            total += counts[last]
        elif first > 0 and total + counts[first - 1] <= tokens:
            first -= 1
            total += counts[first]
        else:
            break
    start, end = min(chunk.start, section[first].start), max(chunk.end, section[last].end)
    return replace(chunk, start=start, end=end, text=text[start:end], header=section[first].header)


def _chunks_of(document: Document, chunk_tokens: int, overlap: int) -> Iterator[Chunk]:
    for heading, pieces in _sections(document.text, chunk_tokens):
        title = " - ".join(dict.fromkeys(t for t in (document.title, heading) if t))
        for start, end, header in _pack(document.text, pieces, chunk_tokens, overlap):
            yield Chunk(
                document.id,
                title,
                start,
                end,
                document.text[start:end],
                header,
                bisect_right(document.pages, start),
                document.date,
                document.access,
                document.metadata,
            )


def _pack(text: str, pieces: Sequence[_Piece], chunk_tokens: int, overlap: int) -> Iterator[tuple[int, int, str]]:
    """Pieces that follow each other, as many as fit."""
    if chunk_tokens <= SENTENCE:
        yield from ((piece.start, piece.end, piece.header) for piece in pieces)
        return
    counts = token_counts([text[piece.start : piece.end] for piece in pieces])
    first = 0
    while first < len(pieces):
        last, total = first, counts[first]
        while last + 1 < len(pieces) and pieces[last + 1].header == pieces[first].header:
            if total + counts[last + 1] > chunk_tokens:
                break
            last += 1
            total += counts[last]
        yield pieces[first].start, pieces[last].end, pieces[first].header
        # The next chunk begins with the end of this one, but never with all of it, and goes on beyond it.
        begun = first
        first = last + 1
        room = min(overlap, chunk_tokens - counts[first]) if first < len(pieces) else 0
        while first - 1 > begun and counts[first - 1] <= room and pieces[first - 1].header == pieces[last + 1].header:
            first -= 1
            room -= counts[first]


def _sections(text: str, chunk_tokens: int) -> list[tuple[str, list[_Piece]]]:
    """The heading and the pieces of every section that holds anything."""
    sections: list[tuple[str, list[_Piece]]] = [("", [])]
    for kind, start, end in _blocks(text):
        block = text[start:end]
        if kind == "heading":
            match = _HEADING.fullmatch(block.rstrip())
            sections.append((match.group(1) if match else "", []))
        elif kind == "prose":
            sections[-1][1].extend(_sentences(text, start, end))
        elif chunk_tokens > SENTENCE and token_counts([block])[0] <= chunk_tokens:
            sections[-1][1].append(_Piece(start, end))
        else:
            sections[-1][1].extend(_lines(text, start, end, is_table=kind == "table"))
    return [(heading, pieces) for heading, pieces in sections if pieces]


def _blocks(text: str) -> Iterator[tuple[str, int, int]]:
    """Headings, fenced code, tables and prose, in order, with their characters; line breaks at their ends left out."""
    lines = [(m.start(), m.end()) for m in re.finditer(r"[^\n]+", text)]
    at = 0
    while at < len(lines):
        start, end = lines[at]
        line = text[start:end]
        last = at
        fence = _FENCE.match(line)
        if fence:
            kind, close = "code", fence.group(1)
            last = next((i for i in range(at + 1, len(lines)) if text[slice(*lines[i])].strip() == close), len(lines) - 1)
        elif _is_heading(line):
            kind = "heading"
        elif _begins_table(text, lines, at):
            kind = "table"
            while last + 1 < len(lines) and "|" in text[slice(*lines[last + 1])] and lines[last + 1][0] == lines[last][1] + 1:
                last += 1
        else:
            kind = "prose"
            while last + 1 < len(lines) and not _begins_block(text, lines, last + 1):
                last += 1
        yield kind, start, lines[last][1]
        at = last + 1


def _begins_block(text: str, lines: Sequence[tuple[int, int]], at: int) -> bool:
    line = text[slice(*lines[at])]
    return _is_heading(line) or _FENCE.match(line) is not None or _begins_table(text, lines, at)


def _is_heading(line: str) -> bool:
    return _HEADING.fullmatch(line.rstrip()) is not None


def _begins_table(text: str, lines: Sequence[tuple[int, int]], at: int) -> bool:
    """Whether a line with bars stands above a line of bars and dashes."""
    if at + 1 >= len(lines) or lines[at + 1][0] != lines[at][1] + 1:
        return False
    under = text[slice(*lines[at + 1])]
    return "|" in text[slice(*lines[at])] and "|" in under and _RULE.fullmatch(under) is not None


def _sentences(text: str, start: int, end: int) -> Iterator[_Piece]:
    for begin, stop in sentence_spans(text[start:end]):
        at = start + begin
        while start + stop - at > LONGEST_SENTENCE:
            space = text.rfind(" ", at + 1, at + LONGEST_SENTENCE)
            cut = space if space > at else at + LONGEST_SENTENCE
            yield _Piece(at, cut)
            at = cut + (space > at)
        if text[at : start + stop].strip():
            yield _Piece(at, start + stop)


def _lines(text: str, start: int, end: int, *, is_table: bool) -> Iterator[_Piece]:
    spans = [(start + m.start(), start + m.end()) for m in re.finditer(r"[^\n]*\S[^\n]*", text[start:end])]
    if not is_table:
        yield from (_Piece(*span) for span in spans if not _FENCE.fullmatch(text[slice(*span)].split(" ")[0]))
        return
    if len(spans) == 2:  # a head without rows
        yield _Piece(spans[0][0], spans[1][1])
        return
    header = text[spans[0][0] : spans[1][1]]
    yield from (_Piece(*span, header) for span in spans[2:])


def _holds(pieces: Sequence[_Piece], chunk: Chunk) -> bool:
    return any(piece.start < chunk.end and chunk.start < piece.end for piece in pieces)
