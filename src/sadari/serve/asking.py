"""Asking the agent: a question becomes part of the log, the run goes on, and what came of it is told from the log.

Covered: a question is on the disk before its client hears anything; with an idempotency key it is asked once, whatever crashes
and however often it comes; a user reaches no other user's runs; one run is worked on by one thread.
Not covered: what the agent itself covers (`sadari.agent.loop`).
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sadari.agent.approval import Pending, pending
from sadari.agent.log import Event, MovedOnError
from sadari.agent.log.event import canonical
from sadari.agent.loop import Loop
from sadari.agent.state import RunState, fold
from sadari.errors import BudgetError
from sadari.serve.faults import ApiError, missing, wrong
from sadari.serve.keys import Identity
from sadari.serve.questions import Place, Questions
from sadari.serve.serving import Serving, Stage
from sadari.types import Caller, Delta, Message, Usage

ENDS = frozenset({"run.answered", "run.stopped", "run.failed", "run.cancelled", "run.erased"})
"""Events with which a question is over."""

ANOTHER_TRY = 5
"""How often a run is gone on with when somebody decided about it meanwhile."""

ABANDONED_S = 600.0
"""Seconds in which the work on an abandoned question comes to a place where it may end."""

_WAITS = {
    "ko": "담당자의 승인을 기다리고 있습니다: {calls}",
    "en": "This waits for a person's approval: {calls}",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to the agent.

    Args:
        messages: The conversation; the last one is the question. Empty to go on with a run that waited.
        run: The run that goes on; "" begins one with the messages before the question.
        after: Of a run that goes on, the question that this one follows, by the event before it; None for the newest.
        key: The client's idempotency key, or "".
    """

    messages: tuple[Message, ...]
    run: str = ""
    after: int | None = None
    key: str = ""

    @property
    def digest(self) -> str:
        """What another request with the same key is told apart by."""
        told = [[m.role, m.content] for m in self.messages]
        return hashlib.sha256(canonical([told, self.run, self.after]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Begun(Place):
    """The place of a question that is being answered, and the version of the agent that answers it."""

    version: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a question.

    Args:
        status: "answered", "waiting" (for a person), "stopped", "failed", "cancelled" or "running" (not yet over).
        text: For the user.
    """

    place: Place
    status: str
    text: str
    usage: Usage
    state: RunState
    waits: tuple[Pending, ...] = ()

    @property
    def extension(self) -> dict[str, Any]:
        """What the shapes of OpenAI have no room for, as the field `sadari` of an answer."""
        answer = self.state.answer
        return {
            "run": self.place.run,
            "question": self.place.after + 1,
            "status": self.status,
            "version": self.state.agent,
            "abstained": answer.abstained if answer else False,
            "citations": [asdict(span) for span in answer.citations] if answer else [],
            "pending": [asdict(one) for one in self.waits],
            "steps": [
                {"call": c.id, "tool": c.name, "arguments": dict(c.arguments), "status": c.status, "text": c.text}
                for c in self.state.made_now()
            ],
        }


class Desk:
    """Where questions to the agent arrive, whichever version of it answers them."""

    def __init__(self, stage: Stage, questions: Questions) -> None:
        self._stage, self._questions = stage, questions
        self._lock, self._busy = threading.Condition(), set[str]()

    @property
    def loop(self) -> Loop:
        """The current version's, for what every version does alike: to read a run, and to end it."""
        return self._stage.current.loop

    @property
    def version(self) -> str:
        """The current one."""
        return self._stage.current.version

    def _answering(self, user: str, run: str) -> AbstractContextManager[Serving]:
        """Who answers, held until it has: of a run the version that answered before, of a new one that of its user's side."""
        if not run:
            return self._stage.using(self._stage.for_user(user))
        if self._stage.candidate is None:
            return self._stage.using()
        return self._stage.using(self._stage.for_run(self.loop.state(run).agent))

    # --- asking ------------------------------------------------------------------------------------------------------

    def ask(self, identity: Identity, asked: Asked) -> Iterator[Place | Event | Delta | Told]:
        """Ask, and go on until there is an answer or a person is waited for.

        The place of the question comes first, once it is on the disk; then what happens; what came of it is last.

        Raises:
            ApiError: If it cannot be asked.
            BudgetError: If the user's day is spent.
        """
        if not asked.key:
            with self._answering(identity.user, asked.run) as serving:
                place = self._ask(serving.loop, identity, asked)
                yield Begun(place.run, place.after, serving.version)
                yield from self._go_on(serving.loop, place)
            return
        with self._alone(f"key {identity.user} {asked.key}"):
            place = self._questions.claim(identity.user, asked.key, asked.digest)
            with self._answering(identity.user, place.run or asked.run) as serving:
                if not place.run:
                    place = self._place(serving.loop, identity, asked)
                    self._questions.keep(identity.user, asked.key, place)
                self._ask_at(serving.loop, identity, asked, place)
                yield Begun(place.run, place.after, serving.version)
                yield from self._go_on(serving.loop, place)

    def go_on(self, place: Place, wait_s: float = 0) -> Iterator[Event | Delta | Told]:
        """Go on with the run of a question that is not over, and tell what came of it.

        Args:
            wait_s: How long to wait for another thread that goes on with it.
        """
        if not self._is_over(place):
            with self._alone(place.run, wait_s), self._answering("", place.run) as serving:
                yield from self._advance(serving.loop, place.run)
        yield self.told(place)

    def _go_on(self, loop: Loop, place: Place) -> Iterator[Event | Delta | Told]:
        if not self._is_over(place):
            with self._alone(place.run):
                yield from self._advance(loop, place.run)
        yield self.told(place)

    def _is_over(self, place: Place) -> bool:
        return any(event.kind in ENDS for event in self.loop.log.events(place.run, place.after))

    def abandon(self, place: Place, by: str) -> None:
        """End the work on a question that nobody waits for any more, so that its run takes the next one."""
        with self._alone(place.run, ABANDONED_S):
            if self.told(place).status == "running":
                self.loop.cancel(place.run, by)

    def _advance(self, loop: Loop, run: str) -> Iterator[Event | Delta]:
        for left in reversed(range(ANOTHER_TRY)):
            try:
                yield from loop.advance(run)
                return
            except MovedOnError:  # a person decided meanwhile
                if not left:
                    raise

    def _ask(self, loop: Loop, identity: Identity, asked: Asked) -> Place:
        if not asked.messages:
            return self.last_question(asked.run)
        if not asked.run:
            said, question = asked.messages[:-1], asked.messages[-1]
            run = loop.ask(question.content, self._caller(identity, question.content), said=said)
            return Place(run, 1)  # behind the event with which it began
        place = self._place(loop, identity, asked)
        self._ask_at(loop, identity, asked, place)
        return place

    def _place(self, loop: Loop, identity: Identity, asked: Asked) -> Place:
        """Where the question is going to stand, its run begun."""
        if not asked.messages:
            return self.last_question(asked.run)
        if asked.run and not self._has_gone_on(asked):
            state = self.loop.state(asked.run)
            if state.status not in ("idle", "cancelled"):
                told = f"{asked.run} is {state.status}: it takes the next question when this one is answered or cancelled."
                raise ApiError(409, told, code=state.status, param="sadari.run", retry_after_s=2)
            return Place(asked.run, state.seq)
        limits, version = loop.agent.limits, loop.agent.version
        reached = limits.reached_today(loop.log.spent(identity.user)) if limits.has_days else ""
        if reached:  # before a run is begun for nothing
            raise BudgetError(f"Today's limit ({reached}) is reached.")
        said = self._said(asked)
        before = [{"role": m.role, "content": m.content} for m in said]
        run = loop.log.start(identity.user, version, {"user": identity.user, "agent": version, "messages": before})
        return Place(run, 1)

    def _has_gone_on(self, asked: Asked) -> bool:
        """Whether the question follows an answer that is not the newest of its run: then the conversation branches."""
        return asked.after is not None and any(e.kind == "run.asked" for e in self.loop.log.events(asked.run, asked.after + 1))

    def _said(self, asked: Asked) -> Sequence[Message]:
        """What was said before the question of a new run."""
        before = asked.messages[:-1]
        if not asked.run or asked.after is None:
            return before
        state = self.told(Place(asked.run, asked.after)).state
        return [m for m in state.messages if m.role != "tool" and not m.tool_calls]

    def _ask_at(self, loop: Loop, identity: Identity, asked: Asked, place: Place) -> None:
        """Ask the question at its place, unless it stands there."""
        if not asked.messages:
            return
        question = asked.messages[-1].content
        there = next(iter(loop.log.events(place.run, place.after)), None)
        if there is None:
            loop.ask(question, self._caller(identity, question), place.run)
        elif there.kind != "run.asked" or (there.body or {}).get("text") != question:
            raise ApiError(409, f"{place.run} has gone on with something else meanwhile. Take a new key.", code="moved_on")

    def _caller(self, identity: Identity, text: str) -> Caller:
        return Caller(identity.user, identity.reader, language="ko" if any("가" <= ch <= "힣" for ch in text) else "en")

    # --- reading -----------------------------------------------------------------------------------------------------

    def state_of(self, identity: Identity, run: str) -> RunState:
        """A run that this person may see.

        Raises:
            ApiError: 404, if there is none.
        """
        state = self.loop.state(run)
        if not state.run or (state.user != identity.user and not identity.may("operate")):
            raise missing(f"run {run}")
        return state

    def own(self, identity: Identity, run: str) -> RunState:
        """A run of this very person, whatever the role.

        Raises:
            ApiError: 404, if there is none.
        """
        state = self.loop.state(run)
        if not state.run or state.user != identity.user:
            raise missing(f"run {run}")
        return state

    def last_question(self, run: str) -> Place:
        """Where the newest question of a run stands.

        Raises:
            ApiError: If nothing was asked yet.
        """
        asked = [e.seq for e in self.loop.log.events(run) if e.kind == "run.asked"]
        if not asked:
            raise wrong("sadari.run", f"nothing was asked in {run[:64]} yet. Send a message with it.")
        return Place(run, asked[-1] - 1)

    def told(self, place: Place) -> Told:
        """What came of a question, as far as the log knows."""
        events = self.loop.log.events(place.run)
        end = next((i for i, e in enumerate(events) if e.seq > place.after and e.kind in ENDS), None)
        state = fold(events if end is None else events[: end + 1])
        if end is not None:
            text = state.answer.text if state.answer else ""
            return Told(place, events[end].kind.removeprefix("run."), text, state.usage, state)
        waits = tuple(pending(self.loop.log, datetime.now().astimezone(), run=place.run))
        if not waits:
            return Told(place, "running", "", state.usage, state)
        calls = ", ".join(f"{one.tool}({canonical(dict(one.arguments))}) [{one.run}/{one.call}]" for one in waits)
        return Told(place, "waiting", _WAITS[state.caller.language].format(calls=calls), state.usage, state, waits)

    # --- one thread for each run ---------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self, name: str, wait_s: float = 0) -> Iterator[None]:
        with self._lock:
            if not self._lock.wait_for(lambda: name not in self._busy, wait_s):
                raise ApiError(409, "This is being worked on. Ask again in a moment.", code="busy", retry_after_s=1)
            self._busy.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(name)
                self._lock.notify_all()


class SafeEnd:
    """Where work on a run may end because nobody reads it: never between the beginning of a call and its end."""

    def __init__(self) -> None:
        self._begun: set[str] = set()

    def __call__(self, piece: Any) -> bool:
        if isinstance(piece, Event) and piece.kind.startswith("call."):
            call = (piece.body or {}).get("id", "")
            if piece.kind in ("call.started", "call.approved"):
                self._begun.add(call)
            else:
                self._begun.discard(call)
        return not self._begun
