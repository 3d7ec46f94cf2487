"""Answers read by a response template of `transformers`: the checkpoint's own, or one made from its chat template.

Covered: whatever the template declares, in streams too; calls it leaves in the text, and answers it fails on, are read by
`CallReader`.
Not covered: a template whose regular expressions run away within `TEMPLATE_CHARS`; it is part of the checkpoint, which is trusted.
"""

import json
from collections.abc import Sequence
from typing import Any

from sadari.model.chat import tool_dict
from sadari.model.toolcalls.formats import format_of
from sadari.model.toolcalls.reader import CallReader, Piece
from sadari.model.toolcalls.tagged import tagged_template
from sadari.types import ToolCall, ToolSpec

TEMPLATE_CHARS = 2**15
"""Longest answer that a response template is asked about: the time its regular expressions take may grow with the square."""

BLANK_CHARS = 1000
"""Longest run of whitespace in such an answer: a model that writes on and on without a word is not worth the time either."""


def response_template_of(tokenizer: Any) -> Any:
    """The response template of the checkpoint, else one made for a chat template that writes arguments one by one, else None."""
    own = getattr(tokenizer, "response_template", None)
    return tagged_template(tokenizer) if own is None else own


class TemplateReader:
    """Takes an answer in pieces, as `CallReader` does.

    The texts are those of the template's field "content"; thoughts are left out. If the template fails, what was handed out
    stands, and the rest is read by `CallReader`.

    Args:
        prompt: The rendered prompt, in whose end the chat template may have begun the answer.

    Raises:
        ValueError: If there is no response template, or a damaged one.
    """

    def __init__(self, tokenizer: Any, tools: Sequence[ToolSpec], prompt: str) -> None:
        template = response_template_of(tokenizer)
        if template is None:
            raise ValueError("there is no response template")
        try:
            from transformers.utils.chat_parsing.response_templates import load_response_template

            loaded = load_response_template(template)
            self._parser = tokenizer.get_response_parser(loaded, prefix=prompt, tools=[tool_dict(t) for t in tools])
            self._closes = loaded.fields["tool_calls"].close_re if "tool_calls" in loaded.fields else None
        except Exception as e:  # the template is data of the checkpoint, and may be wrong in any way
            raise ValueError(f"the response template cannot be used: {e}") from e
        self._format, self._tools = format_of(tokenizer), tools
        self._ours = CallReader(self._format, tools)
        self._has_failed = False
        self._has_begun = self._is_calling = False
        self._raw: list[str] = []
        self._chars = self._blank = 0
        self._handed: list[Piece] = []

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was mended so far, each with the id of its call."""
        return self._ours.repairs

    def keeps(self, token: str) -> bool:
        """Whether a special token has to be among the text: any may be a marker of the template."""
        return True

    def feed(self, piece: str) -> list[Piece]:
        """What the answer gives up with this piece, in order."""
        if self._has_failed:
            return self._ours.feed(piece)
        self._raw.append(piece)
        if self._is_too_long(piece):
            return self._give_up()
        try:
            return self._hand_out(self._told(self._parser.feed(piece)))
        except Exception:  # values that the template cannot parse, in whatever way
            return self._give_up()

    def end(self) -> list[Piece]:
        """What is left once no piece follows."""
        if not self._has_failed:
            try:
                if self._is_cut():
                    return self._give_up() + self._ours.end()
                return self._hand_out(self._told(self._parser.finalize()[1]) + self._ours.end())
            except Exception:  # as above
                return self._give_up() + self._ours.end()
        return self._ours.end()

    def _is_too_long(self, piece: str) -> bool:
        self._chars += len(piece)
        if self._chars > TEMPLATE_CHARS:
            return True
        for c in piece:
            self._blank = self._blank + 1 if c.isspace() else 0
            if self._blank > BLANK_CHARS:
                return True
        return False

    def _is_cut(self) -> bool:
        """Whether the answer ended within a call: the parser would take the arguments up to there for all of them."""
        if not self._is_calling or self._closes is None:
            return False
        text = "".join(self._raw).rstrip()
        return all(match.end() < len(text) for match in self._closes.finditer(text))

    def _told(self, events: list[dict[str, Any]]) -> list[Piece]:
        out: list[Piece] = []
        for event in events:
            if event["field"] == "tool_calls":
                self._is_calling = event["type"] != "region_close"
            if event["field"] == "content" and event["type"] == "region_chunk":
                text = event["text"] if self._has_begun else event["text"].lstrip()  # what followed a thought
                self._has_begun |= bool(text)
                out += self._ours.feed(text)
            elif event["field"] == "tool_calls" and event["type"] == "region_close":
                value = event["value"]
                calls = [_call(v) for v in (value if isinstance(value, list) else [value])]
                out += self._ours.take(calls)
        return out

    def _hand_out(self, pieces: list[Piece]) -> list[Piece]:
        self._handed += pieces
        return pieces

    def _give_up(self) -> list[Piece]:
        """What `CallReader` finds in the whole answer beyond what was handed out."""
        self._has_failed = True
        self._ours = CallReader(self._format, self._tools)
        pieces = self._ours.feed("".join(self._raw))
        said = "".join(p for p in self._handed if isinstance(p, str))
        known = sum(isinstance(p, ToolCall) for p in self._handed)
        out: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, ToolCall):
                known -= 1
                if known < 0:
                    out.append(piece)
            elif said.startswith(piece):
                said = said[len(piece) :]
            else:
                start = piece.find(said)  # a thought may stand before it, which the template leaves out
                out.append(piece[start + len(said) :] if start >= 0 else piece)
                said = ""
        return [p for p in out if p]


def _call(value: Any) -> ToolCall:
    """The call in the shape of chat templates.

    Raises:
        Exception: If it has none.
    """
    function = value["function"]
    name, arguments = function["name"], function["arguments"]
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        raise ValueError("a call needs a name and arguments")
    id = value.get("id")
    return ToolCall(name, arguments, id if isinstance(id, str) else "")
