"""The lines that the server writes for those who operate it, as JSON or as text, on standard error.

Covered: a line of a request tells its id, route, status, time, and its user as a keyed hash, and nothing that was said; in all
other lines, those of libraries and of exceptions among them, personal data and credentials are masked and what is long is cut.
Not covered: names in running prose, which no pattern finds, in the message of an exception.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePath
from typing import Any, Literal, TextIO

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sadari.text.credentials import find_credentials
from sadari.text.privacy import find_personal

Format = Literal["text", "json"]

KEY = "SADARI_LOG_KEY"
"""Environment variable with the key of the hashes of users; without it each process draws its own."""

LONGEST = 2_000
"""Characters of a message."""

MOST_FRAMES = 30

_QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/static/{name}"})
"""Routes that machines ask for all the time."""

_requests = logging.getLogger("sadari.request")


def configure(how: Format, stream: TextIO | None = None) -> None:
    """Write all lines of this process in one form: as JSON every request, as text what goes wrong."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if how == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("sadari").setLevel(logging.INFO if how == "json" else logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """What an exception of the application was, its request has told."""
    return not str(record.msg).startswith("Exception in ASGI application")


class JsonLines(logging.Formatter):
    """A line of JSON for each record: time, level, logger, message, and the fields that it has."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, **_told(record)}
        return json.dumps(told, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = _told(record)
        message = told.pop("message", "")
        fields = " ".join(f"{name}={value}" for name, value in told.items() if value not in ("", None, []))
        return f"{_time(record)} {record.levelname.lower()} {message} {fields}".rstrip()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _told(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    told: dict[str, Any] = {"message": record.getMessage() if fields is not None else masked(record.getMessage())}
    told |= fields or {}
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        told |= {"error": type(error).__name__, "reason": masked(str(error)), "frames": _frames(error)}
    return told


def _frames(error: BaseException) -> list[str]:
    """Where it came from; of a source neither the line nor the folders, which tell of the machine."""
    found = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
    return [f"{'/'.join(PurePath(one.filename).parts[-2:])}:{one.lineno} {one.name}" for one in found]


def masked(text: str) -> str:
    """A text without personal data and credentials: `[phone]` in place of a number."""
    text = text[:LONGEST]
    for find in (find_credentials, find_personal):
        for found in reversed(find(text)):
            text = f"{text[: found.start]}[{found.kind}]{text[found.end :]}"
    return text


def hash_of(user: str) -> str:
    """What a user is called in lines: the same for one key, and nobody finds the name by trying who has not the key."""
    return hmac.digest(_key(), user.encode(), hashlib.sha256).hex()[:16] if user else ""


@cache
def _key() -> bytes:
    return os.environ.get(KEY, "").encode() or secrets.token_bytes(32)


def route_of(scope: Scope) -> str:
    """The route that a request took, with names in place of what stood in the path; "none" if it took none."""
    whole = scope.get("fastapi", {}).get("effective_route_context")  # the route itself knows no prefix of a router around its own
    return str(getattr(whole, "path", None) or getattr(scope.get("route"), "path", "none"))


class Lined:
    """The outermost layer of the application: a line for each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            _tell(scope, status, time.perf_counter() - began)


class Caught:
    """The innermost layer: what an exception became is an answer like others, which passes the layers around it.

    Args:
        answer: Of an exception, if nothing was sent yet; else the connection ends.
    """

    def __init__(self, app: ASGIApp, answer: Callable[[Request, Exception], Awaitable[Response]]) -> None:
        self._app, self._answer = app, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_begun = False

        async def noting(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            scope.setdefault("state", {})["error"] = error
            if is_begun or scope["type"] != "http":
                raise
            response = await self._answer(Request(scope, receive), error)
            await response(scope, receive, noting)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    error = scope.get("state", {}).get("error")
    route = route_of(scope)
    level = logging.ERROR if error else logging.WARNING if status >= 500 else logging.DEBUG if route in _QUIET else logging.INFO
    if not _requests.isEnabledFor(level):
        return
    state = scope.get("state", {})
    fields = {
        "request_id": state.get("request_id", ""),
        "user": hash_of(state.get("user", "")),
        "method": scope["method"][:16],
        "route": route,
        "status": status,
        "ms": round(seconds * 1000, 1),
    }
    _requests.log(level, "request", extra={"fields": fields}, exc_info=error)
