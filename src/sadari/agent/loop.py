"""The loop: plan, act, observe, over a log that says at every moment what was done and what is still open.

A call goes proposed -> ruled -> waiting -> approved | denied | expired -> started (logged before the effect) -> succeeded | failed
| unknown; that of a specialist is handed while its run waits for a person. What the log does not say did not happen, or is unknown,
and a person is asked.

Covered: no call that changes something begins before it is on the disk that it does; after a crash at any point, calls are repeated
only if their tool says that this does no harm; an approval that was given for other arguments, another agent or another schema is
not used; two processes never go on with one run at once.
Not covered: what a tool does beside what it declares.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sadari.agent.approval import fingerprint, is_over
from sadari.agent.filters import Stream
from sadari.agent.guard import Filter, Guard, Proposal, Ruling, rule, strictest, texts
from sadari.agent.handover import Handover, Reported, is_delegate, run_of_call, what_is_left
from sadari.agent.limits import USUAL, Limits
from sadari.agent.log import Draft, Event, Kind, Log, MovedOnError, Spent
from sadari.agent.log.event import canonical
from sadari.agent.making import Made, Making
from sadari.agent.state import ATTACHED, Attached, CallState, RunState, Step, fold
from sadari.agent.teaching import say, teach_arguments, teach_name
from sadari.errors import BudgetError, DataError, ToolRefusedError
from sadari.retrieve.passages import without_template_signs
from sadari.types import Answer, Caller, Delta, Message, Tool, ToolSpec

MOST_REPEATS = 3
"""After so many identical calls for one question the model is going in circles, and the run is stopped."""


MADE_OR_MAY_BE = ("succeeded", "waiting", "approved", "started", "unknown")
"""A call in one of these is not proposed a second time if it changes something."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says to a conversation.

    Args:
        is_tainted: Whether it was shown text from outside: passages of documents.
        money: What it cost, in `money.currency`.
    """

    answer: Answer
    is_tainted: bool = False
    money: float = 0.0


class Responder(Protocol):
    """What speaks: a System with its model."""

    @property
    def version(self) -> str:
        """Changes with what it would say."""
        ...

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec], caller: Caller) -> Iterator[Delta | Reply]:
        """Its answer piece by piece, the whole of it last."""
        ...


@dataclass(frozen=True, slots=True)
class Agent:
    """What acts: a responder, what it can do, and who watches it.

    Args:
        four_eyes: Whether nobody may approve what he asked for himself.
    """

    responder: Responder
    tools: tuple[Tool, ...] = ()
    guards: tuple[Guard, ...] = ()
    filters: tuple[Filter, ...] = ()
    limits: Limits = USUAL
    four_eyes: bool = False

    @property
    def version(self) -> str:
        """A hash of everything that says how it acts, 16 hexadecimal digits."""
        tools = [[asdict(t.spec), asdict(t.traits), getattr(t, "version", "")] for t in self.tools]
        watched = [*(g.version for g in self.guards), *(f.version for f in self.filters)]
        told = canonical([self.responder.version, tools, watched, self.limits.model_dump(), self.four_eyes])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def tool(self, name: str) -> Tool | None:
        """The tool of that name."""
        return next((t for t in self.tools if t.spec.name == name), None)


CHANGED = "the agent was changed since this was asked"
"""Why a person is asked again."""


def _now() -> datetime:
    return datetime.now().astimezone()


class Loop:
    """Runs of one agent.

    Args:
        agent: Who acts.
        log: Where everything is written down.
        clock: What time it is.
    """

    def __init__(self, agent: Agent, log: Log, clock: Callable[[], datetime] = _now) -> None:
        self.agent, self.log, self._clock = agent, log, clock
        self._version = agent.version

    # --- from outside ------------------------------------------------------------------------------------------------

    def ask(
        self,
        text: str,
        caller: Caller,
        run: str = "",
        *,
        attached: Sequence[str] = (),
        said: Sequence[Message] = (),
        parent: str = "",
    ) -> str:
        """Log a question; its run. `advance` answers it.

        Args:
            run: The run that goes on; "" begins a new one.
            attached: Texts that the user passes on and did not write: they may hold instructions.
            said: What was said before, in a new run.
            parent: The run on whose behalf this one is, which pays for it.

        Raises:
            ToolRefusedError: If the run is another user's.
            DataError: If the run is not ready for a question.
            BudgetError: If the user's day is spent.
        """
        limits = self.agent.limits
        reached = limits.reached_today(self.log.spent(caller.user)) if limits.has_days else ""
        if reached:
            raise BudgetError(say("today", caller.language, limit=reached))
        if not run:
            before = [{"role": m.role, "content": without_template_signs(m.content)} for m in said]
            run = self.log.start(
                caller.user, self._version, {"user": caller.user, "agent": self._version, "messages": before}, parent=parent
            )
        state = self.state(run)
        if state.user != caller.user:
            raise ToolRefusedError(f"{run}: there is no such run of {caller.user or 'this user'}.")
        if state.parent != parent:
            raise ToolRefusedError(f"{run} is part of {state.parent or 'no other run'}: ask there.")
        if state.status not in ("idle", "cancelled"):
            raise DataError(f"{run} is {state.status}: it takes the next question when this one is answered or cancelled.")
        body: dict[str, Any] = {
            "text": without_template_signs(text),
            "attached": [without_template_signs(one) for one in attached],
            "is_tainted": bool(attached) or any(m.role != "user" for m in said),  # nobody knows what those had read
            "now": caller.now.isoformat(),
            "language": caller.language,
            "location": caller.location,
            "labels": sorted(caller.reader.labels),
            "within": {name: list(values) for name, values in caller.reader.within.items()},
        }
        self.log.append(run, [Draft("run.asked", body)], after=state.seq, sync=True)
        return run

    def state(self, run: str) -> RunState:
        """What the log says of a run."""
        return fold(self.log.events(run))

    def cancel(self, run: str, by: str) -> None:
        """As the function `cancel`, in the log of this loop."""
        cancel(self.log, run, by)

    def advance(self, run: str) -> Iterator[Event | Delta]:
        """Go on with a run until it is answered, or waits for a person: its events as they are logged, and text as it is written.

        Raises:
            MovedOnError: If another process goes on with it, or it was changed meanwhile (cancelled).
        """
        with self.log.holding(run):
            while (state := self.state(run)).status in ("running", "waiting"):
                try:
                    yield from self._go_on(_Work(self, state, self._clock()))
                    return
                except MovedOnError:  # a person decided, or cancelled
                    if not self.log.holds(run):
                        raise

    def answer(self, text: str, caller: Caller, run: str = "") -> RunState:
        """Ask, and go on until there is an answer or a person is waited for."""
        run = self.ask(text, caller, run)
        for _ in self.advance(run):
            pass
        return self.state(run)

    def _go_on(self, work: "_Work") -> Iterator[Event | Delta]:
        yield from work.recover()
        while work.state.status in ("running", "waiting"):
            if not work.state.open_calls:
                yield from work.speak()
                continue
            yield from work.act()
            if work.state.waiting:
                if work.state.status == "running":
                    seconds = (self._clock() - work.began).total_seconds()
                    waits = {"calls": [c.id for c in work.state.waiting], "seconds": seconds}
                    yield from work.write([Draft("run.waiting", waits)])
                return


def cancel(log: Log, run: str, by: str) -> None:
    """End the work on a run's question, and on those of its specialists. A call under way is not interrupted, but its end is
    still logged."""
    state = fold(log.events(run))
    denied = [
        Draft("call.denied", {"id": c.id, "by": by, "text": say("cancelled", state.caller.language)})
        for c in state.open_calls
        if c.status in ("proposed", "waiting", "approved", "handed")
    ]
    log.append(run, [*denied, Draft("run.cancelled", {"by": by})], sync=True)
    for call in state.open_calls:  # after it: a specialist that is asked meanwhile sees that its caller was cancelled
        below = run_of_call(f"{run}/{call.id}")
        if fold(log.events(below)).status in ("running", "waiting"):
            cancel(log, below, by)


class _Work:
    """One process's work on one run: the state it knows, brought up to date with everything it writes."""

    def __init__(self, loop: Loop, state: RunState, began: datetime) -> None:
        self.agent, self.log, self.clock = loop.agent, loop.log, loop._clock
        self.version, self.state, self.began = loop._version, state, began
        self._written, self._held, self._owed = state, tuple[Draft, ...](), Spent()

    def hold(self, drafts: Sequence[Draft], spent: Spent) -> None:
        """Know it, and log it with what is written next. For what is asked again after a crash, and followed at once."""
        self._written, self._held, self._owed = self.state, tuple(drafts), spent
        at = enumerate(drafts, self.state.seq + 1)
        self.state = fold([Event(0, self.state.run, seq, "", d.kind, d.body, "", "") for seq, d in at], self.state)

    def write(
        self, drafts: Sequence[Draft], *, spent: Spent | None = None, sync: bool = False, whatever: bool = False
    ) -> list[Event]:
        """Log, and know it. What already happened is logged `whatever` was written meanwhile; all else only if nothing was."""
        drafts, owed, known = [*self._held, *drafts], self._owed, self._written if self._held else self.state
        self._held, self._owed = (), Spent()
        if owed != Spent():
            spent = owed + (spent or Spent())
        try:
            events = self.log.append(known.run, drafts, after=None if whatever else known.seq, spent=spent, sync=sync)
        except MovedOnError:  # what was held is lost, but it was paid for all the same
            if owed != Spent():
                self.log.spend(known.user, owed)
            raise
        self.state = fold(events, known) if events[0].seq == known.seq + 1 else fold(self.log.events(known.run))
        return events

    @property
    def language(self) -> Any:
        return self.state.caller.language

    # --- after a crash -----------------------------------------------------------------------------------------------

    def recover(self) -> Iterator[Event]:
        """Calls that were begun by a process that is gone: repeat them where that does no harm, else ask a person.

        What waits for approval waits on, under the agent of now if it is another one than before.
        """
        if self.state.agent != self.version:
            changed = Draft("agent.changed", {"from": self.state.agent, "to": self.version})
            self.state = replace(self.state, agent=self.version)  # what is asked anew is bound to it
            yield from self.write([changed, *self._ask_anew()], sync=True)
        for call in self.state.open_calls:
            if call.status != "started":
                continue
            tool = self.agent.tool(call.name)
            if tool is not None and self._may_repeat(call, tool):
                yield from self._start(call, tool)
            else:
                why = "the process ended while this call was under way; nobody knows whether it took effect"
                yield from self.write([Draft("call.unknown", {"id": call.id, "reason": why})], sync=True)

    def _may_repeat(self, call: CallState, tool: Tool) -> bool:
        """What changes something is repeated only as it was approved: the same call, of the same tool, by the same agent."""
        traits = tool.traits
        return traits.may_repeat and (traits.effect == "read" or call.fingerprint == fingerprint(tool.spec, call, self.state))

    def _ask_anew(self) -> Iterator[Draft]:
        """A request for approval holds for the agent that made it: of another one, it is made again."""
        for call in self.state.open_calls:
            tool = self.agent.tool(call.name)
            if call.status in ("waiting", "approved") and tool is not None:
                reason = "; ".join(dict.fromkeys(part for part in (call.reason, CHANGED) if part))
                yield self._request(call, tool, reason)

    # --- the model ---------------------------------------------------------------------------------------------------

    def speak(self) -> Iterator[Event | Delta]:
        """Ask the model; log its answer or its calls."""
        seconds = (self.clock() - self.began).total_seconds()
        limits, state = self.agent.limits, self.state
        today = limits.reached_today(self.log.spent(state.user)) if limits.has_days else ""
        reached = limits.reached(state, state.seconds + seconds) or today
        if reached or self._circles():
            why = reached or "repeats"
            yield from self.write([Draft("run.stopped", {"limit": why, "text": say("stopped", self.language, limit=why)})])
            return
        is_last = state.steps + 1 >= limits.steps or state.made >= limits.calls
        reply: Reply | None = None
        found = tuple(span for call in state.made_now() for span in call.citations)
        stream = Stream(self.agent.filters, state.caller, state.messages, found)
        offered = () if is_last else [t.spec for t in self.agent.tools]
        for piece in self.agent.responder.reply(state.messages, offered, state.caller):
            if isinstance(piece, Reply):
                reply = piece
            elif not self.agent.filters:
                yield piece
            elif text := stream.feed(piece.text):  # what was not looked at is not told
                yield Delta(text)
        assert reply is not None, "a responder ends with its whole reply"
        yield from self._log_reply(reply, stream, is_last=is_last)

    def _log_reply(self, reply: Reply, stream: Stream, *, is_last: bool) -> Iterator[Event | Delta]:
        answer, step = reply.answer, self.state.steps + 1
        used = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        number = sum(isinstance(t, Step) for t in self.state.turns) + 1
        named = () if is_last or answer.error is not None else answer.tool_calls
        calls = [{"id": f"{number}.{i}", "name": c.name, "arguments": _written(c.arguments)} for i, c in enumerate(named, 1)]
        spoke = {
            "step": step,
            "text": answer.text if calls else "",
            "calls": calls,
            "usage": used,
            "money": reply.money,
            "is_tainted": reply.is_tainted,
        }
        drafts = [Draft("model.answered", spoke)]
        if answer.error is not None:
            drafts.append(Draft("run.failed", {"text": say("failed", self.language), "reason": answer.error}))
        elif is_last and answer.tool_calls and not answer.text:  # it can only call, and may not
            drafts.append(Draft("run.stopped", {"limit": "calls", "text": say("stopped", self.language, limit="calls")}))
        elif not calls:
            drafts.append(self._final(answer))
        spent = Spent(sum(used), 0, reply.money)
        if calls:
            self.hold(drafts, spent)
            return
        try:
            events = self.write(drafts, spent=spent, sync=True)
        except MovedOnError:  # cancelled meanwhile: it was paid for all the same
            self.log.spend(self.state.user, spent)
            raise
        yield from events
        if stream.told and (rest := stream.end(str(drafts[-1].body.get("text", "")))):
            yield Delta(rest)

    def _final(self, answer: Answer) -> Draft:
        findings: list[str] = []
        found = [span for call in self.state.made_now() for span in call.citations]
        answer = replace(answer, citations=tuple(dict.fromkeys((*answer.citations, *found))))
        for check in self.agent.filters:
            try:
                checked = check.check(answer, self.state.caller, self.state.messages)
            except Exception as error:  # what could not be looked at is not told
                why = f"{type(check).__name__} failed: {type(error).__name__}"
                return Draft("run.failed", {"text": say("failed", self.language), "reason": why})
            answer, findings = checked.answer, [*findings, *checked.findings]
        citations = [asdict(span) for span in answer.citations]
        body = {"text": answer.text, "citations": citations, "abstained": answer.abstained, "findings": findings}
        return Draft("run.answered", body)

    def _circles(self) -> bool:
        """Whether the model makes one call again and again."""
        made = [(c.name, canonical(dict(c.arguments))) for c in self.state.made_now()]
        return any(made.count(call) >= MOST_REPEATS for call in set(made))

    # --- the calls ---------------------------------------------------------------------------------------------------

    def act(self) -> Iterator[Event]:
        """Rule on what is proposed; make what may be made: reads side by side, all else one after the other."""
        for call in self.state.open_calls:
            if call.status == "proposed":
                yield from self._rule(call)
            elif call.status == "waiting" and is_over(call, self.clock()):
                yield from self.write([Draft("call.expired", {"id": call.id, "text": say("expired", self.language)})])
        yield from self._make_reads()
        for name in [one.id for one in self.state.open_calls]:
            if name not in self.state.calls:  # erased
                return
            call = self.state.calls[name]  # as it is by now: the call before it may have taken long
            if call.status in ("approved", "started") or (call.status == "handed" and self.agent.tool(call.name) is None):
                yield from self._make_alone(call)

    def _rule(self, call: CallState) -> Iterator[Event]:
        refused, tool = self._refusal(call), self.agent.tool(call.name)
        if refused is not None or tool is None:
            assert refused is not None
            yield from self.write([refused])
            return
        if self._held and any(getattr(guard, "asks_model", True) for guard in self.agent.guards):
            yield from self.write([])  # a judge may take long
        proposal = self._proposal(call, tool)
        rulings = rule(proposal, self.agent.guards)
        counts = strictest(rulings)
        told = Draft("call.ruled", {"id": call.id, "rulings": [asdict(r) for r in rulings]})
        if counts.decision == "refuse":
            yield from self.write([told, self._refused(call, say("refused", self.language, reason=counts.reason), counts.by)])
        elif counts.decision == "ask":
            yield from self.write([told, self._request(call, tool, _reasons(rulings))], sync=True)
        elif tool.traits.effect == "read":
            yield from self._start(call, tool, told)
        else:
            allowed = {"id": call.id, "by": counts.by, "fingerprint": fingerprint(tool.spec, call, self.state)}
            yield from self.write([told, Draft("call.approved", allowed)])

    def _proposal(self, call: CallState, tool: Tool) -> Proposal:
        state, made = self.state, Counter[str]()
        for earlier in state.made_now():
            made[earlier.name] += earlier.attempts > 0 or earlier.status in ("waiting", "approved")
        said = [turn.content for turn in state.turns if isinstance(turn, Message) and turn.role == "user"]
        outside = (c for c in state.calls.values() if not c.is_trusted and not _wrote(c, call))
        given = (*said, *(turn.text for turn in state.turns if isinstance(turn, Attached)), *(c.text for c in outside))
        no_results = {ATTACHED, *(i for i, c in state.calls.items() if state.end_of(c).status != "succeeded")}
        return Proposal(tool, call.arguments, state.caller, state.parts, state.is_tainted, made, given, frozenset(no_results))

    def _refusal(self, call: CallState) -> Draft | None:
        """What needs nobody's judgement: an unknown tool, wrong arguments, no calls left, a call that was just made."""
        tool = self.agent.tool(call.name)
        if tool is None:
            return self._refused(call, teach_name(call.name, [t.spec.name for t in self.agent.tools], self.language), "names")
        wrong = teach_arguments(tool.spec, call.arguments, self.language)
        if wrong:
            return self._refused(call, wrong, "schema")
        if self._is_used_up():
            return self._refused(call, say("limit", self.language), "limit")
        key = canonical(dict(call.arguments))
        for earlier in self.state.made_now():
            is_same = earlier.name == call.name and canonical(dict(earlier.arguments)) == key
            is_made = earlier.status in (("succeeded",) if tool.traits.effect == "read" else MADE_OR_MAY_BE)
            if earlier.id != call.id and is_made and is_same:
                text = say("done", self.language) if tool.traits.effect != "read" else ""
                return self._refused(call, text or say("repeated", self.language, text=earlier.text), "repeated")
        return None

    def _is_used_up(self) -> bool:
        """Whether no call is left, for the question or for the day; those that are going to be made count."""
        limits, coming = self.agent.limits, sum(c.status in ("waiting", "approved") for c in self.state.open_calls)
        if self.state.made + coming >= limits.calls:
            return True
        spent = self._owed + self.log.spent(self.state.user) if limits.has_days else Spent()
        return bool(limits.reached_today(replace(spent, calls=spent.calls + coming)))

    def _refused(self, call: CallState, text: str, by: str) -> Draft:
        return Draft("call.refused", {"id": call.id, "text": text, "reason": by})

    def _request(self, call: CallState, tool: Tool, reason: str) -> Draft:
        expires = self.clock() + timedelta(hours=self.agent.limits.approval_hours)
        bound_to = fingerprint(tool.spec, call, self.state)
        body = {"id": call.id, "fingerprint": bound_to, "expires": expires.isoformat(), "reason": reason}
        return Draft("call.waiting", body | {"four_eyes": self.agent.four_eyes})

    def _begun(self, call: CallState) -> Draft:
        return Draft("call.started", {"id": call.id, "attempt": call.attempts + 1})

    def _start(self, call: CallState, tool: Tool, *before: Draft) -> list[Event]:
        """Log that a call begins; it counts from now on, whatever becomes of it."""
        return self.write([*before, self._begun(call)], spent=Spent(calls=1), sync=tool.traits.effect != "read")

    def _make_reads(self) -> Iterator[Event]:
        """Calls that are started and may be repeated, among them those that a crash cut off, or that were handed on."""
        reads: list[tuple[CallState, Tool]] = []
        for call in self.state.open_calls:
            tool = self.agent.tool(call.name)
            if call.status in ("started", "handed") and tool is not None and tool.traits.effect == "read":
                reads.append((call, tool))
        among = sum(is_delegate(tool) for _, tool in reads)
        under_way = [(call, tool, self._begin(call, tool, among)) for call, tool in reads]
        for call, tool, making in under_way:
            yield from self._end(call, tool, making.wait())

    def _begin(self, call: CallState, tool: Tool, among: int) -> Making:
        """Begin a call; one of a specialist with its share of what is left for the question."""
        if is_delegate(tool):
            seconds = (self.clock() - self.began).total_seconds()
            left = what_is_left(self.agent.limits, self.state, seconds, among)
            tool = tool.within(Handover(self.log, self.state, left, self.clock))
        return Making(tool, call.arguments, self._caller(call))

    def _make_alone(self, call: CallState) -> Iterator[Event]:
        tool = self.agent.tool(call.name)
        if tool is None:
            yield from self.write([Draft("call.expired", {"id": call.id, "text": say("expired", self.language)})])
            return
        if call.status == "approved":
            if is_over(call, self.clock()) or call.fingerprint != fingerprint(tool.spec, call, self.state):
                yield from self.write([Draft("call.expired", {"id": call.id, "text": say("expired", self.language)})])
                return
            yield from self._start(call, tool)
        yield from self._end(call, tool, Making(tool, call.arguments, self._caller(call)).wait())

    def _caller(self, call: CallState) -> Caller:
        return replace(self.state.caller, key=f"{self.state.run}/{call.id}")

    def _end(self, call: CallState, tool: Tool, made: Made) -> list[Event]:
        """Log how a call ended, or where it waits; a result that a guard does not trust is kept in the log and not shown."""
        report = made.outcome if isinstance(made.outcome, Reported) else None
        if report is not None and report.waits:
            return [] if call.status == "handed" else self.write([Draft("call.handed", {"id": call.id, "run": report.run})])
        is_trusted = tool.traits.is_trusted if report is None else report.is_trusted
        text = without_template_signs(made.outcome.text)  # a trusted program may have put them together
        body: dict[str, Any] = {"id": call.id, "text": text, "is_trusted": is_trusted}
        kind: Kind = "call.failed"
        if made.end == "unknown":
            kind, body = "call.unknown", {"id": call.id, "reason": made.reason}
        elif made.end == "succeeded":
            kind = "call.succeeded"
            citations = [asdict(span) for span in made.outcome.citations]
            body |= {"data": _plain(made.outcome.data), "citations": citations}
            if report is not None and report.run:
                used = (report.usage.prompt_tokens, report.usage.completion_tokens)
                body |= {"run": report.run, "used": {"usage": used, "money": report.money, "calls": report.calls}}
        elif made.reason:
            body["reason"] = made.reason
        if made.end != "unknown":
            body |= self._reviewed(call, tool, made)
        has_effect = tool.traits.effect != "read"
        return self.write([Draft(kind, body)], sync=has_effect, whatever=True)

    def _reviewed(self, call: CallState, tool: Tool, made: Made) -> Mapping[str, Any]:
        if not self.agent.guards:
            return {}
        proposal = self._proposal(call, tool)
        for guard in self.agent.guards:
            try:
                ruling = guard.after(proposal, made.outcome)
            except Exception as error:
                ruling = Ruling("refuse", type(guard).__name__, f"the guard failed: {type(error).__name__}")
            if ruling is not None and ruling.decision != "allow":
                text = say("withheld", self.language, reason=ruling.reason)
                return {"text": text, "withheld": made.outcome.text, "by": ruling.by, "citations": []}
        return {}


def _reasons(rulings: Sequence[Ruling]) -> str:
    return "; ".join(dict.fromkeys(r.reason for r in rulings if r.decision == "ask" and r.reason))


def _wrote(earlier: CallState, call: CallState) -> bool:
    """Whether the model wrote a text of `call` into an earlier call: in the result it may be an echo."""
    return any(text in one for text in texts(call.arguments) for one in texts(earlier.arguments))


def _written(arguments: Mapping[str, Any]) -> Any:
    """Arguments as JSON holds them. NaN and infinity become null, which schemas refuse."""
    return json.loads(json.dumps(dict(arguments), default=str), parse_constant=lambda _: None)


def _plain(data: Any) -> Any:
    """`data` if it is JSON, else how it reads."""
    try:
        canonical(data)
    except (TypeError, ValueError):
        return str(data)
    return data
