"""Training rows as services read them: one JSON object a line with `messages` and `tools`, in OpenAI's chat shape."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sadari.errors import DataError
from sadari.model.remote.payload import wire_messages
from sadari.types import Message, ToolSpec

BYTES_PER_TOKEN = 3
"""For estimates without the service's tokenizer: a Hangul syllable is three bytes, an English token about four."""


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One conversation to learn from; the last message is the answer. `id` names it in errors and is not sent."""

    id: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()


def chat_lines(rows: Sequence[ChatRow], longest: int) -> list[str]:
    """The rows as lines of JSONL, without line ends.

    Args:
        longest: Tokens, estimated, that a row may have. Services cut longer rows without a word.

    Raises:
        DataError: If a row cannot be learnt from there: a weight that is neither 0 nor 1, nothing to learn, an empty answer, or too
            long. All such rows are named.
    """
    problems = [f"row {row.id}: {problem}" for row in rows for problem in _problems(row)]
    lines = [json.dumps(_chat_row(row), ensure_ascii=False) for row in rows]
    problems += [
        f"row {row.id}: about {tokens} tokens, more than the {longest} that are learnt of a row (`row_tokens`). Shorten it."
        for row, line in zip(rows, lines, strict=True)
        if (tokens := estimated_tokens(line)) > longest
    ]
    if problems:
        raise DataError(problems)
    return lines


def estimated_tokens(line: str) -> int:
    """About how many tokens a line is, rather too many than too few."""
    return -(-len(line.encode()) // BYTES_PER_TOKEN)


def texts_of(row: ChatRow) -> Iterator[str]:
    """Everything in a row that people may have written."""
    for message in row.messages:
        yield message.content
        for call in message.tool_calls:
            yield from (str(value) for value in call.arguments.values())


def _chat_row(row: ChatRow) -> dict[str, Any]:
    payload = wire_messages(row.messages, row.tools)
    for turn, message in zip(payload["messages"], row.messages, strict=True):
        if message.role == "assistant":
            turn["weight"] = int(_weight(message))
    return payload


def _weight(message: Message) -> float:
    default = 1.0 if message.role == "assistant" else 0.0
    return default if message.weight is None else message.weight


def _problems(row: ChatRow) -> Iterator[str]:
    learnt = [message for message in row.messages if message.role == "assistant" and _weight(message) > 0]
    for number, message in enumerate(row.messages, 1):
        turn, weight = f"turn {number} ({message.role})", _weight(message)
        if message.role != "assistant" and weight > 0:
            yield f"{turn} has the weight {weight:g}, but the service learns assistant turns alone. Take the weight away."
        elif weight not in (0, 1):
            yield f"{turn} has the weight {weight:g}, but the service knows 0 and 1 alone. Choose one, or tune on this machine."
        if message.role == "assistant" and not message.content.strip() and not message.tool_calls:
            yield f"{turn} is empty. Fill it in, or remove the row."
    if not learnt:
        yield "no assistant turn has a weight above 0, so there is nothing to learn. Remove the row."
