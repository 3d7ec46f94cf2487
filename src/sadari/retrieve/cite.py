"""Citations: from an answer to the sentences that say it, and from a citation to what people read."""

from collections.abc import Sequence
from typing import Literal

from sadari.retrieve.evidence import trace
from sadari.types import Chunk, Span


def cite(text: str, passages: Sequence[Chunk]) -> tuple[Span, ...]:
    """The sentences of `passages` that say the sentences of `text`, without repeats, in the order of the answer.

    What cannot be traced, or says otherwise than its source, is not cited.
    """
    return trace(text, passages).citations()


def citation_lines(cited: Sequence[Span], language: Literal["ko", "en"]) -> tuple[str, ...]:
    """What people read of the sources of an answer: "[1] 환불 규정, 3쪽, 2026-05-01".

    Args:
        cited: In the order of the answer. Sources on one page of one document are one line; numbers count the lines.
    """
    places = dict.fromkeys((span.title or span.document, span.page, span.date) for span in cited)
    return tuple(f"[{number}] {_place(*place, language)}" for number, place in enumerate(places, 1))


def _place(title: str, page: int, date: str, language: Literal["ko", "en"]) -> str:
    paged = f"{page}쪽" if language == "ko" else f"p. {page}"
    return ", ".join(part for part in (" ".join(title.split()), paged if page else "", date) if part)
