"""The application: routes, errors and the gate around one service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from sadari import __version__
from sadari.errors import SadariError
from sadari.serve import feedback, health, own
from sadari.serve.faults import ApiError, api_error
from sadari.serve.gate import Gate
from sadari.serve.lines import Caught, Lined
from sadari.serve.openai import chat, completions, embeddings, models, responses
from sadari.serve.pages import ROUTERS
from sadari.serve.pages.look import SignInNeededError
from sadari.serve.service import Service
from sadari.serve.telemetry import Traced


def create_app(service: Service) -> FastAPI:
    """The application that serves `service`, and closes it at the end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.retention.start()
        yield
        service.close()

    app = FastAPI(title="sadari", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    for router in (
        chat.router,
        completions.router,
        responses.router,
        embeddings.router,
        models.router,
        own.router,
        feedback.router,
        health.router,
        *ROUTERS,
    ):
        app.include_router(router)
    app.add_exception_handler(SadariError, _tell)
    app.add_exception_handler(SignInNeededError, _send_to_sign_in)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_middleware(Caught, answer=_tell_broken)
    if service.options.origins:
        headers = ["Authorization", "Content-Type", "Idempotency-Key"]
        app.add_middleware(
            CORSMiddleware, allow_origins=service.options.origins, allow_methods=["GET", "POST"], allow_headers=headers
        )
    app.add_middleware(Gate, options=service.options, finished=service.metrics.answered)
    if service.telemetry is not None:
        app.add_middleware(Traced, telemetry=service.telemetry)
    app.add_middleware(Lined)
    return app


async def _tell(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SadariError)
    return _answer(api_error(error))


async def _send_to_sign_in(request: Request, error: Exception) -> RedirectResponse:
    """To the sign-in, and from there back to the page."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/signin?{urlencode({'next': request.url.path + query})}", 303)


async def _tell_invalid(request: Request, error: Exception) -> JSONResponse:
    """The first field that is wrong; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)
    return _answer(_invalid(error.errors()[0]))


def _invalid(fault: Any) -> ApiError:
    if fault["type"] == "json_invalid":
        return ApiError(400, "The body is no JSON.", code="json")
    steps = [step for step in fault["loc"] if step not in ("body", "query", "path", "header")]
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")[:200]
    message = str(fault["msg"]).removeprefix("Value error, ")[:300]
    return ApiError(400, f"{name}: {message}" if name else message, param=name or None)


async def _tell_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    told = {
        404: "There is no such route.",
        405: "This route does not take that method.",
        400: "The request cannot be read.",
        413: "The request is too large.",
    }
    message = told.get(error.status_code, "The request cannot be answered.")
    return _answer(ApiError(error.status_code, message), dict(error.headers or {}))


async def _tell_broken(request: Request, error: Exception) -> JSONResponse:
    request_id = getattr(request.state, "request_id", "")
    return _answer(ApiError(500, f"Something broke here. Tell those who operate this server: {request_id}", code="internal"))


def _answer(error: ApiError, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(error.body, error.status, {**(headers or {}), **error.headers})
