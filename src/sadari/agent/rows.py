"""Rows to learn from, made of what agents did: finished runs as conversations with their tools, calls, results and answers.

Covered: erased runs give nothing; an answer or a call that failed, was refused, denied, changed by a filter or ended by a limit is
not learnt from (weight 0), it is only context; a call that a person mended is learnt as mended; a run whose texts hold orders to
the model is left out.
Not covered: personal data, repeats, and what is asked in the test set: `sadari data from-log` sees to these. Whether an answer that
nobody objected to is right.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile

from sadari.agent.log import Event, Log, RunEntry
from sadari.agent.state import Attached, RunState, Step, fold
from sadari.text.injection import find_injections
from sadari.types import Example, Message, Reference, ToolCall, ToolSpec

TAG = "from-log"
"""On every row that was made here."""

IMPOSSIBLE = ("names", "schema")
"""Why a call was refused that no tool could have taken: it is left out, a row may not hold it."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """Rows, and how many runs gave none, by the reason."""

    rows: tuple[Example, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


def rows_from_log(
    log: Log, *, since: datetime | None = None, users: Collection[str] | None = None, tools: Sequence[ToolSpec] = ()
) -> list[Example]:
    """One row for each finished run, oldest first; its id is the name of the run.

    Args:
        since: Only runs that were begun then or later.
        users: Only runs of these.
        tools: What the agents could call, those of specialists among them; a row shows them all. A run with calls of other tools
            gives no row.
    """
    return list(harvest(log, since=since, users=users, tools=tools).rows)


def harvest(
    log: Log, *, since: datetime | None = None, users: Collection[str] | None = None, tools: Sequence[ToolSpec] = ()
) -> Harvest:
    """As `rows_from_log`, with what was left out and why."""
    rows: list[Example] = []
    left_out: Counter[str] = Counter()
    for entry in reversed(log.runs()):
        if (users is not None and entry.user not in users) or (since is not None and entry.started < _text(since)):
            continue
        row = _row(log, entry, tools)
        if isinstance(row, str):
            left_out[row] += 1
        else:
            rows.append(row)
    return Harvest(tuple(rows), dict(left_out))


def without_erased(log: Log, rows: Sequence[Example]) -> tuple[list[Example], int]:
    """The rows whose runs still hold something, and how many do not any more: to be asked last, just before rows are written."""
    erased = {entry.run for entry in log.runs(status="erased")}
    kept = [row for row in rows if row.id not in erased]
    return kept, len(rows) - len(kept)


def _row(log: Log, entry: RunEntry, tools: Sequence[ToolSpec]) -> Example | str:
    """The row of a run, or why there is none."""
    if entry.status == "erased":
        return "erased"
    if entry.status != "idle":
        return f"not finished ({entry.status})"
    events = log.events(entry.run)
    state = fold(events)
    if state.status != "idle" or state.answer is None:
        return "not finished (no answer)"
    messages = _until_last_good(list(_messages(state, events)))
    if not messages:
        return "nothing in it went well"
    known = {tool.name for tool in tools}
    if any(call.name not in known for message in messages for call in message.tool_calls):
        return "calls a tool that the task does not have"
    if any(find_injections(message.content) for message in messages):
        return "holds orders to the model"
    return Example(entry.run, tuple(messages), Reference(texts=(messages[-1].content,)), tuple(tools), tags=(TAG,))


def _ends(events: Sequence[Event]) -> list[bool]:
    """For each question of a run that was ended, whether it was answered, and the answer is the model's own."""
    ends = [event for event in events if event.kind in ("run.answered", "run.stopped", "run.failed")]
    return [event.kind == "run.answered" and event.body is not None and not event.body.get("findings") for event in ends]


def _messages(state: RunState, events: Sequence[Event]) -> Iterator[Message]:
    """The conversation, with weight 0 on what is not learnt from; questions that got no answer are left out."""
    before = len((events[0].body or {}).get("messages", ()))
    ends = iter(_ends(events))
    for at, turn in enumerate(state.turns):
        if at < before:  # nobody knows who said it
            assert isinstance(turn, Message), "a run begins with messages"
            yield replace(turn, weight=0.0)
        elif isinstance(turn, Message) and turn.role == "assistant":
            yield turn if next(ends) else replace(turn, weight=0.0)
        elif not isinstance(turn, Attached) and _has_answer(state.turns, at):
            yield from _step(state, turn) if isinstance(turn, Step) else (_with_attached(state.turns, at, turn),)


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


def _step(state: RunState, step: Step) -> Iterator[Message]:
    """An answer of the model with calls, and their results. A mended call is shown as it was mended at last."""
    ends = [(call_id, state.end_of(state.calls[call_id])) for call_id in step.calls]
    made = [(call_id, end) for call_id, end in ends if end.reason not in IMPOSSIBLE or end.status != "refused"]
    if not made:
        return
    went_well = all(end.status == "succeeded" for _, end in ends)
    calls = tuple(ToolCall(end.name, dict(end.arguments), call_id) for call_id, end in made)
    yield Message("assistant", step.text, None if went_well else 0.0, calls)
    for call_id, end in made:
        yield Message("tool", end.text, tool_call_id=call_id)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
