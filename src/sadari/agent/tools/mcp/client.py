"""The tools of MCP servers: reviewed and pinned by a person, then called.

Covered: nothing that a server says reaches a model before a person has seen it; a tool whose words have changed since is refused,
also in the middle of a run; what a tool changes is what the task declares (`write`, if nothing), never what the server hints at;
results are untrusted, and what is no text is named instead of shown.

Not covered: what the server does with what it is sent. An approved tool that lies about its effect does what it wants.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from typing import Any, Literal

from sadari.agent.tools.mcp.connection import Connection, UnreachableError
from sadari.agent.tools.mcp.options import McpOptions, launches
from sadari.agent.tools.mcp.pins import (
    PINS_FILE,
    Pin,
    Pinned,
    fault_of,
    flags_of,
    read_pins,
    shown_description,
    shown_parameters,
    write_pins,
)
from sadari.agent.tools.place import Place
from sadari.errors import ConfigError, ToolFailedError, ToolRefusedError
from sadari.types import Caller, Outcome, Tool, ToolSpec, Traits

MOST_ERROR = 500
"""Characters of a server's own error that the model is told."""

_WAIT_S = 1.0
"""Beyond a call's own time, so that who called is the first to give up."""


# --- review and pin --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that a server offers, for a person to look at.

    Args:
        pin: The server's words; of a tool that is gone, those that were pinned.
        state: Against what is pinned.
        before: What was pinned, if it has changed.
        flags: Kinds of orders to the model that are found in its words.
        fault: Why it cannot be pinned; "" if it can.
    """

    server: str
    origin: str
    pin: Pin
    state: Literal["new", "changed", "same", "gone"]
    before: Pin | None = None
    flags: tuple[str, ...] = ()
    fault: str = ""

    @property
    def name(self) -> str:
        """What the model would call it."""
        return tool_name(self.server, self.pin.name)


def review(options: McpOptions, place: Place) -> list[Offer]:
    """Start the servers and tell what they offer, for a person to read. Nothing is pinned by this.

    Raises:
        ConfigError: If a server cannot be reached, or the pins cannot be read.
    """
    pins = read_pins(place.folder)
    offers: list[Offer] = []
    for launch in launches(options, place):
        connection = Connection(launch, options.start_timeout_s)
        try:
            live = connection.tools()
        except UnreachableError as error:
            raise ConfigError(f"tools: mcp: {error}") from error
        finally:
            connection.close()
        known = pins.get(launch.name)
        before = {one.name: one for one in known.tools} if known and known.origin == launch.origin else {}
        offers += [_offer(launch.name, launch.origin, one, before.get(name)) for name, one in live.items()]
        offers += [Offer(launch.name, launch.origin, one, "gone") for name, one in before.items() if name not in live]
    return offers


def pin(offers: Sequence[Offer], place: Place) -> None:
    """Pin what a person approved of a `review`. Of each server in it, what is not given is no longer pinned.

    Raises:
        ConfigError: If one of them has a fault.
    """
    faulty = [f"tools: mcp: {one.name} cannot be pinned: {one.fault}." for one in offers if one.fault]
    if faulty:
        raise ConfigError("\n".join(faulty))
    pins = read_pins(place.folder)
    for server, origin in dict.fromkeys((one.server, one.origin) for one in offers):
        pins[server] = Pinned(origin, tuple(one.pin for one in offers if one.server == server and one.state != "gone"))
    write_pins(place.folder, pins)


def _offer(server: str, origin: str, live: Pin, before: Pin | None) -> Offer:
    fault = fault_of(live)
    flags = () if fault else flags_of(live)
    if before is None:
        return Offer(server, origin, live, "new", None, flags, fault)
    is_same = before.sha256 == live.sha256
    return Offer(server, origin, live, "same" if is_same else "changed", None if is_same else before, flags, fault)


def tool_name(server: str, name: str) -> str:
    """What the model calls a tool: `server_tool`, in signs and a length that models accept."""
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_-") else "_" for sign in f"{server}_{name}")
    if plain == f"{server}_{name}" and len(plain) <= 64:
        return plain
    return f"{plain[:55]}_{sha256(name.encode()).hexdigest()[:8]}"


# --- open and call ---------------------------------------------------------------------------------------------------------


def open_mcp(options: McpOptions, place: Place) -> list[Tool]:
    """The pinned tools of the servers. No server is started before a tool of it is called.

    Raises:
        ConfigError: If a server was never pinned or is reached otherwise than it was then, or an option names no tool.
    """
    pins = read_pins(place.folder)
    tools: list[McpTool] = []
    servers = launches(options, place)
    for launch in servers:
        known = pins.get(launch.name)
        if known is None:
            raise ConfigError(
                f"tools: mcp: nobody has looked at the tools of `{launch.name}` yet. Review and pin them ({PINS_FILE}): no "
                "model reads what a server says of its tools before a person has approved it."
            )
        if known.origin != launch.origin:
            raise ConfigError(
                f"tools: mcp: `{launch.name}` was pinned as {known.origin}, but is {launch.origin} now. Review "
                "and pin it again: `sadari tools trust`."
            )
        connection = Connection(launch, options.start_timeout_s)
        tools += [McpTool(one, connection, _traits(one, launch.name, options)) for one in known.tools]
    _check_names(options, [one.spec.name for one in tools], [launch.name for launch in servers])
    return [one for one in tools if not options.only or one.spec.name in options.only]


class McpTool:
    """A pinned tool of a server."""

    def __init__(self, pinned: Pin, connection: Connection, traits: Traits) -> None:
        self._pin, self._connection, self._traits = pinned, connection, traits
        name = tool_name(connection.name, pinned.name)
        self._spec = ToolSpec(name, shown_description(pinned), shown_parameters(pinned))

    @property
    def spec(self) -> ToolSpec:
        """What the model is told: the words that were pinned."""
        return self._spec

    @property
    def traits(self) -> Traits:
        """What the task declares."""
        return self._traits

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Ask the server, if it still offers the tool as it was pinned.

        Raises:
            ToolFailedError: If the server cannot be reached, or says that the call failed.
            ToolRefusedError: If the tool has changed since it was pinned, or is gone.
            TimeoutError: If the server gave no answer, or broke off: nobody knows what it did.
        """
        from mcp.shared.exceptions import MCPError

        try:
            self._check_pin(self._connection.tools(), caller)
            result = self._connection.call(self._pin.name, arguments, self._traits.timeout_s + _WAIT_S)
        except UnreachableError as error:
            raise ToolFailedError(_UNREACHABLE[caller.language].format(name=self._spec.name)) from error
        except MCPError as error:
            raise ToolFailedError(f"{self._spec.name}: {error.message[:MOST_ERROR]}") from error
        text = "\n".join(_text(block) for block in result.content)
        if result.is_error:
            raise ToolFailedError(f"{self._spec.name}: {text[:MOST_ERROR] or _NO_REASON[caller.language]}")
        data = result.structured_content
        return Outcome(text or (json.dumps(data, ensure_ascii=False) if data is not None else _EMPTY[caller.language]), data)

    def close(self) -> None:
        """End the server, which may serve other tools too; it is started again when one of them is called."""
        self._connection.close()

    def _check_pin(self, live: Mapping[str, Pin], caller: Caller) -> None:
        now = live.get(self._pin.name)
        if now is None or now.sha256 != self._pin.sha256:
            what = "gone" if now is None else "schema" if now.description == self._pin.description else "description"
            raise ToolRefusedError(f"{self._spec.name}: {_CHANGED[caller.language][what]}")


_CHANGED = {
    "ko": {
        "gone": "MCP 서버가 더는 제공하지 않는 도구입니다.",
        "schema": "승인된 뒤 인자 형식(schema)이 바뀌어, 다시 검토하고 승인하기 전에는 쓸 수 없습니다.",
        "description": "승인된 뒤 설명(description)이 바뀌어, 다시 검토하고 승인하기 전에는 쓸 수 없습니다.",
    },
    "en": {
        "gone": "its MCP server no longer offers it.",
        "schema": "its schema has changed since it was approved; it is not used before it is reviewed and pinned again.",
        "description": "its description has changed since it was approved; it is not used before it is reviewed and pinned again.",
    },
}
_UNREACHABLE = {
    "ko": "{name}: 서버에 연결할 수 없습니다. 다른 방법을 쓰거나, 지금은 할 수 없다고 답하세요.",
    "en": "{name}: its server cannot be reached. Use another way, or answer that this cannot be done now.",
}
_NO_REASON = {"ko": "이유 없이 실패했습니다.", "en": "it failed without a reason."}
_EMPTY = {"ko": "(빈 결과)", "en": "(empty result)"}


def _text(block: Any) -> str:
    """What the model reads of a piece of a result; what is no text is named."""
    if block.type == "text":
        return str(block.text)
    if block.type == "resource_link":
        return f"[link: {block.name}, {block.uri}]"
    if block.type == "resource":
        held = block.resource
        text = getattr(held, "text", None)
        return f"[{held.uri}]\n{text}" if text is not None else f"[file: {held.uri}, {held.mime_type or 'unknown type'}, not shown]"
    return f"[{block.type}: {block.mime_type}, {len(block.data) * 3 // 4:,} bytes, not shown]"


def _traits(pinned: Pin, server: str, options: McpOptions) -> Traits:
    name = tool_name(server, pinned.name)
    return Traits(
        effect=options.effects.get(name, options.effects.get(server, "write")),
        is_idempotent=name in options.idempotent,
        timeout_s=options.timeout_s,
        max_chars=options.max_chars,
    )


def _check_names(options: McpOptions, tools: Sequence[str], servers: Sequence[str]) -> None:
    for option, known in (("only", tools), ("idempotent", tools), ("effects", [*tools, *servers])):
        for name in getattr(options, option):
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"Did you mean `{close[0]}`?" if close else f"Known: {', '.join(known) or 'none'}."
                raise ConfigError(f"tools: mcp: {option}: no pinned tool is called `{name}`. {hint}")
