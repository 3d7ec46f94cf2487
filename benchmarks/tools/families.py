"""The other way to narrow a catalogue: the model names a family of tools first, by the beginning of their names."""

import re
from collections.abc import Iterable, Sequence

from sadari.types import Message, OneOf, Request, ToolCall, ToolSpec

NONE = "none"
_INSTRUCTION = "Which of these groups of tools does the request need? Answer with its name, or none."


def family_of(name: str) -> str:
    """What stands before the first dot, underline or capital hump: "get" of `getWeather`, "EventApi" of `EventApi.get_alerts`."""
    return re.split(r"[._]|(?<=[a-z0-9])(?=[A-Z])", name, maxsplit=1)[0]


def families_of(named: Iterable[ToolSpec | ToolCall]) -> tuple[str, ...]:
    """The families of these tools or calls, in their order."""
    return tuple(dict.fromkeys(family_of(tool.name) for tool in named))


def tools_of_families(tools: Sequence[ToolSpec], families: Iterable[str]) -> tuple[ToolSpec, ...]:
    """The tools that belong to `families`."""
    wanted = set(families)
    return tuple(tool for tool in tools if family_of(tool.name) in wanted)


def family_request(conversation: Sequence[Message], tools: Sequence[ToolSpec]) -> Request:
    """What the model is asked first."""
    names = (*families_of(tools), NONE)
    told = Message("system", f"{_INSTRUCTION}\n" + "\n".join(names))
    return Request((told, *(m for m in conversation if m.role == "user")), max_new_tokens=32, constraint=OneOf(names))
