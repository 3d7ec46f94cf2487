"""`/v1/completions`, the older route: the prompt is one turn of the user, since these models know conversations alone."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from sadari.serve.asking import Begun, Told
from sadari.serve.entry import DONE, Exchange, ServiceOf, Who, data, now
from sadari.serve.faults import wrong
from sadari.serve.openai.chat import (
    ChatBody,
    Key,
    Spoken,
    begin_asking,
    finish_of,
    last_of,
    question_of,
    request_of,
    told_of,
    usage_json,
)
from sadari.serve.openai.messages import Body, StreamOptions
from sadari.serve.service import total_usage
from sadari.serve.work import Work
from sadari.types import Delta, Generation, Usage

router = APIRouter()


class CompletionBody(Body, frozen=True):
    """A request for the text that follows a prompt."""

    prompt: str | list[str]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=16, ge=1, le=2**20)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    seed: int | None = Field(default=None, ge=-(2**62), le=2**62)
    stop: str | list[str] | None = None
    n: int | None = Field(default=None, ge=1, le=16)
    best_of: int | None = Field(default=None, ge=1, le=1)
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = Field(default=None, ge=0, le=0)

    def as_chat(self) -> ChatBody:
        """The same as a request for the next message.

        Raises:
            ApiError: 400, names what only a model without turns could do.
        """
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if len(prompts) != 1:
            raise wrong("prompt", "send one prompt with each request.")
        if self.echo or self.suffix:
            raise wrong("echo" if self.echo else "suffix", "is not offered.")
        same = ("model", "stream", "max_tokens", "temperature", "top_p", "seed", "stop", "n")
        told = {name: getattr(self, name) for name in same}
        return ChatBody.model_validate({**told, "messages": [{"role": "user", "content": prompts[0]}]})


@router.post("/v1/completions")
async def complete(body: CompletionBody, request: Request, service: ServiceOf, identity: Who, key: Key = None) -> Response:
    """What follows a prompt."""
    chat, wire = body.as_chat(), Completion(body, service.desk.version)
    if service.is_agent(body.model):
        asked = question_of(chat, identity, key or "")
        exchange = Exchange(request, service, identity, body.model)
        pieces = await begin_asking(exchange, service, identity, asked)
        return await exchange.stream(wire.stream_told(pieces)) if body.stream else await exchange.whole(wire.whole_told(pieces))
    made = request_of(chat, service.adapter_of(body.model))
    exchange = Exchange(request, service, identity, body.model)
    deltas = await exchange.begin(lambda: service.generate(made, exchange.used))
    return await exchange.stream(wire.stream(deltas)) if body.stream else await exchange.whole(wire.whole(deltas))


class Completion:
    """How an answer is written down."""

    def __init__(self, body: CompletionBody, version: str) -> None:
        self._body, self._created, self._version = body, now(), version
        self._id = f"cmpl-{self._created}"

    async def whole(self, deltas: Work[Delta]) -> dict[str, Any]:
        """All answers of the raw model at once."""
        done: Generation = await last_of(deltas)
        choices = [self._choice(one.text, finish_of(one), i) for i, one in enumerate((done, *done.others))]
        return self._head(choices) | {"usage": usage_json(total_usage(done))}

    async def whole_told(self, pieces: Work[Any]) -> dict[str, Any]:
        """The agent's answer at once."""
        told = await told_of(pieces)
        self._version = told.state.agent
        head = self._head([self._choice(told.text, "stop")])
        return head | {"usage": usage_json(told.usage), "sadari": told.extension}

    async def stream(self, deltas: Work[Delta]) -> AsyncIterator[str]:
        """The raw model's answer as it is written."""
        async for delta in deltas:
            if delta.text:
                yield data(self._head([self._choice(delta.text, None)]))
            if delta.done is not None:
                yield data(self._head([self._choice("", finish_of(delta.done))]))
                for end in self._end(total_usage(delta.done)):
                    yield end

    async def stream_told(self, pieces: Work[Any]) -> AsyncIterator[str]:
        """The agent's answer as it is written."""
        text = Spoken()
        async for piece in pieces:
            if isinstance(piece, Begun):
                self._version = piece.version
                yield data(self._head([self._choice("", None)]))
            elif isinstance(piece, Delta) and piece.text:
                yield data(self._head([self._choice(text.more(piece.text), None)]))
            elif isinstance(piece, Told):
                rest, _ = text.rest(piece.text)
                yield data(self._head([self._choice(rest, "stop")]) | {"sadari": piece.extension})
                for end in self._end(piece.usage):
                    yield end

    def _choice(self, text: str, finish: str | None, index: int = 0) -> dict[str, Any]:
        return {"index": index, "text": text, "finish_reason": finish, "logprobs": None}

    def _head(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        told = {"id": self._id, "object": "text_completion", "created": self._created, "model": self._body.model}
        return told | {"system_fingerprint": self._version, "choices": choices}

    def _end(self, usage: Usage) -> list[str]:
        asked = self._body.stream_options is not None and self._body.stream_options.include_usage
        return [*([data(self._head([]) | {"usage": usage_json(usage)})] if asked else []), DONE]
