"""Several agents: specialists as tools of a supervisor, each call of one a run of its own in the same log.

    team:
      orders: {role: 주문을 조회하고 바꾼다, goal: 주문 담당자로서 도구로 확인하고 답한다., tools: [find_order, cancel_order]}

Covered: a specialist's calls are ruled on, approved and logged like those of any run, for the user who asked; what it uses counts
for the question that it was asked for; it is as tainted as who asks it; after a crash its run goes on and is not begun twice; a
team in which specialists ask each other in a circle, or through too many hands, is refused.
Not covered: what a supervisor makes of an answer.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel, model_validator

from sadari.agent.handover import Handover, Reported, run_of_call
from sadari.agent.limits import Limits
from sadari.agent.log import Log, MovedOnError
from sadari.agent.loop import Agent, Loop, Responder
from sadari.agent.state import CallState, RunState, fold
from sadari.agent.teaching import say
from sadari.errors import BudgetError, ConfigError, RunError, ToolFailedError
from sadari.types import Caller, Outcome, Tool, ToolSpec, Traits

Language = Literal["ko", "en"]

MOST_HANDS = 3
"""Specialists through whose hands a question may go, one behind the other."""

SLOWEST_S = 3600.0
"""Seconds after which the loop no longer listens to a specialist; its own limit of seconds ends it long before."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

_ASKED: dict[Language, tuple[str, str]] = {
    "ko": ("사용자의 질문: {question}", "맡은 일: {request}"),
    "en": ("The user asked: {question}", "Your part: {request}"),
}
_WAITS: dict[Language, str] = {"ko": "담당자의 결정을 기다립니다.", "en": "This waits for a person."}
_REQUEST: dict[Language, str] = {
    "ko": "맡길 일: 필요한 번호와 값을 빠짐없이 적는다",
    "en": "What to do, with every number and value that is needed",
}


class SpecialistConfig(BaseModel, frozen=True, extra="forbid"):
    """One specialist, as written under `team:` in `sadari.yaml`."""

    role: str = Field(min_length=1, description="What it is asked for; told to the supervisor.")
    goal: str = Field(min_length=1, description="What it should do, in words; told to the specialist.")
    tools: tuple[str, ...] = Field(default=(), description="Names of the tools and specialists that it alone uses.")
    model: str = Field(default="", description="A bundle or a model; the supervisor's own if not given.")


class TeamConfig(RootModel[dict[str, SpecialistConfig]], frozen=True):
    """Specialists by name."""

    root: dict[str, SpecialistConfig] = Field(default_factory=dict, description="Specialists by name.")

    @model_validator(mode="after")
    def _goes_one_way(self) -> "TeamConfig":
        for name in self.root:
            if not _NAME.fullmatch(name):
                raise ValueError(f"`{name}` is no name of a tool. Names have 1 to 64 letters (A-Z, a-z), digits, `_` and `-`")
            for hands in self._hands((name,)):
                if hands[-1] in hands[:-1]:
                    raise ValueError(
                        f"specialists ask each other in a circle: {' -> '.join(hands)}. Take one of them out of `tools`"
                    )
                if len(hands) > MOST_HANDS:
                    shown = " -> ".join(hands)
                    raise ValueError(f"a question would go through {len(hands)} hands: {shown}. Let it go through {MOST_HANDS}")
        return self

    def _hands(self, hands: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The ways a question may go from the first of `hands` on; each ends where it comes to a circle, or is too long."""
        below = [name for name in self.root[hands[-1]].tools if name in self.root]
        if not below or hands[-1] in hands[:-1] or len(hands) > MOST_HANDS:
            yield hands
            return
        for name in below:
            yield from self._hands((*hands, name))


@dataclass(frozen=True, slots=True)
class Specialist:
    """A tool whose calls are runs of another agent.

    Args:
        role: What it is asked for.
        handover: Who hands over to it; None until the loop says so.
    """

    name: str
    role: str
    agent: Agent
    language: Language = "ko"
    handover: Handover | None = None

    @property
    def spec(self) -> ToolSpec:
        """One argument: the request."""
        request = {"type": "string", "minLength": 1, "maxLength": 4_000, "description": _REQUEST[self.language]}
        schema = {"type": "object", "properties": {"request": request}, "required": ["request"], "additionalProperties": False}
        return ToolSpec(self.name, self.role, schema)

    @property
    def traits(self) -> Traits:
        """Asking changes nothing: what the specialist wants to change is ruled on in its own run, which is found again by its call.

        What is asked may carry an address to where something is sent; then it is looked at before it is handed over.
        """
        sends = any(tool.traits.sends for tool in self.agent.tools)
        return Traits(sends=sends, timeout_s=SLOWEST_S, max_chars=8_000)

    def within(self, handover: Handover) -> "Specialist":
        """This specialist for calls of one run."""
        return replace(self, handover=handover)

    @property
    def version(self) -> str:
        """That of the agent it is."""
        return self.agent.version

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """The answer of its run, which is begun, or found again and gone on with; or that the run waits for a person.

        Raises:
            ToolFailedError: If nothing is left to use for it, or its run was cancelled.
        """
        over = self.handover
        if over is None:
            raise ToolFailedError(say("broken", caller.language, kind="a specialist works within a run only"))
        run = run_of_call(caller.key)
        if not over.log.events(run):
            self._start(run, caller, over)
        loop = Loop(self._agent_of(run, over.log), over.log, over.clock)
        try:
            if loop.state(run).seq == 1:  # just begun; or the process ended before it was asked
                _ask(loop, run, arguments["request"], caller, over.state)
            if fold(over.log.events(over.state.run)).status == "cancelled":
                loop.cancel(run, "caller")
            for _ in loop.advance(run):
                pass
        except MovedOnError:  # somebody else goes on with it just now
            return Reported(_WAITS[caller.language], run=run, waits=True)
        except BudgetError as error:
            raise ToolFailedError(str(error)) from error
        return _reported(loop.state(run), caller.language)

    def _start(self, run: str, caller: Caller, over: Handover) -> None:
        if over.left is None:
            raise ToolFailedError(say("limit", caller.language))
        limits = narrower(self.agent.limits, over.left)
        agent = replace(self.agent, limits=limits)
        body = {
            "user": caller.user,
            "agent": agent.version,
            "messages": [],
            "call": caller.key,
            "limits": limits.model_dump(),
        }
        try:
            over.log.start(caller.user, agent.version, body, parent=over.state.run, run=run)
        except RunError:
            if not over.log.events(run):  # else another thread began it at the same moment
                raise

    def _agent_of(self, run: str, log: Log) -> Agent:
        """The agent with what it may use for this run, which was said when the run began."""
        body = log.events(run)[0].body
        return self.agent if body is None else replace(self.agent, limits=Limits.model_validate(body["limits"]))


def open_team(
    team: TeamConfig,
    tools: Sequence[Tool],
    responder_of: Callable[[SpecialistConfig], Responder],
    *,
    like: Agent | None = None,
    language: Language = "ko",
) -> tuple[Tool, ...]:
    """The tools of the supervisor: those that no specialist names, and the specialists that no other one names.

    Args:
        responder_of: Makes what speaks for a specialist, from its goal and its model.
        like: Whose guards, filters, limits and four eyes every specialist has; what is left of the supervisor's limits counts too.

    Raises:
        ConfigError: If a specialist names a tool that is not there, or has the name of one.
    """
    by_name = {tool.spec.name: tool for tool in tools}
    _check_names(team, by_name)
    made: dict[str, Specialist] = {}

    def make(name: str) -> Specialist:
        if name not in made:
            config = team.root[name]
            own = tuple(make(tool) if tool in team.root else by_name[tool] for tool in config.tools)
            spoken = responder_of(config)
            agent = Agent(spoken, own) if like is None else replace(like, responder=spoken, tools=own)
            made[name] = Specialist(name, config.role, agent, language)
        return made[name]

    named = {tool for config in team.root.values() for tool in config.tools}
    kept = [tool for name, tool in by_name.items() if name not in named]
    return (*kept, *(make(name) for name in team.root if name not in named))


def _check_names(team: TeamConfig, tools: Mapping[str, Tool]) -> None:
    for name, config in team.root.items():
        if name in tools:
            raise ConfigError(f"team: {name}: there is a tool of that name already. Give the specialist another one.")
        for wanted in config.tools:
            known = [*tools, *(other for other in team.root if other != name)]
            if wanted not in known:
                near = get_close_matches(wanted, known, n=1, cutoff=0.5)
                meant = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(known) or 'none'}."
                raise ConfigError(f"team: {name}: tools: `{wanted}` is neither a tool nor a specialist. {meant}")


def narrower(own: Limits, left: Limits) -> Limits:
    """The smaller of each limit; the steps are the specialist's own."""

    def least(name: str) -> Any:
        values = [value for value in (getattr(own, name), getattr(left, name)) if value is not None]
        return min(values) if values else None

    return own.model_copy(update={name: least(name) for name in Limits.model_fields if name != "steps"})


def calls_below(log: Log, state: RunState) -> tuple[CallState, ...]:
    """The calls of a question, and in place of each call of a specialist those that the specialist made."""
    found: list[CallState] = []
    for call in state.made_now():
        events = log.events(run_of_call(f"{state.run}/{call.id}"))
        found += calls_below(log, fold(events)) if events else (call,)
    return tuple(found)


def _ask(loop: Loop, run: str, request: str, caller: Caller, above: RunState) -> None:
    """Ask what the user asked, and what the supervisor makes of it: its words are as tainted as what it has read."""
    question = next((m.content for m in reversed(above.messages) if m.role == "user"), "")
    asked, part = (text.format(question=question, request=request) for text in _ASKED[caller.language])
    if above.is_tainted:
        loop.ask(asked, caller, run, attached=(part,), parent=above.run)
    else:
        loop.ask(f"{asked}\n\n{part}", caller, run, parent=above.run)


def _reported(state: RunState, language: Language) -> Outcome:
    if state.status in ("cancelled", "erased"):
        raise ToolFailedError(say("cancelled", language))
    if state.answer is None:
        return Reported(_WAITS[language], run=state.run, waits=True)
    return Reported(
        state.answer.text,
        citations=state.answer.citations,
        is_trusted=not state.is_tainted,
        run=state.run,
        usage=state.usage,
        money=state.money,
        calls=state.made,
    )
