"""Which reader an answer gets, and whole answers read at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sadari.model.toolcalls.formats import CallFormat, format_of
from sadari.model.toolcalls.reader import CallReader, Piece
from sadari.model.toolcalls.responses import TemplateReader
from sadari.types import ToolCall, ToolSpec


@dataclass(frozen=True, slots=True)
class Read:
    """What an answer holds: the text without its calls, the calls in order, and what was mended to read them."""

    text: str
    calls: tuple[ToolCall, ...]
    repairs: tuple[str, ...] = ()


class AnswerReader(Protocol):
    """Whoever takes an answer in pieces and gives texts and calls."""

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was mended so far, each with the id of its call."""
        ...

    def keeps(self, token: str) -> bool:
        """Whether a special token has to be among the text for the calls to be read."""
        ...

    def feed(self, piece: str) -> list[Piece]:
        """What the answer gives up with this piece, in order."""
        ...

    def end(self) -> list[Piece]:
        """What is left once no piece follows."""
        ...


def read_answer(text: str, format: CallFormat, tools: Iterable[ToolSpec] | None, *, mend_truncated: bool = False) -> Read:
    """What a finished answer holds, as `CallReader` reads it."""
    return read_with(CallReader(format, tools, mend_truncated=mend_truncated), text)


def read_with(reader: AnswerReader, text: str) -> Read:
    """What a finished answer holds, as a new `reader` reads it."""
    pieces = reader.feed(text) + reader.end()
    said = "".join(p for p in pieces if isinstance(p, str))
    return Read(said, tuple(p for p in pieces if isinstance(p, ToolCall)), reader.repairs)


def reader_of(tokenizer: Any, tools: Sequence[ToolSpec], prompt: str) -> AnswerReader:
    """The reader of an answer to `prompt` that was free in what it wrote.

    By the response template of the checkpoint where there is one, else in the format of its chat template. An answer whose calls
    were held to that format by a grammar is read by `CallReader`.
    """
    try:
        return TemplateReader(tokenizer, tools, prompt)
    except ValueError:  # there is no template, or it is damaged
        return CallReader(format_of(tokenizer), tools)
