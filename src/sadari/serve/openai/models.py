"""`/v1/models`: the agent, its model, and the adapters that the model takes."""

from typing import Any

from fastapi import APIRouter

from sadari.serve.entry import ServiceOf, Who
from sadari.serve.faults import missing
from sadari.serve.service import Service

router = APIRouter()


@router.get("/v1/models")
def list_models(service: ServiceOf, identity: Who) -> dict[str, Any]:
    """All that a request may name as its model."""
    return {"object": "list", "data": [_model(service, name) for name in service.model_names if identity.may_use(name)]}


@router.get("/v1/models/{name}")
def show_model(name: str, service: ServiceOf, identity: Who) -> dict[str, Any]:
    """One of them."""
    if name not in service.model_names or not identity.may_use(name):
        raise missing(f"model {name}; there are: {', '.join(service.model_names)}")
    return _model(service, name)


def _model(service: Service, name: str) -> dict[str, Any]:
    kind = "agent" if service.is_agent(name) else ("adapter" if ":" in name else "model")
    version = service.desk.version if kind == "agent" else None
    return {"id": name, "object": "model", "created": 0, "owned_by": "sadari", "sadari": {"kind": kind, "version": version}}
