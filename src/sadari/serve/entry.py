"""From a request to its work, and from its pieces to the answer: what all routes share."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sadari.agent.log import Event
from sadari.errors import SadariError
from sadari.serve.faults import ApiError, api_error
from sadari.serve.keys import Identity, Permission, is_same
from sadari.serve.service import Service
from sadari.serve.work import GONE, Work
from sadari.types import Usage

T = TypeVar("T")

PING_S, PING = 15.0, b": still at work\n\n"
"""Seconds of silence after which a stream says that it is still there, and how."""


async def service_of(request: Request) -> Service:  # async, as are those below: what waits for nothing needs no thread
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

    A browser sends a cookie whichever page asks. That it was one of ours is shown by what only our pages know.

    Raises:
        ApiError: 401, if it is nobody; 403, if a page of another site may have asked.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return SignIn(service.identify(key.strip()))
    secret = cookie_of(request, SESSION)
    session = service.sessions.find(secret)
    if session is None and secret and service.asks_keys:
        raise ApiError(401, "Your session is over. Sign in again.", code="session")
    if session is None:
        return SignIn(service.identify(""))
    if request.method not in ("GET", "HEAD") and not is_same(request.headers.get("x-csrf-token", ""), session.csrf):
        raise ApiError(403, "This page is older than your session. Load it anew.", code="csrf")
    return SignIn(session.identity, session.csrf, is_session=True)


SESSION = "sadari_session"
"""Cookie that holds the secret of a session."""


def cookie_name(request: Request, name: str) -> str:
    """The name of a cookie as the browser knows it.

    With TLS it begins with `__Host-`: browsers take such a cookie from this very host alone, so that no neighbour can plant one.
    """
    return f"__Host-{name}" if request.state.is_https else name


def cookie_of(request: Request, name: str) -> str:
    """What the one cookie of this name holds; "" if there is none, or several, of which somebody else made one."""
    begins = f"{cookie_name(request, name)}="
    sent = [part.strip() for header in request.headers.getlist("cookie") for part in header.split(";")]
    found = [part.removeprefix(begins) for part in sent if part.startswith(begins)]
    return found[0] if len(found) == 1 else ""


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: float | None = None) -> None:
    """Keep something in the browser that its scripts do not see; without a value, drop it.

    `SameSite=Lax`: no request that another site makes carries it, but a link from there does (a mail that tells what waits for
    approval), and so does the way back from the provider of OpenID Connect; `Strict` would show both the sign-in. A link changes
    nothing.

    Args:
        seconds: How long; None until the browser is closed.
    """
    age = 0 if not value else None if seconds is None else int(seconds)
    secure = bool(request.state.is_https)
    response.set_cookie(cookie_name(request, name), value, age, path="/", secure=secure, httponly=True, samesite="lax")


def identify(request: Request, service: ServiceOf) -> Identity:
    """Who asks. Runs in a thread, since it asks the database.

    Raises:
        ApiError: 401.
    """
    identity = sign_in_of(request, service).identity
    request.state.user = identity.user  # for the line of this request, as a hash
    return identity


Known = Annotated[Identity, Depends(identify)]


async def asking(identity: Known) -> Identity:
    """Who asks a model.

    Raises:
        ApiError: 403, if a key is good for other things only.
    """
    if not identity.may("ask"):
        raise not_permitted(identity)
    return identity


Who = Annotated[Identity, Depends(asking)]


def not_permitted(identity: Identity) -> ApiError:
    """What somebody is told who may not do this."""
    narrowed = f", and this key is good for: {', '.join(identity.scope)}" if identity.scope else ""
    return ApiError(403, f"The role {identity.role} may not do this{narrowed}.", code="role")


def permitted(permission: Permission) -> Callable[..., AsyncIterator[Identity]]:
    """A dependency: who asks, if the role permits it; counted in and out."""

    async def check(identity: Known, service: ServiceOf) -> AsyncIterator[Identity]:
        if not identity.may(permission):
            raise not_permitted(identity)
        leave = service.rates.enter(identity)
        try:
            yield identity
        finally:
            leave()

    return check


class Exchange:
    """One request that is worked on: counted in, and counted out at the very end of its answer.

    Args:
        model: Who is asked.

    Raises:
        ApiError: 403, if the key is not good for this model; 429, if it asks for too much.
    """

    def __init__(self, request: Request, service: Service, identity: Identity, model: str) -> None:
        if not identity.may_use(model):
            raise not_permitted(identity)
        self._request, self._service, self._identity, self._model = request, service, identity, model
        self._leave = service.rates.enter(identity)
        self._work: Work[Any] | None = None
        self._is_over = False
        self.abandoned: Callable[[], None] = lambda: None
        """What is done, in a thread, if the client leaves before the end."""

    async def begin(self, make: Callable[[], Iterator[T]], may_end: Callable[[T], bool] = lambda piece: True) -> Work[T]:
        """Begin the work; if it cannot be begun, the request is over."""

        def checked() -> Iterator[T]:
            self._service.keys.check_day(self._identity)
            return make()

        try:
            work = await self._service.workers.begin(checked, may_end, self._left)
        except BaseException:
            self.end(is_whole=True)
            raise
        self._work = work
        return work

    def used(self, usage: Usage, money: float = 0.0) -> None:
        """Count what the answer took. In the thread of the work, since it asks the database."""
        self._service.used(self._identity, self._model, usage, money)

    def count(self, event: Event) -> None:
        """Count what an event of the agent took."""
        body = event.body or {}
        used = body if event.kind == "model.answered" else body.get("used")  # a specialist's stands in the call that asked it
        if used:
            self.used(Usage(*used["usage"]), used["money"])

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
        return _Events(self, _with_faults(first, events))


class _Events(StreamingResponse):
    """A stream that says that it is still there where it is silent for long, and is counted out whichever way it ends."""

    def __init__(self, exchange: Exchange, content: AsyncIterator[str]) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._exchange, self._is_whole, self._is_sending, self._sent = exchange, False, False, time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Any) -> None:
            self._is_sending = True
            await send(message)
            self._is_sending, self._sent = False, time.monotonic()
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._is_whole = True

        pinging = asyncio.ensure_future(self._ping(send))
        try:
            await super().__call__(scope, receive, noting)
        finally:
            pinging.cancel()
            self._exchange.end(is_whole=self._is_whole)

    async def _ping(self, send: Send) -> None:
        """A task beside the stream: to wait for each event with a time limit would cost more than to send it."""
        while True:
            left_s = self._sent + PING_S - time.monotonic()
            if left_s <= 0 and not self._is_sending:
                self._sent = time.monotonic()
                await send({"type": "http.response.body", "body": PING, "more_body": True})
            await asyncio.sleep(left_s if left_s > 0 else PING_S)


async def _with_faults(first: str, events: AsyncIterator[str]) -> AsyncIterator[str]:
    """The events, and an error told as OpenAI tells it in a stream."""
    yield first
    try:
        async for event in events:
            yield event
    except SadariError as error:
        yield data(api_error(error).body)


def data(value: Any, event: str = "") -> str:
    """One server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


DONE = "data: [DONE]\n\n"
"""With which streams of OpenAI's older routes end."""


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())
