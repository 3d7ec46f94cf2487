"""A call is found where it opens, however the text is cut into tokens."""

import re

from hypothesis import given
from hypothesis import strategies as st

from sadari.model.grammar.opening import AT_START, Opening
from sadari.model.toolcalls.formats import HERMES, LLAMA, CallFormat

PIECES = st.sampled_from(
    ["<", "<tool", "_call>", "<tool_call>", "<think>", "</think>", "</thi", "nk>", "x", " ", "\n", "{", "가", "<|python_tag|>"]
)
TEXTS = st.lists(PIECES, max_size=12)


def found_at(format: CallFormat, pieces: list[str]) -> int | None:
    """Bytes after the opening, were the text read piece by piece."""
    opening, reached = Opening.of(format), AT_START
    for i, piece in enumerate(pieces):
        reached, rest = opening.follow(reached, piece.encode())
        if rest is not None:
            return len(rest) + sum(len(p.encode()) for p in pieces[i + 1 :])
    return None


def expected(format: CallFormat, text: str) -> int | None:
    """The same by looking at the whole text: thoughts that open the answer are passed over first."""
    while thought := re.match(r"\s*<think>.*?(?:</think>|\Z)", text, re.DOTALL):
        text = text[thought.end() :]
    if format.opens == "" and text.lstrip().startswith("{"):
        return len(text.lstrip().encode())
    marker = format.opens or "<|python_tag|>"
    return len(text.split(marker, 1)[1].encode()) if marker in text else None


@given(TEXTS)
def test_a_marker_is_found_however_the_text_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert found_at(HERMES, pieces) == found_at(HERMES, [text]) == found_at(HERMES, list(text)) == expected(HERMES, text)


@given(TEXTS)
def test_a_bare_call_is_found_however_the_text_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert found_at(LLAMA, pieces) == found_at(LLAMA, [text]) == found_at(LLAMA, list(text)) == expected(LLAMA, text)
