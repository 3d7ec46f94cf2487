"""A person's consent to one call, bound to everything that the person saw.

Covered: consent is bound to the tool and its schema, the exact arguments, the version of the agent, the requester and the call in
its run; it is used once, and expires; of two who decide at once one is told that the other did; the requester may be kept from
approving (four eyes); changed arguments are a new request.
Not covered: who the approver is. The caller says it, and has checked it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sadari.agent.log import Draft, Log, MovedOnError
from sadari.agent.log.event import canonical
from sadari.agent.state import CallState, RunState, fold
from sadari.agent.teaching import say
from sadari.errors import DataError, ToolRefusedError
from sadari.types import ToolSpec


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that waits for a person.

    Args:
        kind: "approval", or "unknown": it was begun, and nobody knows whether it took effect.
        root: The run that goes on when it is decided: `run`, or the one on whose behalf that is.
        fingerprint: What the decision has to name.
        user: Who asked.
        question: What the user asked.
        reason: Why a person is asked.
    """

    run: str
    call: str
    kind: str
    tool: str
    arguments: Mapping[str, Any]
    fingerprint: str
    user: str
    question: str
    reason: str
    expires: str
    root: str


def fingerprint(spec: ToolSpec, call: CallState, state: RunState) -> str:
    """What an approval is bound to: SHA-256 of tool, schema, arguments, agent version, requester, run and call."""
    bound = {
        "tool": spec.name,
        "schema": [spec.description, dict(spec.parameters)],
        "arguments": dict(call.arguments),
        "agent": state.agent,
        "user": state.user,
        "run": state.run,
        "call": call.id,
    }
    return hashlib.sha256(canonical(bound).encode()).hexdigest()


def pending(log: Log, now: datetime, *, run: str | None = None) -> list[Pending]:
    """The calls that wait for a person, oldest first; those whose time is over are left out.

    Args:
        run: Only those of this run, and of the specialists that it waits for.
    """
    runs = [run] if run else [entry.run for status in ("waiting", "running", "cancelled") for entry in log.runs(status=status)]
    found: list[Pending] = []
    for name in reversed(runs):
        state = fold(log.events(name))
        root = _root(log, state)
        question = next((m.content for m in reversed(root.messages) if m.role == "user"), "")
        for call in state.waiting:
            if call.status == "handed":
                found += pending(log, now, run=call.run) if run else []  # else its run is among `runs`
            elif call.status == "unknown" or not is_over(call, now):
                kind = "approval" if call.status == "waiting" else "unknown"
                what = (call.name, call.arguments, call.fingerprint, state.user, question, call.reason, call.expires)
                found.append(Pending(name, call.id, kind, *what, root.run))
    return found


def _root(log: Log, state: RunState) -> RunState:
    """The run that a user began, on whose behalf this one is."""
    while state.parent:
        state = fold(log.events(state.parent))
    return state


def approve(log: Log, run: str, call: str, bound_to: str, by: str, *, now: datetime, four_eyes: bool = False) -> None:
    """Consent to a call.

    Args:
        bound_to: The fingerprint of what the person saw.
        by: Who consents.
        four_eyes: Whether the requester may not.

    Raises:
        ToolRefusedError: If it no longer waits, has expired, or is not what the person saw.
    """
    state = _waiting(log, run, call, bound_to, by, now, four_eyes=four_eyes)
    _decide(log, state, [Draft("call.approved", {"id": call, "by": by, "fingerprint": bound_to})])


def deny(log: Log, run: str, call: str, bound_to: str, by: str, *, now: datetime, reason: str = "") -> None:
    """Refuse a call; the model is told so, with the reason.

    Raises:
        ToolRefusedError: If it no longer waits, or is not what the person saw.
    """
    state = _waiting(log, run, call, bound_to, by, now)
    told = say("denied", state.caller.language, reason=f" {reason}" if reason else "")
    _decide(log, state, [Draft("call.denied", {"id": call, "by": by, "text": told, "reason": reason})])


def edit(log: Log, run: str, call: str, bound_to: str, by: str, arguments: Mapping[str, Any], *, now: datetime) -> str:
    """Propose the call with other arguments in its place: a new request, which is checked and asked for anew. Its id.

    Raises:
        ToolRefusedError: If it no longer waits, or is not what the person saw.
        DataError: If the arguments are no JSON.
    """
    state = _waiting(log, run, call, bound_to, by, now)
    try:
        canonical(dict(arguments))
    except (TypeError, ValueError) as error:
        raise DataError(f"the arguments are no JSON: {error}.") from error
    made = f"{call}e"
    body = {"id": made, "name": state.calls[call].name, "arguments": dict(arguments), "in_place_of": call, "by": by}
    ended = {"id": call, "by": by, "text": say("edited", state.caller.language)}
    _decide(log, state, [Draft("call.proposed", body), Draft("call.denied", ended)])
    return made


def settle(log: Log, run: str, call: str, by: str, *, happened: bool, told: str = "") -> None:
    """Say of a call whose end nobody saw whether it took effect.

    Args:
        told: What the model is told of it; "" says only whether it happened.

    Raises:
        ToolRefusedError: If the call's end is known.
    """
    if not by:
        raise ToolRefusedError("this needs a name: who decides?")
    state = fold(log.events(run))
    if call not in state.calls or state.calls[call].status != "unknown":
        raise ToolRefusedError(f"{run} {call}: nobody asks what became of it. `sadari approvals` lists what waits.")
    default = {"ko": ("실행되었습니다.", "실행되지 않았습니다."), "en": ("It took effect.", "It took no effect.")}
    text = told or default[state.caller.language][0 if happened else 1]
    kind = "call.settled" if happened else "call.failed"
    _decide(log, state, [Draft(kind, {"id": call, "by": by, "text": text, "is_trusted": True})])  # type: ignore[arg-type]


def is_over(call: CallState, now: datetime) -> bool:
    """Whether the time to approve a call is over."""
    return call.expires != "" and datetime.fromisoformat(call.expires) <= now


def _waiting(log: Log, run: str, call: str, bound_to: str, by: str, now: datetime, *, four_eyes: bool = False) -> RunState:
    state = fold(log.events(run))
    asked = state.calls.get(call)
    if asked is None or asked.status != "waiting":
        became = "there is no such call" if asked is None else f"it is {asked.status} already"
        raise ToolRefusedError(f"{run} {call}: {became}. `sadari approvals` lists what waits.")
    if asked.fingerprint != bound_to:
        raise ToolRefusedError(f"{run} {call}: this is not the request that you saw. Look at it again: `sadari approvals`.")
    if is_over(asked, now):
        raise ToolRefusedError(f"{run} {call}: the request expired on {asked.expires}. The user has to ask again.")
    if not by:
        raise ToolRefusedError("an approval needs a name: who decides?")
    if (four_eyes or asked.four_eyes) and by == state.user:
        raise ToolRefusedError(f"{by} asked for this call; somebody else has to decide.")
    return state


def _decide(log: Log, state: RunState, drafts: list[Draft]) -> None:
    try:
        log.append(state.run, drafts, after=state.seq, sync=True)
    except MovedOnError as error:
        raise ToolRefusedError(f"{state.run}: somebody else decided at the same moment. Look again: `sadari approvals`.") from error
