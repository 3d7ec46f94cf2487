"""From a request to its work, and from its pieces to the answer: what all routes share."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sadari.errors import SadariError
from sadari.serve.faults import ApiError, api_error
from sadari.serve.keys import Identity, Permission
from sadari.serve.service import Service
from sadari.serve.work import Work

T = TypeVar("T")

PING_S = 15.0
"""Seconds of silence after which a stream says that it is still there."""

GONE = 499
"""What is noted for a client that left."""


def service_of(request: Request) -> Service:
    """The service that the application was made for."""
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(service_of)]


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who asks, and how that is known.

    Args:
        csrf: What a page has to send back with whatever changes something; "" where no cookie says who asks.
        is_session: Whether a cookie said so.
    """

    identity: Identity
    csrf: str = ""
    is_session: bool = False


def sign_in_of(request: Request, service: ServiceOf) -> SignIn:
    """Who asks, by the key of a program or the session of a page.

    Raises:
        ApiError: 401, if it is nobody.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return SignIn(service.identify(key.strip() if scheme.lower() == "bearer" else ""))


def identify(request: Request, service: ServiceOf) -> Identity:
    """Who asks. Runs in a thread, since it asks the database.

    Raises:
        ApiError: 401.
    """
    return sign_in_of(request, service).identity


Who = Annotated[Identity, Depends(identify)]


def permitted(permission: Permission) -> Callable[..., Iterator[Identity]]:
    """A dependency: who asks, if the role permits it; counted in and out."""

    def check(identity: Who, service: ServiceOf) -> Iterator[Identity]:
        if not identity.may(permission):
            raise ApiError(403, f"A key of the role {identity.role} may not do this.", code="role")
        leave = service.rates.enter(identity)
        try:
            yield identity
        finally:
            leave()

    return check


class Exchange:
    """One request that is worked on: counted in, and counted out at the very end of its answer."""

    def __init__(self, request: Request, service: Service, identity: Identity) -> None:
        self._request, self._service = request, service
        self._leave = service.rates.enter(identity)
        self._work: Work[Any] | None = None
        self._is_over = False
        self.abandoned: Callable[[], None] = lambda: None
        """What is done, in a thread, if the client leaves before the end."""

    async def begin(self, make: Callable[[], Iterator[T]], may_end: Callable[[T], bool] = lambda piece: True) -> Work[T]:
        """Begin the work; if it cannot be begun, the request is over."""
        try:
            work = await self._service.workers.begin(make, may_end)
        except BaseException:
            self.end(is_whole=True)
            raise
        self._work = work
        return work

    def end(self, *, is_whole: bool) -> None:
        """The answer is over.

        Args:
            is_whole: Whether the client took all of it.
        """
        if self._is_over:
            return
        self._is_over = True
        self._leave()
        if self._work is not None and not is_whole:
            self._work.leave()
            if not self._service.workers.is_stopping:
                self._service.workers.in_background(self.abandoned)

    async def whole(self, answer: Any) -> Response:
        """The answer that a coroutine makes, unless the client leaves first."""
        making, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(self._left())
        is_whole = True
        try:
            await asyncio.wait((making, leaving), return_when=asyncio.FIRST_COMPLETED)
            is_whole = making.done()
            return JSONResponse(making.result()) if is_whole else Response(status_code=GONE)
        finally:
            for task in (making, leaving):
                task.cancel()
            self.end(is_whole=is_whole)

    async def _left(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    async def stream(self, events: AsyncIterator[str]) -> Response:
        """The answer as server-sent events. What fails before the first of them fails the request."""
        try:
            first = await anext(events)
        except BaseException:
            self.end(is_whole=True)
            raise
        return _Events(self, _kept_alive(first, events))


class _Events(StreamingResponse):
    """A stream that is counted out whichever way it ends."""

    def __init__(self, exchange: Exchange, content: AsyncIterator[str]) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._exchange, self._content, self._is_whole = exchange, content, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Any) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._is_whole = True

        try:
            await super().__call__(scope, receive, noting)
        finally:
            self._exchange.end(is_whole=self._is_whole)


async def _kept_alive(first: str, events: AsyncIterator[str]) -> AsyncIterator[str]:
    """The events, with a comment wherever they are silent for long, and an error told as OpenAI tells it in a stream."""
    yield first
    following: asyncio.Future[str] = asyncio.ensure_future(_next(events))
    try:
        while True:
            done, _ = await asyncio.wait((following,), timeout=PING_S)
            if not done:
                yield ": still at work\n\n"
                continue
            try:
                event = following.result()
            except ApiError as error:
                yield data(error.body)
                return
            except SadariError as error:
                yield data(api_error(error).body)
                return
            if not event:
                return
            yield event
            following = asyncio.ensure_future(_next(events))
    finally:
        following.cancel()
        with suppress(BaseException):
            await following


async def _next(events: AsyncIterator[str]) -> str:
    """The next event; "" at the end, since a task cannot end with `StopAsyncIteration`."""
    return await anext(events, "")


def data(value: Any, event: str = "") -> str:
    """One server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


DONE = "data: [DONE]\n\n"
"""With which streams of OpenAI's older routes end."""


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())
