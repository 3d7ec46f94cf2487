"""Pins: the words of MCP servers that a person has seen and approved, in `mcp-pins.json` beside the task file.

Covered: what the model reads of a tool is what was pinned, without invisible characters and signs of chat templates; a pin that
was edited by hand, and a server that is started or reached otherwise than it was when it was pinned, are refused.

Not covered: somebody who may write the task's folder: they can pin. What a server does when it is called: it may do something else
than it says.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sadari.errors import ConfigError, RunError
from sadari.files import read_json, to_json, write_text
from sadari.retrieve.passages import as_data
from sadari.schema import check_schema
from sadari.text.injection import find_injections

PINS_FILE = "mcp-pins.json"

MOST_DESCRIPTION = 8_000
"""Characters of a tool's description: longer ones are no description."""

MOST_SCHEMA = 100_000
"""Characters of a tool's schema, as JSON."""

MOST_DEPTH = 40
"""Objects and lists inside each other in a schema."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One tool in the server's own words.

    Args:
        sha256: Of name, description and schema.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    sha256: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """What is pinned of one server.

    Args:
        origin: The command or address, as the task wrote it.
    """

    origin: str
    tools: tuple[Pin, ...]


def make_pin(name: str, description: str, parameters: Mapping[str, Any]) -> Pin:
    """The pin of a tool as it is now."""
    words = json.dumps([name, description, parameters], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return Pin(name, description, parameters, hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest())


def read_pins(folder: Path) -> dict[str, Pinned]:
    """All pins of a task by server; {} if nothing was pinned.

    Raises:
        ConfigError: If the file is damaged, or was edited by hand.
    """
    path = folder / PINS_FILE
    if not path.exists():
        return {}
    try:
        pins = read_json(path, dict[str, Pinned])
    except RunError as error:
        raise ConfigError(f"{PINS_FILE} cannot be read as pins. Delete it, then say `sadari tools trust` again.") from error
    for server, pinned in pins.items():
        for one in pinned.tools:
            if make_pin(one.name, one.description, one.parameters).sha256 != one.sha256:
                raise ConfigError(
                    f"{PINS_FILE}: the words of `{one.name}` of `{server}` are not what was approved. Review and pin it again: "
                    "`sadari tools trust`."
                )
    return pins


def write_pins(folder: Path, pins: Mapping[str, Pinned]) -> None:
    """Write all pins of a task."""
    write_text(folder / PINS_FILE, to_json(dict(sorted(pins.items())), dict[str, Pinned]))


def fault_of(one: Pin) -> str:
    """Why a tool cannot be pinned whatever a person says; "" if it can."""
    if len(one.description) > MOST_DESCRIPTION:
        return f"its description is longer than {MOST_DESCRIPTION:,} characters"
    try:
        if len(json.dumps(one.parameters)) > MOST_SCHEMA or _depth(one.parameters) > MOST_DEPTH:
            return f"its schema is longer than {MOST_SCHEMA:,} characters, or deeper than {MOST_DEPTH} levels"
        check_schema(one.parameters, "its schema")
    except ConfigError as error:
        return str(error).splitlines()[0][:300].rstrip(".")
    except Exception as error:  # whatever a library makes of the words of a stranger
        return f"its schema cannot be used ({type(error).__name__})"
    return "" if one.parameters.get("type") == "object" else "its schema is not that of an object"


def flags_of(one: Pin) -> tuple[str, ...]:
    """Kinds of orders to the model that are found in the words of a tool, as `find_injections` names them."""
    words = [one.name, one.description, *_texts(one.parameters)]
    return tuple(dict.fromkeys(finding.kind for text in words for finding in find_injections(text)))


def shown_description(one: Pin) -> str:
    """What the model reads of the tool."""
    return as_data(one.description)


def shown_parameters(one: Pin) -> dict[str, Any]:
    """The schema as the model reads it; names and values are those of the server, descriptions are put as data."""
    return cast(dict[str, Any], _shown(one.parameters))


def _shown(node: Any) -> Any:
    if isinstance(node, list | tuple):
        return [_shown(one) for one in node]
    if not isinstance(node, Mapping):
        return node
    return {
        key: as_data(value) if key in ("description", "title", "$comment") and isinstance(value, str) else _shown(value)
        for key, value in node.items()
    }


def _depth(schema: Any) -> int:
    deepest, waiting = 0, [(schema, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ()
        waiting.extend((one, depth + 1) for one in inner)
    return deepest


def _walk(node: Any) -> Iterable[Any]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)


def _texts(schema: Any) -> Iterable[str]:
    for node in _walk(schema):
        if isinstance(node, str):
            yield node
        elif isinstance(node, Mapping):
            yield from map(str, node)
