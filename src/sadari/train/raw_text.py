"""Continued pretraining on raw text: each text is cut into blocks, and every token is learnt exactly once."""

from collections.abc import Sequence
from typing import Any

from sadari.model.chat import render_plain
from sadari.train.rows import Row
from sadari.types import Document, Example


def text_rows(
    tokenizer: Any, examples: Sequence[Example] = (), documents: Sequence[Document] = (), *, length: int = 1024
) -> list[Row]:
    """Rows of raw text: examples of the kind "text", and whole documents, each under its title.

    A text that is longer than `length` becomes blocks of even size. A block begins with the last token of the one before it, which
    there counts nothing: it only says what comes first. Of a text, only its very first token is learnt nowhere, since nothing comes
    before it. A text of one token gives no row.

    Args:
        examples: Others than of the kind "text" are left out. A weight of the text is the weight of its tokens; 0 leaves it out.
        length: Most tokens of a row, at least 2 and at most the model's context.

    Raises:
        ValueError: If `length` is below 2.
    """
    if length < 2:
        raise ValueError(f"rows of {length} tokens hold nothing to predict: let them have at least 2.")
    texts = [
        (e.id, e.target.content, 1.0 if e.target.weight is None else e.target.weight) for e in examples if e.kind == "text"
    ] + [(d.id, _titled(d), 1.0) for d in documents]
    return [row for name, text, weight in texts if weight > 0 for row in _blocks(name, tokenizer, text, weight, length)]


def _blocks(name: str, tokenizer: Any, text: str, weight: float, length: int) -> list[Row]:
    ids = render_plain(tokenizer, text).ids
    learnt = len(ids) - 1
    count = -(-learnt // (length - 1))
    ends = [learnt * (i + 1) // count for i in range(count)]
    starts = [0, *ends][:count]
    return [
        Row(name if count == 1 else f"{name} block {i + 1}", ids[start : end + 1], (0.0, *(weight,) * (end - start)))
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _titled(document: Document) -> str:
    """A document's text, its title before it unless it begins with that."""
    opening = document.text.lstrip(" \n#")
    return document.text if not document.title or opening.startswith(document.title) else f"{document.title}\n\n{document.text}"
