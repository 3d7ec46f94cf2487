"""What a conversation tells without anybody rating it: a question asked again, an objection, arguments that a person changed.

Covered: each signal names the events it was read from, and how sure it is; a plain no to a question of the agent is an answer, and
no objection; questions that differ in a number are different questions.
Not covered: how often a signal is right. `sure` is a judgement, not a measurement; ratings and reviews are what it is held against.
One key that asks for many people looks like one user who asks the same again: signals across runs are the least sure.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, get_args

from sadari.agent.log import Event

SignalKind = Literal["objected", "rephrased", "edited", "denied", "repeated_error", "stopped", "abandoned"]
SIGNALS: tuple[SignalKind, ...] = get_args(SignalKind)

SOON = timedelta(minutes=10)
"""Within this time a question that reads like the last one is taken for the same one, put in other words."""

LEFT = timedelta(days=1)
"""After this time nobody comes back to a conversation that waits for its user."""

ALIKE = 0.6
"""Share of pieces, of one and two characters, from which two questions read alike (Dice)."""

SHORTEST = 4
"""Letters and digits below which two questions are not compared: every "네" is like every other."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A sign that something went wrong with one answer.

    Args:
        run, question: The question whose answer it is about, by its place in its run.
        events: The events it was read from, by their places in the whole log.
        sure: How likely it is that a person would find fault, in [0, 1].
    """

    kind: SignalKind
    run: str
    question: int
    events: tuple[int, ...]
    sure: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a run, and what came of it.

    Args:
        question: Its place in the run.
        time: When it was asked; UTC, ISO 8601.
        answer: What was said to it; "" if nothing was.
        end: Kind of the event with which it ended; "" while it has not.
        findings: What filters found in the answer.
        events: What happened from the question on, until the next one.
        ratings: Of the answer, oldest first, as they were logged.
    """

    run: str
    user: str
    question: int
    time: str
    text: str
    answer: str
    end: str
    abstained: bool
    findings: tuple[str, ...]
    events: tuple[Event, ...]
    ratings: tuple[Mapping[str, Any], ...]

    @property
    def place(self) -> tuple[str, int]:
        """Run and question."""
        return self.run, self.question

    @property
    def rating(self) -> Mapping[str, Any] | None:
        """The newest rating, which is the one that counts."""
        return self.ratings[-1] if self.ratings else None


_ENDS = ("run.answered", "run.stopped", "run.failed", "run.cancelled")


def turns_of(events: Sequence[Event]) -> list[Turn]:
    """The questions of one run, in order; [] if it was erased."""
    if not events or any(event.kind == "run.erased" or event.body is None for event in events):
        return []
    user = next((str(event.body["user"]) for event in events if event.kind == "run.started" and event.body), "")
    starts = [at for at, event in enumerate(events) if event.kind == "run.asked"]
    rated = [event.body for event in events if event.kind == "answer.rated" and event.body]
    return [_turn(user, events[at:until], rated) for at, until in pairwise([*starts, len(events)])]


def _turn(user: str, events: Sequence[Event], rated: Sequence[Mapping[str, Any]]) -> Turn:
    asked = events[0]
    end = next((event for event in events if event.kind in _ENDS), None)
    told = (end.body or {}) if end is not None else {}
    ratings = tuple(body for body in rated if body.get("question") == asked.seq)
    return Turn(
        run=asked.run,
        user=user,
        question=asked.seq,
        time=asked.time,
        text=str((asked.body or {}).get("text", "")),
        answer=str(told.get("text", "")),
        end=end.kind if end is not None else "",
        abstained=bool(told.get("abstained")),
        findings=tuple(told.get("findings", ())),
        events=tuple(events),
        ratings=ratings,
    )


def signals_of(turns: Sequence[Turn], now: datetime) -> list[Signal]:
    """The signals of one run, in order."""
    found: list[Signal] = []
    for at, turn in enumerate(turns):
        following = turns[at + 1] if at + 1 < len(turns) else None
        found += _acted(turn)
        if following is not None:
            found += _objected(turn, following)
            found += _rephrased(turn, following, (0.8, 0.5))
        else:
            found += _abandoned(turn, now)
    return found


def signals_between(runs: Iterable[Sequence[Turn]]) -> list[Signal]:
    """The signals across runs: the last question of one, asked again by the same user at the start of another soon after."""
    latest: dict[str, Turn] = {}
    found: list[Signal] = []
    for turns in sorted((turns for turns in runs if turns), key=lambda turns: turns[0].time):
        first, earlier = turns[0], latest.get(turns[0].user)
        if earlier is not None and first.user:
            found += _rephrased(earlier, first, (0.4, 0.3))
        latest[first.user] = turns[-1]
    return found


# --- what was said ---------------------------------------------------------------------------------------------------------

_EXPLICIT = re.compile(
    r"(?:아니\W*)?(?:그게|그건|그거|그\s?말이|이게|이건)\s?(?:아니(?!면)|아닌|아냐)|제\s?말은|내\s?말은|제가\s?물(?:은|어본)|"
    r"틀렸|틀린\s|잘못\s?(?:알|말|이해|답)|엉뚱|동문서답|"
    r"(?:no\W+)?(?:that(?:'|\u2019)?s|that\s+is)\s+(?:not|wrong|incorrect)|(?:this|it)(?:'s|\u2019s|\s+is)\s+(?:wrong|incorrect)|not\s+what\s+i|"
    r"(?:no\W+)?i\s+(?:said|meant|asked)\b|(?:no\W+)?you(?:'ve|\u2019ve)?\s+mis|wrong\b|incorrect\b",
    re.IGNORECASE,
)
_NO = re.compile(r"(?:아니(?:요|오|야)?|아뇨|아닌데요?|아냐|no|nope)(?=[\s,.!…~]|$)", re.IGNORECASE)
_CONTENT = re.compile(r"괜찮|됐|감사|고마|없(?:어|습)|thank|problem|worries|fine|need", re.IGNORECASE)
_COURTESY = re.compile(r"(?:더|다른|또|추가)\s?.{0,12}(?:도와|도움|필요|궁금|문의)|else|further|more\s+questions", re.IGNORECASE)


def _objected(turn: Turn, following: Turn) -> Iterator[Signal]:
    if not turn.answer:
        return
    said = unicodedata.normalize("NFC", following.text).strip()
    is_answer = _asks(turn.answer)
    if _EXPLICIT.match(said) is not None:
        sure = 0.8
    elif _NO.match(said) is not None and not is_answer and _CONTENT.search(said[:30]) is None:
        sure = 0.6
    else:
        return
    yield Signal("objected", turn.run, turn.question, (_end(turn).id, following.events[0].id), sure)


def _rephrased(turn: Turn, following: Turn, sure: tuple[float, float]) -> Iterator[Signal]:
    """`sure`: of the same words again, and of other ones."""
    is_soon = datetime.fromisoformat(following.time) - datetime.fromisoformat(_end(turn).time) <= SOON
    is_same = folded(turn.text) == folded(following.text)
    if is_soon and alike(turn.text, following.text):
        events = (turn.events[0].id, following.events[0].id)
        yield Signal("rephrased", turn.run, turn.question, events, sure[0] if is_same else sure[1])


def alike(one: str, other: str) -> bool:
    """Whether two questions read alike: most of their pieces are shared, and all of their numbers."""
    left, right = folded(one), folded(other)
    if min(len(left), len(right)) < SHORTEST or re.findall(r"\d+", one) != re.findall(r"\d+", other):
        return False
    a, b = _pieces(left), _pieces(right)
    return 2 * len(a & b) / (len(a) + len(b)) >= ALIKE


def folded(text: str) -> str:
    """Letters and digits alone, composed and in lower case."""
    return "".join(ch for ch in unicodedata.normalize("NFC", text).casefold() if ch.isalnum())


def _pieces(text: str) -> set[str]:
    return set(text) | {a + b for a, b in pairwise(text)}


def _asks(answer: str) -> bool:
    """Whether an answer ends in a question."""
    return answer.rstrip().rstrip("*_)\"'”’").endswith(("?", "？"))


# --- what was done ---------------------------------------------------------------------------------------------------------


def _acted(turn: Turn) -> Iterator[Signal]:
    """What people and tools did to the calls of a question."""

    def signal(kind: SignalKind, sure: float, *events: Event) -> Signal:
        return Signal(kind, turn.run, turn.question, tuple(event.id for event in events), sure)

    failures: dict[str, list[Event]] = {}
    names = _names(turn.events)
    for event in turn.events:
        body = event.body or {}
        if event.kind == "call.proposed" and body.get("in_place_of"):
            yield signal("edited", 1.0, event)
        elif event.kind == "call.denied" and "reason" in body:
            yield signal("denied", 0.9, event)
        elif event.kind == "run.cancelled":
            yield signal("stopped", 0.5, event)
        elif event.kind in ("call.failed", "call.refused"):
            failures.setdefault(names.get(body.get("id", ""), ""), []).append(event)
    for events in failures.values():
        if len(events) > 1:
            yield signal("repeated_error", 0.7, *events)


def _names(events: Sequence[Event]) -> dict[str, str]:
    """The tools of calls by the ids of these."""
    proposed = [call for event in events if event.kind == "model.answered" for call in (event.body or {}).get("calls", ())]
    edited = [event.body for event in events if event.kind == "call.proposed" and event.body]
    return {call["id"]: call["name"] for call in (*proposed, *edited)}


def _abandoned(turn: Turn, now: datetime) -> Iterator[Signal]:
    """A last question that waits for its user, or waited for a person until that was over."""
    expired = [event for event in turn.events if event.kind == "call.expired"]
    last = turn.events[-1]
    is_old = now - datetime.fromisoformat(last.time) >= LEFT
    waits = [event for event in turn.events if event.kind == "run.waiting"] if not turn.end and is_old else []
    if expired or waits:
        yield Signal("abandoned", turn.run, turn.question, tuple(event.id for event in expired or waits[-1:]), 0.6)
    elif is_old and _asks(turn.answer) and _COURTESY.search(turn.answer[-60:]) is None:
        yield Signal("abandoned", turn.run, turn.question, (_end(turn).id,), 0.3)


def _end(turn: Turn) -> Event:
    return next((event for event in turn.events if event.kind in _ENDS), turn.events[-1])
