"""Rows from a log as they may be learnt: masked, without repeats, and without what the task is judged by.

The command line, `sadari climb --from-log` and the page *Data* all take them from here.

Covered: personal data is masked in rows and in what they are compared with; what the task has already is not said again; a row in
which a user asks, at any turn, what the test or audit set asks is left out, and none is ever added to a split that judges; what was
erased meanwhile is taken out last.
Not covered: what detection of personal data misses (`sadari.text.privacy`), and whether a row is right (`sadari.agent.rows`).
"""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sadari.agent.log import Log
from sadari.agent.log.database import open_database
from sadari.agent.rows import BASES, Reviews, Trust, basis_of, harvest, without_erased
from sadari.agent.tools import close_tools, open_tools
from sadari.agent.tools.place import Place
from sadari.serve.review import ReviewTable
from sadari.task import Task
from sadari.task.clean import CleanOptions, clean_rows
from sadari.task.leaks import find_twins
from sadari.task.readers import Row
from sadari.types import Example, Message, ToolSpec


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of a log are wanted.

    Args:
        since: Only of runs that were begun then or later.
        users: Only of runs of these.
        trust: Whose word makes an answer one to learn.
        pairs: Preference pairs, of what was said and what a person wrote in its place, instead of rows.
    """

    since: datetime | None = None
    users: Collection[str] | None = None
    trust: Trust = "all"
    pairs: bool = False


@dataclass(frozen=True, slots=True)
class Learnable:
    """Rows as they may be written, and where they come from.

    Args:
        masked: How many of them held personal data.
        sources: How many of them by what they are learnt on the strength of.
        left_out: How many runs, answers and rows gave none, by the reason.
    """

    rows: tuple[Example, ...]
    masked: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


def learnable(log: Log, task: Task, tools: Sequence[ToolSpec], wanted: Wanted, reviews: Reviews | None = None) -> Learnable:
    """The rows of a log that a task may learn from.

    Args:
        tools: What its agents could call.
        reviews: What reviewers decided; None for what is kept beside the log.
    """
    kept = reviews_of(log) if reviews is None else reviews
    found = harvest(log, since=wanted.since, users=wanted.users, tools=tools, reviews=kept, trust=wanted.trust)
    made = compose(found.pairs if wanted.pairs else found.rows, task)
    rows, erased = without_erased(log, made.rows)
    left_out = Counter(found.left_out) + Counter(made.left_out) + Counter({"erased": erased} if erased else {})
    bases = Counter(basis_of(row) for row in rows)
    sources: dict[str, int] = {basis: bases[basis] for basis in BASES if bases[basis]}
    return Learnable(tuple(rows), made.masked, sources, dict(left_out.most_common()))


def compose(rows: Sequence[Example], task: Task) -> Learnable:
    """The rows with personal data masked, without those that the task has already or asks in its test or audit set.

    The task's own rows are masked beside them, so that the same question is found whatever name stands in it; they are not given.
    """
    raw = {row.id: row for row in rows}
    tools = rows[0].tools if rows else ()  # a row without tools is the same conversation with those of the task
    own = {
        name: [
            Row(replace(example, tools=example.tools or tools), f"{name} {at}") for at, example in enumerate(getattr(task, name))
        ]
        for name in ("train", "validation", "test", "audit")
    }
    splits = {**own, "train": [*own["train"], *(Row(replace(row, id=""), row.id) for row in rows)]}
    cleaned = clean_rows(splits, (), CleanOptions(mask=True), language=task.language, leaks=task.leaks)
    kept = [row for row in cleaned.splits["train"] if row.where in raw]
    leaks = _asked_in_test(kept, [*cleaned.splits["test"], *cleaned.splits["audit"]], task.leaks.near_threshold)
    made = [replace(row.example, id=row.where) for row in kept if row.where not in leaks]
    lost = Counter(change.kind for change in cleaned.changes if change.where in raw and change.kind in ("leak", "duplicate"))
    lost["leak"] += len(leaks)
    words = {"leak": "the test set asks it", "duplicate": "said before"}
    masked = sum(_texts(row) != _texts(raw[row.id]) for row in made)
    return Learnable(tuple(made), masked, left_out={words[kind]: count for kind, count in lost.items() if count})


def reviews_of(log: Log) -> Reviews:
    """What reviewers decided, as it is kept beside a log."""
    if not log.url:
        return {}
    database = open_database(log.url)
    try:
        return ReviewTable(database).all()
    finally:
        database.close()


def tools_of(task: Task) -> tuple[ToolSpec, ...]:
    """What a task's agent can call."""
    opened = open_tools([(tool.kind, tool.options) for tool in task.tools], Place(task.folder, os.environ, task.language))
    close_tools(opened)
    return tuple(tool.spec for tool in opened)


def _asked_in_test(rows: Sequence[Row], test: Sequence[Row], threshold: float) -> set[str]:
    """The rows in which a user asks, at any turn, what the test set asks: whatever else was said, the answer would be learnt."""

    def alone(text: str, where: str) -> Row:
        return Row(Example(where, (Message("user", text),)), where)

    asked = [alone(m.content, row.where) for row in rows for m in row.example.messages if m.role == "user" and m.content.strip()]
    judged = [*test, *(alone(row.example.question, row.where) for row in test if row.example.question)]
    return {twin.train.where for twin in find_twins([*rows, *asked], judged, threshold=threshold)} if asked and judged else set()


def _texts(example: Example) -> list[object]:
    turns: list[object] = [(m.content, [dict(call.arguments) for call in m.tool_calls]) for m in example.messages]
    return [*turns, example.rejected]
