"""Messages and tools as OpenAI writes them, read into those of sadari. What is not understood is refused by its name."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from secrets import token_hex
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, JsonValue, model_validator

from sadari.errors import ConfigError
from sadari.schema import check_schema
from sadari.serve.faults import wrong
from sadari.serve.keys import Identity
from sadari.types import Constraint, JsonSchema, Message, Role, ToolCall, ToolSpec

MOST_MESSAGES, MOST_TOOLS = 2_000, 512

MOST_NEW_TOKENS = 1_024
"""Tokens of an answer whose length nobody says."""

Texts = list[dict[str, JsonValue]]

_IGNORED = frozenset(
    (
        "metadata",
        "store",
        "user",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "verbosity",
        "reasoning_effort",
        "reasoning",
        "prediction",
        "include",
        "truncation",
    )
)
"""Fields that say nothing about the answer itself; they are taken and left."""


class Body(BaseModel, frozen=True, extra="allow"):
    """A request. A field that is not known is refused, with the one that is meant."""

    ignores: ClassVar[frozenset[str]] = _IGNORED

    model: str = Field(max_length=200)

    @model_validator(mode="after")
    def _known(self) -> "Body":
        for name in self.model_extra or {}:
            if name not in self.ignores:
                near = get_close_matches(name, [*type(self).model_fields], n=1)
                raise ValueError(f"`{name[:60]}` is not known here.{f' Did you mean `{near[0]}`?' if near else ''}")
        return self


class FunctionCall(BaseModel, frozen=True, extra="ignore"):
    """What is called, its arguments as JSON text."""

    name: str = Field(max_length=200)
    arguments: str = "{}"


class Call(BaseModel, frozen=True, extra="ignore"):
    """A call that an assistant made."""

    id: str = Field(default="", max_length=200)
    type: Literal["function"] = "function"
    function: FunctionCall


class Turn(BaseModel, frozen=True, extra="ignore"):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Texts | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Function(BaseModel, frozen=True, extra="ignore"):
    """What a model is told of a function."""

    name: str = Field(pattern=r"^[\w.-]{1,128}$")
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None


class ToolOffer(BaseModel, frozen=True, extra="ignore"):
    """A function that the model may call."""

    type: Literal["function"]
    function: Function


class Named(BaseModel, frozen=True, extra="ignore"):
    """The function that is called."""

    type: Literal["function"]
    function: FunctionCall


class SchemaFormat(BaseModel, frozen=True, extra="ignore"):
    """What the answer has to look like."""

    name: str = ""
    schema_: dict[str, JsonValue] | None = Field(default=None, alias="schema")


class Format(BaseModel, frozen=True, extra="ignore"):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: SchemaFormat | None = None


class Own(BaseModel, frozen=True, extra="forbid"):
    """The field `sadari` of a request."""

    run: str = Field(default="", max_length=64, description="The run that goes on.")


class StreamOptions(BaseModel, frozen=True, extra="ignore"):
    """What a stream tells beside the answer."""

    include_usage: bool = False


def messages_of(turns: Sequence[Turn], at: str = "messages") -> tuple[Message, ...]:
    """The conversation.

    Raises:
        ApiError: 400, names the message and its field.
    """
    if len(turns) > MOST_MESSAGES:
        raise wrong(at, f"{len(turns)} messages are more than {MOST_MESSAGES}.")
    return tuple(_message(turn, f"{at}[{i}]") for i, turn in enumerate(turns))


def _message(turn: Turn, at: str) -> Message:
    role: Role = "system" if turn.role == "developer" else turn.role
    calls = tuple(_call(call, f"{at}.tool_calls[{i}]") for i, call in enumerate(turn.tool_calls or ()))
    if calls and role != "assistant":
        raise wrong(f"{at}.tool_calls", "only an assistant makes calls.")
    if turn.content is None and role != "assistant":
        raise wrong(f"{at}.content", "is missing.")
    return Message(role, text_of(turn.content, f"{at}.content"), tool_calls=calls, tool_call_id=turn.tool_call_id)


def text_of(content: str | Texts | None, at: str) -> str:
    """The text of a message, whose parts are joined.

    Raises:
        ApiError: 400, if a part is no text, or holds what no text may hold.
    """
    text = content if isinstance(content, str) else "".join(_parts(content or [], at))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise wrong(at, f"character {error.start + 1} is half a surrogate pair. Take it out.") from error
    return text


def _parts(content: Texts, at: str) -> Iterator[str]:
    for i, part in enumerate(content):
        text = part.get("text", part.get("refusal"))
        if part.get("type") not in ("text", "input_text", "output_text", "refusal") or not isinstance(text, str):
            raise wrong(f"{at}[{i}].type", "only text is understood here.")
        yield text


def _call(call: Call, at: str) -> ToolCall:
    return ToolCall(call.function.name, arguments_of(call.function.arguments, f"{at}.function.arguments"), call.id)


def arguments_of(written: str, at: str) -> Mapping[str, Any]:
    """The arguments of a call.

    Raises:
        ApiError: 400, if they are no JSON object.
    """
    try:
        arguments = json.loads(written or "{}")
    except (ValueError, RecursionError) as error:
        raise wrong(at, "is no JSON.") from error
    if not isinstance(arguments, dict):
        raise wrong(at, "has to be a JSON object.")
    return arguments


def tools_of(offers: Sequence[ToolOffer] | None, at: str = "tools") -> tuple[ToolSpec, ...]:
    """The functions that the model may call.

    Raises:
        ApiError: 400, if there are too many, or two of one name.
    """
    functions = [offer.function for offer in offers or ()]
    names = [function.name for function in functions]
    if len(names) > MOST_TOOLS or len(set(names)) < len(names):
        raise wrong(at, f"give at most {MOST_TOOLS}, each with a name of its own.")
    nothing = {"type": "object", "properties": {}}
    for i, function in enumerate(functions):
        _check_schema(function.parameters or nothing, f"{at}[{i}].function.parameters")
    return tuple(ToolSpec(f.name, f.description or "", f.parameters or nothing) for f in functions)


def choice_of(choice: str | Named | None, tools: Sequence[ToolSpec], at: str = "tool_choice") -> str:
    """`Request.tool_choice`.

    Raises:
        ApiError: 400, if a function is named that is not offered.
    """
    if isinstance(choice, Named):
        if choice.function.name not in [tool.name for tool in tools]:
            raise wrong(at, f"{choice.function.name!r} is not among the tools.")
        return choice.function.name
    if choice == "required" and not tools:
        raise wrong(at, "there are no tools of which one could be required.")
    return choice or "auto"


def constraint_of(form: Format | None, *, has_tools: bool, at: str = "response_format") -> Constraint | None:
    """What the answer is held to.

    Raises:
        ApiError: 400, if the schema is missing, or tools are offered beside it.
    """
    if form is None or form.type == "text":
        return None
    if has_tools:
        raise wrong(at, "a form of the answer cannot be held beside tools. Leave one out, or set tool_choice to none.")
    if form.type == "json_object":
        return JsonSchema({"type": "object"})
    if form.json_schema is None or form.json_schema.schema_ is None:
        raise wrong(f"{at}.json_schema.schema", "is missing.")
    _check_schema(form.json_schema.schema_, f"{at}.json_schema.schema")
    return JsonSchema(form.json_schema.schema_)


def _check_schema(schema: Mapping[str, Any], at: str) -> None:
    try:
        check_schema(schema, at)
    except ConfigError as error:
        raise wrong(at, str(error)[:500]) from error


def conversation_of(turns: Sequence[Turn], run: str, identity: Identity, at: str = "messages") -> tuple[Message, ...]:
    """The messages of a question to the agent, which keeps its own calls.

    Raises:
        ApiError: 400, if there is no question, or calls are among the messages.
    """
    messages = messages_of(turns, at)
    if not messages and run:
        return ()
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        raise wrong(at, "the last message has to be the user's question.")
    for i, message in enumerate(messages):
        if message.role == "tool" or message.tool_calls:
            raise wrong(f"{at}[{i}]", "the agent makes its own calls and keeps them itself. Send what was said alone.")
    return messages


def call_id(call: ToolCall) -> str:
    """The id under which the client answers a call."""
    return call.id or f"call_{token_hex(12)}"
