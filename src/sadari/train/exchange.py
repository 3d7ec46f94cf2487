"""Exchanges of JSON and files with a service over HTTP, where sending something twice may cost twice.

Covered: the key is read from an environment variable when a request is sent, kept nowhere, and cut out of what is told; redirects
are not followed; answers are bounded in size and time.
Not covered: what the service does with what it is sent.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from sadari.errors import DataError, ModelError
from sadari.model.remote import wire
from sadari.model.remote.wire import LONGEST_WAIT_S, MOST_BYTES, OPENAI_URL, RETRIED

MAYBE_TAKEN = frozenset({500, 502, 504})
"""Statuses after which nobody knows whether something that was sent took effect."""

QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "exceeded_quota", "quota_exceeded"})
"""Codes of refusals that do not pass by waiting, whatever their status."""

LONGEST_EXCHANGE = 10
"""A whole answer may take so many times the timeout of one pause in it."""


class RefusedError(ModelError):
    """The service said no, and did nothing."""

    def __init__(self, problem: str, status: int) -> None:
        super().__init__(problem)
        self.status = status


class MaybeTakenError(ModelError):
    """Nobody knows whether what was sent took effect."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Args:
        path: After the base URL.
        file: The name and the place of a file, sent as a form with `purpose=fine-tune`.
        once: Names what is sent, for services that take nothing twice under one name; "" for what may be repeated.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    file: tuple[str, Path] | None = None
    once: str = ""

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it again does no harm."""
        return self.file is None and not self.once


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is, and how it is shown its key.

    Args:
        base_url: http or https, without credentials; a query in it is sent with every request.
        key_env: The environment variable that holds the key. Without it, services other than OpenAI's are asked without a key.
        key_header, key_prefix: The header that carries the key, and what stands before it.
    """

    base_url: str = OPENAI_URL
    key_env: str = "OPENAI_API_KEY"
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "


class Exchange:
    """Sends calls to one service.

    Args:
        timeout_s: For connecting, and for each pause within one exchange.
        retries: Further attempts after what passes by itself, with exponential backoff and `Retry-After`.
        sleep: Waits so many seconds.

    Raises:
        ConfigError: If the base URL is none.
    """

    def __init__(
        self, address: Address, *, timeout_s: float = 60.0, retries: int = 5, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.where = wire.checked_base(address.base_url)
        self._address, self._timeout_s, self._retries = address, timeout_s, retries
        self.sleep = sleep
        self._jitter = random.Random()

    def send(self, call: Call) -> dict[str, Any]:
        """The JSON object of the answer.

        Raises:
            RefusedError: If the service refuses, the key included.
            MaybeTakenError: If the exchange broke off after something was sent that may not be repeated.
            ModelError: If the service cannot be reached, the key is missing, or the answer is something else.
        """
        problem = ""
        for attempt in range(self._retries + 1):
            code, pause_s = "", None
            try:
                response = self._exchange(call)
            except (httpx.ConnectError, httpx.ConnectTimeout) as e:
                problem, status = f"{self.where}: the connection failed ({type(e).__name__}).", 503  # nothing was sent
            except httpx.HTTPError as e:  # its text may hold the headers
                problem, status = f"{self.where}: the exchange broke off ({type(e).__name__}).", 504
            else:
                if response.is_success:
                    return self._object(response)
                problem, code = self._problem(response)
                status, pause_s = response.status_code, wire.retry_after_s(response.headers)
            if status in MAYBE_TAKEN and not call.is_repeatable:
                raise MaybeTakenError(problem)
            if status not in RETRIED or code in QUOTA:
                raise RefusedError(problem, status)
            if attempt == self._retries or (pause_s or 0) > LONGEST_WAIT_S:
                break
            backoff_s = min(30.0, 0.5 * 2**attempt) * self._jitter.uniform(0.5, 1.0)
            self.sleep(backoff_s if pause_s is None else pause_s)
        raise ModelError(f"{problem} Asked {attempt + 1} times. Run the same command again: it goes on from here.")

    def malformed(self, what: str, data: Any) -> ModelError:
        """The error for an answer that is no `what`."""
        return ModelError(
            f"{self.where}: the answer is no {what} ({self.clean(data)}). Check that base_url is the address of a service with the "
            "files and fine-tuning jobs of OpenAI."
        )

    def clean(self, said: Any) -> str:
        """What a service said, as it may be shown: short, on one line, without the key."""
        return wire.clean(said, self._address.key_env)

    def _exchange(self, call: Call) -> httpx.Response:
        with ExitStack() as stack:
            # A connection kept over the minutes between two looks may be dead by then, and break off the next call.
            client = stack.enter_context(httpx.Client(timeout=self._timeout_s, follow_redirects=False, verify=wire.certificates()))
            sent: dict[str, Any] = {} if call.body is None else {"json": call.body}
            if call.file is not None:
                name, source = call.file
                try:
                    opened = stack.enter_context(source.open("rb"))
                except OSError as e:
                    raise DataError(f"{source} cannot be read: {e.strerror}. Run again: the rung writes it anew.") from e
                sent = {"data": {"purpose": "fine-tune"}, "files": {"file": (name, opened, "application/jsonl")}}
            stream = client.stream(call.method, self._url(call), headers=self._headers(call), **sent)
            response = stack.enter_context(stream)
            pause = response.headers.get("Retry-After")
            return httpx.Response(
                response.status_code, headers={"Retry-After": pause} if pause else {}, content=self._read(response)
            )

    def _read(self, response: httpx.Response) -> bytes:
        try:
            return b"".join(wire.bounded(response.iter_bytes(), most=MOST_BYTES, longest_s=LONGEST_EXCHANGE * self._timeout_s))
        except wire.OversizeError as e:
            raise ModelError(f"{self.where}: {e}. Check base_url.") from e

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        if not response.content:
            return {}
        data = wire.parsed(response.content)
        if not isinstance(data, dict):
            raise self.malformed("JSON object", data)
        return data

    def _headers(self, call: Call) -> dict[str, str]:
        address = self._address
        key = wire.read_key(address.key_env, address.base_url, self.where)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers |= {address.key_header: f"{address.key_prefix}{key}"} if key else {}
        return headers | ({"Idempotency-Key": call.once} if call.once else {})

    def _url(self, call: Call) -> str:
        return wire.join_url(self._address.base_url, call.path, call.query)

    def _problem(self, response: httpx.Response) -> tuple[str, str]:
        """What a refusal means and what to do about it, and its code."""
        status, env = response.status_code, self._address.key_env
        what_is_said, code = wire.said_error(wire.parsed(response.content))
        said = self.clean(what_is_said)
        what = {
            401: f"the key in {env} was refused. Set {env} to a valid key",
            402: "the account's credit is used up. Add credit, then run the same command again",
            403: f"the key in {env} may not do this here. Ask the owner of the account for the right to tune models",
            404: "the service does not know this path, file, job or model. Check `model`, and that base_url ends before the paths",
            413: "the file is too large. Lower `max_rows`",
        }
        reason = what.get(status, "the request was refused")
        if code in QUOTA:
            reason = "the account's credit or quota is used up. Add credit or raise its limit, then run the same command again"
        return f"{self.where}: HTTP {status}: {reason}" + (f" ({said})." if said else "."), code
