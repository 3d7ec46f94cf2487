"""The way to one endpoint: requests go out with retries, in a pace, within a budget; bodies come back, bounded in size and time."""

import random
import threading
import time
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any

import httpx

from sadari.errors import BusyError, ModelError
from sadari.model.remote.endpoint import Endpoint
from sadari.model.remote.kinds import DIALECTS, Dialect, Kind, kind_of
from sadari.model.remote.payload import Call
from sadari.model.remote.purse import Fare, Pace
from sadari.model.remote.wire import (
    LONGEST_WAIT_S,
    RETRIED,
    OversizeError,
    OvertimeError,
    bounded,
    certificates,
    clean,
    join_url,
    parsed,
    read_key,
    retry_after_s,
    said_error,
)
from sadari.types import Usage

REFUSED = frozenset({401, 403, 404})
"""Statuses that every other request would meet too: they end the whole call."""

ASKING_S = 5.0
"""A server is waited for so long to say which kind it is."""

ASKED_AGAIN_S = 60.0
"""One that could not be reached is asked again after so long."""

TRACEPARENT: ContextVar[str] = ContextVar("traceparent", default="")
"""W3C trace context of what is worked on, which the endpoint may go on with; "" where nobody traces."""


class NoAnswerError(Exception):
    """One request has no answer, and the message says why."""


class Channel:
    """Sends calls to one endpoint, from several threads at once.

    Args:
        owner: Who asks, as errors name it.
    """

    def __init__(self, owner: str, endpoint: Endpoint) -> None:
        self._owner, self._endpoint = owner, endpoint
        self._pace = Pace(endpoint.requests_per_minute)
        self._places = threading.BoundedSemaphore(endpoint.max_concurrency)
        self._kind: Kind | None = endpoint.kind or ("openai" if endpoint.is_openai else None)
        self._ask_after = 0.0
        self._asking = threading.Lock()
        self._jitter = random.Random()
        self.sleep = time.sleep

    def client(self) -> httpx.Client:
        """A client to send with; its connections are kept while it is open."""
        return httpx.Client(timeout=self._endpoint.timeout_s, follow_redirects=False, verify=certificates())

    def check_key(self) -> None:
        """Look at the key, before anything is sent.

        Raises:
            ModelError: If it is missing, or cannot be one.
        """
        self._key()

    def dialect(self, client: httpx.Client) -> Dialect:
        """What the server knows. It is asked once; one that cannot be reached counts as unknown for a minute."""
        with self._asking:
            if self._kind is None and time.monotonic() >= self._ask_after:
                self._kind = self._ask_kind(client)
                self._ask_after = time.monotonic() + ASKED_AGAIN_S
            return DIALECTS[self._kind or "other"]

    def send(self, client: httpx.Client, call: Call, fare: Fare) -> Generator[bytes, None, None]:
        """The body of the answer: whole, or as it comes if it streams.

        The call is sent again, with growing pauses, as long as nothing of an answer was given on. `fare` is left open where there
        is an answer, for whoever reads what it cost.

        Raises:
            NoAnswerError: If there is none.
            BudgetError: Before an attempt that could exceed the budget.
            BusyError: If too many requests are in flight for too long.
            ModelError: If every other call would be refused too.
        """
        if not self._places.acquire(timeout=self._endpoint.longest_s):
            most = self._endpoint.max_concurrency
            raise BusyError(f"{self._owner}: {most} requests are in flight. Ask again later, or raise max_concurrency.")
        try:
            yield from self._attempts(client, call, fare)
        finally:
            self._places.release()

    def clean(self, said: Any, longest: int = 300) -> str:
        """What the server said, as it may be shown."""
        return clean(said, self._endpoint.api_key_env, longest)

    def told(self, problem: str) -> str:
        """`problem` with who has it, and where."""
        return f"{self._owner} at {self._endpoint.shown}: {problem}"

    def _attempts(self, client: httpx.Client, call: Call, fare: Fare) -> Generator[bytes, None, None]:
        has_begun, endpoint = False, self._endpoint
        url, headers = join_url(endpoint.base_url, "/chat/completions"), self._headers(streams=call.streams)
        for attempt in range(endpoint.retries + 1):
            self._pace.wait(self.sleep)
            fare.begin()
            try:
                with client.stream("POST", url, content=call.body, headers=headers) as response:
                    body = bounded(response.iter_bytes(), longest_s=endpoint.longest_s)
                    if response.status_code == 200:
                        for piece in body if call.streams else (b"".join(body),):
                            has_begun = True
                            yield piece
                        return
                    refusal = b"".join(body)
                fare.end(Usage())
                problem, pause_s = self._refusal(response.status_code, refusal), retry_after_s(response.headers)
            except (OversizeError, OvertimeError) as e:
                raise NoAnswerError(str(e)) from e
            except httpx.TimeoutException:
                fare.end(None)  # the endpoint may have answered, and charged
                problem, pause_s = f"no answer within {endpoint.timeout_s:g} s", None
            except httpx.HTTPError as e:  # its text may hold the headers
                fare.end(None if has_begun else Usage())
                problem, pause_s = f"the connection failed ({type(e).__name__})", None
            if has_begun:
                raise NoAnswerError(problem)
            if attempt == endpoint.retries or (pause_s or 0) > LONGEST_WAIT_S:
                break
            backoff_s = min(30.0, 0.5 * 2**attempt) * self._jitter.uniform(0.5, 1.0)
            self.sleep(backoff_s if pause_s is None else pause_s)
        raise NoAnswerError(f"{problem}, after {attempt + 1} attempts")

    def _ask_kind(self, client: httpx.Client) -> Kind | None:
        url, asking_s = join_url(self._endpoint.base_url, "/models"), min(ASKING_S, self._endpoint.timeout_s)
        try:
            with client.stream("GET", url, headers=self._headers(streams=False), timeout=asking_s) as response:
                body = b"".join(bounded(response.iter_bytes(), longest_s=asking_s))
        except (httpx.HTTPError, OversizeError):
            return None
        return kind_of(parsed(body)) if response.status_code == 200 else "other"

    def _key(self) -> str:
        return read_key(self._endpoint.api_key_env, self._endpoint.base_url, self._owner)

    def _headers(self, *, streams: bool) -> dict[str, str]:
        key = self._key()
        accepts = {"Accept": "text/event-stream" if streams else "application/json", "Accept-Encoding": "identity"}
        trace = {"traceparent": TRACEPARENT.get()} if TRACEPARENT.get() else {}
        return {"Content-Type": "application/json"} | accepts | trace | ({"Authorization": f"Bearer {key}"} if key else {})

    def _refusal(self, status: int, body: bytes) -> str:
        """What a refusal means and what to do about it.

        Raises:
            ModelError: If every other call would meet it too.
            NoAnswerError: If it does not pass by itself.
        """
        variable = self._endpoint.api_key_env
        what = {
            401: f"the key in {variable} was refused. Set {variable} to a valid key",
            403: f"the key in {variable} may not use this model. Ask for access, or use another model",
            404: "the endpoint does not know this model or path. Check the name, and that base_url ends before /chat/completions",
        }
        said = self.clean(said_error(parsed(body))[0])
        problem = f"HTTP {status}: {what.get(status, 'the request was refused')}" + (f" ({said})." if said else ".")
        if status in REFUSED:
            raise ModelError(self.told(problem))
        if status not in RETRIED:
            raise NoAnswerError(problem)
        return problem
