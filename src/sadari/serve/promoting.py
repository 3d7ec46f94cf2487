"""Routes of what is served: what it is, and serving something else.

Covered: bundles are taken from the runs of the task alone, wherever links or `..` lead; who asks is the owner of the key or the
session; the same checks as on the command line are made.
Not covered: what the checks themselves do not cover (`sadari.serve.promotion`).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from sadari.errors import SadariError
from sadari.serve.entry import ServiceOf, permitted
from sadari.serve.faults import ApiError, wrong
from sadari.serve.following import Follower
from sadari.serve.keys import Identity
from sadari.serve.promotion import Wanted, promote, roll_back, with_default
from sadari.serve.served import MARGIN, SETTLE_S, read_served
from sadari.serve.service import Service
from sadari.serve.signs import servers_of

router = APIRouter()


class Change(BaseModel, frozen=True, extra="forbid"):
    """What is to be served."""

    action: Literal["promote", "rollback"]
    bundle: str = Field(
        default="", max_length=300, description="A bundle or a run in TASK/runs, as 2 or 2/best; empty: the canary's."
    )
    canary: float | None = Field(default=None, gt=0, lt=1, description="Share of new conversations; null serves it to all.")
    margin: float = Field(default=MARGIN, ge=0, lt=1, description="Loss in mean outcome up to which a canary is not worse.")
    unit: Literal["user", "conversation"] = Field(default="user", description="What is drawn for a canary.")
    auto: bool = Field(default=False, description="Serve the canary to all once it is proven not to be worse.")
    settle_s: float = Field(default=SETTLE_S, ge=0, le=86_400, description="Seconds of silence after which a conversation counts.")
    force: bool = Field(default=False, description="Serve it though a check says no.")
    reason: str = Field(default="", max_length=2_000, description="Of a rollback.")


@router.get("/served")
def show_served(service: ServiceOf, identity: Annotated[Identity, Depends(permitted("operate"))]) -> dict[str, Any]:
    """What is served and what was, the canary and how it does, and what could not be loaded."""
    return _told(service)


@router.post("/served")
def change_served(
    wanted: Change, service: ServiceOf, identity: Annotated[Identity, Depends(permitted("administer"))]
) -> dict[str, Any]:
    """Serve another system of the task, try it on some conversations, or go back. It is loaded beside the old one first."""
    task, _ = _followed(service)
    notes: tuple[str, ...] = ()
    try:
        if wanted.action == "rollback":
            roll_back(task, identity.user, wanted.reason)
        else:
            bundle = _bundle(task, wanted.bundle) if wanted.bundle else None
            how = (wanted.canary, wanted.margin, wanted.unit, wanted.auto, wanted.settle_s)
            _, checked = promote(task, Wanted(bundle, identity.user, wanted.force, *how))
            notes = checked.notes
    except ApiError:
        raise
    except SadariError as error:  # an administrator may read what is wrong with a bundle
        raise ApiError(409, str(error), code="not_promoted") from error
    act = {"action": wanted.action, "canary": wanted.canary, "force": wanted.force}
    service.acts.keep(identity.user, "served.change", wanted.bundle, **act)
    return _told(service) | {"notes": notes}


def _told(service: Service) -> dict[str, Any]:
    task, follower = _followed(service)
    standing = follower.standing
    return {
        "served": asdict(with_default(task, read_served(task))),
        "servers": [asdict(sign) for sign in servers_of(task)],
        "canary": asdict(standing) | {"words": standing.words} if standing is not None else None,
    }


def _followed(service: Service) -> tuple[Path, Follower]:
    if not isinstance(service.follower, Follower):
        raise ApiError(409, "This server serves one bundle, and no task. Start it with the task's folder.", code="no_task")
    return service.follower.task, service.follower


def _bundle(task: Path, written: str) -> Path:
    runs = (task / "runs").resolve()
    try:
        folder = (runs / written).resolve()
    except (OSError, ValueError) as error:
        raise wrong("bundle", "is no path.") from error
    if "\0" in written or not folder.is_relative_to(runs) or not folder.is_dir():
        raise wrong("bundle", "there is no such bundle in the runs of this task.")
    return folder
