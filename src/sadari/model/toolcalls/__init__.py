"""Tool calls in what a model writes: how its template writes them, and reading them while they are written."""

from sadari.model.toolcalls.answers import AnswerReader, Read, read_answer, read_with, reader_of
from sadari.model.toolcalls.formats import CallFormat, format_of
from sadari.model.toolcalls.reader import CallReader, Piece
from sadari.model.toolcalls.responses import TemplateReader

__all__ = [
    "AnswerReader",
    "CallFormat",
    "CallReader",
    "Piece",
    "Read",
    "TemplateReader",
    "format_of",
    "read_answer",
    "read_with",
    "reader_of",
]
