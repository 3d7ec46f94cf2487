"""`/v1/chat/completions`."""

import json
from collections.abc import AsyncIterator, Iterator
from secrets import token_hex
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from pydantic import Field

from sadari.agent.log import Event
from sadari.serve.asking import Asked, Begun, SafeEnd, Told
from sadari.serve.entry import DONE, Exchange, ServiceOf, Who, data, now
from sadari.serve.faults import wrong
from sadari.serve.keys import Identity
from sadari.serve.openai.messages import (
    MOST_NEW_TOKENS,
    Body,
    Format,
    Named,
    Own,
    StreamOptions,
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
from sadari.serve.service import Service, total_usage
from sadari.serve.work import Work
from sadari.types import Delta, Generation, TokenScore, ToolCall, Usage
from sadari.types import Request as ModelRequest

router = APIRouter()

Key = Annotated[str | None, Header(alias="Idempotency-Key")]


class ChatBody(Body, frozen=True):
    """A request for the next message."""

    messages: list[Turn]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=2**20)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=2**20)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=2**20)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, ge=0.01, le=100)
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    logit_bias: dict[str, float] | None = Field(default=None, max_length=0)
    seed: int | None = Field(default=None, ge=-(2**62), le=2**62)
    stop: str | list[str] | None = None
    n: int | None = Field(default=None, ge=1, le=16)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: list[ToolOffer] | None = None
    tool_choice: str | Named | None = None
    parallel_tool_calls: bool | None = None
    response_format: Format | None = None
    modalities: list[str] | None = Field(default=None, max_length=1)
    sadari: Own | None = None

    @property
    def run(self) -> str:
        """The run that goes on, or ""."""
        return self.sadari.run if self.sadari else ""

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the tokens that were used."""
        return self.stream_options is not None and self.stream_options.include_usage


TAKEN = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "max_tokens", "max_completion_tokens")
"""What the agent decides itself: asked for, it is left, and said so."""


@router.post("/v1/chat/completions")
async def complete_chat(body: ChatBody, request: Request, service: ServiceOf, identity: Who, key: Key = None) -> Response:
    """The next message of a conversation: of the agent, which makes its calls itself, or of the raw model, which returns them."""
    wire = Chat(service, body)
    if service.is_agent(body.model):
        asked = question_of(body, identity, key or "")
        exchange = Exchange(request, service, identity, body.model)
        pieces = await begin_asking(exchange, service, identity, asked)
        return await exchange.stream(wire.stream_told(pieces)) if body.stream else await exchange.whole(wire.whole_told(pieces))
    made = request_of(body, service.adapter_of(body.model))
    exchange = Exchange(request, service, identity, body.model)
    deltas = await exchange.begin(lambda: service.generate(made, exchange.used))
    return await exchange.stream(wire.stream(deltas)) if body.stream else await exchange.whole(wire.whole(deltas))


def question_of(body: ChatBody, identity: Identity, key: str) -> Asked:
    """The question to the agent that a request is.

    Raises:
        ApiError: 400, names what the agent does not take.
    """
    form = body.response_format
    refused = {
        "tools": bool(body.tools),
        "n": (body.n or 1) > 1,
        "logprobs": bool(body.logprobs),
        "stop": bool(body.stop),
        "response_format": form is not None and form.type != "text",
    }
    for name, is_set in refused.items():
        if is_set:
            raise wrong(name, f"the agent has its own way here. Leave it out, or ask {body.model}-raw.")
    return Asked(conversation_of(body.messages, body.run, identity), body.run, key=key)


async def begin_asking(exchange: Exchange, service: Service, identity: Identity, asked: Asked) -> Work[Any]:
    """The work on a question to the agent. A client that leaves without a key to come back with gives it up."""
    places: list[Place] = []

    def ask() -> Iterator[Place | Event | Delta | Told]:
        if asked.run:
            service.desk.own(identity, asked.run)
        for piece in service.desk.ask(identity, asked):
            if isinstance(piece, Place):
                places.append(piece)
            if isinstance(piece, Event):
                exchange.count(piece)
            yield piece

    def abandon() -> None:
        if places and not asked.key:
            service.desk.abandon(places[0], identity.user)

    exchange.abandoned = abandon
    return await exchange.begin(ask, SafeEnd())


def request_of(body: ChatBody, adapter: str | None) -> ModelRequest:
    """What the raw model is asked.

    Raises:
        ApiError: 400, names the field that is wrong.
    """
    messages = messages_of(body.messages)
    if not messages:
        raise wrong("messages", "is empty.")
    if body.run:
        raise wrong("sadari.run", "the raw model keeps no runs. Send the conversation.")
    tools = tools_of(body.tools)
    choice = choice_of(body.tool_choice, tools)
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    if len(stop) > 16 or not all(0 < len(one) <= 1000 for one in stop):
        raise wrong("stop", "give at most 16 texts of 1 to 1,000 characters.")
    if body.top_logprobs and not body.logprobs:
        raise wrong("top_logprobs", "needs logprobs: true.")
    if body.stream and (body.n or 1) > 1:
        raise wrong("n", "a stream tells one answer. Leave n or stream out.")
    return ModelRequest(
        messages,
        tools,
        max_new_tokens=body.max_completion_tokens or body.max_tokens or MOST_NEW_TOKENS,
        temperature=0.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_k=body.top_k or 0,
        min_p=body.min_p or 0.0,
        repetition_penalty=1.0 if body.repetition_penalty is None else body.repetition_penalty,
        seed=body.seed or 0,
        stop=stop,
        constraint=constraint_of(body.response_format, has_tools=bool(tools) and choice != "none"),
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        n=body.n or 1,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        adapter=adapter,
    )


class Chat:
    """How an answer is written down."""

    def __init__(self, service: Service, body: ChatBody) -> None:
        self._service, self._body = service, body
        self._began, self._created = perf_counter(), now()
        self._id = f"chatcmpl-{token_hex(12)}"
        self._version = service.desk.version

    # --- the raw model -----------------------------------------------------------------------------------------------

    async def whole(self, deltas: Work[Delta]) -> dict[str, Any]:
        """All answers of the raw model at once."""
        done = await last_of(deltas)
        choices = [self._choice(i, one) for i, one in enumerate((done, *done.others))]
        return self._head("chat.completion") | {"choices": choices, "usage": usage_json(total_usage(done))}

    def _choice(self, index: int, one: Generation) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": one.text or (None if one.tool_calls else ""), "refusal": None}
        if one.tool_calls:
            message["tool_calls"] = [call_json(call) for call in one.tool_calls]
        return {"index": index, "message": message, "finish_reason": finish_of(one), "logprobs": self._logprobs(one)}

    async def stream(self, deltas: Work[Delta]) -> AsyncIterator[str]:
        """The raw model's answer as it is written."""
        calls, is_first = 0, True
        async for delta in deltas:
            if is_first:
                self._first()
                yield self._chunk({"role": "assistant", "content": ""})
                is_first = False
            if delta.text:
                yield self._chunk({"content": delta.text})
            if delta.tool_call is not None:
                yield self._chunk({"tool_calls": [call_json(delta.tool_call) | {"index": calls}]})
                calls += 1
            if delta.done is not None:
                yield self._chunk({}, finish_of(delta.done), logprobs=self._logprobs(delta.done))
                for end in self._end(total_usage(delta.done)):
                    yield end

    def _logprobs(self, one: Generation) -> dict[str, Any] | None:
        return {"content": [score_json(score) for score in one.logprobs], "refusal": None} if self._body.logprobs else None

    # --- the agent ---------------------------------------------------------------------------------------------------

    async def whole_told(self, pieces: Work[Any]) -> dict[str, Any]:
        """The agent's answer at once."""
        told = await told_of(pieces)
        self._name(told.place, told.state.agent)
        message = {"role": "assistant", "content": told.text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        answer = self._head("chat.completion") | {"choices": [choice], "usage": usage_json(told.usage)}
        return answer | {"sadari": self._extension(told)}

    async def stream_told(self, pieces: Work[Any]) -> AsyncIterator[str]:
        """The agent's answer as it is written, with its steps; the last chunk but the usage holds all that the log says."""
        text = Spoken()
        async for piece in pieces:
            if isinstance(piece, Begun):
                self._name(piece, piece.version)
                yield self._chunk({"role": "assistant", "content": ""}, sadari={"run": piece.run, "question": piece.after + 1})
            elif isinstance(piece, Delta) and piece.text:
                self._first()
                yield self._chunk({"content": text.more(piece.text)})
            elif isinstance(piece, Event):
                text.hear(piece)
                step = step_json(piece)
                if step:
                    yield self._chunk({}, sadari={"step": step})
            elif isinstance(piece, Told):
                rest, differs = text.rest(piece.text)
                if rest:
                    self._first()
                    yield self._chunk({"content": rest})
                extension = self._extension(piece) | ({"text": piece.text} if differs else {})
                yield self._chunk({}, "stop", sadari=extension)
                for end in self._end(piece.usage):
                    yield end

    def _extension(self, told: Told) -> dict[str, Any]:
        return told.extension | {"ignored": [name for name in TAKEN if getattr(self._body, name) is not None]}

    # --- both --------------------------------------------------------------------------------------------------------

    def _name(self, place: Place, version: str) -> None:
        """The same question has the same id whenever its answer is told, and names the version that answers it."""
        self._version = version
        self._id = f"chatcmpl-{place.run.removeprefix('run-')}-{place.after}"

    def _head(self, kind: str) -> dict[str, Any]:
        head = {"id": self._id, "object": kind, "created": self._created, "model": self._body.model}
        return head | {"system_fingerprint": self._version}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, *, logprobs: Any = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        usage = {"usage": None} if self._body.includes_usage else {}
        return data(self._head("chat.completion.chunk") | {"choices": [choice]} | usage | more)

    def _end(self, usage: Usage) -> Iterator[str]:
        if self._body.includes_usage:
            yield data(self._head("chat.completion.chunk") | {"choices": [], "usage": usage_json(usage)})
        yield DONE

    def _first(self) -> None:
        if self._began:
            self._service.metrics.first(self._body.model, perf_counter() - self._began)
            self._began = 0.0


class Spoken:
    """What a client was told of an answer while it was written, against what the log says in the end."""

    def __init__(self) -> None:
        self._told = self._now = ""

    def more(self, text: str) -> str:
        """Text that is told now."""
        apart = "\n\n" if self._told and not self._now else ""
        self._told += apart + text
        self._now += text
        return apart + text

    def hear(self, event: Event) -> None:
        """After a call the model begins anew."""
        if event.kind.startswith("call."):
            self._now = ""

    def rest(self, text: str) -> tuple[str, bool]:
        """What is still to be told of the whole `text`, and whether what was told is not how it begins."""
        if text.startswith(self._now):
            apart = "\n\n" if self._told and not self._now and text else ""
            return apart + text[len(self._now) :], False
        return "", True


STEPS = frozenset(
    f"call.{what}"
    for what in (
        "refused",
        "waiting",
        "approved",
        "denied",
        "expired",
        "started",
        "handed",
        "succeeded",
        "failed",
        "unknown",
        "settled",
    )
)
"""Events of calls that a client is shown while the agent works."""


def step_json(event: Event) -> dict[str, Any] | None:
    """What a client is shown of an event; None for nothing. A call that a person made of another is proposed too."""
    body = event.body or {}
    if event.kind == "model.answered" and body.get("calls"):
        return {"kind": "call.proposed", "calls": body["calls"]}
    if event.kind == "call.proposed":
        return {"kind": event.kind, "calls": [{name: body[name] for name in ("id", "name", "arguments")}]}
    if event.kind not in STEPS:
        return None
    told = {name: str(body[name]) for name in ("text", "reason") if body.get(name)}
    return {"kind": event.kind, "call": body.get("id", ""), "text": ""} | told


async def last_of(deltas: Work[Delta]) -> Generation:
    """The whole generation at the end of a stream."""
    done: Generation | None = None
    async for delta in deltas:
        done = delta.done or done
    assert done is not None, "a stream ends with its whole generation"
    return done


async def told_of(pieces: Work[Any]) -> Told:
    """What came of a question."""
    told: Told | None = None
    async for piece in pieces:
        told = piece if isinstance(piece, Told) else told
    assert told is not None, "asking ends with what came of it"
    return told


def finish_of(one: Generation) -> str:
    """`finish_reason`."""
    if one.tool_calls:
        return "tool_calls"
    return "stop" if one.finish == "stop" else "length"


def call_json(call: ToolCall) -> dict[str, Any]:
    """A call, its arguments as JSON text."""
    return {"id": call_id(call), "type": "function", "function": {"name": call.name, "arguments": arguments_text(call)}}


def arguments_text(call: ToolCall) -> str:
    """The arguments of a call as JSON text."""
    return json.dumps(dict(call.arguments), ensure_ascii=False)


def score_json(score: TokenScore) -> dict[str, Any]:
    """A token with its log-probability."""
    likeliest = [_scored(token, value) for token, value in score.likeliest]
    return _scored(score.token, score.log_probability) | {"top_logprobs": likeliest}


def _scored(token: str, value: float) -> dict[str, Any]:
    return {"token": token, "logprob": max(value, -9999.0), "bytes": list(token.encode(errors="replace"))}


def usage_json(usage: Usage) -> dict[str, int]:
    """Tokens, as OpenAI counts them."""
    read, written = usage.prompt_tokens, usage.completion_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
