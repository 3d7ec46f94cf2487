"""Exchanges of JSON and files with a service over HTTP, where sending something twice may cost twice.

Covered: the key is read from an environment variable when a request is sent, kept nowhere, and cut out of what is told; redirects
are not followed; answers are bounded in size and time.
Not covered: what the service does with what it is sent.
"""

import json
import os
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx

from sadari.errors import DataError, ModelError
from sadari.model.remote import LONGEST_WAIT_S, OPENAI_URL, RETRIED, _endpoint, _retry_after_s

MAYBE_TAKEN = frozenset({500, 502, 504})
"""Statuses after which nobody knows whether something that was sent took effect."""

QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "exceeded_quota", "quota_exceeded"})
"""Codes of refusals that do not pass by waiting, whatever their status."""

MOST_BYTES = 8 * 2**20
"""Longest answer that is read."""

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
        _, self.where = _endpoint(address.base_url)
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
                status, pause_s = response.status_code, _retry_after_s(response)
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
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        key = os.environ.get(self._address.key_env)
        text = text.replace(key, "***") if key else text
        text = re.sub(r"\bsk-[\w*.-]+", "***", text)
        return "".join(ch if ch.isprintable() else " " for ch in text[:300]).strip()

    def _exchange(self, call: Call) -> httpx.Response:
        with ExitStack() as stack:
            # A connection kept over the minutes between two looks may be dead by then, and break off the next call.
            client = stack.enter_context(httpx.Client(timeout=self._timeout_s, follow_redirects=False, verify=_certificates()))
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
        deadline = time.monotonic() + LONGEST_EXCHANGE * self._timeout_s
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MOST_BYTES:
                raise ModelError(f"{self.where}: the answer is longer than {MOST_BYTES >> 20} MiB. Check base_url.")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("no whole answer in time")
        return bytes(content)

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        if not response.content:
            return {}
        data = _parsed(response)
        if not isinstance(data, dict):
            raise self.malformed("JSON object", data)
        return data

    def _headers(self, call: Call) -> dict[str, str]:
        address = self._address
        key = os.environ.get(address.key_env, "")
        if not key and address.base_url.startswith(OPENAI_URL):
            raise ModelError(f"{self.where}: the environment variable {address.key_env} is not set. Put the key there.")
        if not (key.isascii() and key.isprintable()) or key != key.strip():
            raise ModelError(f"the key in {address.key_env} holds characters that no key has, such as a line break. Set it anew.")
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers |= {address.key_header: f"{address.key_prefix}{key}"} if key else {}
        return headers | ({"Idempotency-Key": call.once} if call.once else {})

    def _url(self, call: Call) -> str:
        parts = urlsplit(self._address.base_url)
        query = "&".join(part for part in (parts.query, urlencode(call.query)) if part)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + call.path, query, ""))

    def _problem(self, response: httpx.Response) -> tuple[str, str]:
        """What a refusal means and what to do about it, and its code."""
        status, data = response.status_code, _parsed(response)
        error = data.get("error", data) if isinstance(data, dict) else data
        is_object = isinstance(error, dict)
        said = self.clean((error.get("message") if is_object else error) or "")
        code = str((error.get("code") or error.get("type") or "") if is_object else "")
        env = self._address.key_env
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


@cache
def _certificates() -> ssl.SSLContext:
    """Those that are trusted; reading them takes longer than a call."""
    return httpx.create_ssl_context()


def _parsed(response: httpx.Response) -> Any:
    """The JSON of an answer, or its text where it is none."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return response.text
