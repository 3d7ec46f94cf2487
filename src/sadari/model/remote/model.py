"""Chat completions of an OpenAI-compatible endpoint over HTTP.

Covered: the key is read from an environment variable when a request is sent, kept nowhere, and cut out of error messages;
redirects are not followed; a cap on money is checked against the worst case before a request leaves; an answer is bounded in size
and time, and nothing in it is trusted.
Not covered: what the endpoint does with the text it is sent. Everything in the prompt leaves this machine.

What is exact and what not: how prompts are rendered, tokens drawn and constraints enforced is the server's affair, and differs
between servers and their versions; so is the order of top_k, top_p, min_p and temperature. Tool calls are as the server read them:
one without a parser for the model leaves them in the text, and none are held to their schemas unless the server does so by itself.
"""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx

from sadari.errors import ConfigError
from sadari.model.remote.channel import Channel, NoAnswerError
from sadari.model.remote.constraints import NotHeldError
from sadari.model.remote.endpoint import Endpoint
from sadari.model.remote.events import read_events
from sadari.model.remote.payload import Call, make_call, wire_messages
from sadari.model.remote.purse import Purse, TokenPrices
from sadari.model.remote.reply import MalformedError, Reply, SaidError, checked, choices_of, read_usage
from sadari.model.remote.wire import parsed, said_error
from sadari.types import Delta, Generation, Message, Request, ToolSpec, Usage

SAID_CHARS = 500
"""So much of what a broken stream said stands in its error."""

_DONE = b"[DONE]"
_FAILURES = (ConfigError, NoAnswerError, MalformedError, NotHeldError, SaidError)


class RemoteModel:
    """A model behind an OpenAI-compatible endpoint.

    Args:
        name: The model's name there.
        money_cap: No request is sent that could take the money spent by this object above it; needs `prices`.

    Raises:
        ConfigError: If the settings contradict each other.
    """

    def __init__(
        self, name: str, endpoint: Endpoint | None = None, *, prices: TokenPrices | None = None, money_cap: float | None = None
    ) -> None:
        if money_cap is not None and prices is None:
            raise ConfigError(f"openai:{name}: money_cap needs prices (money per million tokens) to count with.")
        self._model, self.endpoint = name, endpoint or Endpoint()
        self._purse = Purse(self.name, prices or TokenPrices(), money_cap)
        self._channel = Channel(self.name, self.endpoint)

    def __repr__(self) -> str:
        return f"RemoteModel({self._model!r}, {self.endpoint.shown!r})"

    @property
    def name(self) -> str:
        """How the model was asked for."""
        return f"openai:{self._model}"

    @property
    def spent(self) -> float:
        """Money spent by this object so far, in the currency of its prices."""
        return self._purse.spent

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation per request, in order; those that fail after all retries give `finish="error"`.

        Tokens of all answers to one request are counted in the first.

        Raises:
            BudgetError: Before a request that could exceed `money_cap`.
            ModelError: If the key is missing or refused, or the endpoint does not know the model.
        """
        self._channel.check_key()
        with self._channel.client() as client, ThreadPoolExecutor(self.endpoint.max_concurrency) as pool:
            futures = [pool.submit(self._answer, client, r) for r in requests]
            try:
                return [f.result() for f in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def stream(self, request: Request) -> Iterator[Delta]:
        """The answer piece by piece, the whole generation last. Closing the iterator closes the connection.

        Tool calls come once they are whole, after the text; an answer that the server wraps in JSON comes in one piece. One that
        breaks off gives an error that tells what was said so far. `n` is 1.

        Raises:
            BudgetError: Before a request that could exceed `money_cap`.
            ModelError: If the key is missing or refused, or the endpoint does not know the model.
        """
        self._channel.check_key()
        return self._stream(replace(request, n=1))

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """An estimate, a token for every three bytes: the endpoint's tokenizer is not at hand."""
        return -(-len(json.dumps(wire_messages(messages, tools), ensure_ascii=False).encode()) // 3)

    def _answer(self, client: httpx.Client, request: Request) -> Generation:
        """All answers to one request. What would be the same answer again is not asked for again."""
        if request.n > 1 and request.temperature <= 0:
            first = self._ask(client, replace(request, n=1))
            return replace(first, others=(replace(first, usage=Usage()),) * (request.n - 1))
        if request.n > 1 and not self._channel.dialect(client).many:
            first, *others = (self._ask(client, replace(request, n=1, seed=request.seed + i)) for i in range(request.n))
            return replace(first, others=tuple(others))
        return self._ask(client, request)

    def _ask(self, client: httpx.Client, request: Request) -> Generation:
        began = time.perf_counter()
        fare, usage = self._purse.fare(Usage()), None
        try:
            call = self._call(client, request, streams=False)
            fare = self._purse.fare(call.worst)
            with closing(self._channel.send(client, call, fare)) as pieces:
                data = checked(parsed(b"".join(pieces)))
            usage = read_usage(data)
            first, *others = _generations(data, call)[: request.n]
            generation = replace(first, usage=usage or Usage(), others=tuple(others))
        except _FAILURES as e:
            generation = self._failed(e, usage)
        finally:
            fare.end(usage)
        return replace(generation, latency_s=time.perf_counter() - began)

    def _stream(self, request: Request) -> Iterator[Delta]:
        began = time.perf_counter()
        fare, usage, reply = self._purse.fare(Usage()), None, Reply()
        try:
            with self._channel.client() as client:
                call = self._call(client, request, streams=True)
                fare = self._purse.fare(call.worst)
                with closing(self._channel.send(client, call, fare)) as pieces:
                    for data in _events(pieces, reply):
                        usage = read_usage(data) or usage
                        for choice in choices_of(data):
                            text = reply.add(choice, call.likeliest)
                            if text and not call.hold.is_wrapped:
                                yield Delta(text)
            generation = reply.generation(call, usage or Usage())
            if call.hold.is_wrapped and generation.text:
                yield Delta(generation.text)
            yield from (Delta(tool_call=made) for made in generation.tool_calls)
        except _FAILURES as e:
            generation = self._failed(e, usage, reply.text)
        finally:
            fare.end(usage)
        yield Delta(done=replace(generation, latency_s=time.perf_counter() - began))

    def _call(self, client: httpx.Client, request: Request, *, streams: bool) -> Call:
        dialect = self._channel.dialect(client)
        return make_call(request, self._model, dialect, structured=self.endpoint.structured, streams=streams)

    def _failed(self, error: Exception, usage: Usage | None, said: str = "") -> Generation:
        """The generation of a request that failed, with what it cost and what had been said."""
        clean, problem = self._channel.clean, str(error)
        match error:
            case SaidError():
                problem = f"{error} ({clean(said_error(error.said)[0])})"
            case MalformedError():
                problem = f"the answer is not a chat completion: {clean(problem)}"
            case NotHeldError():
                problem = f"the server did not hold the answer to the constraint: {clean(problem)}"
        if said:
            problem += f". It had said: {clean(said, SAID_CHARS)}"
        return Generation("", usage=usage or Usage(), finish="error", error=self._channel.told(problem))


def _generations(data: dict[str, Any], call: Call) -> list[Generation]:
    """The answers of a whole completion, in the order of their numbers."""
    choices = choices_of(data)
    if not choices:
        raise MalformedError("it holds no choices")
    made = []
    for choice in sorted(choices, key=_number):
        reply = Reply()
        reply.add(choice, call.likeliest)
        made.append(reply.generation(call, Usage()))
    return made


def _number(choice: dict[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _events(pieces: Iterator[bytes], reply: Reply) -> Iterator[dict[str, Any]]:
    """The objects of a stream up to its end, which a mark shows, or that `reply` was told why it ends."""
    for event in read_events(pieces):
        if event.strip() == _DONE:
            return
        yield checked(parsed(event))
    if not reply.has_ended:
        raise NoAnswerError("the answer broke off before its end")
