"""Whether a conversation with tools says only what was heard in it: no argument that nobody gave, no number that nobody told."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sadari.task.generate.collect import Refusal, plain
from sadari.task.generate.schema import Path, leaves, schema_at
from sadari.task.text import fold
from sadari.types import Example, ToolCall, ToolSpec


def check_said(example: Example) -> Refusal | None:
    """Nothing in a call, and no number in an answer, that nobody said."""
    tools = {tool.name: tool for tool in example.tools}
    heard = ""
    known = numbers_of(
        " ".join(f"{tool.name} {tool.description} {json.dumps(tool.parameters, default=str)}" for tool in example.tools)
    )
    for message in example.messages:
        for call in message.tool_calls:
            unsaid = _unsaid(call, tools[call.name], heard)
            if unsaid:
                return Refusal("the call holds what nobody said", f"{call.name}: {unsaid}")
            heard += f" {json.dumps(call.arguments, ensure_ascii=False)}"
        if message.role == "assistant":
            invented = numbers_of(message.content) - numbers_of(heard) - known
            if invented:
                return Refusal("the answer tells a number that nobody gave", f"{min(invented)}: {message.content}")
        heard += f"\n{message.content}"
    return None


def _unsaid(call: ToolCall, tool: ToolSpec, heard: str) -> str:
    text, numbers = fold(heard), numbers_of(heard)
    for path, value in leaves(call.arguments) or ():
        for one in value if isinstance(value, list) else [value]:
            if one is None or isinstance(one, bool) or _is_chosen(tool, path, one):
                continue
            is_said = plain(one) in numbers if isinstance(one, int | float) else fold(str(one)) in text
            if not is_said:
                return f"{'.'.join(path)} = {one!r}"
    return ""


def _is_chosen(tool: ToolSpec, path: Path, value: Any) -> bool:
    """Whether the schema itself names the value, so that a person may have said it in other words."""
    schema = schema_at(tool, path)
    items = schema.get("items")
    named = [schema.get("const"), schema.get("default"), *(schema.get("enum") or ())]
    return value in named or (isinstance(items, Mapping) and value in (items.get("enum") or ()))


_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def numbers_of(text: str) -> set[str]:
    """The numbers in a text, in one spelling: 1,000 and 1000.0 are 1000."""
    return {_one_spelling(match[0]) for match in _NUMBER.finditer(text)} | {
        _one_spelling(match[0].lstrip("-")) for match in _NUMBER.finditer(text)
    }


def _one_spelling(number: str) -> str:
    bare = number.replace(",", "").rstrip(".")
    whole, _, part = bare.partition(".")
    sign = "-" if whole.startswith("-") else ""
    whole = whole.lstrip("-").lstrip("0") or "0"
    part = part.rstrip("0")
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"
