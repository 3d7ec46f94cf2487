"""Trace each sentence of an answer to the sentence of a passage that says it."""

import re
from collections.abc import Sequence

from sadari.retrieve.text import search_terms, sentence_spans
from sadari.types import Chunk, Span

MARKER = re.compile(r"\s*\[\d{1,2}\]")
"""A citation mark such as "[2]", as models write it."""

_LEAST_SHARED = 0.6


def cite(text: str, passages: Sequence[Chunk]) -> tuple[Span, ...]:
    """The sentences of `passages` that hold the sentences of `text`, without repeats, in the order of the answer.

    A sentence is traced to the first passage sentence that contains it word for word, else to the one that shares most of its
    search terms, if it shares at least 60 % of them. What cannot be traced is not cited.
    """
    sources = [(p, start, end) for p in passages for start, end in sentence_spans(p.text)]
    spans: dict[Span, None] = {}
    for start, end in sentence_spans(MARKER.sub("", text)):
        source = _source_of(MARKER.sub("", text)[start:end], sources)
        if source is not None:
            passage, first, last = source
            spans[Span(passage.document, passage.start + first, passage.start + last, passage.text[first:last])] = None
    return tuple(spans)


def _source_of(sentence: str, sources: Sequence[tuple[Chunk, int, int]]) -> tuple[Chunk, int, int] | None:
    bare = sentence.strip().rstrip(".!?。")
    if not bare:
        return None
    for passage, start, end in sources:
        if bare in passage.text[start:end]:
            return passage, start, end
    wanted = set(search_terms(sentence))
    if not wanted or not sources:
        return None

    def shared(source: tuple[Chunk, int, int]) -> float:
        passage, start, end = source
        return len(wanted & set(search_terms(passage.text[start:end]))) / len(wanted)

    best = max(sources, key=shared)
    return best if shared(best) >= _LEAST_SHARED else None
