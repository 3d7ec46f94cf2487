"""Rows to learn from, made of what agents did: finished runs as conversations with their tools, calls, results and answers.

Covered: erased runs give nothing; an answer or a call that failed, was refused, denied, changed by a filter or ended by a limit is
not learnt from (weight 0), it is only context; nor is an answer that was rated down, left out by a reviewer, or objected to by its
user; a call that a person mended is learnt as mended; an answer that a person corrected is a row of its own, which ends with what
the person wrote; a run whose texts hold orders to the model is left out.
Not covered: personal data, repeats, and what is asked in the test set: `sadari.serve.learning` sees to these. Whether an answer
that nobody objected to is right, and whether a user who corrects his own answers means well: `trust` says whose word counts.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import Literal, get_args

from sadari.agent.log import Event, Log, RunEntry
from sadari.agent.signals import Signal, Turn, signals_of, turns_of
from sadari.agent.state import Attached, RunState, Step, fold
from sadari.text.injection import find_injections
from sadari.types import Example, Message, Reference, ToolCall, ToolSpec

TAG = "from-log"
"""On every row that was made here, followed by its basis."""

IMPOSSIBLE = ("names", "schema")
"""Why a call was refused that no tool could have taken: it is left out, a row may not hold it."""

Trust = Literal["reviewed", "rated", "all"]
TRUST: tuple[Trust, ...] = get_args(Trust)

Basis = Literal["corrected", "reviewed", "mended", "rated-up", "corrected-by-asker", "unrated"]
BASES: tuple[Basis, ...] = get_args(Basis)
"""What an answer is learnt on the strength of, the strongest first: somebody else than who asked corrected it, called it right, or
mended its calls; who asked rated it up, or corrected it; nobody objected."""

_ENOUGH: dict[Trust, tuple[Basis, ...]] = {"reviewed": BASES[:3], "rated": BASES[:5], "all": BASES}

SPEAKS_AGAINST = ("objected", "rephrased")
"""Signals about an answer as a whole; those about calls weigh on the calls, and what was stopped has no answer."""

SURE_ENOUGH = 0.5
"""From here on a signal keeps an answer out of training. It costs a row at most, and the review queue shows it to a person."""


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody who reviews conversations decided about one answer.

    Args:
        text: What a right answer would have been, if it was corrected.
        picked: Why it was shown; "" if the person found it.
        time: UTC, ISO 8601.
    """

    run: str
    question: int
    who: str
    decision: Literal["good", "corrected", "discard"]
    text: str = ""
    picked: str = ""
    time: str = ""


Reviews = Mapping[tuple[str, int], Review]
"""By run and question."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What becomes of one answer.

    Args:
        basis: On the strength of what it is learnt; None if it is not.
        corrected: What is learnt in its place; "" for what was said.
        why: Why it is not learnt, for people to read.
    """

    basis: Basis | None
    corrected: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Harvest:
    """Rows, preference pairs, and how many runs and answers gave none, by the reason."""

    rows: tuple[Example, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    pairs: tuple[Example, ...] = ()


def rows_from_log(
    log: Log, *, since: datetime | None = None, users: Collection[str] | None = None, tools: Sequence[ToolSpec] = ()
) -> list[Example]:
    """One row for each finished run, oldest first; its id is the name of the run.

    A corrected answer is a row of its own, with the id RUN#QUESTION.

    Args:
        since: Only runs that were begun then or later.
        users: Only runs of these.
        tools: What the agents could call, those of specialists among them; a row shows them all. A run with calls of other tools
            gives no row.
    """
    return list(harvest(log, since=since, users=users, tools=tools).rows)


def harvest(
    log: Log,
    *,
    since: datetime | None = None,
    users: Collection[str] | None = None,
    tools: Sequence[ToolSpec] = (),
    reviews: Reviews | None = None,
    trust: Trust = "all",
) -> Harvest:
    """As `rows_from_log`, with preference pairs, and with what was left out and why.

    Args:
        reviews: What reviewers decided; it counts more than ratings, and these more than signals.
        trust: Whose word makes an answer one to learn: "reviewed" (somebody else than who asked), "rated" (or who asked), "all"
            (or nobody, as long as nobody objected).
    """
    rows: list[Example] = []
    pairs: list[Example] = []
    left_out: Counter[str] = Counter()
    for entry in reversed(log.runs()):
        if (users is not None and entry.user not in users) or (since is not None and entry.started < _text(since)):
            continue
        found = _found(log, entry, tools, lambda turn, signals: opinion_of(turn, signals, reviews or {}, trust))
        rows += found.rows
        pairs += found.pairs
        left_out.update(found.left_out)
    return Harvest(tuple(rows), dict(left_out), tuple(pairs))


def without_erased(log: Log, rows: Sequence[Example]) -> tuple[list[Example], int]:
    """The rows whose runs still hold something, and how many do not any more: to be asked last, just before rows are written."""
    erased = {entry.run for entry in log.runs(status="erased")}
    kept = [row for row in rows if row.id.partition("#")[0] not in erased]
    return kept, len(rows) - len(kept)


def basis_of(row: Example) -> Basis:
    """The strongest basis on which something in a row of the log is learnt."""
    return next((basis for basis in BASES if basis in row.tags), "unrated")


# --- whose word counts -----------------------------------------------------------------------------------------------------


def opinion_of(turn: Turn, signals: Sequence[Signal], reviews: Reviews, trust: Trust = "all") -> Opinion:
    """What becomes of an answer: a review counts first, then the newest rating, then what its user said and did.

    Args:
        signals: Of its run.
    """
    opinion = _reviewed(reviews.get(turn.place)) or _rated(turn) or _observed(turn, signals)
    if opinion.basis is None or opinion.basis in _ENOUGH[trust]:
        return opinion
    return Opinion(None, why="nobody rated it" if opinion.basis == "unrated" else "rated by nobody but who asked")


def _reviewed(review: Review | None) -> Opinion | None:
    if review is None:
        return None
    if review.decision == "discard":
        return Opinion(None, why="left out by a reviewer")
    return Opinion("corrected", review.text) if review.decision == "corrected" else Opinion("reviewed")


def _rated(turn: Turn) -> Opinion | None:
    rating = turn.rating
    if rating is None:
        return None
    is_own = rating.get("by") == turn.user
    corrected = str(rating.get("corrected", "")).strip()
    if corrected and corrected != turn.answer.strip():
        return Opinion("corrected-by-asker" if is_own else "corrected", corrected)
    if rating.get("rating") == "up" or corrected:
        return Opinion("rated-up" if is_own else "reviewed")
    return Opinion(None, why="rated down and not corrected")


def _observed(turn: Turn, signals: Sequence[Signal]) -> Opinion:
    about = [signal for signal in signals if (signal.run, signal.question) == turn.place]
    against = [s.kind for s in about if s.kind in SPEAKS_AGAINST and s.sure >= SURE_ENOUGH]
    if against:
        return Opinion(None, why="the user objected" if "objected" in against else "the user asked again")
    return Opinion("mended" if any(s.kind == "edited" for s in about) else "unrated")


# --- from runs to rows -----------------------------------------------------------------------------------------------------

_Judge = Callable[[Turn, Sequence[Signal]], Opinion]


def _found(log: Log, entry: RunEntry, tools: Sequence[ToolSpec], judge: _Judge) -> Harvest:
    """What one run gives."""
    if entry.status == "erased":
        return Harvest((), {"erased": 1})
    if entry.status not in ("idle", "cancelled"):
        return Harvest((), {f"not finished ({entry.status})": 1})
    run = _read(log.events(entry.run), judge)
    rows, pairs = list[Example](), list[Example]()
    left_out = Counter(
        opinion.why for opinion, is_own in zip(run.opinions, _own(run.events), strict=True) if opinion.why and is_own
    )
    made = list(run.made())
    for one in made:
        if fault := _fault(one.messages, tools):
            left_out[fault] += 1
            continue
        tags = (TAG, *(basis for basis in BASES if basis in one.bases))
        row = Example(one.id, one.messages, Reference(texts=(one.messages[-1].content,)), tuple(tools), tags=tags)
        rows.append(row)
        if one.rejected.strip():
            unweighted = tuple(replace(message, weight=None) for message in one.messages)
            pairs.append(replace(row, messages=unweighted, kind="preference", rejected=one.rejected))
    if not made and not left_out:
        left_out["nothing in it went well" if run.is_done else "not finished (no answer)"] = 1
    return Harvest(tuple(rows), dict(left_out), tuple(pairs))


def _read(events: Sequence[Event], judge: _Judge) -> "_Run":
    turns = turns_of(events)
    signals = signals_of(turns, datetime.now(UTC))
    return _Run(fold(events), events, turns, [judge(turn, signals) for turn in turns])


def _fault(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    """Why a row cannot be learnt; "" if it can."""
    known = {tool.name for tool in tools}
    if any(call.name not in known for message in messages for call in message.tool_calls):
        return "calls a tool that the task does not have"
    if any(find_injections(message.content) for message in messages):
        return "holds orders to the model"
    return ""


@dataclass(frozen=True, slots=True)
class _Made:
    """A conversation that ends with what is learnt, and what was said in the place of that."""

    id: str
    messages: tuple[Message, ...]
    bases: tuple[Basis | None, ...]
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class _Run:
    """One run, and what becomes of each of its answers."""

    state: RunState
    events: Sequence[Event]
    turns: Sequence[Turn]
    opinions: Sequence[Opinion]

    @property
    def is_done(self) -> bool:
        """Whether its last question was answered."""
        return self.state.status == "idle" and self.state.answer is not None

    def made(self) -> Iterator[_Made]:
        """The whole conversation up to its last answer that is learnt from, and one for each answer that was corrected."""
        whole = _until_last_good([message for _, message in self._messages()]) if self.is_done else []
        if whole:
            own = zip(self.opinions, _own(self.events), strict=True)
            yield _Made(self.events[0].run, tuple(whole), tuple(o.basis for o, is_own in own if is_own and not o.corrected))
        for at, (turn, opinion) in enumerate(zip(self.turns, self.opinions, strict=True)):
            if opinion.corrected:
                said = (*self._before_answer(at), Message("assistant", opinion.corrected))
                yield _Made(f"{turn.run}#{turn.question}", said, (opinion.basis,), turn.answer)

    def _before_answer(self, at: int) -> Iterator[Message]:
        """The conversation up to the answer of one question; of it, calls that a person mended are learnt, and nothing else."""
        for question, message in self._messages(only_until=at):
            if question < at:
                yield replace(message, weight=0.0) if message.role == "assistant" else message
            elif question == at and (message.role != "assistant" or message.tool_calls):
                yield message

    def _messages(self, only_until: int = -1) -> Iterator[tuple[int, Message]]:
        """The conversation by question, with weight 0 on what is not learnt from; questions that got no answer are left out, but
        the one that was asked for."""
        before = len((self.events[0].body or {}).get("messages", ()))
        own, question = _own(self.events), -1
        for at, turn in enumerate(self.state.turns):
            if at < before:  # nobody knows who said it
                assert isinstance(turn, Message), "a run begins with messages"
                yield question, replace(turn, weight=0.0)
                continue
            question += isinstance(turn, Message) and turn.role == "user"
            opinion = self.opinions[question]
            is_learnt = opinion.basis is not None and not opinion.corrected
            if isinstance(turn, Message) and turn.role == "assistant":
                yield question, turn if own[question] and is_learnt else replace(turn, weight=0.0)
            elif not isinstance(turn, Attached) and (question == only_until or _has_answer(self.state.turns, at)):
                if isinstance(turn, Step):
                    learns = is_learnt or (question == only_until and _is_mended(self.state, turn))
                    yield from ((question, m) for m in _step(self.state, turn, learns=learns))
                else:
                    yield question, _with_attached(self.state.turns, at, turn)


def _own(events: Sequence[Event]) -> list[bool]:
    """For each question of a run, whether it was answered, and the answer is the model's own."""
    own: list[bool] = []
    for event in events:
        if event.kind == "run.asked":
            own.append(False)
        elif event.kind == "run.answered" and own:
            own[-1] = event.body is not None and not event.body.get("findings") and bool(str(event.body.get("text", "")).strip())
    return own


def _with_attached(turns: Sequence[Message | Attached | Step], at: int, asked: Message) -> Message:
    """A question with what was attached to it, as the model saw it."""
    attached = takewhile(lambda turn: isinstance(turn, Attached), turns[at + 1 :])
    texts = [turn.text for turn in attached if isinstance(turn, Attached)]
    return replace(asked, content="\n\n".join((asked.content, *texts)))


def _has_answer(turns: Sequence[Message | Attached | Step], at: int) -> bool:
    """Whether the question that a turn belongs to was answered: the next message is no other question."""
    after = next((turn for turn in turns[at + 1 :] if isinstance(turn, Message)), None)
    return after is not None and after.role == "assistant"


def _until_last_good(messages: Sequence[Message]) -> list[Message]:
    """The conversation up to its last answer that is learnt from; [] if there is none."""
    good = [
        at for at, m in enumerate(messages) if m.role == "assistant" and m.weight is None and not m.tool_calls and m.content.strip()
    ]
    return list(messages[: good[-1] + 1]) if good else []


def _is_mended(state: RunState, step: Step) -> bool:
    """Whether a person changed every call of a step."""
    return all(state.calls[call_id].edited_to for call_id in step.calls)


def _step(state: RunState, step: Step, *, learns: bool) -> Iterator[Message]:
    """An answer of the model with calls, and their results. A mended call is shown as it was mended at last."""
    ends = [(call_id, state.end_of(state.calls[call_id])) for call_id in step.calls]
    made = [(call_id, end) for call_id, end in ends if end.has_ended and (end.reason not in IMPOSSIBLE or end.status != "refused")]
    if not made:
        return
    went_well = learns and all(end.status == "succeeded" for _, end in ends)
    calls = tuple(ToolCall(end.name, dict(end.arguments), call_id) for call_id, end in made)
    yield Message("assistant", step.text, None if went_well else 0.0, calls)
    for call_id, end in made:
        yield Message("tool", end.text, tool_call_id=call_id)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
