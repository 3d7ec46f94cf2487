"""Routes of sadari's own: runs, approvals, ratings, keys.

Covered: whoever may not see a run is told that there is none; a decision names what the person saw; whoever decides is the owner of
the key, never a name in the request; a rating is kept beside the answer, and changes nothing else.
Not covered: whether the person behind an approver's key reads before deciding.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, JsonValue

from sadari.agent import approval
from sadari.agent.log import Draft, RunEntry
from sadari.agent.state import RunState
from sadari.serve.entry import ServiceOf, permitted
from sadari.serve.faults import ApiError, missing, wrong
from sadari.serve.keys import Identity, KeyEntry, Role
from sadari.serve.service import Service

router = APIRouter(prefix="/sadari")

Asker = Annotated[Identity, Depends(permitted("ask"))]
Approver = Annotated[Identity, Depends(permitted("approve"))]
Admin = Annotated[Identity, Depends(permitted("administer"))]

MOST_LISTED = 500

GOES_ON_S = 600.0
"""Seconds that a decided run waits for whoever works on it at the moment."""


class Decision(BaseModel, frozen=True, extra="forbid"):
    """A decision on a call that waits."""

    decision: Literal["approve", "deny", "edit", "settle"]
    fingerprint: str = Field(default="", max_length=64, description="Of the call as it was seen; to settle, none.")
    reason: str = Field(default="", max_length=2_000, description="Of a denial; the model is told.")
    arguments: dict[str, JsonValue] | None = Field(default=None, description="To edit: the arguments in place of the model's.")
    happened: bool | None = Field(default=None, description="To settle: whether the call took effect.")
    told: str = Field(default="", max_length=8_000, description="To settle: what the model is told of it.")


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
    service.desk.state_of(identity, run)
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
    _go_on(service, run)
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


def _go_on(service: Service, run: str) -> None:
    """Go on with a run in the background: nobody waits for it, its log tells what came of it."""

    def go_on() -> None:
        for _ in service.desk.go_on(service.desk.last_question(run), GOES_ON_S):
            if service.workers.is_stopping:
                return

    service.workers.in_background(go_on)


# --- approvals ---------------------------------------------------------------------------------------------------------


@router.get("/approvals")
def list_approvals(service: ServiceOf, identity: Asker) -> dict[str, Any]:
    """The calls that wait for a person, oldest first: all for those who approve, for others those of their own runs."""
    waiting = approval.pending(service.log, _now())
    return {"approvals": [asdict(one) for one in waiting if identity.may("approve") or one.user == identity.user]}


@router.post("/approvals/{run}/{call}")
def decide(run: str, call: str, decision: Decision, service: ServiceOf, identity: Approver) -> dict[str, Any]:
    """Decide on a call that waits. The run then goes on by itself."""
    if run not in {one.run for one in approval.pending(service.log, _now(), run=run)}:
        raise missing(f"request {run}/{call}")
    made = _DECISIONS[decision.decision](service, run, call, decision, identity.user)
    _go_on(service, run)
    return {"run": run, "call": made, "decision": decision.decision, "by": identity.user}


def _approve(service: Service, run: str, call: str, decision: Decision, by: str) -> str:
    approval.approve(service.log, run, call, decision.fingerprint, by, now=_now(), four_eyes=service.four_eyes)
    return call


def _deny(service: Service, run: str, call: str, decision: Decision, by: str) -> str:
    approval.deny(service.log, run, call, decision.fingerprint, by, now=_now(), reason=decision.reason)
    return call


def _edit(service: Service, run: str, call: str, decision: Decision, by: str) -> str:
    if decision.arguments is None:
        raise wrong("arguments", "is missing: what is to stand in place of the model's?")
    return approval.edit(service.log, run, call, decision.fingerprint, by, decision.arguments, now=_now())


def _settle(service: Service, run: str, call: str, decision: Decision, by: str) -> str:
    if decision.happened is None:
        raise wrong("happened", "is missing: did the call take effect?")
    approval.settle(service.log, run, call, by, happened=decision.happened, told=decision.told)
    return call


_DECISIONS: dict[str, Callable[[Service, str, str, Decision, str], str]] = {
    "approve": _approve,
    "deny": _deny,
    "edit": _edit,
    "settle": _settle,
}


# --- keys --------------------------------------------------------------------------------------------------------------


@router.get("/keys")
def list_keys(service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """The keys, without what is secret of them."""
    return {"keys": [key_json(entry) for entry in service.keys.all()]}


@router.post("/keys")
def add_key(wanted: NewKey, service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Make a key. It is shown this once."""
    made = Identity(
        wanted.user,
        wanted.role,
        wanted.labels,
        requests_per_minute=wanted.requests_per_minute,
        concurrent=wanted.concurrent,
    )
    return {"key": service.keys.add(made, wanted.days)}


@router.post("/keys/{key}/revoke")
def revoke_key(key: str, service: ServiceOf, identity: Admin) -> dict[str, Any]:
    """Let a key in no more."""
    if key not in {entry.key for entry in service.keys.all()}:
        raise missing(f"key {key}")
    service.keys.revoke(key)
    return {"key": key, "revoked": True}


def key_json(entry: KeyEntry) -> dict[str, Any]:
    """What may be shown of a key."""
    return asdict(entry) | {"identity": asdict(entry.identity)}


def _now() -> datetime:
    return datetime.now().astimezone()
