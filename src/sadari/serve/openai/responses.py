"""`/v1/responses`: text, functions, streaming, and conversations that go on by `previous_response_id`.

The id of an answer of the agent says where it stands in the log: it is there as long as the log is. The raw model keeps nothing, so
a conversation with it is sent whole.
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from secrets import token_hex
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, JsonValue

from sadari.agent.log import Event
from sadari.serve.asking import Asked, Told
from sadari.serve.entry import Exchange, ServiceOf, Who, data, now
from sadari.serve.faults import missing, wrong
from sadari.serve.keys import Identity
from sadari.serve.openai.chat import (
    Key,
    Spoken,
    arguments_text,
    begin_asking,
    finish_of,
    last_of,
    step_json,
    told_of,
)
from sadari.serve.openai.messages import (
    MOST_NEW_TOKENS,
    Body,
    Call,
    Format,
    Function,
    FunctionCall,
    Named,
    SchemaFormat,
    ToolOffer,
    Turn,
    call_id,
    choice_of,
    constraint_of,
    conversation_of,
    messages_of,
    tools_of,
)
from sadari.serve.questions import Place
from sadari.serve.service import Service
from sadari.serve.work import Work
from sadari.types import Delta, Generation, Message, ToolCall, ToolSpec, Usage
from sadari.types import Request as ModelRequest

router = APIRouter()

_ID = re.compile(r"resp_([0-9a-f]{16})_(\d{1,9})")


class Item(BaseModel, frozen=True, extra="ignore"):
    """One item of the input: a message, a call, or the result of one."""

    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[dict[str, JsonValue]] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = "{}"
    output: str | list[dict[str, JsonValue]] | None = None


class FunctionTool(BaseModel, frozen=True, extra="ignore"):
    """A function that the model may call."""

    type: Literal["function"]
    name: str = Field(pattern=r"^[\w.-]{1,128}$")
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None


class NamedTool(BaseModel, frozen=True, extra="ignore"):
    """The function that is called."""

    type: Literal["function"]
    name: str


class TextFormat(BaseModel, frozen=True, extra="ignore"):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    schema_: dict[str, JsonValue] | None = Field(default=None, alias="schema")


class TextOptions(BaseModel, frozen=True, extra="ignore"):
    """How the answer's text is to be."""

    format: TextFormat | None = None


class ResponseBody(Body, frozen=True):
    """A request for a response."""

    input: str | list[Item] = Field(default_factory=list)
    instructions: str | None = None
    previous_response_id: str | None = Field(default=None, max_length=100)
    stream: bool | None = None
    stream_options: dict[str, JsonValue] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, le=2**20)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    tools: list[FunctionTool] | None = None
    tool_choice: str | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    background: Literal[False] | None = None

    @property
    def turns(self) -> list[Turn]:
        """The input as messages, the instructions first."""
        items = [Item(role="user", content=self.input)] if isinstance(self.input, str) else self.input
        told = [Turn(role="system", content=self.instructions)] if self.instructions else []
        return [*told, *_turns(items)]


@router.post("/v1/responses")
async def respond(body: ResponseBody, request: Request, service: ServiceOf, identity: Who, key: Key = None) -> Response:
    """The agent's answer, or what the raw model says, calls of functions among it."""
    wire = Responses(service, body)
    if service.is_agent(body.model):
        asked = _question(body, identity, key or "")
        exchange = Exchange(request, service, identity, body.model)
        pieces = await begin_asking(exchange, service, identity, asked)
        return await exchange.stream(wire.stream_told(pieces)) if body.stream else await exchange.whole(wire.whole_told(pieces))
    made = _request(body, service.adapter_of(body.model))
    exchange = Exchange(request, service, identity, body.model)
    deltas = await exchange.begin(lambda: service.generate(made, exchange.used))
    return await exchange.stream(wire.stream(deltas)) if body.stream else await exchange.whole(wire.whole(deltas))


@router.get("/v1/responses/{response_id}")
def show_response(response_id: str, service: ServiceOf, identity: Who) -> dict[str, Any]:
    """An answer of the agent, from the log."""
    place = _place(response_id)
    service.desk.own(identity, place.run)
    asked = next(iter(service.log.events(place.run, place.after)), None)
    if asked is None or asked.kind != "run.asked":
        raise missing(f"response {response_id}")
    wire = Responses(service, ResponseBody(model=service.options.name))
    return wire.told(service.desk.told(place))


def _turns(items: Sequence[Item]) -> Iterator[Turn]:
    """Items as messages: calls that follow one another were made at once."""
    calls: list[Call] = []
    for i, item in enumerate(items):
        if item.type == "function_call":
            calls.append(Call(id=item.call_id, function=FunctionCall(name=item.name, arguments=item.arguments)))
            continue
        if calls:
            yield Turn(role="assistant", tool_calls=calls)
            calls = []
        if item.type == "function_call_output":
            yield Turn(role="tool", content=item.output or "", tool_call_id=item.call_id)
        elif item.role is None:
            raise wrong(f"input[{i}].role", "is missing.")
        else:
            yield Turn(role=item.role, content=item.content)
    if calls:
        yield Turn(role="assistant", tool_calls=calls)


def _place(response_id: str) -> Place:
    match = _ID.fullmatch(response_id)
    if match is None:
        raise missing(f"response {response_id}")
    return Place(f"run-{match[1]}", int(match[2]))


def _question(body: ResponseBody, identity: Identity, key: str) -> Asked:
    form = body.text.format if body.text else None
    for name, is_set in {"tools": bool(body.tools), "text.format": form is not None and form.type != "text"}.items():
        if is_set:
            raise wrong(name, f"the agent has its own way here. Leave it out, or ask {body.model}-raw.")
    if body.previous_response_id is None:
        return Asked(conversation_of(body.turns, "", identity, "input"), key=key)
    place = _place(body.previous_response_id)
    return Asked(conversation_of(body.turns, place.run, identity, "input"), place.run, after=place.after, key=key)


def _request(body: ResponseBody, adapter: str | None) -> ModelRequest:
    if body.previous_response_id is not None:
        raise wrong("previous_response_id", "the raw model keeps nothing. Send the conversation whole.")
    messages: tuple[Message, ...] = messages_of(body.turns, "input")
    if not messages:
        raise wrong("input", "is empty.")
    tools = _tools(body)
    choice = body.tool_choice
    named = Named(type="function", function=FunctionCall(name=choice.name)) if isinstance(choice, NamedTool) else choice
    wanted = choice_of(named, tools)
    return ModelRequest(
        messages,
        tools,
        max_new_tokens=body.max_output_tokens or MOST_NEW_TOKENS,
        temperature=0.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        constraint=constraint_of(_format(body), has_tools=bool(tools) and wanted != "none", at="text.format"),
        tool_choice=wanted,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        adapter=adapter,
    )


def _tools(body: ResponseBody) -> tuple[ToolSpec, ...]:
    functions = [Function(name=t.name, description=t.description, parameters=t.parameters) for t in body.tools or ()]
    return tools_of([ToolOffer(type="function", function=function) for function in functions])


def _format(body: ResponseBody) -> Format | None:
    form = body.text.format if body.text else None
    if form is None:
        return None
    schema = SchemaFormat(schema=form.schema_) if form.type == "json_schema" else None
    return Format(type=form.type, json_schema=schema)


class Responses:
    """How a response is written down."""

    def __init__(self, service: Service, body: ResponseBody) -> None:
        self._service, self._body, self._created = service, body, now()
        self._id, self._sequence = f"resp_{token_hex(12)}", 0

    # --- at once -----------------------------------------------------------------------------------------------------

    async def whole(self, deltas: Work[Delta]) -> dict[str, Any]:
        """What the raw model says."""
        done = await last_of(deltas)
        return self._done(done, self._items(done))

    async def whole_told(self, pieces: Work[Any]) -> dict[str, Any]:
        """What the agent answers."""
        told = await told_of(pieces)
        return self.told(told)

    def told(self, told: Told) -> dict[str, Any]:
        """An answer of the agent."""
        self._name(told.place)
        return self._response("completed", [self._message(told.text)], told.usage) | {"sadari": told.extension}

    def _done(self, done: Generation, items: list[dict[str, Any]]) -> dict[str, Any]:
        is_whole = finish_of(done) != "length"
        response = self._response("completed" if is_whole else "incomplete", items, done.usage)
        return response | {"incomplete_details": None if is_whole else {"reason": "max_output_tokens"}}

    def _items(self, done: Generation) -> list[dict[str, Any]]:
        said = [self._message(done.text)] if done.text or not done.tool_calls else []
        return said + [self._call(call) for call in done.tool_calls]

    # --- as it is written --------------------------------------------------------------------------------------------

    async def stream(self, deltas: Work[Delta]) -> AsyncIterator[str]:
        """What the raw model says as it is written."""
        items, writing = list[dict[str, Any]](), _Writing(self, 0)
        for event in self._begun():
            yield event
        async for delta in deltas:
            if delta.text:
                for event in writing.more(delta.text):
                    yield event
            if delta.tool_call is not None:
                for event in writing.end(items):
                    yield event
                for event in self._told_call(delta.tool_call, items):
                    yield event
            if delta.done is not None:
                for event in writing.end(items, is_needed=not items):
                    yield event
                response = self._done(delta.done, items)
                yield self.event(f"response.{response['status']}", response=response)

    async def stream_told(self, pieces: Work[Any]) -> AsyncIterator[str]:
        """What the agent answers as it is written."""
        items, writing, text = list[dict[str, Any]](), _Writing(self, 0), Spoken()
        async for piece in pieces:
            if isinstance(piece, Place):
                self._name(piece)
                for event in self._begun():
                    yield event
            elif isinstance(piece, Delta) and piece.text:
                for event in writing.more(text.more(piece.text)):
                    yield event
            elif isinstance(piece, Event):
                text.hear(piece)
                if step := step_json(piece):
                    yield self.event(
                        "response.in_progress", response=self._response("in_progress", []) | {"sadari": {"step": step}}
                    )
            elif isinstance(piece, Told):
                rest, _ = text.rest(piece.text)
                for event in (*writing.more(rest), *writing.end(items, is_needed=True)):
                    yield event
                yield self.event("response.completed", response=self.told(piece))

    def event(self, kind: str, **more: Any) -> str:
        """One event, with its place in the stream."""
        self._sequence += 1
        return data({"type": kind, "sequence_number": self._sequence - 1} | more, kind)

    def _begun(self) -> list[str]:
        begun = self._response("in_progress", [])
        return [self.event("response.created", response=begun), self.event("response.in_progress", response=begun)]

    def _told_call(self, call: ToolCall, items: list[dict[str, Any]]) -> list[str]:
        item, at = self._call(call), len(items)
        items.append(item)
        where = {"item_id": item["id"], "output_index": at}
        return [
            self.event("response.output_item.added", output_index=at, item=item | {"arguments": "", "status": "in_progress"}),
            self.event("response.function_call_arguments.delta", delta=item["arguments"], **where),
            self.event("response.function_call_arguments.done", arguments=item["arguments"], name=item["name"], **where),
            self.event("response.output_item.done", output_index=at, item=item),
        ]

    # --- its parts ---------------------------------------------------------------------------------------------------

    def _name(self, place: Place) -> None:
        self._id = f"resp_{place.run.removeprefix('run-')}_{place.after}"

    def _response(self, status: str, output: list[dict[str, Any]], usage: Usage | None = None) -> dict[str, Any]:
        body = self._body
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "metadata": {},
            "model": body.model,
            "output": output,
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "temperature": body.temperature,
            "top_p": body.top_p,
            "max_output_tokens": body.max_output_tokens,
            "tool_choice": body.tool_choice.model_dump() if isinstance(body.tool_choice, NamedTool) else body.tool_choice or "auto",
            "tools": [tool.model_dump() | {"strict": False} for tool in body.tools or ()],
            "truncation": "disabled",
            "usage": None if usage is None else _usage(usage),
        }

    def _message(self, text: str) -> dict[str, Any]:
        return message_json(f"msg_{self._id.removeprefix('resp_')}", text, "completed")

    def _call(self, call: ToolCall) -> dict[str, Any]:
        made = {"type": "function_call", "id": f"fc_{token_hex(12)}", "call_id": call_id(call), "status": "completed"}
        return made | {"name": call.name, "arguments": arguments_text(call)}


class _Writing:
    """The message that is being written in a stream."""

    def __init__(self, response: Responses, at: int) -> None:
        self._response, self._at, self._text, self._is_open = response, at, "", False

    @property
    def _where(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": self._at, "content_index": 0}

    @property
    def _item(self) -> str:
        return f"msg_{self._response._id.removeprefix('resp_')}"

    def more(self, text: str) -> list[str]:
        """The events of more text."""
        if not text:
            return []
        events = [] if self._is_open else self._open()
        self._text += text
        return [*events, self._response.event("response.output_text.delta", delta=text, logprobs=[], **self._where)]

    def _open(self) -> list[str]:
        self._is_open = True
        item = message_json(self._item, None, "in_progress")
        return [
            self._response.event("response.output_item.added", output_index=self._at, item=item),
            self._response.event("response.content_part.added", part=part_json(""), **self._where),
        ]

    def end(self, items: list[dict[str, Any]], *, is_needed: bool = False) -> list[str]:
        """The events of the message's end, which is added to `items`; none if there is no message, unless one `is_needed`."""
        if not self._is_open and not is_needed:
            return []
        events = [] if self._is_open else self._open()
        self._is_open = False
        item = message_json(self._item, self._text, "completed")
        items.append(item)
        return [
            *events,
            self._response.event("response.output_text.done", text=self._text, logprobs=[], **self._where),
            self._response.event("response.content_part.done", part=part_json(self._text), **self._where),
            self._response.event("response.output_item.done", output_index=self._at, item=item),
        ]


def message_json(name: str, text: str | None, status: str) -> dict[str, Any]:
    """A message of the output."""
    content = [] if text is None else [part_json(text)]
    return {"type": "message", "id": name, "role": "assistant", "status": status, "content": content}


def part_json(text: str) -> dict[str, Any]:
    """The text of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> dict[str, Any]:
    read, written = usage.prompt_tokens, usage.completion_tokens
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written} | details
