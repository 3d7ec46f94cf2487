"""An agent whose model says what it is told to, and whose tools are plain functions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sadari.agent.loop import Reply
from sadari.types import Answer, Caller, Delta, Message, Outcome, ToolCall, ToolSpec, Traits, Usage

Said = str | list[ToolCall] | Answer


class Script:
    """Says one thing after the other; `heard` holds what it was shown each time."""

    version = "script"

    def __init__(self, *says: Said, is_tainted: bool = False) -> None:
        self._says = list(says)
        self._is_tainted = is_tainted
        self.heard: list[tuple[Message, ...]] = []
        self.offered: list[list[str]] = []

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec], caller: Caller) -> Iterator[Delta | Reply]:
        self.heard.append(tuple(messages))
        self.offered.append([tool.name for tool in tools])
        said = self._says.pop(0) if self._says else "끝."
        if isinstance(said, list):
            said = Answer("", tuple(said))
        yield Reply(said if isinstance(said, Answer) else Answer(said, usage=Usage(10, 5)), self._is_tainted)


@dataclass(frozen=True)
class Plain:
    """A tool that is a function of its arguments."""

    name: str
    function: Callable[..., str]
    traits: Traits = field(default_factory=Traits)
    properties: tuple[str, ...] = ("n",)

    @property
    def spec(self) -> ToolSpec:
        fields = {name: {"type": "integer"} for name in self.properties}
        schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
        return ToolSpec(self.name, f"{self.name}.", schema)

    def call(self, arguments: Any, caller: Caller) -> Outcome:
        return Outcome(self.function(**arguments))


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(name, arguments)
