"""Messages, tools and tool calls, from the JSON that people have to the nouns of sadari.

Nothing here raises on bad data: each fault goes into `RowProblems`, so that one reading names them all.
"""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from sadari.task.text import nfc, nfc_deep
from sadari.types import ROLES, Message, Role, ToolCall, ToolSpec

_ROLE_NAMES: Mapping[str, Role] = {
    **{role: role for role in ROLES},
    "developer": "system",
    "function": "tool",
}

_SHAREGPT_ROLES: Mapping[str, Role] = {
    **_ROLE_NAMES,
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}

_SCHEMA_TYPES = {"dict": "object", "float": "number", "double": "number", "tuple": "array", "list": "array", "int": "integer"}
_SCHEMA_TYPES |= {"str": "string", "bool": "boolean", "long": "integer"}

_HALF_PAIR = "holds half of a surrogate pair, which no file can store. Write the character itself."


@dataclass(slots=True)
class RowProblems:
    """What is wrong with one row; `where` is "train.jsonl line 41"."""

    where: str
    found: list[str] = field(default_factory=list)

    def add(self, name: str, what: str) -> None:
        """Note a fault of the field `name`."""
        self.found.append(f"{self.where}: {name}: {what}" if name else f"{self.where}: {what}")


def read_string(value: Any, name: str, problems: RowProblems, *, may_be_empty: bool = False) -> str:
    """The field as NFC text; numbers are written out. A fault gives ""."""
    if value is None:
        value = ""
    if isinstance(value, bool):
        problems.add(name, f"is {str(value).lower()}, not text. Write it in quotes.")
        return ""
    if isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str):
        problems.add(name, f"must be text, but is {kind_of(value)}.")
        return ""
    if not value.strip() and not may_be_empty:
        problems.add(name, "is empty. Fill it in or delete the line.")
        return ""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        problems.add(name, _HALF_PAIR)
        return ""
    return nfc(value)


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    names = ((bool, "true or false"), (str, "text"), (int | float, "a number"), (Mapping, "an object"), (Sequence, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)


# --- messages ------------------------------------------------------------------------------------------------------------


def read_messages(value: Any, name: str, problems: RowProblems) -> list[Message]:
    """OpenAI messages: `role`, `content`, and optionally `weight`, `tool_calls`, `tool_call_id`."""
    return _each_turn(value, name, problems, _openai_turn)


def read_sharegpt(value: Any, name: str, problems: RowProblems) -> list[Message]:
    """ShareGPT turns: `from` (human, gpt, system, function_call, observation) and `value`."""
    return _each_turn(value, name, problems, _sharegpt_turn)


def _each_turn(value: Any, name: str, problems: RowProblems, read: Any) -> list[Message]:
    if not isinstance(value, list) or not value:
        problems.add(name, f"must be a list of at least one message, but is {kind_of(value) if value != [] else 'empty'}.")
        return []
    messages: list[Message] = []
    for at, turn in enumerate(value):
        if not isinstance(turn, Mapping):
            problems.add(f"{name}[{at}]", f"must be an object, but is {kind_of(turn)}.")
            continue
        message = read(turn, f"{name}[{at}]", problems)
        if message is not None:
            messages.append(message)
    return messages


def _openai_turn(turn: Mapping[str, Any], name: str, problems: RowProblems) -> Message | None:
    role = _read_role(turn.get("role"), f"{name}.role", _ROLE_NAMES, problems)
    if role is None:
        return None
    calls = read_calls(turn.get("tool_calls"), f"{name}.tool_calls", problems)
    if turn.get("function_call"):
        calls += read_calls([turn["function_call"]], f"{name}.function_call", problems)
    if calls and role != "assistant":
        problems.add(f"{name}.tool_calls", f"only an assistant turn calls tools, but this is a {role} turn.")
    content = _read_content(
        turn.get("content"), f"{name}.content", problems, may_be_empty=bool(calls) or role in ("tool", "system")
    )
    call_id = turn.get("tool_call_id")
    return Message(
        role,
        content,
        weight=_read_weight(turn.get("weight"), f"{name}.weight", problems),
        tool_calls=calls,
        tool_call_id=None if call_id is None else str(call_id),
    )


def _sharegpt_turn(turn: Mapping[str, Any], name: str, problems: RowProblems) -> Message | None:
    if "from" not in turn and "role" in turn:
        return _openai_turn(turn, name, problems)
    origin = turn.get("from")
    role = _read_role(origin, f"{name}.from", _SHAREGPT_ROLES, problems)
    if role is None:
        return None
    weight = _read_weight(turn.get("weight"), f"{name}.weight", problems)
    if origin in ("function_call", "tool_call"):
        value = turn.get("value")
        if isinstance(value, str):
            value = _parse_json(value, f"{name}.value", problems)
        calls = read_calls(value if isinstance(value, list) else [value], f"{name}.value", problems) if value is not None else ()
        return Message("assistant", "", weight=weight, tool_calls=calls)
    content = _read_content(turn.get("value"), f"{name}.value", problems, may_be_empty=role in ("tool", "system"))
    return Message(role, content, weight=weight)


def _read_role(value: Any, name: str, names: Mapping[str, Role], problems: RowProblems) -> Role | None:
    if isinstance(value, str) and value in names:
        return names[value]
    if value is None:
        problems.add(name, f"is missing. Give one of {', '.join(ROLES)}.")
        return None
    close = difflib.get_close_matches(str(value), names, n=1)
    hint = f" Did you mean `{close[0]}`?" if close else ""
    problems.add(name, f'"{value}" is no known role.{hint} Use one of {", ".join(ROLES)}.')
    return None


def _read_content(value: Any, name: str, problems: RowProblems, *, may_be_empty: bool) -> str:
    if isinstance(value, list):
        texts: list[str] = []
        for at, part in enumerate(value):
            if isinstance(part, Mapping) and part.get("type") in ("text", "input_text", "output_text"):
                texts.append(read_string(part.get("text"), f"{name}[{at}].text", problems, may_be_empty=True))
            else:
                kind = part.get("type") if isinstance(part, Mapping) else kind_of(part)
                problems.add(
                    f"{name}[{at}]", f"only text parts can be read, but this is {kind}. Describe it in words or delete the line."
                )
        value = "".join(texts)
    elif isinstance(value, Mapping):
        value = json.dumps(value, ensure_ascii=False)
    return read_string(value, name, problems, may_be_empty=may_be_empty)


def _read_weight(value: Any, name: str, problems: RowProblems) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 or math.isnan(value):
        problems.add(name, f"is {value!r}. A weight is a number from 0 (not learnt) to 1 (learnt in full).")
        return None
    return float(value)


# --- tools ---------------------------------------------------------------------------------------------------------------


def read_tools(value: Any, name: str, problems: RowProblems) -> tuple[ToolSpec, ...]:
    """Tool declarations, in the OpenAI wrapping `{"type": "function", "function": {...}}` or bare, or a JSON string of them."""
    if value in (None, "", []):
        return ()
    if isinstance(value, str):
        value = _parse_json(value, name, problems)
        if value is None:
            return ()
    if not isinstance(value, list):
        problems.add(name, f"must be a list of tools, but is {kind_of(value)}.")
        return ()
    tools: dict[str, ToolSpec] = {}
    for at, item in enumerate(value):
        tool = _read_tool(item, f"{name}[{at}]", problems)
        if tool is None:
            continue
        if tool.name in tools:
            problems.add(f"{name}[{at}].name", f'two tools are called "{tool.name}". Rename one.')
        tools[tool.name] = tool
    return tuple(tools.values())


def _read_tool(item: Any, name: str, problems: RowProblems) -> ToolSpec | None:
    if isinstance(item, Mapping) and isinstance(item.get("function"), Mapping):
        item, name = item["function"], f"{name}.function"
    if not isinstance(item, Mapping):
        problems.add(name, f"must be an object with `name` and `parameters`, but is {kind_of(item)}.")
        return None
    tool_name = read_string(item.get("name"), f"{name}.name", problems)
    parameters = item.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, Mapping):
        problems.add(f"{name}.parameters", f"must be a JSON Schema object, but is {kind_of(parameters)}.")
        return None
    parameters = nfc_deep(_with_json_types(dict(parameters)))
    fault = _schema_fault(_canonical(parameters)) if _is_storable(parameters) else _HALF_PAIR
    if fault:
        problems.add(f"{name}.parameters", f"is not a JSON Schema: {fault}")
        return None
    description = read_string(item.get("description"), f"{name}.description", problems, may_be_empty=True)
    return ToolSpec(tool_name, description, parameters) if tool_name else None


def _with_json_types(schema: Any) -> Any:
    """The schema with the Python type names that some data sets use (`dict`, `float`) put as JSON Schema has them."""
    if isinstance(schema, list):
        return [_with_json_types(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    mapped: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            if value != "any":
                mapped[key] = _SCHEMA_TYPES.get(value, value)
        elif key == "properties" and isinstance(value, Mapping):
            mapped[key] = {name: _with_json_types(item) for name, item in value.items()}
        elif key in ("enum", "const", "default", "examples"):
            mapped[key] = value
        else:
            mapped[key] = _with_json_types(value)
    return mapped


def read_calls(value: Any, name: str, problems: RowProblems) -> tuple[ToolCall, ...]:
    """Tool calls, OpenAI-wrapped or bare; `arguments` may be an object or a JSON string of one."""
    if value is None:
        return ()
    if not isinstance(value, list):
        problems.add(name, f"must be a list of tool calls, but is {kind_of(value)}.")
        return ()
    calls = (_read_call(item, f"{name}[{at}]", problems) for at, item in enumerate(value))
    return tuple(call for call in calls if call is not None)


def _read_call(item: Any, name: str, problems: RowProblems) -> ToolCall | None:
    if not isinstance(item, Mapping):
        problems.add(name, f"must be an object with `name` and `arguments`, but is {kind_of(item)}.")
        return None
    call_id = item.get("id") or ""
    if isinstance(item.get("function"), Mapping):
        item, name = item["function"], f"{name}.function"
    tool_name = read_string(item.get("name"), f"{name}.name", problems)
    arguments = item.get("arguments", item.get("parameters"))
    if isinstance(arguments, str):
        arguments = _parse_json(arguments, f"{name}.arguments", problems) if arguments.strip() else {}
        if arguments is None:
            return None
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        problems.add(f"{name}.arguments", f"must be an object, but is {kind_of(arguments)}.")
        return None
    if not _is_storable(arguments):
        problems.add(f"{name}.arguments", _HALF_PAIR)
        return None
    return ToolCall(tool_name, nfc_deep(dict(arguments)), str(call_id)) if tool_name else None


def check_calls(calls: Sequence[ToolCall], tools: Sequence[ToolSpec], name: str, problems: RowProblems) -> None:
    """Each call names one of `tools` and its arguments match the tool's schema; without tools nothing is checked."""
    if not tools:
        return
    known = {tool.name: tool for tool in tools}
    for at, call in enumerate(calls):
        tool = known.get(call.name)
        if tool is None:
            close = difflib.get_close_matches(call.name, known, n=1)
            hint = f" Did you mean `{close[0]}`?" if close else f" Declared are: {', '.join(known)}."
            problems.add(f"{name}[{at}].name", f'"{call.name}" is not among the tools of this row.{hint}')
            continue
        for where, what in _argument_faults(call, tool):
            remedy = f"says the schema of `{call.name}`. Mend the call or the schema."
            problems.add(f"{name}[{at}].{where}", f"{_short(what)}, {remedy}")


def _argument_faults(call: ToolCall, tool: ToolSpec) -> list[tuple[str, str]]:
    """Where the arguments differ from the schema, and how."""
    try:
        errors = list(_validator(_canonical(tool.parameters)).iter_errors(dict(call.arguments)))
    except (Unresolvable, RecursionError) as error:
        return [("arguments", f"cannot be checked ({error})")]
    return sorted((".".join(["arguments", *map(str, error.path)]), error.message) for error in errors)


def _is_storable(value: Any) -> bool:
    try:
        _canonical(value).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


@lru_cache(maxsize=2048)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema), registry=EMPTY_REGISTRY)  # the default one opens `$ref` addresses


@lru_cache(maxsize=2048)
def _schema_fault(schema: str) -> str:
    try:
        Draft202012Validator.check_schema(json.loads(schema))
    except SchemaError as error:
        return f"{_short(error.message)} (at {'.'.join(map(str, error.path)) or 'its root'})."
    return ""


def _short(message: str) -> str:
    return message if len(message) <= 160 else message[:157] + "..."


def _parse_json(text: str, name: str, problems: RowProblems) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        problems.add(name, f"is not JSON ({error}): {_short(text)!r}.")
        return None
