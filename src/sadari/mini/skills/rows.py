"""The one value that every generator returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One training or evaluation row.

    A chat row carries `messages` (the last one is the assistant's) and is rendered with the chat template; its loss
    lies on assistant turns. A text row carries `text` alone and its loss lies on every token.
    """

    skill: str
    messages: tuple[Message, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # what a test or the evaluation wants to know about the row

    @property
    def answer(self) -> str:
        """Text of the last assistant turn; empty for text rows and pure tool calls."""
        return str(self.messages[-1].get("content") or "") if self.messages else ""


def chat(skill: str, system: str, user: str, assistant: str, **facts: Any) -> Row:
    """One question, one answer; an empty `system` leaves the turn out."""
    head: tuple[Message, ...] = ({"role": "system", "content": system},) if system else ()
    turns: tuple[Message, ...] = ({"role": "user", "content": user}, {"role": "assistant", "content": assistant})
    return Row(skill, head + turns, facts=facts)
