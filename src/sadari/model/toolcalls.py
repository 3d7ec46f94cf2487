"""Tool calls in what a model wrote: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, as Hermes, Qwen and mini do."""

import json
import re

from sadari.types import ToolCall

MARKERS = ("<tool_call>", "</tool_call>")
_OPEN = re.compile(r"<tool_call>\s*(?=\{)")
_CLOSE = re.compile(r"\s*(?:</tool_call>|\Z)")


def parse_tool_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """The text without its well-formed tool calls, and the calls in order.

    A malformed call stays in the text, so that it can be seen, counted and answered. The closing marker may be missing at the
    very end, where some models stop before it.
    """
    calls: list[ToolCall] = []
    rest: list[str] = []
    at = 0
    for opening in _OPEN.finditer(text):
        if opening.start() < at:  # within the strings of the call before
            continue
        call, end = _read_call(text, opening.end(), f"call_{len(calls) + 1}")
        closing = _CLOSE.match(text, end)
        if call is not None and closing:
            calls.append(call)
            rest.append(text[at : opening.start()])
            at = closing.end()
    rest.append(text[at:])
    return ("".join(rest).strip() if calls else text), tuple(calls)


def _read_call(text: str, start: int, id: str) -> tuple[ToolCall | None, int]:
    """The call whose JSON begins at `start`, and where it ends."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
        arguments = value.get("arguments", value.get("parameters", {}))
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
    except (ValueError, RecursionError):
        return None, start
    name = value.get("name")
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None, end
    return ToolCall(name, arguments, id), end
