"""How pages are made: a template, its words in the reader's language, and headers that let nothing foreign in.

Covered: templates escape what they show; scripts and styles come from this server only, and none stands in a page; nobody may frame
a page; a page that needs a person sends others to the sign-in.
Not covered: what a page's own script does with what it is told; it sets `textContent`, or HTML that this server made safe.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import yaml
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sadari.serve.entry import ServiceOf, sign_in_of
from sadari.serve.faults import ApiError, missing
from sadari.serve.keys import Identity, Permission

HERE = Path(__file__).parent
STATIC = MappingProxyType({file.name: file for file in (HERE / "static").iterdir() if file.is_file()})
"""What may be fetched as /static/NAME."""

Language = Literal["ko", "en"]
LANGUAGE_COOKIE, THEME_COOKIE = "sadari_language", "sadari_theme"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
}

MENU: tuple[tuple[str, str, Permission], ...] = (
    ("chat", "/", "ask"),
    ("approvals", "/approvals", "ask"),
    ("runs", "/runs", "operate"),
    ("monitor", "/monitor", "operate"),
    ("data", "/data", "operate"),
    ("admin", "/admin", "administer"),
)
"""Pages by name, address, and what one must be permitted to see them."""

router = APIRouter(include_in_schema=False)


class SignInNeededError(Exception):
    """This page is for somebody who has signed in."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page.

    Args:
        csrf: What scripts send back as `X-CSRF-Token`; "" where nobody signs in.
        is_signed_in: Whether there is a session to end.
        theme: "" follows the machine's.
    """

    identity: Identity
    csrf: str
    is_signed_in: bool
    language: Language
    theme: Literal["", "light", "dark"]


def language_of(request: Request) -> Language:
    """The language that was chosen, else the one that the browser asks for first, else English."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in ("ko", "en"):
        return chosen  # type: ignore[return-value]
    return "ko" if request.headers.get("accept-language", "").lower().startswith("ko") else "en"


def theme_of(request: Request) -> Literal["", "light", "dark"]:
    """The theme that was chosen."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in ("light", "dark") else ""  # type: ignore[return-value]


def viewing(permission: Permission) -> Callable[..., Viewer]:
    """A dependency: who looks at this page, if the role permits it."""

    def check(request: Request, service: ServiceOf) -> Viewer:
        try:
            sign_in = sign_in_of(request, service)
        except ApiError as error:
            if error.status == 401:
                raise SignInNeededError from error
            raise
        if not sign_in.identity.may(permission):
            raise ApiError(403, "Your role does not let you see this page.", code="role")
        return Viewer(sign_in.identity, sign_in.csrf, sign_in.is_session, language_of(request), theme_of(request))

    return check


Asking = Annotated[Viewer, Depends(viewing("ask"))]
Operating = Annotated[Viewer, Depends(viewing("operate"))]
Administering = Annotated[Viewer, Depends(viewing("administer"))]


@cache
def words(page: str, language: Language) -> Mapping[str, str]:
    """The words of a page, with those that all pages share, from `words/PAGE.yaml`: `name: {ko: ..., en: ...}`."""
    told: dict[str, dict[str, str]] = {}
    for file in ("common", page):
        told |= yaml.safe_load((HERE / "words" / f"{file}.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({name: texts[language] for name, texts in told.items()})


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(HERE / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def page(request: Request, viewer: Viewer | None, name: str, status: int = 200, *, part: str = "", **values: Any) -> HTMLResponse:
    """The page `name` from `templates/NAME.html.jinja`.

    Args:
        viewer: Who looks; None before the sign-in.
        part: A piece of the page alone, from `templates/NAME_PART.html.jinja`, for its script to put in.
        values: What the template shows, beside `w` (its words), `viewer`, `menu`, `name`, `language` and `theme`; `part_of` is the
            page that the menu marks in its place.
    """
    language = viewer.language if viewer else language_of(request)
    identity = viewer.identity if viewer else None
    shared = {
        "w": words(name, language),
        "viewer": viewer,
        "menu": [(n, place) for n, place, permission in MENU if identity and identity.may(permission)],
        "name": name,
        "language": language,
        "theme": theme_of(request),
    }
    file = f"{name}_{part}.html.jinja" if part else f"{name}.html.jinja"
    text = _templates().get_template(file).render(shared | values)
    return HTMLResponse(text, status, HEADERS)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """A script, a style or a picture of the pages."""
    if name not in STATIC:
        raise missing("file")
    return FileResponse(STATIC[name], headers={"Cache-Control": "no-cache"})
