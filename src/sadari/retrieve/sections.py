"""The text around a chunk, put together again from the chunks of its document: a store holds no whole documents."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sadari.retrieve.chunk import widened
from sadari.types import Chunk


@dataclass(frozen=True, slots=True)
class Section:
    """Chunks that stood under one heading, as text.

    Args:
        text: What chunks do not hold, such as white space between sentences and the fences of code, are line breaks.
        start: Where in the document it begins.
    """

    text: str
    start: int

    def widened(self, chunk: Chunk, tokens: int) -> Chunk:
        """A chunk of this section with what stands around it, up to so many tokens together."""
        inside = replace(chunk, start=chunk.start - self.start, end=chunk.end - self.start)
        wide = widened(inside, self.text, tokens)
        return replace(wide, start=wide.start + self.start, end=wide.end + self.start)


def section_around(chunk: Chunk, chunks: Sequence[Chunk]) -> Section | None:
    """The section that a chunk stands in; None if it is none of `chunks`, which are all those of its document."""
    ordered = sorted(chunks, key=lambda c: (c.start, c.end))
    if chunk not in ordered:
        return None
    first = last = ordered.index(chunk)
    while first > 0 and ordered[first - 1].title == chunk.title:
        first -= 1
    while last + 1 < len(ordered) and ordered[last + 1].title == chunk.title:
        last += 1
    return _joined(ordered[first : last + 1])


def _joined(chunks: Sequence[Chunk]) -> Section:
    """Chunks at their places, and heads of tables that were cut above their rows; chunks may overlap."""
    start = at = max(0, chunks[0].start - (len(chunks[0].header) + 1 if chunks[0].header else 0))
    parts: list[str] = []
    for chunk in chunks:
        gap = chunk.start - at
        if chunk.header and gap > len(chunk.header):
            parts.append("\n" * (gap - len(chunk.header) - 1) + chunk.header)
            gap = 1
        parts.append("\n" * max(0, gap))
        if chunk.end > at:
            parts.append(chunk.text[max(0, at - chunk.start) :])
            at = chunk.end
    return Section("".join(parts), start)
