"""Routes of sadari's own: runs, ratings, keys; approvals stand in `decisions`.

Covered: whoever may not see a run is told that there is none; a rating is kept beside the answer, and changes nothing else.
Not covered: a person who rates without reading.
"""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from sadari.agent.log import Draft, RunEntry, Spent
from sadari.agent.state import RunState
from sadari.serve import administration, decisions, promoting
from sadari.serve.decisions import go_on
from sadari.serve.entry import ServiceOf, permitted
from sadari.serve.faults import ApiError, missing, wrong
from sadari.serve.keys import PREFIX, Identity, KeyEntry, Role
from sadari.serve.service import Service

router = APIRouter(prefix="/sadari")
router.include_router(decisions.router)
router.include_router(administration.router)
router.include_router(promoting.router)

Asker = Annotated[Identity, Depends(permitted("ask"))]
Admin = Annotated[Identity, Depends(permitted("administer"))]

MOST_LISTED = 500


class Rating(BaseModel, frozen=True, extra="forbid"):
    """What a person thinks of an answer."""

    rating: Literal["up", "down"]
    reason: str = Field(default="", max_length=2_000)
    corrected: str = Field(default="", max_length=20_000, description="What a right answer would have been.")
    question: int | None = Field(default=None, ge=1, description="Which question of the run; the newest if none is named.")


class NewKey(BaseModel, frozen=True, extra="forbid"):
    """A key that is to be made."""

    user: str
    role: Role = "user"
    days: float | None = Field(default=90, gt=0, description="After which it expires; null for never.")
    labels: tuple[str, ...] = ()
    requests_per_minute: int | None = Field(default=None, ge=1)
    concurrent: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1)
    money_per_day: float | None = Field(default=None, gt=0)
    scope: tuple[str, ...] = Field(default=(), description="Permissions and model:NAME; all that the key is good for. [] for all.")


# --- runs --------------------------------------------------------------------------------------------------------------


@router.get("/runs")
def list_runs(
    service: ServiceOf,
    identity: Asker,
    status: Annotated[Literal["running", "waiting", "idle", "cancelled", "erased"] | None, Query()] = None,
    user: Annotated[str | None, Query(max_length=64)] = None,
    most: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
) -> dict[str, Any]:
    """One's own runs, newest first; those who operate see everybody's."""
    whose = user if identity.may("operate") else identity.user
    return {"runs": [_entry_json(entry) for entry in service.log.runs(user=whose, status=status)[:most]]}


@router.get("/runs/{run}")
def show_run(run: str, service: ServiceOf, identity: Asker) -> dict[str, Any]:
    """What was said and done in a run, and what waits in it."""
    return _run_json(service, service.desk.state_of(identity, run))


@router.get("/runs/{run}/events")
def list_events(
    run: str, service: ServiceOf, identity: Annotated[Identity, Depends(permitted("operate"))], after: int = 0
) -> dict[str, Any]:
    """The events of a run, as they are in the log."""
    state = service.desk.state_of(identity, run)
    if state.user != identity.user:
        service.acts.keep(identity.user, "run.read", run, user=state.user)
    return {"events": [asdict(event) for event in service.log.events(run, max(0, min(after, 2**31 - 1)))]}


@router.post("/runs/{run}/cancel")
def cancel_run(run: str, service: ServiceOf, identity: Asker) -> dict[str, Any]:
    """End the work on the question of a run."""
    state = service.desk.state_of(identity, run)
    if state.status not in ("running", "waiting"):
        raise ApiError(409, f"{run} is {state.status}: there is nothing to cancel.", code=state.status)
    service.desk.loop.cancel(run, identity.user)
    return _run_json(service, service.desk.state_of(identity, run))


@router.post("/runs/{run}/resume")
def resume_run(run: str, service: ServiceOf, identity: Asker) -> dict[str, Any]:
    """Go on with a run that was cut off, or was decided on; what came of it is told when one asks for the run."""
    state = service.desk.state_of(identity, run)
    if state.status not in ("running", "waiting"):
        raise ApiError(409, f"{run} is {state.status}: there is nothing to go on with.", code=state.status)
    go_on(service, run)
    return {"run": run, "status": "resumed"}


@router.post("/runs/{run}/rating")
def rate_answer(run: str, rating: Rating, service: ServiceOf, identity: Asker) -> dict[str, Any]:
    """Keep what a person thinks of an answer, and what a right one would have been."""
    state = service.desk.state_of(identity, run)
    if state.status not in ("idle", "cancelled") or state.answer is None:
        raise ApiError(409, f"{run} is {state.status}: an answer is rated when it is there.", code=state.status)
    questions = [event.seq for event in service.log.events(run) if event.kind == "run.asked"]
    question = rating.question or questions[-1]
    if question not in questions:
        raise wrong("question", f"there is no such question in {run}; there are: {questions[-20:]}.")
    body = {"by": identity.user, "question": question, "rating": rating.rating, "reason": rating.reason}
    draft = Draft("answer.rated", body | {"corrected": rating.corrected})  # until the kind is known
    (event,) = service.log.append(run, [draft], after=state.seq, sync=True)
    return {"run": run, "question": question, "event": event.seq}


def _entry_json(entry: RunEntry) -> dict[str, Any]:
    return asdict(entry)


def _run_json(service: Service, state: RunState) -> dict[str, Any]:
    told = service.desk.told(service.desk.last_question(state.run)) if state.status != "erased" and state.turns else None
    said = [{"role": m.role, "content": m.content} for m in state.messages]
    common = {"run": state.run, "user": state.user, "status": state.status, "messages": said}
    return common | ({"answer": told.text, "sadari": told.extension} if told is not None else {})


# --- keys --------------------------------------------------------------------------------------------------------------


@router.get("/keys")
def list_keys(service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """The keys, without what is secret of them."""
    return {"keys": [key_json(entry, service.keys.spent(entry.key)) for entry in service.keys.all()]}


@router.post("/keys")
def add_key(wanted: NewKey, service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Make a key. It is shown this once."""
    made = Identity(**wanted.model_dump(exclude={"days"}))
    service.check_priced(made)
    key = service.keys.add(made, wanted.days)
    told = wanted.model_dump(exclude={"user"}, exclude_defaults=True) | {"key": key.removeprefix(PREFIX).partition("-")[0]}
    service.acts.keep(identity.user, "key.make", wanted.user, **told)
    return {"key": key}


@router.post("/keys/{key}/revoke")
def revoke_key(key: str, service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Let a key in no more."""
    whose = next((entry.identity.user for entry in service.keys.all() if entry.key == key), None)
    if whose is None:
        raise missing(f"key {key}")
    service.keys.revoke(key)
    service.acts.keep(identity.user, "key.revoke", whose, key=key)
    return {"key": key, "revoked": True}


def key_json(entry: KeyEntry, spent: Spent) -> dict[str, Any]:
    """What may be shown of a key, with what was used today."""
    today = {"tokens": spent.tokens, "money": spent.money}
    return asdict(entry) | {"identity": asdict(entry.identity), "today": today}
