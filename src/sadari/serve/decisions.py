"""Routes of approvals: what waits for a person, the decision, and what was decided.

Covered: a decision names what the person saw; whoever decides is the owner of the key or the session, never a name in the request;
of two who decide at once the second is told who was first; users are told of their own calls only; arguments that a person writes
are checked against the tool's schema before they are asked for anew.
Not covered: whether the person behind an approver's key reads before deciding.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, JsonValue

from sadari.agent import approval
from sadari.agent.approval import Pending
from sadari.agent.state import RunState
from sadari.agent.teaching import teach_arguments
from sadari.serve.entry import ServiceOf, permitted
from sadari.serve.faults import ApiError, missing, wrong
from sadari.serve.keys import Identity
from sadari.serve.service import Service
from sadari.types import Tool

router = APIRouter()

Asker = Annotated[Identity, Depends(permitted("ask"))]
Approver = Annotated[Identity, Depends(permitted("approve"))]

GOES_ON_S = 600.0
"""Seconds that a decided run waits for whoever works on it at the moment."""

MOST_TURNS = 8
"""Turns of the conversation, the newest, that are told with a request."""

LONGEST_TURN = 4_000

LOOKED_BACK_DAYS = (2, 30)
"""The history looks back so far, one after the other, until it has found enough."""


class Decision(BaseModel, frozen=True, extra="forbid"):
    """A decision on a call that waits."""

    decision: Literal["approve", "deny", "edit", "settle"]
    fingerprint: str = Field(default="", max_length=64, description="Of the call as it was seen; to settle, none.")
    reason: str = Field(default="", max_length=2_000, description="Of a denial; the model is told.")
    arguments: dict[str, JsonValue] | None = Field(default=None, description="To edit: the arguments in place of the model's.")
    happened: bool | None = Field(default=None, description="To settle: whether the call took effect.")
    told: str = Field(default="", max_length=8_000, description="To settle: what the model is told of it.")


@router.get("/approvals")
def list_approvals(service: ServiceOf, identity: Asker) -> dict[str, Any]:
    """The calls that wait for a person, oldest first: all for those who approve, for others those of their own runs."""
    waiting = (one for one in service.waiting.at(_now()) if _may_see(identity, one.user))
    return {"approvals": [_pending_json(service, one) for one in waiting]}


@router.get("/approvals/{run}/{call}")
def show_approval(run: str, call: str, service: ServiceOf, identity: Asker) -> dict[str, Any]:
    """One call that waits, with what a person needs to decide: the tool and its schema, and the conversation before it."""
    one = _waiting(service, identity, run, call)
    if not _may_see(identity, one.user):
        raise missing(f"request {run}/{call}")
    tool = _tool(service.desk.loop.agent.tools, one.tool)
    spec = {} if tool is None else {"description": tool.spec.description, "parameters": dict(tool.spec.parameters)}
    said = _conversation(service.desk.loop.state(one.root))
    part = _conversation(service.desk.loop.state(run)) if run != one.root else []
    return _pending_json(service, one) | {"spec": spec, "conversation": said, "part": part}


@router.post("/approvals/{run}/{call}")
def decide(run: str, call: str, decision: Decision, service: ServiceOf, identity: Approver) -> dict[str, Any]:
    """Decide on a call that waits. Its run then goes on by itself."""
    one = _waiting(service, identity, run, call)
    if decision.decision == "edit":
        _check_arguments(service, one, decision)
    made = _DECISIONS[decision.decision](service, run, call, decision, identity.user)
    go_on(service, one.root)
    return {"run": run, "call": made, "decision": decision.decision, "by": identity.user}


@router.get("/decisions")
def list_decisions(service: ServiceOf, identity: Asker, most: Annotated[int, Query(ge=1, le=200)] = 30) -> dict[str, Any]:
    """What became of calls that had waited, newest first, of the last 30 days: all for those who approve, for others their own."""
    found: list[approval.Decided] = []
    for days in LOOKED_BACK_DAYS:
        since = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        found = approval.decided(service.log, since, most, user=None if identity.may("approve") else identity.user)
        if len(found) == most:
            break
    return {"decisions": [asdict(one) for one in found]}


def go_on(service: Service, run: str) -> None:
    """Go on with a run in the background: nobody waits for it, its log tells what came of it."""

    def advance() -> None:
        for _ in service.desk.go_on(service.desk.last_question(run), GOES_ON_S):
            if service.workers.is_stopping:
                return

    service.workers.in_background(advance)


# --- what waits --------------------------------------------------------------------------------------------------------


def _may_see(identity: Identity, user: str) -> bool:
    return identity.may("approve") or user == identity.user


def _waiting(service: Service, identity: Identity, run: str, call: str) -> Pending:
    """The call, which waits.

    Raises:
        ApiError: 404 if there is none; 409 if it was decided, which says by whom. Only those who approve are told so.
    """
    for one in approval.pending(service.log, _now(), run=run):
        if (one.run, one.call) == (run, call):
            return one
    past = [one for one in approval.decided_in(service.log.events(run)) if one.call == call]
    if past and identity.may("approve"):
        raise ApiError(409, f"{run} {call}: {past[-1].by or 'nobody'} decided already ({past[-1].decision}).", code="decided")
    raise missing(f"request {run}/{call}")


def _pending_json(service: Service, one: Pending) -> dict[str, Any]:
    tool = _tool(service.desk.loop.agent.tools, one.tool)
    return asdict(one) | {"effect": tool.traits.effect if tool is not None else "unknown"}


def _tool(tools: Iterable[Tool], name: str) -> Tool | None:
    """The tool of that name, also of a specialist."""
    for tool in tools:
        if tool.spec.name == name:
            return tool
        below = getattr(tool, "agent", None)
        if below is not None and (found := _tool(below.tools, name)) is not None:
            return found
    return None


def _conversation(state: RunState) -> list[dict[str, Any]]:
    """The newest turns as people read them; what tools returned with the name of the tool."""
    names = {call.id: call.name for call in state.calls.values()}
    told = [
        {
            "role": m.role,
            "content": m.content[:LONGEST_TURN],
            "tool": names.get(m.tool_call_id or "", ""),
            "calls": [call.name for call in m.tool_calls],
        }
        for m in state.messages[-MOST_TURNS:]
    ]
    return [turn for turn in told if turn["content"] or turn["calls"]]


# --- decisions ---------------------------------------------------------------------------------------------------------


def _check_arguments(service: Service, one: Pending, decision: Decision) -> None:
    if decision.arguments is None:
        raise wrong("arguments", "is missing: what is to stand in place of the model's?")
    tool = _tool(service.desk.loop.agent.tools, one.tool)
    language = service.desk.loop.state(one.run).caller.language
    if tool is not None and (fault := teach_arguments(tool.spec, decision.arguments, language)):
        raise wrong("arguments", fault)


def _approve(service: Service, run: str, call: str, decision: Decision, by: str) -> str:
    approval.approve(service.log, run, call, decision.fingerprint, by, now=_now())
    return call


def _deny(service: Service, run: str, call: str, decision: Decision, by: str) -> str:
    approval.deny(service.log, run, call, decision.fingerprint, by, now=_now(), reason=decision.reason)
    return call


def _edit(service: Service, run: str, call: str, decision: Decision, by: str) -> str:
    return approval.edit(service.log, run, call, decision.fingerprint, by, decision.arguments or {}, now=_now())


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


def _now() -> datetime:
    return datetime.now().astimezone()
