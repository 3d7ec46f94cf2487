"""What a client is told when something did not go, in the shape that OpenAI's clients read.

Covered: a client is told what it can mend, and a request id; never a trace, a path or the words of a library.
Not covered: what the server itself logs.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sadari.agent.log import MovedOnError
from sadari.errors import (
    BudgetError,
    BusyError,
    ConfigError,
    ContextError,
    DataError,
    ModelError,
    RunError,
    SadariError,
    ToolRefusedError,
)

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
}
"""`type` of an error by its status; "server_error" for all others."""


class ApiError(SadariError):
    """A request that is not answered.

    Args:
        status: HTTP status.
        message: What happened and what to do, for the client.
        code: For programs.
        param: The field that is wrong.
        retry_after_s: When it may go better; None if it will not by itself.
    """

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after_s = status, code, param, retry_after_s

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI writes it."""
        kind = TYPES.get(self.status, "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """Those that belong to the status."""
        told = {} if self.retry_after_s is None else {"Retry-After": str(max(1, round(self.retry_after_s)))}
        return told | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def wrong(param: str, message: str, code: str | None = None) -> ApiError:
    """A field of the request that is wrong."""
    return ApiError(400, f"{param}: {message}", code=code, param=param)


def missing(what: str) -> ApiError:
    """Something that is not there, or not for this user: nobody learns which."""
    return ApiError(404, f"There is no {what[:100]}.", code="not_found")


def busy(message: str, after_s: float = 1.0) -> ApiError:
    """Too much to do at the moment."""
    return ApiError(503, message, code="overloaded", retry_after_s=after_s)


def api_error(error: SadariError) -> ApiError:
    """What a client is told of an error of the library."""
    match error:
        case ApiError():
            return error
        case BusyError():
            return busy("As many requests wait as may. Try again in a moment.")
        case BudgetError():
            return ApiError(429, str(error), code="insufficient_quota", retry_after_s=_until_tomorrow())
        case MovedOnError():
            return ApiError(409, "This run is being worked on. Try again in a moment.", code="busy", retry_after_s=1)
        case ToolRefusedError():
            return ApiError(409, str(error), code="refused")
        case ContextError():
            return ApiError(400, str(error), code="context_length_exceeded", param="messages")
        case DataError() | ConfigError():
            return ApiError(400, str(error))
        case RunError():
            return ApiError(503, "The log does not take or give anything now; nothing was done.", code="log", retry_after_s=5)
        case ModelError():
            return ApiError(502, "The model did not answer.", code="model")
        case _:
            return ApiError(500, "Something broke here. The request id says where to look.", code="internal")


def _until_tomorrow() -> float:
    now = datetime.now(UTC)
    return (now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now).total_seconds()
