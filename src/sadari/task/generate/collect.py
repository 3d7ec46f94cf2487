"""Rows that were made, sieved: what may be kept, and a count of what may not and why.

Every row, whoever wrote it, is written and read back as the readers of a task will do; its calls fit their tools' schemas; it asks
nothing that a judging row asks, and nothing that another row asks already.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from sadari.task.duplicates import NearIndex, question_text
from sadari.task.formats import ABSTENTION, finish_example, format_of
from sadari.task.generate.schema import call_fault
from sadari.task.leaks import find_twins
from sadari.task.messages import RowProblems
from sadari.task.readers import Row, content_id
from sadari.task.splits import GENERATED
from sadari.task.writers import example_row
from sadari.types import Example, ToolCall

TAG = GENERATED
"""Stands among the tags of every row made here."""

MOST_TRIES = 20
"""Candidates drawn for each row that is asked for, before it is said that there are no more."""

LISTED = 20
"""Refusals that a report shows in full."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Args:
        rows: How many.
        seed: The same order with the same seed gives the same rows.
        beside: Rows that the new ones will stand beside (train and validation): none of their questions is asked again.
        judged: Rows that judge (test and audit): nothing that they ask is asked.
        near: Similarity of questions from which one repeats another, in (0, 1].
        abstention: The answer where the documents do not hold one.
    """

    rows: int
    seed: int = 0
    beside: tuple[Example, ...] = ()
    judged: tuple[Example, ...] = ()
    near: float = 0.9
    abstention: str = ABSTENTION

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"{self.rows} rows are asked for: ask for at least 1.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not kept: `reason` is counted, `detail` is for a person."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an order.

    Args:
        asked: Rows asked for.
        made: Rows kept.
        tried: Candidates looked at, refused ones included.
        kinds: Rows kept, by kind.
        refused: Candidates refused, by reason, the most frequent first.
        shown: The first refusals in full.
        notes: What a person should know, such as material that nothing can be made of.
    """

    asked: int
    made: int
    tried: int
    kinds: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Generated:
    """The rows, each tagged `generated`, and the report on how they came about."""

    rows: tuple[Example, ...]
    report: Report


Stream = Iterator[Example | Refusal]
Check = Callable[[Example], Refusal | None]


def collect(
    order: Order, stream: Stream, check: Check, *, repeats_beside: bool = False, notes: Sequence[str] = (), tries: int = MOST_TRIES
) -> Generated:
    """Draw rows from `stream` until the order is filled, the stream ends, or too much was tried in vain.

    Args:
        stream: Candidates; to an id that ends in "-" a hash of the content is added.
        check: What this kind of row must satisfy, beside what every row must.
        repeats_beside: The rows shall ask what rows of `order.beside` ask (they replace them).
        tries: Most candidates for each row asked for.
    """
    kept: list[Example] = []
    refused: list[Refusal] = []
    tried, most = 0, order.rows * tries + tries
    while len(kept) < order.rows and tried < most:
        missing = order.rows - len(kept)
        drawn = list(islice(stream, min(missing + missing // 4 + 4, most - tried)))
        if not drawn:
            break
        tried += len(drawn)
        sound: list[Example] = []
        for made in drawn:
            fit = made if isinstance(made, Refusal) else _sound(made, check)
            (refused if isinstance(fit, Refusal) else sound).append(fit)  # type: ignore[arg-type]
        fresh, stale = _fresh(sound, kept, order, repeats_beside)
        kept += fresh[:missing]
        refused += stale
    rows = _named(kept, {example.id for example in (*order.beside, *order.judged)})
    return Generated(rows, _report(order, rows, refused, tried, notes))


def settled(example: Example) -> Example | Refusal:
    """The example as it is read back once it is written, so that writing and reading change nothing any more."""
    row = example_row(example)
    shape = format_of(row)
    about = RowProblems("row")
    if shape is None:
        return Refusal("cannot be read back", "it has no shape that is known")
    read = finish_example(row, shape.read(row, about), about)
    if about.found:
        return Refusal("cannot be read back", about.found[0])
    return read if example_row(read) == row else Refusal("cannot be read back", "reading changes it")


def call_faults(example: Example) -> Refusal | None:
    """Why a tool call of the example is none: its tool is not offered, its arguments do not fit, or its result has no call."""
    tools = {tool.name: tool for tool in example.tools}
    open_calls: dict[str, ToolCall] = {}
    for message in example.messages:
        if message.role == "tool" and open_calls.pop(message.tool_call_id or "", None) is None:
            return Refusal("a tool result answers no call", message.content)
        for call in message.tool_calls:
            fault = call_fault(call, tools[call.name]) if call.name in tools else f"`{call.name}` is not offered"
            if fault:
                return Refusal("the call does not fit the tool's schema", fault)
            open_calls[call.id] = call
    return None


def _sound(made: Example, check: Check) -> Example | Refusal:
    if TAG not in made.tags:
        made = replace(made, tags=(*made.tags, TAG))
    return call_faults(made) or check(made) or settled(made)


def _fresh(
    sound: Sequence[Example], kept: Sequence[Example], order: Order, repeats_beside: bool
) -> tuple[list[Example], list[Refusal]]:
    """The rows that ask something new, in their order; the others with the reason."""
    judged = [Row(example, example.id) for example in order.judged]
    twins = find_twins([Row(example, str(at)) for at, example in enumerate(sound)], judged, threshold=order.near) if judged else []
    leaks = {int(twin.train.where): twin.test.where for twin in twins}
    before = [*kept] if repeats_beside else [*order.beside, *kept]
    texts = [question_text(example) for example in (*before, *sound)]
    index = NearIndex(texts, threshold=order.near)
    fresh: list[Example] = []
    stale: list[Refusal] = []
    standing = set(range(len(before)))
    for at, example in enumerate(sound):
        own = len(before) + at
        if at in leaks:
            stale.append(Refusal("asks what a judging row asks", f"{leaks[at]}: {example.question}"))
        elif any(other in standing for other, _ in index.alike(texts[own]) if other != own):
            stale.append(Refusal("asks what another row asks", example.question))
        else:
            standing.add(own)
            fresh.append(example)
    return fresh, stale


def _named(rows: Sequence[Example], taken: set[str]) -> tuple[Example, ...]:
    """Rows with ids of their own, which tell how they were made; a hash of the content where nothing else tells them apart."""
    named: list[Example] = []
    for row in rows:
        base = name = f"{row.id}{content_id(row)}" if row.id.endswith("-") else row.id
        copy = 2
        while name in taken:
            name, copy = f"{base}-{copy}", copy + 1
        taken.add(name)
        named.append(replace(row, id=name))
    return tuple(named)


def _report(order: Order, rows: Sequence[Example], refused: Sequence[Refusal], tried: int, notes: Sequence[str]) -> Report:
    kinds = Counter(kind_of_row(row) for row in rows)
    shown = tuple(f"{one.reason}: {_short(one.detail)}" if one.detail else one.reason for one in refused[:LISTED])
    counts = Counter(one.reason for one in refused)
    return Report(order.rows, len(rows), tried, dict(kinds.most_common()), dict(counts.most_common()), shown, tuple(notes))


def kind_of_row(row: Example) -> str:
    """The tag that says which kind of generated row this is: the one before `generated`."""
    at = row.tags.index(TAG)
    return row.tags[at - 1] if at else TAG


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:157] + "..."


def plain(value: Any) -> str:
    """A scalar of a tool call as text holds it: 3.0 is 3."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value)
