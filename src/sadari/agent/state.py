"""What a run is, computed from its events alone: any process can go on where another one stopped."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from sadari.agent.log import Event
from sadari.types import Answer, Caller, Message, Reader, Span, ToolCall, Usage

CallStatus = Literal[
    "proposed", "refused", "waiting", "approved", "denied", "expired", "started", "handed", "succeeded", "failed", "unknown"
]

ENDED: frozenset[str] = frozenset({"refused", "denied", "expired", "succeeded", "failed"})
"""A call in one of these is over."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CallState:
    """One call and what became of it.

    Args:
        id: Unique in its run: number of the model's answer, then of the call in it.
        text: What the model is told of it, once it is over.
        fingerprint, expires: Of the approval that is waited for.
        reason: Why a person is asked, or why it was refused.
        is_trusted: Whether its result cannot hold instructions.
        attempts: How often it was started.
        edited_to: The call that a person made of it.
        run: The run that it is, if a specialist answers it.
        four_eyes: Whether the requester may not approve it.
    """

    id: str
    name: str
    arguments: Mapping[str, Any]
    status: CallStatus = "proposed"
    text: str = ""
    citations: tuple[Span, ...] = ()
    fingerprint: str = ""
    expires: str = ""
    reason: str = ""
    is_trusted: bool = True
    attempts: int = 0
    edited_to: str = ""
    run: str = ""
    four_eyes: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the model: what it said, and the calls it made."""

    text: str
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attached:
    """What a user passed on with the question before it, and did not write."""

    text: str


ATTACHED = "attached"
"""In place of the id of a call, where an attachment stands as what somebody else said."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A run, up to its event `seq`.

    Args:
        agent: Version of the agent that it is pinned to.
        parent: The run of which this one is a call; "" if a user began it.
        status: As in `RunEntry`.
        turns: What was said, in order: messages, what was attached to them, and answers of the model with calls.
        calls: All calls by id, in order.
        caller: For whom the question is answered that was asked last.
        steps, usage, money: What that question has used so far, and `made`, the calls that were started for it.
        answer: What was answered to it; None while there is no answer.
        is_tainted: Whether text from outside is in the conversation.
    """

    run: str = ""
    user: str = ""
    agent: str = ""
    seq: int = 0
    status: str = "idle"
    turns: tuple[Message | Attached | Step, ...] = ()
    calls: Mapping[str, CallState] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)
    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    money: float = 0.0
    made: int = 0
    answer: Answer | None = None
    is_tainted: bool = False
    parent: str = ""
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Read and written for the question that was asked last."""
        return self.usage.prompt_tokens + self.usage.completion_tokens

    @property
    def open_calls(self) -> tuple[CallState, ...]:
        """Calls that are not over, in order."""
        return tuple(call for call in self.calls.values() if not call.has_ended)

    @property
    def waiting(self) -> tuple[CallState, ...]:
        """Calls that only a person moves on; those of a specialist wait as long as its run does."""
        return tuple(call for call in self.calls.values() if call.status in ("waiting", "unknown", "handed"))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as the model is shown it; calls that are not over have no result yet."""
        shown: list[Message] = []
        for part in self.parts:
            if part.tool_call_id == ATTACHED:
                shown[-1] = replace(shown[-1], content=f"{shown[-1].content}\n\n{part.content}")
            else:
                shown.append(part)
        return tuple(shown)

    @property
    def parts(self) -> tuple[Message, ...]:
        """The same as guards see it: what a user attached stands apart from what the user said, as the words of somebody else."""
        shown: list[Message] = []
        for turn in self.turns:
            if isinstance(turn, Message):
                shown.append(turn)
            elif isinstance(turn, Attached):
                shown.append(Message("tool", turn.text, tool_call_id=ATTACHED))
            else:
                made = [self.calls[i] for i in turn.calls]
                calls = tuple(ToolCall(c.name, c.arguments, c.id) for c in made)
                shown.append(Message("assistant", turn.text, tool_calls=calls))
                ends = [(c.id, self.end_of(c)) for c in made]
                shown += [Message("tool", end.text, tool_call_id=i) for i, end in ends if end.has_ended]
        return tuple(shown)

    def end_of(self, call: CallState) -> CallState:
        """The call that a person made of `call` at last, or `call` itself."""
        while call.edited_to:
            call = self.calls[call.edited_to]
        return call

    def made_now(self) -> tuple[CallState, ...]:
        """The calls of the question that was asked last, as a person made them at last."""
        asked = max((i for i, turn in enumerate(self.turns) if isinstance(turn, Message) and turn.role == "user"), default=0)
        return tuple(self.end_of(self.calls[i]) for turn in self.turns[asked:] if isinstance(turn, Step) for i in turn.calls)


def fold(events: Iterable[Event], state: RunState | None = None) -> RunState:
    """The state behind `events`, which follow `state`."""
    state = state or RunState()
    for event in events:
        change = _CHANGES.get(event.kind)
        body = event.body if event.body is not None else _NOTHING
        if change is not None and event.body is not None:
            state = change(state, body)
        state = replace(state, run=event.run, seq=event.seq)
        if event.kind == "run.erased":
            state = RunState(run=event.run, seq=event.seq, status="erased")
    return state


def _started(state: RunState, body: Mapping[str, Any]) -> RunState:
    said = tuple(Message(m["role"], m["content"]) for m in body.get("messages", ()))
    parent = body.get("call", "").rpartition("/")[0]
    return replace(state, user=body["user"], agent=body["agent"], turns=said, parent=parent)


def _asked(state: RunState, body: Mapping[str, Any]) -> RunState:
    caller = Caller(
        user=state.user,
        reader=Reader(frozenset(body["labels"]), {name: tuple(values) for name, values in body.get("within", {}).items()}),
        now=datetime.fromisoformat(body["now"]),
        language=body["language"],
        location=body["location"],
    )
    turns = (*state.turns, Message("user", body["text"]), *map(Attached, body.get("attached", ())))
    unused = replace(state, steps=0, usage=Usage(), money=0.0, made=0, seconds=0.0, answer=None)
    is_tainted = state.is_tainted or body.get("is_tainted", False)
    return replace(unused, turns=turns, caller=caller, status="running", is_tainted=is_tainted)


def _spoke(state: RunState, body: Mapping[str, Any]) -> RunState:
    calls = dict(state.calls)
    for call in body["calls"]:
        calls[call["id"]] = CallState(call["id"], call["name"], call["arguments"])
    turns = state.turns
    if body["calls"]:
        turns = (*turns, Step(body["text"], tuple(c["id"] for c in body["calls"])))
    read, written = body["usage"]
    usage = Usage(state.usage.prompt_tokens + read, state.usage.completion_tokens + written)
    used = replace(state, steps=state.steps + 1, usage=usage, money=state.money + body["money"])
    return replace(used, turns=turns, calls=calls, is_tainted=state.is_tainted or body["is_tainted"])


def _answered(state: RunState, body: Mapping[str, Any]) -> RunState:
    said = (*state.turns, Message("assistant", body["text"]))
    citations = tuple(Span(**span) for span in body.get("citations", ()))
    answer = Answer(body["text"], (), citations, body.get("abstained", False), state.usage, error=body.get("reason"))
    return replace(state, turns=said, status="idle", answer=answer)


def _ended(status: str) -> Callable[[RunState, Mapping[str, Any]], RunState]:
    return lambda state, body: replace(state, status=status)


def _edited_call(state: RunState, body: Mapping[str, Any]) -> RunState:
    """A call that a person proposes in place of one of the model's."""
    calls = dict(state.calls)
    calls[body["id"]] = CallState(body["id"], body["name"], body["arguments"])
    calls[body["in_place_of"]] = replace(calls[body["in_place_of"]], edited_to=body["id"])
    return replace(state, calls=calls)


def _call(status: CallStatus, *fields: str) -> Callable[[RunState, Mapping[str, Any]], RunState]:
    """What an event makes of its call: its status, and the fields that its body names."""

    def change(state: RunState, body: Mapping[str, Any]) -> RunState:
        told = {name: body[name] for name in fields if name in body}
        call = replace(state.calls[body["id"]], status=status, **told)
        return replace(state, calls={**state.calls, call.id: call})

    return change


def _started_call(state: RunState, body: Mapping[str, Any]) -> RunState:
    call = state.calls[body["id"]]
    call = replace(call, status="started", attempts=call.attempts + 1)
    return replace(state, calls={**state.calls, call.id: call}, made=state.made + 1, status="running")


def _succeeded_call(state: RunState, body: Mapping[str, Any]) -> RunState:
    citations = tuple(Span(**span) for span in body.get("citations", ()))
    told = {"text": body["text"], "citations": citations, "is_trusted": body["is_trusted"], "run": body.get("run", "")}
    call = replace(state.calls[body["id"]], status="succeeded", **told)
    state = _used(state, body.get("used", _NOTHING))
    return replace(state, calls={**state.calls, call.id: call}, is_tainted=state.is_tainted or not call.is_trusted)


def _used(state: RunState, used: Mapping[str, Any]) -> RunState:
    """What a specialist used counts for the question that it was asked for."""
    if not used:
        return state
    read, written = used["usage"]
    usage = Usage(state.usage.prompt_tokens + read, state.usage.completion_tokens + written)
    return replace(state, usage=usage, money=state.money + used["money"], made=state.made + used["calls"])


def _failed_call(state: RunState, body: Mapping[str, Any]) -> RunState:
    """What a tool says of its failure may hold instructions as well as a result."""
    is_trusted = body.get("is_trusted", True)
    call = replace(state.calls[body["id"]], status="failed", text=body["text"], is_trusted=is_trusted)
    return replace(state, calls={**state.calls, call.id: call}, is_tainted=state.is_tainted or not is_trusted)


_CHANGES: dict[str, Callable[[RunState, Mapping[str, Any]], RunState]] = {
    "run.started": _started,
    "run.asked": _asked,
    "run.waiting": lambda state, body: replace(state, status="waiting", seconds=state.seconds + body.get("seconds", 0.0)),
    "run.answered": _answered,
    "run.stopped": _answered,
    "run.failed": _answered,
    "run.cancelled": _ended("cancelled"),
    "agent.changed": lambda state, body: replace(state, agent=body["to"]),
    "model.answered": _spoke,
    "call.proposed": _edited_call,
    "call.refused": _call("refused", "text", "reason"),
    "call.waiting": _call("waiting", "fingerprint", "expires", "reason", "four_eyes"),
    "call.approved": _call("approved", "fingerprint"),
    "call.denied": _call("denied", "text"),
    "call.expired": _call("expired", "text"),
    "call.started": _started_call,
    "call.handed": _call("handed", "run"),
    "call.succeeded": _succeeded_call,
    "call.failed": _failed_call,
    "call.unknown": _call("unknown", "reason"),
    "call.settled": _succeeded_call,
}
