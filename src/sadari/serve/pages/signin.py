"""The pages with which people sign in and out; they work without scripts.

Covered: a form that another site sends signs nobody in (login CSRF); each sign-in begins a new session and ends the one before
(fixation); afterwards nobody is sent elsewhere than to a page of this server; a name that does not exist is answered as a wrong
password is; signing out needs what only the pages of the session know.
Not covered: whether the page that asks for the password is ours. Its address shows that.
"""

import logging
import re
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from sadari.errors import ConfigError
from sadari.serve.entry import SESSION, ServiceOf, cookie_of, set_cookie
from sadari.serve.faults import ApiError
from sadari.serve.keys import is_same
from sadari.serve.oidc import BEGUN_S, Provider, new_secret
from sadari.serve.pages.look import page
from sadari.serve.service import Service

router = APIRouter(include_in_schema=False)

BEGUN = "sadari_oidc"
"""Cookie that holds the secret of a sign-in with the provider, and where it leads."""

LONGEST_PATH = 2_000
"""Characters, percent-encoded: it stands in a cookie."""

_LOCAL = re.compile(r"/(?!/)[^\\\x00-\x20\x7f-\x9f]*")

_log = logging.getLogger(__name__)


@router.get("/signin")
def show_sign_in(request: Request, service: ServiceOf, next: Annotated[str, Query()] = "/") -> Response:
    """The page that asks who one is; whoever is known goes on."""
    place = local_path(next)
    is_needed = service.asks_keys or not service.people.is_empty
    if not is_needed or service.sessions.find(cookie_of(request, SESSION)):
        return RedirectResponse(place, 303)
    return _shown(request, service, place)


@router.post("/signin")
def sign_in(
    request: Request,
    service: ServiceOf,
    user: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Sign in with name and password."""
    place = local_path(next)
    if not _is_own_page(request):
        return _shown(request, service, place, 403, problem="origin")
    try:
        identity = service.people.who(user, password, request.state.client)
    except ApiError as error:
        problem = "many" if error.status == 429 else "busy"
        return _shown(request, service, place, error.status, problem=problem, headers=error.headers, user=user[:64])
    if identity is None:
        _log.info("a sign-in was refused", extra={"address": request.state.client})
        return _shown(request, service, place, 403, problem="wrong", user=user[:64])
    return _begun(request, service, identity.user, place)


@router.post("/signout")
def sign_out(request: Request, service: ServiceOf, csrf: Annotated[str, Form()] = "") -> Response:
    """End the session."""
    secret = cookie_of(request, SESSION)
    session = service.sessions.find(secret)
    if session is not None and not is_same(csrf, session.csrf):
        raise ApiError(403, "This page is older than your session. Load it anew.", code="csrf")
    service.sessions.end(secret)
    answer = RedirectResponse("/signin", 303)
    set_cookie(request, answer, SESSION, "")
    return answer


# --- with the provider -------------------------------------------------------------------------------------------------


@router.get("/signin/oidc/start")
def begin_with_provider(request: Request, service: ServiceOf, next: Annotated[str, Query()] = "/") -> Response:
    """To the provider. A link and no form: browsers would not follow a form to another site (`form-action`)."""
    provider, place, secret = _provider(service), local_path(next), new_secret()
    try:
        address = provider.begin(secret, _redirect(request))
    except ApiError as error:
        return _shown(request, service, place, error.status, problem="provider", headers=error.headers)
    answer = RedirectResponse(address, 303)
    set_cookie(request, answer, BEGUN, f"{secret}.{quote(place, safe='')}", BEGUN_S)
    return answer


@router.get("/signin/oidc")
def come_back(request: Request, service: ServiceOf) -> Response:
    """Back from the provider."""
    provider = _provider(service)
    secret, _, written = cookie_of(request, BEGUN).partition(".")
    place, told = local_path(unquote(written)), dict(request.query_params)
    try:
        service.attempts.begin("", request.state.client)
        arrived = provider.finish(secret, told, _redirect(request))
        met = service.people.meet(arrived.user, arrived.subject, arrived.role, arrived.labels, provider.options.role)
    except (ApiError, ConfigError) as error:
        return _not_let_in(request, service, place, error)
    if met is None:
        return _not_let_in(request, service, place, ApiError(403, "This person is not let in.", code="oidc_name"))
    service.attempts.succeeded("", request.state.client)
    answer = _begun(request, service, met.user, place)
    set_cookie(request, answer, BEGUN, "")
    return answer


def _not_let_in(request: Request, service: Service, place: str, error: ApiError | ConfigError) -> Response:
    """The page again; a name that cannot be taken is a `ConfigError`."""
    told = error if isinstance(error, ApiError) else ApiError(403, str(error), code="oidc_name")
    _log.info("a sign-in was refused", extra={"address": request.state.client, "why": told.code})
    problem = {429: "many", 502: "provider"}.get(told.status) or (told.code or "").removeprefix("oidc_")
    answer = _shown(request, service, place, told.status, problem=problem, headers=told.headers)
    set_cookie(request, answer, BEGUN, "")
    return answer


def _provider(service: Service) -> Provider:
    if service.provider is None:
        raise ApiError(404, "There is no such route.")
    return service.provider


def _redirect(request: Request) -> str:
    """Where the provider sends people back to; the gate has checked the name of the host."""
    scheme = "https" if request.state.is_https else "http"
    return f"{scheme}://{request.headers['host']}/signin/oidc"


# --- what all of them need ---------------------------------------------------------------------------------------------


def local_path(written: str) -> str:
    """A page of this server, "/" for whatever is none: another site's, one that browsers read in two ways, or these pages."""
    path = written.partition("?")[0]
    is_own = _LOCAL.fullmatch(written) is not None and len(quote(written, errors="replace")) <= LONGEST_PATH
    return written if is_own and not path.startswith(("/signin", "/signout")) else "/"


def _is_own_page(request: Request) -> bool:
    """Whether a page of this server sends the form. The gate lets those of `origins` pass as well; they sign nobody in."""
    origins, site = request.headers.getlist("origin"), request.headers.get("sec-fetch-site")
    scheme = "https" if request.state.is_https else "http"
    own = f"{scheme}://{request.headers['host']}".lower()
    is_named = [origin.lower() for origin in origins] == [own]
    return (is_named and site in (None, "same-origin")) or (not origins and site == "same-origin")


def _begun(request: Request, service: Service, user: str, place: str) -> Response:
    """A new session, in place of the one that there was."""
    service.sessions.end(cookie_of(request, SESSION))
    answer = RedirectResponse(place, 303)
    set_cookie(request, answer, SESSION, service.sessions.begin(user))
    return answer


def _shown(
    request: Request, service: Service, place: str, status: int = 200, *, headers: dict[str, str] | None = None, **values: Any
) -> Response:
    shown: dict[str, Any] = {"next": place, "problem": "", "user": "", "wait": (headers or {}).get("Retry-After", "")} | values
    title = service.provider.options.title or service.provider.host if service.provider else ""
    has_passwords = not service.people.is_empty or service.provider is None
    answer = page(request, None, "signin", status, provider=title, has_passwords=has_passwords, **shown)
    answer.headers.update(headers or {})
    return answer
