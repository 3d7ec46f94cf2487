"""A person's consent to one call, bound to everything that the person saw.

Covered: consent is bound to the tool and its schema, the exact arguments, the version of the agent, the requester and the call in
its run; it is used once, and expires; of two who decide at once one is told that the other did; the requester may be kept from
approving (four eyes); changed arguments are a new request.
Not covered: who the approver is: the caller says it, and has checked it; with four eyes, whoever changed the arguments of somebody
else's request may approve them.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sadari.agent.guard import Ruling
from sadari.agent.log import Draft, Event, Log, MovedOnError
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
        since: When it began to wait, UTC.
        rulings: What each guard said of the call: its tool, the policy, the judge.
        edited_by: Who wrote these arguments in place of the model's; "" if nobody did.
        four_eyes: Whether who asked may not decide.
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
    since: str = ""
    rulings: tuple[Ruling, ...] = ()
    edited_by: str = ""
    four_eyes: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a call that had waited for a person.

    Args:
        time: Of the decision, UTC.
        decision: "approve", "deny", "edit", "happened", "not_happened"; "cancel" if its run was; "expire" if nobody decided.
        by: Who decided; "" for nobody.
        reason: Of a denial; what the model was told of a call whose end nobody saw; of an edit, the new arguments as JSON.
        user: Who asked.
        status: What the call is by now, as in `CallState`.
    """

    time: str
    run: str
    call: str
    decision: str
    by: str
    reason: str
    tool: str
    arguments: Mapping[str, Any]
    user: str
    status: str


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
    if run is None:
        return Waiting(log).at(now)
    events = log.events(run)
    state = fold(events)
    below = [one for call in state.waiting if call.status == "handed" for one in pending(log, now, run=call.run)]
    return [*_waiting_in(log, state, events, now), *below]


class Waiting:
    """What waits for a person in a log, for those who ask again and again: runs in which nothing waits are not read twice."""

    def __init__(self, log: Log) -> None:
        self._log, self._quiet = log, dict[str, int]()

    def at(self, now: datetime) -> list[Pending]:
        """The calls that wait, oldest run first; those whose time is over are left out."""
        listed = [entry for status in ("waiting", "running", "cancelled") for entry in self._log.runs(status=status)]
        quiet, found = dict[str, int](), list[Pending]()
        for entry in reversed(listed):
            if self._quiet.get(entry.run) != entry.events:
                events = self._log.events(entry.run)
                state = fold(events)
                found += _waiting_in(self._log, state, events, now)
                if state.waiting:
                    continue
                quiet[entry.run] = state.seq
            else:
                quiet[entry.run] = entry.events
        self._quiet = quiet
        return found


def _waiting_in(log: Log, state: RunState, events: Sequence[Event], now: datetime) -> Iterator[Pending]:
    """Those of one run; what it handed to a specialist waits in the run of that one."""
    waiting = [c for c in state.waiting if c.status == "unknown" or (c.status == "waiting" and not is_over(c, now))]
    if not waiting:
        return
    root = _root(log, state)
    question = next((m.content for m in reversed(root.messages) if m.role == "user"), "")
    for call in waiting:
        kind = "approval" if call.status == "waiting" else "unknown"
        about = [event for event in events if event.body is not None and event.body.get("id") == call.id]
        what = (call.name, call.arguments, call.fingerprint, state.user, question, call.reason, call.expires)
        yield Pending(state.run, call.id, kind, *what, root.run, *_how(about), call.four_eyes)


def decided(log: Log, since: str, most: int = 50, *, user: str | None = None) -> list[Decided]:
    """What became of the calls that began to wait for a person since a time (UTC, ISO 8601), newest decision first.

    Args:
        most: Only so many, of the calls that began to wait last.
        user: Only what this user asked for.
    """
    own = None if user is None else {entry.run for entry in log.runs(user=user)}
    asked = [event.run for event in log.happened(since, ("call.waiting", "call.unknown")) if own is None or event.run in own]
    runs = list(dict.fromkeys(reversed(asked)))[:most]
    found = [one for run in runs for one in decided_in(log.events(run))]
    return sorted(found, key=lambda one: one.time, reverse=True)[:most]


def decided_in(events: Sequence[Event]) -> Iterator[Decided]:
    """The decisions in the events of one run, in order."""
    state, waits = fold(events), dict[str, str]()
    for event in events:
        if event.body is None or not event.kind.startswith("call."):
            continue
        call = str(event.body.get("in_place_of") or event.body.get("id", ""))
        if event.kind in ("call.waiting", "call.unknown"):
            waits[call] = event.kind
        elif (decision := _decision(event.kind, event.body, state.calls.get(call), waits.get(call, ""))) is not None:
            asked = state.calls[call]
            what = (*decision, asked.name, asked.arguments, state.user, asked.status)
            yield Decided(event.time, event.run, call, *what)


def _decision(kind: str, body: Mapping[str, Any], call: CallState | None, waited: str) -> tuple[str, str, str] | None:
    """What an event decided about a call that waited, by whom and why; None if nothing."""
    by = str(body.get("by", ""))
    match kind, waited:
        case "call.approved", "call.waiting":
            return "approve", by, ""
        case "call.denied", "call.waiting" if call is not None and not call.edited_to:
            return "deny" if "reason" in body else "cancel", by, str(body.get("reason", ""))
        case "call.proposed", "call.waiting":
            return "edit", by, canonical(body["arguments"])
        case "call.expired", "call.waiting":
            return "expire", "", ""
        case (("call.settled" | "call.failed"), "call.unknown") if by:
            return "happened" if kind == "call.settled" else "not_happened", by, str(body.get("text", ""))
    return None


def _how(about: Sequence[Event]) -> tuple[str, tuple[Ruling, ...], str]:
    """Since when a call waits, what the guards said of it, and who wrote it."""
    since, rulings, edited_by = "", tuple[Ruling, ...](), ""
    for event in about:
        body = event.body or {}
        if event.kind in ("call.waiting", "call.unknown"):
            since = event.time
        elif event.kind == "call.ruled":
            rulings = tuple(Ruling(**ruling) for ruling in body["rulings"])
        elif event.kind == "call.proposed":
            edited_by = str(body["by"])
    return since, rulings, edited_by


def _root(log: Log, state: RunState) -> RunState:
    """The run that a user began, on whose behalf this one is."""
    while state.parent:
        state = fold(log.events(state.parent))
    return state


def approve(log: Log, run: str, call: str, bound_to: str, by: str, *, now: datetime) -> None:
    """Consent to a call.

    Args:
        bound_to: The fingerprint of what the person saw.
        by: Who consents.

    Raises:
        ToolRefusedError: If it no longer waits, has expired, or is not what the person saw, or this person may not decide.
    """
    state = _waiting(log, run, call, bound_to, by, now)
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


def _waiting(log: Log, run: str, call: str, bound_to: str, by: str, now: datetime) -> RunState:
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
    if asked.four_eyes and by == state.user:
        raise ToolRefusedError(f"{by} asked for this call; somebody else has to decide.")
    return state


def _decide(log: Log, state: RunState, drafts: list[Draft]) -> None:
    try:
        log.append(state.run, drafts, after=state.seq, sync=True)
    except MovedOnError as error:
        raise ToolRefusedError(f"{state.run}: somebody else decided at the same moment. Look again: `sadari approvals`.") from error
