"""Who is asked before a call is made, and after it: rules first, a judge model second; a person is always last."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sadari.types import Answer, Caller, Message, Outcome, Tool

Decision = Literal["allow", "ask", "refuse"]
"""Let it go, ask a person, or never."""

STRICTNESS: dict[Decision, int] = {"allow": 0, "ask": 1, "refuse": 2}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A valid call that a model wants to make.

    Args:
        messages: The conversation up to it, results of earlier calls among them.
        is_tainted: Whether the conversation holds text from outside, which may hold instructions.
        made: How often each tool was called for this question, those of the same answer that stand before it among them.
        given: What the user said, and what tools of others returned to calls that did not hold the same words.
        no_results: Calls that gave nothing: what stands for them in the conversation is an error, which may repeat their arguments.
    """

    tool: Tool
    arguments: Mapping[str, Any]
    caller: Caller
    messages: tuple[Message, ...] = ()
    is_tainted: bool = False
    made: Mapping[str, int] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    no_results: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one guard says, and why, for people to read."""

    decision: Decision
    by: str
    reason: str = ""


class Guard(Protocol):
    """One that rules over calls: the policy, the judge.

    One whose rulings are quick says so by an attribute `asks_model` that is False: the answer of the model is then logged together
    with what was ruled on its calls.
    """

    @property
    def version(self) -> str:
        """Changes with what it would rule; part of the agent's version."""
        ...

    def before(self, proposal: Proposal) -> Ruling | None:
        """Whether the call may be made; None if it has nothing to say."""
        ...

    def after(self, proposal: Proposal, outcome: Outcome) -> Ruling | None:
        """Whether the model may be shown the result: all but "allow" withholds it; None if it has nothing to say."""
        ...


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer as it may be told, and what was found in it: one line each."""

    answer: Answer
    findings: tuple[str, ...] = ()


class Filter(Protocol):
    """Looks at an answer before the user is told."""

    @property
    def version(self) -> str:
        """Changes with what it would take out."""
        ...

    def check(self, answer: Answer, caller: Caller, messages: Sequence[Message]) -> Checked:
        """The answer without what may not be said."""
        ...


def traits_ruling(proposal: Proposal) -> Ruling:
    """What follows from the tool's own traits: calls that change something need a person unless their author waived it.

    Once text from outside is in the conversation, the waiver counts no more: that text may have asked for the call.
    """
    traits = proposal.tool.traits
    changes = traits.effect != "read"
    if traits.needs_approval or (traits.needs_approval is None and changes):
        return Ruling("ask", "tool", f"{proposal.tool.spec.name} changes something" if changes else "its author asks for it")
    if changes and proposal.is_tainted:
        return Ruling("ask", "taint", "the conversation holds text from outside, which may have asked for this")
    if traits.sends and proposal.is_tainted and (made_up := _addresses_made_up(proposal)):
        return Ruling("ask", "taint", f"nobody gave the address {made_up[0][:200]}, which may carry out what was read here")
    return Ruling("allow", "tool")


def _addresses_made_up(proposal: Proposal) -> list[str]:
    """Texts among the arguments that neither the user nor a result from outside holds word for word: the model made them.

    What was computed here, by a calculator or a program, gives nothing: it may have joined an address and a secret.
    """
    given = "\n".join(proposal.given)
    return [text for text in texts(proposal.arguments) if text not in given]


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)


def rule(proposal: Proposal, guards: Sequence[Guard]) -> tuple[Ruling, ...]:
    """The rulings on a call, in order; after a refusal nobody else is asked. The strictest one counts."""
    rulings = [traits_ruling(proposal)]
    for guard in guards:
        ruling = _asked(guard, proposal)
        if ruling is not None:
            rulings.append(ruling)
        if rulings[-1].decision == "refuse":
            break
    return tuple(rulings)


def strictest(rulings: Sequence[Ruling]) -> Ruling:
    """The ruling that counts; of equals the first."""
    return max(rulings, key=lambda r: STRICTNESS[r.decision])


def _asked(guard: Guard, proposal: Proposal) -> Ruling | None:
    """A guard that breaks is no consent: a person decides."""
    try:
        return guard.before(proposal)
    except Exception as error:
        return Ruling("ask", type(guard).__name__, f"the guard failed: {type(error).__name__}")
