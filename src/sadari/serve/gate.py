"""What every request passes first: where it is addressed, from where it comes, how big it is.

Covered: a request that is addressed to another host (DNS rebinding), or comes from another site's page, is refused, on every port
and whatever it asks for; so is one whose end a proxy could see elsewhere; bodies end at the limit, with or without a declared
length; for whom a request was passed on is believed of the proxies that are named, and of nobody else; answers say that nobody
may frame, guess or keep them; each has an id.
Not covered: requests that are no HTTP, which the parser refuses; a proxy that passes on what its clients say of themselves.
"""

import secrets
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sadari.serve.faults import ApiError
from sadari.serve.lines import route_of
from sadari.serve.options import ServeOptions

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with "no-referrer" browsers hide from us that it is our own forms that are sent
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer that does not say otherwise itself."""

HSTS = "max-age=31536000"

LARGEST_HEADERS = 32 * 2**10
"""Bytes of all headers together."""


class Gate:
    """The outermost layer of the application.

    Args:
        finished: Takes the route, the status and the seconds of every request.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions, finished: Callable[[str, int, float], None]) -> None:
        self._app, self._options, self._finished = app, options, finished

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began, status = f"req-{secrets.token_hex(8)}", time.perf_counter(), 500
        headers = Headers(scope=scope)
        origin = {"client": _client(scope, headers, self._options), "is_https": _is_https(scope, headers, self._options)}
        scope.setdefault("state", {}).update(origin | {"request_id": request_id})

        async def safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                told = MutableHeaders(scope=message)
                told["X-Request-Id"] = request_id
                for name, value in self._safe_headers():
                    told.setdefault(name, value)
            await send(message)

        try:
            self._check(scope["method"], headers)
            await self._app(scope, self._bounded(receive), safely)
        except ApiError as error:  # raised here, or while the body was read
            # Closed, since the rest of such a request could be read as another one.
            await JSONResponse(error.body, error.status, error.headers | {"Connection": "close"})(scope, receive, safely)
        finally:
            self._finished(route_of(scope), status, time.perf_counter() - began)

    def _safe_headers(self) -> list[tuple[str, str]]:
        told = [*SAFE_HEADERS.items()]
        return [*told, ("Strict-Transport-Security", HSTS)] if self._options.certificate else told

    def _check(self, method: str, headers: Headers) -> None:
        """Refuse what comes from elsewhere or is too big.

        Raises:
            ApiError: Says why.
        """
        if "transfer-encoding" in headers and "content-length" in headers:
            raise ApiError(400, "Content-Length and Transfer-Encoding say two things of one body: send one.", code="length")
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ""
        if _name(host) not in self._options.names:
            raise ApiError(421, "This server does not answer under that name. Start it with --host-name NAME.", code="host")
        for origin in headers.getlist("origin"):
            if origin not in self._options.origins and not self._is_own(origin, host):
                raise ApiError(403, "Pages of other sites may not ask here.", code="origin")
        is_followed_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") == "cross-site" and "origin" not in headers and not is_followed_link:
            raise ApiError(403, "Pages of other sites may not ask here.", code="origin")
        if sum(len(name) + len(value) for name, value in headers.raw) > LARGEST_HEADERS:
            raise ApiError(431, f"The headers are larger than {LARGEST_HEADERS:,} bytes.", code="too_large")
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > self._options.max_body:
            raise self._too_big()

    def _is_own(self, origin: str, host: str) -> bool:
        scheme = "https" if self._options.certificate else "http"
        return origin.lower() in (f"{scheme}://{host}".lower(), f"https://{host}".lower())

    def _bounded(self, receive: Receive) -> Receive:
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._options.max_body:
                raise HTTPException(413)  # what else is raised while a body is read, FastAPI takes for wrong JSON
            return message

        return bounded

    def _too_big(self) -> ApiError:
        return ApiError(413, f"The request is larger than {self._options.max_body:,} bytes.", code="too_large")


def _is_https(scope: Scope, headers: Headers, options: ServeOptions) -> bool:
    """Whether the client speaks https, to us or to the proxy."""
    if not options.is_proxy(_peer(scope)):
        return str(scope.get("scheme")) == "https"
    return ",".join(headers.getlist("x-forwarded-proto")).rpartition(",")[2].strip().lower() == "https"


def _client(scope: Scope, headers: Headers, options: ServeOptions) -> str:
    """The address of the client: the last one in the chain of proxies that is none of those that are believed."""
    address = _peer(scope)
    chain = [one.strip() for one in ",".join(headers.getlist("x-forwarded-for")).split(",")]
    while options.is_proxy(address) and chain and chain[-1]:
        address = chain.pop()
    return address


def _peer(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


def _name(host: str) -> str:
    """The name in a Host header, without its port; "" if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower() if host and "@" not in host and "/" not in host else ""
    except ValueError:
        return ""
