"""Fixed rules over calls, written by the company: who may call what, when, with which arguments, how often, and for how much.

    policy:
      rules:
        - {tools: [refund], arguments: {amount: {max: 50000}}, made: {per: day, max: 2}, decision: allow}
        - {tools: [refund], decision: ask, reason: "하루 세 번째부터, 또는 5만 원이 넘으면 담당자가 봅니다."}
        - {effects: [irreversible], when: {start: "18:00", end: "09:00"}, decision: refuse}

Rules are read from the top, and the first whose conditions all hold decides: put the narrower one first. "allow" means that the
policy has nothing against a call; what its tool, a judge or text from outside ask for is still asked.

Covered: a condition that cannot be looked at (an argument left out, no number, an unknown user, a pattern that takes too long) does
not hold for "allow", and holds for "ask" and "refuse"; of a list, all items have to be within the bounds to allow, one suffices to
ask or refuse; forbidden texts are found in any case, width or Unicode form.

Not covered: what a tool does with its arguments; two questions of one user answered at the same moment, each of which does not see
the calls of the other; calls in runs that were erased; the time is that of the question, not of an approval hours later.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import regex  # type: ignore[import-untyped]  # unlike `re`, it can be stopped
from pydantic import BaseModel, Field, NonNegativeInt, field_validator

from sadari.agent.guard import Decision, Proposal, Ruling
from sadari.agent.log import Log
from sadari.errors import ConfigError
from sadari.text.forms import normalise
from sadari.types import Caller, Effect, Outcome, Tool, ToolCall

LONGEST_S = 0.1
"""Seconds that one pattern may take on one argument."""

MOST_MATCHED = 10_000
"""Characters of an argument that a pattern is held against; of a longer one nobody knows."""

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Holds = bool | None
"""Whether a condition holds; None if nobody can say."""


# --- what is written ---------------------------------------------------------------------------------------------------


class Who(BaseModel, frozen=True, extra="forbid"):
    """Who asks; one of the users or one of the labels suffices."""

    users: tuple[str, ...] = Field(default=(), description="Names of users; `*` stands for any letters.")
    labels: tuple[str, ...] = Field(default=(), description="Access labels, of which the user holds one.")


class When(BaseModel, frozen=True, extra="forbid"):
    """When the question was asked."""

    days: tuple[Day, ...] = Field(default=(), description="Days of the week; all if not given.")
    start: time = Field(default=time(0), description='First moment of the day, as "09:00".')
    end: time = Field(
        default=time(0), description="Moment of the day at which it is over; one not after `start` is on the next day."
    )
    zone: str = Field(default="", description="Time zone such as Asia/Seoul; that of the caller if not given.")

    @field_validator("start", "end", mode="before")
    @classmethod
    def _is_text(cls, moment: Any) -> Any:
        if isinstance(moment, int | float):  # YAML reads 18:00 without quotes as 1080
            raise ValueError(f'{moment!r} is a number. Write the moment in quotes, as "18:00"')
        return moment

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            return zone and ZoneInfo(zone).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"`{zone}` is no time zone. Write one such as Asia/Seoul") from None


class Bounds(BaseModel, frozen=True, extra="forbid", populate_by_name=True):
    """What one argument is. Everything that is given has to hold; of a list, for each item (to allow) or for one."""

    min: Decimal | None = Field(default=None, description="Least number.")
    max: Decimal | None = Field(default=None, description="Greatest number.")
    among: tuple[str | bool | int | float, ...] = Field(default=(), alias="in", description="One of these values.")
    matches: str = Field(
        default="", description="Regular expression: of the whole text to allow, of any part of it to ask or refuse."
    )
    min_length: NonNegativeInt | None = Field(default=None, description="Fewest characters.")
    max_length: NonNegativeInt | None = Field(default=None, description="Most characters.")
    said_by: tuple[str, ...] = Field(
        default=(),
        description="The value stands, to the letter, in what was said by `user`, or in a result of the tools of these names.",
    )

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"`{pattern}` is no regular expression: {error}") from None
        return pattern


class Count(BaseModel, frozen=True, extra="forbid"):
    """How many calls of the rule's tools the user caused before this one."""

    per: Literal["question", "hour", "day"] = Field(description="Since when: this question, the last hour, the last 24 hours.")
    min: NonNegativeInt | None = Field(default=None, description="So many or more.")
    max: NonNegativeInt | None = Field(default=None, description="So many or fewer.")


class Total(BaseModel, frozen=True, extra="forbid"):
    """What an argument comes to over the calls of the rule's tools that the user caused, with this one."""

    argument: str = Field(description="A number, such as `amount`.")
    per: Literal["hour", "day"] = Field(description="Since when: the last hour, the last 24 hours.")
    min: Decimal | None = Field(default=None, description="So much or more.")
    max: Decimal | None = Field(default=None, description="So much or less.")


class Reason(BaseModel, frozen=True, extra="forbid"):
    """Why, in both languages."""

    ko: str = Field(description="In Korean.")
    en: str = Field(description="In English.")


class PolicyRule(BaseModel, frozen=True, extra="forbid"):
    """One rule: it decides about a call if everything that is given here holds."""

    tools: tuple[str, ...] = Field(default=(), description="Names of tools; `*` stands for any letters. All if not given.")
    effects: tuple[Effect, ...] = Field(default=(), description="What the call changes; any if not given.")
    who: Who | None = Field(default=None, description="Who asks.")
    when: When | None = Field(default=None, description="When.")
    arguments: dict[str, Bounds] = Field(default_factory=dict, description="Bounds by name; `order.amount` names an inner one.")
    made: Count | None = Field(default=None, description="How many such calls there were before.")
    total: Total | None = Field(default=None, description="How much they come to.")
    tainted: bool | None = Field(default=None, description="Whether the conversation holds text from outside.")
    decision: Decision = Field(description="Nothing against it, ask a person, or refuse.")
    reason: str | Reason = Field(default="", description="Why, for the person who is asked and the model that is refused.")

    def covers(self, tool: Tool) -> bool:
        """Whether it is about calls of this tool."""
        is_named = not self.tools or any(fnmatchcase(tool.spec.name, name) for name in self.tools)
        return is_named and (not self.effects or tool.traits.effect in self.effects)

    @property
    def is_bare(self) -> bool:
        """Whether it has no condition beside its tools."""
        return not self.arguments and all(c is None for c in (self.who, self.when, self.made, self.total, self.tainted))


class PolicyConfig(BaseModel, frozen=True, extra="forbid"):
    """Rules over calls, as written under `agent: policy:` in `sadari.yaml`."""

    rules: tuple[PolicyRule, ...] = Field(default=(), description="Read from the top; the first whose conditions all hold decides.")
    default: Decision = Field(default="allow", description="What is decided where no rule does.")


# --- what was called before --------------------------------------------------------------------------------------------


class History(Protocol):
    """What users caused before."""

    def calls(self, user: str, since: datetime) -> Iterable[ToolCall]:
        """The calls that were begun for a user since then, and those that may yet be."""
        ...


class LogHistory:
    """The history that the log of the runs is."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def calls(self, user: str, since: datetime) -> Iterator[ToolCall]:
        """Those that were begun or approved, or wait, since then, in all runs of the user."""
        for entry in self._log.runs(user=user):
            if _moment(entry.updated) < since:
                continue
            calls: dict[str, ToolCall] = {}
            counted: set[str] = set()
            for event in self._log.events(entry.run):
                body = event.body or {}
                if event.kind == "model.answered":
                    calls |= {c["id"]: ToolCall(c["name"], c["arguments"], c["id"]) for c in body["calls"]}
                elif event.kind == "call.proposed":
                    calls[body["id"]] = ToolCall(body["name"], body["arguments"], body["id"])
                elif event.kind in ("call.waiting", "call.approved", "call.started") and _moment(event.time) >= since:
                    counted.add(body["id"])
                elif event.kind in ("call.denied", "call.expired"):
                    counted.discard(body["id"])
            yield from (calls[call] for call in counted if call in calls)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- what is decided ---------------------------------------------------------------------------------------------------

_SAID: dict[str, dict[str, str]] = {
    "ko": {"ask": "정책 규칙 {n}: 담당자의 승인이 필요합니다", "refuse": "정책 규칙 {n}에 따라 할 수 없습니다"},
    "en": {"ask": "policy rule {n}: a person has to approve", "refuse": "policy rule {n} does not allow it"},
}
_DEFAULT: dict[str, dict[str, str]] = {
    "ko": {"ask": "정책에 없는 호출이라 담당자의 승인이 필요합니다", "refuse": "정책에 없는 호출이라 할 수 없습니다"},
    "en": {"ask": "no policy rule names this call: a person has to approve", "refuse": "no policy rule allows this call"},
}
_STRANGERS: dict[str, str] = {
    "ko": "설명을 다른 곳에서 쓴 도구가 있어 담당자의 승인이 필요합니다 ({names})",
    "en": "somebody else wrote the description of a tool, which may have asked for this ({names})",
}


class Policy:
    """A `Guard` that decides by rules.

    Args:
        history: Needed by rules that count per hour or day.
        strangers: Tools of the agent whose descriptions somebody else wrote: those of MCP servers and foreign APIs. Descriptions
            are in the conversation from its first word: while there is one, no call that changes something goes without a person.

    Raises:
        ConfigError: If a rule needs a history and there is none.
    """

    def __init__(self, config: PolicyConfig, history: History | None = None, *, strangers: Sequence[str] = ()) -> None:
        needs = [n for n, r in enumerate(config.rules, 1) if r.total or (r.made and r.made.per != "question")]
        if needs and history is None:
            raise ConfigError(f"policy: rule {needs[0]} counts per hour or day, which needs a log of the runs. Open it with one.")
        self.config, self._history, self._strangers = config, history, tuple(sorted(strangers))
        told = "\0".join((config.model_dump_json(by_alias=True), *self._strangers))
        self.version = hashlib.sha256(told.encode()).hexdigest()[:16]

    asks_model = False

    def before(self, proposal: Proposal) -> Ruling | None:
        """The decision of the first rule that holds; None where no rule does and the default is to allow."""
        ruling = self._by_rules(proposal)
        is_waived = ruling is None or ruling.decision == "allow"
        if is_waived and self._strangers and proposal.tool.traits.effect != "read":
            names = ", ".join(self._strangers[:3])
            return Ruling("ask", "policy", _STRANGERS[proposal.caller.language].format(names=names))
        return ruling

    def _by_rules(self, proposal: Proposal) -> Ruling | None:
        language = proposal.caller.language
        for number, rule in enumerate(self.config.rules, 1):
            if rule.covers(proposal.tool) and self._holds(rule, proposal):
                told = getattr(rule.reason, language) if isinstance(rule.reason, Reason) else rule.reason
                by_number = _SAID[language].get(rule.decision, "").format(n=number)
                return Ruling(rule.decision, "policy", told or by_number)
        if self.config.default == "allow":
            return None
        return Ruling(self.config.default, "policy", _DEFAULT[language][self.config.default])

    def after(self, proposal: Proposal, outcome: Outcome) -> Ruling | None:
        """None: rules are about calls."""
        return None

    def _holds(self, rule: PolicyRule, proposal: Proposal) -> bool:
        """Whether all conditions hold; the unknown ones are read in the stricter way."""
        is_strict = rule.decision != "allow"
        return all(is_strict if holds is None else holds for holds in self._conditions(rule, proposal))

    def _conditions(self, rule: PolicyRule, proposal: Proposal) -> Iterator[Holds]:
        if rule.tainted is not None:
            yield rule.tainted == proposal.is_tainted
        if rule.who is not None:
            yield _is_who(rule.who, proposal.caller)
        if rule.when is not None:
            yield _is_when(rule.when, proposal.caller.now)
        for path, bounds in rule.arguments.items():
            yield _is_within(bounds, path, rule, proposal)
        if rule.made is not None:
            yield _is_between(self._made(rule, rule.made.per, proposal), rule.made.min, rule.made.max)
        if rule.total is not None:
            yield _is_between(self._total(rule, rule.total, proposal), rule.total.min, rule.total.max)

    def _made(self, rule: PolicyRule, per: str, proposal: Proposal) -> Decimal:
        if per == "question":
            return Decimal(sum(n for name, n in proposal.made.items() if _is_named(name, rule.tools)))
        return Decimal(len(self._before(rule, per, proposal)))

    def _total(self, rule: PolicyRule, total: Total, proposal: Proposal) -> Decimal | None:
        calls = [call.arguments for call in self._before(rule, total.per, proposal)]
        found = [_values(arguments, total.argument) for arguments in calls]
        now = _values(proposal.arguments, total.argument)
        numbers = [_number(value) for value in (*now, *(value for values in found for value in values))]
        known = [number for number in numbers if number is not None]
        return sum(known, Decimal(0)) if now and len(known) == len(numbers) else None

    def _before(self, rule: PolicyRule, per: str, proposal: Proposal) -> list[ToolCall]:
        assert self._history is not None, "rules that need a history were refused without one"
        since = proposal.caller.now - timedelta(hours=1 if per == "hour" else 24)
        return [call for call in self._history.calls(proposal.caller.user, since) if _is_named(call.name, rule.tools)]


def _is_named(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_who(who: Who, caller: Caller) -> Holds:
    if any(label in caller.reader.labels for label in who.labels):
        return True
    if not caller.user:
        return None
    return any(fnmatchcase(caller.user, pattern) for pattern in who.users)


def _is_when(when: When, now: datetime) -> Holds:
    if now.tzinfo is None:
        return None
    here = now.astimezone(ZoneInfo(when.zone)) if when.zone else now
    at, is_day = here.time(), not when.days or DAYS[here.weekday()] in when.days
    if when.start < when.end:
        return is_day and when.start <= at < when.end
    return is_day and (at >= when.start or at < when.end)


def _is_between(value: Decimal | None, least: Decimal | int | None, most: Decimal | int | None) -> Holds:
    if value is None:
        return None
    return (least is None or value >= least) and (most is None or value <= most)


# --- arguments ---------------------------------------------------------------------------------------------------------


def _is_within(bounds: Bounds, path: str, rule: PolicyRule, proposal: Proposal) -> Holds:
    """Of several values: all have to be within to allow; one suffices to ask or refuse."""
    values = _values(proposal.arguments, path) or _values(_defaults(proposal.tool), path)
    if not values:
        return None
    found = [_one_is_within(bounds, value, rule.decision == "allow", proposal) for value in values]
    if rule.decision == "allow":
        return all(holds is True for holds in found)
    return any(holds is not False for holds in found)


def _one_is_within(bounds: Bounds, value: Any, to_allow: bool, proposal: Proposal) -> Holds:
    tests: list[Holds] = []
    if bounds.min is not None or bounds.max is not None:
        tests.append(_is_between(_number(value), bounds.min, bounds.max))
    if bounds.among:
        tests.append(any(_is_same(value, one, to_allow) for one in bounds.among))
    if bounds.min_length is not None or bounds.max_length is not None:
        tests.append(_is_between(Decimal(len(value)) if isinstance(value, str) else None, bounds.min_length, bounds.max_length))
    if bounds.matches:
        tests.append(_does_match(bounds.matches, value, to_allow))
    if bounds.said_by:
        tests.append(_is_said(value, bounds.said_by, proposal))
    if False in tests:
        return False
    return None if None in tests else True


def _values(arguments: Mapping[str, Any], path: str) -> list[Any]:
    """What stands at a path; of lists, their items."""
    found: list[Any] = [arguments]
    for step in path.split("."):
        found = [value[step] for value in found if isinstance(value, Mapping) and value.get(step) is not None]
        while any(isinstance(value, list | tuple) for value in found):
            found = [item for value in found for item in (value if isinstance(value, list | tuple) else [value])]
    return found


def _defaults(tool: Tool) -> dict[str, Any]:
    properties = tool.spec.parameters.get("properties", {})
    return {name: p["default"] for name, p in properties.items() if isinstance(p, Mapping) and p.get("default") is not None}


_IN_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        text = str(value).strip()
        number = Decimal(text.replace(",", "") if _IN_THOUSANDS.fullmatch(text) else text)
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def _is_same(value: Any, one: Any, to_allow: bool) -> bool:
    if isinstance(value, str) and isinstance(one, str) and not to_allow:
        return _folded(value) == _folded(one)
    return bool(value == one) and isinstance(value, bool) == isinstance(one, bool)


def _folded(text: str) -> str:
    return " ".join(normalise(text).casefold().split())


def _does_match(pattern: str, value: Any, to_allow: bool) -> Holds:
    text = value if isinstance(value, str) else str(value)
    if len(text) > MOST_MATCHED:
        return None
    look, read = (regex.fullmatch, text) if to_allow else (regex.search, normalise(text))
    try:
        return look(pattern, read, timeout=LONGEST_S) is not None
    except TimeoutError:
        return None


def _is_said(value: Any, by: Sequence[str], proposal: Proposal) -> Holds:
    told = normalise(str(value)).strip()
    if not told:
        return None
    pattern = regex.compile(rf"(?<![A-Za-z0-9]){regex.escape(told)}(?![A-Za-z0-9])")
    return any(pattern.search(normalise(text)) for text in _said(by, proposal))


def _said(by: Sequence[str], proposal: Proposal) -> Iterator[str]:
    messages, no_results = proposal.messages, proposal.no_results
    names = {call.id: call.name for message in messages for call in message.tool_calls if call.id not in no_results}
    for message in messages:
        name = names.get(message.tool_call_id or "") if message.role == "tool" else None
        is_result = name is not None and _is_named(name, by)
        if is_result or (message.role == "user" and "user" in by):
            yield message.content


# --- checking what is written -------------------------------------------------------------------------------------------


def check(config: PolicyConfig, tools: Sequence[Tool]) -> None:
    """Refuse rules that cannot be meant: of tools or arguments that there are not, or behind a rule that decides before them.

    Raises:
        ConfigError: All such rules, with what may be meant.
    """
    problems: list[str] = []
    decided: set[str] = set()
    for number, rule in enumerate(config.rules, 1):
        covered = [tool for tool in tools if rule.covers(tool)]
        faults = [*_unknown_tools(rule, tools), *_unknown_arguments(rule, covered)]
        names = {tool.spec.name for tool in covered}
        if not faults and not covered:
            faults = ["no tool has such effects. Delete the rule, or mend `effects`."]
        elif not faults and names <= decided:
            faults = ["it is never reached: rules above it decide about the same tools. Put it first."]
        problems += [f"policy: rule {number}: {fault}" for fault in faults]
        decided |= names if rule.is_bare else set()
    if problems:
        raise ConfigError("\n".join(problems))


def _unknown_tools(rule: PolicyRule, tools: Sequence[Tool]) -> Iterator[str]:
    names = [tool.spec.name for tool in tools]
    said_by = {name for bounds in rule.arguments.values() for name in bounds.said_by} - {"user"}
    for written in (*rule.tools, *sorted(said_by)):
        if not any(fnmatchcase(name, written) for name in names):
            yield f"there is no tool `{written}`.{_did_you_mean(written, names)} Tools: {', '.join(names) or 'none'}."


def _unknown_arguments(rule: PolicyRule, covered: Sequence[Tool]) -> Iterator[str]:
    written = [*rule.arguments, *([rule.total.argument] if rule.total else [])]
    known = sorted({name for tool in covered for name in tool.spec.parameters.get("properties", {})})
    for path in written if covered else ():
        if path.split(".")[0] not in known:
            yield f"no such tool has an argument `{path}`.{_did_you_mean(path, known)} Arguments: {', '.join(known) or 'none'}."


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f" Did you mean `{close[0]}`?" if close else ""
