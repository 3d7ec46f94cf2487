"""Chat completions of an OpenAI-compatible endpoint over HTTP.

Covered: the key is read from an environment variable when a request is sent, kept nowhere, and cut out of error messages;
redirects are not followed; a cap on money is checked against the worst case before a request leaves.
Not covered: what the endpoint does with the text it is sent. Everything in the prompt leaves this machine.
"""

import json
import os
import random
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from sadari.errors import BudgetError, ConfigError, ModelError
from sadari.model.chat import message_dict, tool_dict
from sadari.types import Generation, Message, OneOf, Request, ToolCall, ToolSpec, Usage

OPENAI_URL = "https://api.openai.com/v1"
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
REFUSED = frozenset({401, 403, 404})
"""Statuses that every other request would meet too: they end the whole call."""
LONGEST_WAIT_S = 120.0
"""A server that asks for a longer pause than this is not waited for."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """Money per million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, usage: Usage) -> float:
        """What this many tokens cost."""
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6


class RemoteModel:
    """A model behind an OpenAI-compatible endpoint.

    Args:
        name: The model's name there.
        base_url: Up to and without `/chat/completions`; http or https, without credentials.
        api_key_env: The environment variable that holds the key. Without it, endpoints other than OpenAI's are asked without a key.
        timeout_s: For one attempt.
        retries: Further attempts after 408, 409, 429, 5xx and broken connections, with exponential backoff and `Retry-After`.
        max_concurrency: Requests in flight.
        requests_per_minute: Pace; None does not limit it.
        money_cap: No request is sent that could take the money spent by this object above it; needs `prices`.
        structured: Send a one-option `OneOf` as a JSON schema. The endpoint has to know `response_format`; otherwise constraints
            are not sent, and answers may lie outside them.

    Raises:
        ConfigError: If the settings contradict each other.
    """

    def __init__(
        self,
        name: str,
        base_url: str = OPENAI_URL,
        api_key_env: str = "OPENAI_API_KEY",
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
        max_concurrency: int = 4,
        requests_per_minute: float | None = None,
        money_cap: float | None = None,
        prices: TokenPrices | None = None,
        structured: bool = False,
    ) -> None:
        self._url, self._shown = _endpoint(base_url)
        if money_cap is not None and prices is None:
            raise ConfigError(f"openai:{name}: money_cap needs prices (money per million tokens) to count with.")
        self._model, self._key_env = name, api_key_env
        self._timeout_s, self._retries, self._structured = timeout_s, retries, structured
        self._max_concurrency = max_concurrency
        self._pace = _Pace(requests_per_minute)
        self._purse = _Purse(name, prices or TokenPrices(), money_cap)
        self._jitter = random.Random()
        self._sleep = time.sleep

    def __repr__(self) -> str:
        return f"RemoteModel({self._model!r}, {self._shown!r})"

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

        Raises:
            BudgetError: Before a request that could exceed `money_cap`.
            ModelError: If the key is missing or refused, or the endpoint does not know the model.
        """
        if self._url.startswith(OPENAI_URL) and not os.environ.get(self._key_env):
            raise ModelError(f"{self.name}: the environment variable {self._key_env} is not set. Put the key there.")
        with (
            httpx.Client(timeout=self._timeout_s, follow_redirects=False) as client,
            ThreadPoolExecutor(self._max_concurrency) as pool,
        ):
            futures = [pool.submit(self._answer, client, r) for r in requests]
            try:
                return [f.result() for f in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """An estimate, a token for every three bytes: the endpoint's tokenizer is not at hand."""
        return -(-len(json.dumps(_payload_messages(messages, tools), ensure_ascii=False).encode()) // 3)

    # --- one request -------------------------------------------------------------------------------------------------

    def _answer(self, client: httpx.Client, request: Request) -> Generation:
        payload = self._payload(request)
        body = json.dumps(payload, ensure_ascii=False).encode()
        began = time.perf_counter()
        # A token is at least a byte of what is sent, so this is the dearest that the request can become.
        worst = Usage(len(body), request.max_new_tokens)
        for attempt in range(self._retries + 1):
            self._pace.wait(self._sleep)
            self._purse.reserve(worst)
            try:
                response = client.post(self._url, content=body, headers=self._headers())
            except httpx.TimeoutException:
                self._purse.settle(worst, worst)  # the endpoint may have answered, and charged
                problem, pause_s = f"no answer within {self._timeout_s:g} s", None
            except httpx.HTTPError as e:
                self._purse.settle(worst, Usage())
                problem, pause_s = f"the connection failed ({type(e).__name__})", None
            else:
                if response.status_code == 200:
                    generation = self._read(response, request)
                    is_unknown = generation.usage == Usage()
                    self._purse.settle(worst, worst if is_unknown else generation.usage)
                    return replace(generation, latency_s=time.perf_counter() - began)
                self._purse.settle(worst, Usage())
                problem, pause_s = self._problem(response), _retry_after_s(response)
                if response.status_code in REFUSED:
                    raise ModelError(problem)
                if response.status_code not in RETRIED:
                    return self._failed(problem, began)
            if attempt == self._retries or (pause_s or 0) > LONGEST_WAIT_S:
                break
            backoff_s = min(30.0, 0.5 * 2**attempt) * self._jitter.uniform(0.5, 1.0)
            self._sleep(backoff_s if pause_s is None else pause_s)
        return self._failed(f"{problem}, after {attempt + 1} attempts", began)

    def _failed(self, problem: str, began: float) -> Generation:
        text = problem if problem.startswith(self.name) else f"{self.name} at {self._shown}: {problem}"
        return Generation("", finish="error", error=text, latency_s=time.perf_counter() - began)

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self._key_env)
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def _payload(self, request: Request) -> dict[str, Any]:
        limit = "max_completion_tokens" if self._url.startswith(OPENAI_URL) else "max_tokens"
        payload: dict[str, Any] = {
            "model": self._model,
            **_payload_messages(request.messages, request.tools),
            limit: request.max_new_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.stop:
            payload["stop"] = list(request.stop)
        if self._is_structured(request.constraint):
            assert request.constraint is not None
            schema = {
                "type": "object",
                "properties": {"answer": {"type": "string", "enum": list(request.constraint.options)}},
                "required": ["answer"],
                "additionalProperties": False,
            }
            payload["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "choice", "strict": True, "schema": schema},
            }
        return payload

    def _is_structured(self, constraint: OneOf | None) -> bool:
        return self._structured and constraint is not None and constraint.most == 1

    def _read(self, response: httpx.Response, request: Request) -> Generation:
        try:
            data = response.json()
            choice = data["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            counted = data.get("usage") or {}
            usage = Usage(int(counted.get("prompt_tokens", 0)), int(counted.get("completion_tokens", 0)))
            calls = tuple(_read_call(c) for c in message.get("tool_calls") or ())
            if self._is_structured(request.constraint) and not calls:
                text = str(json.loads(text)["answer"])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as e:
            error = (
                f"{self.name} at {self._shown}: the answer is not a chat completion ({type(e).__name__}: {self._scrub(str(e))})."
            )
            return Generation("", finish="error", error=error)
        return Generation(text, calls, usage, "length" if choice.get("finish_reason") == "length" else "stop")

    def _problem(self, response: httpx.Response) -> str:
        try:
            data = response.json()
            said = data.get("error", data)
            said = said.get("message", said) if isinstance(said, dict) else said
        except (ValueError, AttributeError):
            said = response.text
        said = self._scrub(str(said))[:300].strip()
        what = {
            401: f"the key in {self._key_env} was refused. Set {self._key_env} to a valid key",
            403: f"the key in {self._key_env} may not use this model. Ask for access, or use another model",
            404: "the endpoint does not know this model or path. Check the name, and that base_url ends before /chat/completions",
        }
        reason = what.get(response.status_code, "the request was refused")
        return f"{self.name} at {self._shown}: HTTP {response.status_code}: {reason}" + (f" ({said})." if said else ".")

    def _scrub(self, text: str) -> str:
        key = os.environ.get(self._key_env)
        text = text.replace(key, "***") if key else text
        return re.sub(r"\bsk-[\w*.-]+", "***", text)


class _Pace:
    """Lets so many requests a minute through."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap_s = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, sleep: Any) -> None:
        if not self._gap_s:
            return
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._next)
            self._next = mine + self._gap_s
        if mine > now:
            sleep(mine - now)


class _Purse:
    """What was spent and what may yet be, for requests in flight."""

    def __init__(self, model: str, prices: TokenPrices, cap: float | None) -> None:
        self._model, self._prices, self._cap = model, prices, cap
        self.spent = 0.0
        self._reserved = 0.0
        self._lock = threading.Lock()

    def reserve(self, worst: Usage) -> None:
        cost = self._prices.cost(worst)
        with self._lock:
            if self._cap is not None and self.spent + self._reserved + cost > self._cap:
                raise BudgetError(
                    f"openai:{self._model}: {self.spent:.4g} of {self._cap:.4g} is spent and {self._reserved:.4g} under way; "
                    f"the next request could cost {cost:.4g}. Raise money_cap, or ask less."
                )
            self._reserved += cost

    def settle(self, worst: Usage, used: Usage) -> None:
        with self._lock:
            self._reserved -= self._prices.cost(worst)
            self.spent += self._prices.cost(used)


def _endpoint(base_url: str) -> tuple[str, str]:
    """The URL to post to, and the base as it may be shown."""
    parts = urlsplit(base_url)
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"base_url {shown!r} must begin with http:// or https:// and name a host.")
    if "@" in parts.netloc:
        raise ConfigError(f"base_url {shown!r} carries credentials. Take them out; a key belongs in an environment variable.")
    path = parts.path.rstrip("/") + "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), shown


def _payload_messages(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """Messages and tools in the wire form: arguments as JSON text, every call with an id."""
    out: list[dict[str, Any]] = []
    last_id = ""
    for n, message in enumerate(messages):
        turn = message_dict(message)
        for i, call in enumerate(turn.get("tool_calls", ())):
            call["id"] = call["id"] or f"call_{n}_{i}"
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
            last_id = call["id"]
        if message.role == "tool":
            turn["tool_call_id"] = message.tool_call_id or last_id
        out.append(turn)
    return {"messages": out} | ({"tools": [tool_dict(t) for t in tools]} if tools else {})


def _read_call(call: dict[str, Any]) -> ToolCall:
    arguments = json.loads(call["function"].get("arguments") or "{}")
    if not isinstance(arguments, dict):
        raise TypeError(f"arguments of {call['function']['name']} are not an object")
    return ToolCall(str(call["function"]["name"]), arguments, str(call.get("id") or ""))


def _retry_after_s(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
