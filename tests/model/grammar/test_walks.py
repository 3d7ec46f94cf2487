"""Random walks over the tools of BFCL and FunctionChat: whatever is drawn, the arguments are valid by the tool's own schema."""

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sadari.model.grammar import Grammars, call_guide
from sadari.model.toolcalls.formats import HERMES
from sadari.types import ToolSpec

TYPES = {"dict": "object", "float": "number", "tuple": "array"}


def read_tools(data: Path) -> list[ToolSpec]:
    """Every tool with a schema of its own."""
    found: dict[str, ToolSpec] = {}
    for file in sorted([*(data / "bfcl").glob("*.jsonl"), *(data / "ko-functionchat").glob("*.jsonl")]):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for item in row.get("function", row.get("tools", [])):
                function = item.get("function", item)
                parameters = in_json_types(function["parameters"])
                found.setdefault(json.dumps(parameters), ToolSpec(function["name"], "", parameters))
    possible = [tool for tool in found.values() if is_possible(tool.parameters)]
    assert len(found) - len(possible) <= 1  # live_multiple has an integer that is one of some strings
    return possible


def is_possible(schema: dict[str, Any]) -> bool:
    """Whether each required argument can be one of its values."""
    needed = [part for name, part in schema.get("properties", {}).items() if name in schema.get("required", ()) and "enum" in part]
    return all(any(jsonschema.Draft202012Validator(part).is_valid(value) for value in part["enum"]) for part in needed)


def in_json_types(schema: Any) -> Any:
    """BFCL writes the types of Python."""
    if not isinstance(schema, dict):
        return schema
    out = {key: in_json_types(value) for key, value in schema.items() if key not in ("enum", "default")}
    if isinstance(schema.get("type"), str):
        out["type"] = TYPES.get(schema["type"], schema["type"])
        if out["type"] == "any":
            del out["type"]
    return out | ({"enum": schema["enum"]} if isinstance(schema.get("enum"), list) else {})


def test_some_walks_are_valid(shared_data: Path, mini: Any, grammars: Grammars, draw: Any) -> None:
    walk(random.Random(0).sample(read_tools(shared_data), 40), 40, mini, grammars, draw)


@pytest.mark.slow
def test_a_thousand_walks_over_all_tools_are_valid(shared_data: Path, mini: Any, grammars: Grammars, draw: Any) -> None:
    tools = read_tools(shared_data)
    walk(tools, max(1000, len(tools)), mini, grammars, draw)


def walk(tools: list[ToolSpec], walks: int, tokenizer: Any, grammars: Grammars, draw: Any) -> None:
    for seed in range(walks):
        tool = tools[seed % len(tools)]
        guide = call_guide(grammars, HERMES, (tool,), "required", is_parallel=False)
        text = draw(guide, tokenizer, seed, 1_000_000)
        call = json.loads(text.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>"))
        assert list(call) == ["name", "arguments"]
        assert call["name"] == tool.name
        jsonschema.validate(call["arguments"], tool.parameters)
        in_order = [name for name in tool.parameters.get("properties", {}) if name in call["arguments"]]
        if tool.parameters.get("properties"):
            assert list(call["arguments"]) == in_order
