"""Trace each sentence of an answer to the sentence of a passage that says it."""

import re
from collections.abc import Sequence

from sadari.retrieve.chunk import sentences_of
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
    sources = [sentence for p in passages for sentence in sentences_of(p)]
    spans: dict[Span, None] = {}
    for start, end in sentence_spans(MARKER.sub("", text)):
        source = _source_of(MARKER.sub("", text)[start:end], sources)
        if source is not None:
            spans[Span(source.document, source.start, source.end, source.text)] = None
    return tuple(spans)


def _source_of(sentence: str, sources: Sequence[Chunk]) -> Chunk | None:
    bare = sentence.strip().rstrip(".!?。")
    if not bare:
        return None
    for source in sources:
        if bare in source.text:
            return source
    wanted = set(search_terms(sentence))
    if not wanted or not sources:
        return None

    def shared(source: Chunk) -> float:
        return len(wanted & set(search_terms(source.text))) / len(wanted)

    best = max(sources, key=shared)
    return best if shared(best) >= _LEAST_SHARED else None
