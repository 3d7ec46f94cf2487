"""What passes between a run and a call that is a run itself, and outcomes that know more of themselves than their tool's traits."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeGuard

from sadari.agent.limits import Limits
from sadari.agent.log import Log
from sadari.agent.state import RunState
from sadari.types import Outcome, Tool, Usage


@dataclass(frozen=True, slots=True)
class Reported(Outcome):
    """An outcome for which the tool itself says what its traits say of all of them, or that there is no outcome yet.

    Args:
        is_trusted: Whether it holds no text from outside, whatever the traits say.
        run: The run that the call is, if it is one.
        waits: Whether that run waits for a person: the call goes on when the run that made it does.
        usage, money, calls: What it used, which counts for the question that it was made for.
    """

    is_trusted: bool = False
    run: str = ""
    waits: bool = False
    usage: Usage = field(default_factory=Usage)
    money: float = 0.0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Handover:
    """Who hands over: the run as it is, and what is left for one of its calls.

    Args:
        left: Limits for the call; None if nothing is left.
    """

    log: Log
    state: RunState
    left: Limits | None
    clock: Callable[[], datetime]


class Delegate(Tool, Protocol):
    """A tool whose calls are runs."""

    def within(self, handover: Handover) -> Tool:
        """The tool for calls of one run."""
        ...


def is_delegate(tool: Tool) -> TypeGuard[Delegate]:
    """Whether its calls are runs. One attribute tells; a check against the whole protocol would take a tenth of a step."""
    return hasattr(tool, "within")


def what_is_left(limits: Limits, state: RunState, seconds: float, among: int) -> Limits | None:
    """What one of `among` calls that are made side by side may use of the limits of a question; None if something is used up.

    Args:
        seconds: For how long the question has been worked on.
    """
    tokens, calls = (limits.tokens - state.tokens) // among, (limits.calls - state.made) // among
    money = None if limits.money is None else (limits.money - state.money) / among
    if tokens <= 0 or calls < 0 or seconds >= limits.seconds or (money is not None and money <= 0):
        return None
    return limits.model_copy(update={"tokens": tokens, "calls": calls, "money": money, "seconds": limits.seconds - seconds})


def run_of_call(key: str) -> str:
    """The name of the run that a call is, by the call's key: the same after a crash, so that no call begins two runs."""
    return f"run-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
