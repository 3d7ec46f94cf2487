"""What every exchange with a service over HTTP has in common: addresses, keys, bounds, pauses, and what a refusal says.

Covered: a key is read from an environment variable when a request is sent, kept nowhere, and cut out of what is told; an answer is
bounded in size and time.
Not covered: what a service does with what it is sent.
"""

import json
import os
import re
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx

from sadari.errors import ConfigError, ModelError

OPENAI_URL = "https://api.openai.com/v1"

RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses of what passes by itself."""

LONGEST_WAIT_S = 120.0
"""A server that asks for a longer pause than this is not waited for."""

MOST_BYTES = 8 * 2**20
"""Longest answer that is read."""


class OversizeError(Exception):
    """An answer is longer than may be."""


class OvertimeError(httpx.ReadTimeout):
    """An answer takes longer than may be, though some of it comes in all the time."""


def checked_base(base_url: str) -> str:
    """`base_url` as it may be shown: without its query.

    Raises:
        ConfigError: If it is no http or https address, or carries credentials.
    """
    try:
        parts, host = urlsplit(base_url), httpx.URL(base_url).host
        port = parts.port
    except (ValueError, httpx.InvalidURL):
        raise ConfigError("base_url is no address: its host or port cannot be. Write it as http://HOST:PORT/v1.") from None
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ConfigError(f"base_url {shown!r} must begin with http:// or https:// and name a host.")
    if "@" in parts.netloc:
        raise ConfigError(f"base_url {shown!r} carries credentials. Take them out; a key belongs in an environment variable.")
    return shown


def join_url(base_url: str, path: str, query: Mapping[str, str] | None = None) -> str:
    """The address of `path` below `base_url`; a query of the base comes before `query`."""
    parts = urlsplit(base_url)
    queries = "&".join(part for part in (parts.query, urlencode(query or {})) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, queries, ""))


def read_key(variable: str, base_url: str, who: str) -> str:
    """The key in the environment variable `variable`; "" if there is none, which only OpenAI itself does not accept.

    Args:
        who: Whom an error names as the one that needs the key.

    Raises:
        ModelError: If OpenAI is asked without a key, or the key holds characters that no header may.
    """
    key = os.environ.get(variable, "")
    if not key and base_url.startswith(OPENAI_URL):
        raise ModelError(f"{who}: the environment variable {variable} is not set. Put the key there.")
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise ModelError(f"the key in {variable} holds characters that no key has, such as a line break. Set it anew.")
    return key


def clean(said: Any, variable: str, longest: int = 300) -> str:
    """What a service said, as it may be shown: at most `longest` characters, on one line, without the key in `variable`."""
    try:
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    except RecursionError:
        text = "something nested too deep to be shown"
    key = os.environ.get(variable)
    text = text.replace(key, "***") if key else text
    text = re.sub(r"\bsk-[\w*.-]+", "***", text)
    return "".join(ch if ch.isprintable() else " " for ch in text[:longest]).strip()


def parsed(content: bytes) -> Any:
    """The JSON of an answer, or its text where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode(errors="replace")


def said_error(data: Any) -> tuple[Any, str]:
    """What the body of a refusal says, and its code, "" for none."""
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return error or "", ""
    return error.get("message") or "", str(error.get("code") or error.get("type") or "")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait for; None if it does not say."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def bounded(pieces: Iterable[bytes], *, most: int = MOST_BYTES, longest_s: float) -> Iterator[bytes]:
    """`pieces`, as long as they are `most` bytes and come within `longest_s` seconds.

    Raises:
        OversizeError: If there are more.
        OvertimeError: If they take longer.
    """
    deadline = time.monotonic() + longest_s
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise OversizeError(f"the answer is longer than {most >> 20} MiB")
        if time.monotonic() > deadline:
            raise OvertimeError(f"no whole answer within {longest_s:g} s")
        yield piece


@cache
def certificates() -> ssl.SSLContext:
    """Those that are trusted; reading them takes longer than a request."""
    return httpx.create_ssl_context()
