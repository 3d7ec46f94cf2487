"""Whether it lives, whether it takes requests, and its counters."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from sadari.serve.entry import ServiceOf, permitted
from sadari.serve.keys import Identity
from sadari.serve.metrics import CONTENT_TYPE

router = APIRouter()


@router.get("/healthz")
async def health() -> dict[str, str]:
    """That the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readiness(service: ServiceOf) -> Response:
    """Whether it takes requests: the log answers, there is room, and it is not being stopped."""
    told: dict[str, Any] = {"log": True, "room": not service.workers.is_full, "open": not service.workers.is_stopping}
    try:
        service.log.events("", 0)
    except Exception:  # whatever it is, requests would fail
        told["log"] = False
    is_ready = all(told.values())
    return JSONResponse({"status": "ready" if is_ready else "not ready"} | told, 200 if is_ready else 503)


@router.get("/metrics")
def metrics(service: ServiceOf, identity: Annotated[Identity, Depends(permitted("operate"))]) -> Response:
    """The counters, for Prometheus."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)
