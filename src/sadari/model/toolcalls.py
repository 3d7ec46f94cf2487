"""Tool calls in what a model wrote: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, as Hermes, Qwen and mini do."""

import json
import re

from sadari.types import ToolCall

MARKERS = ("<tool_call>", "</tool_call>")
_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|\Z)", re.DOTALL)


def parse_tool_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """The text without its well-formed tool calls, and the calls in order.

    A malformed call stays in the text, so that it can be seen, counted and answered. The closing marker may be missing at the
    very end, where some models stop before it.
    """
    calls: list[ToolCall] = []

    def take(match: re.Match[str]) -> str:
        call = _read_call(match.group(1), f"call_{len(calls) + 1}")
        if call is None:
            return match.group(0)
        calls.append(call)
        return ""

    rest = _CALL.sub(take, text)
    return (rest.strip() if calls else text), tuple(calls)


def _read_call(blob: str, id: str) -> ToolCall | None:
    try:
        value = json.loads(blob)
    except (json.JSONDecodeError, RecursionError):
        return None
    name, arguments = value.get("name"), value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (json.JSONDecodeError, RecursionError):
            return None
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return ToolCall(name, arguments, id)
