"""`sadari data from-log`: rows to learn from, out of what a task's agent did."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sadari.cli.show import output, print_json
from sadari.errors import ConfigError
from sadari.types import Example, Message, ToolSpec

if TYPE_CHECKING:
    from sadari.task import Task
    from sadari.task.readers import Row

OUT = "data/from-log.jsonl"
"""Where the rows go, in the task's folder."""


def from_log(
    task: Annotated[Path, typer.Argument(help="Task folder, or its sadari.yaml.")] = Path("."),
    since: Annotated[
        str, typer.Option(help="Only runs that began within this time: 7d, 12h, 30m; or since a date, 2026-11-01.")
    ] = "",
    user: Annotated[list[str] | None, typer.Option(help="Only runs of this user; may be given more than once.")] = None,
    log: Annotated[
        str, typer.Option(help="The log, if it is not that of the task: a file, or postgresql://user@host/database.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help=f"New .jsonl file; default: {OUT} in the task.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write finished runs of the task's agent as rows: questions, calls, results, answers.

    Personal data is masked; what the task has already, or asks in its test set, is left out, and so is what was erased. What failed
    or was denied stands in a row only as context. Read the rows before you learn from them: nobody has said that they are right.
    """
    from sadari.agent.rows import harvest, without_erased
    from sadari.cli.log import open_log
    from sadari.task import load_task
    from sadari.task.writers import write_examples

    opened, loaded = open_log(log or str(task)), load_task(task)
    place = out or loaded.folder / OUT
    if place.exists():
        raise ConfigError(f"{place} exists, and nothing is overwritten. Name another file with --out, or remove it.")
    found = harvest(opened, since=begin(since, _now()), users=user or None, tools=_tools(loaded))
    made = compose_rows(found.rows, loaded)
    rows, erased = without_erased(opened, made.rows)
    left_out = Counter(found.left_out) + Counter(made.left_out) + Counter({"erased": erased} if erased else {})
    if rows:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_examples(place, rows)
    if json:
        told = {"file": str(place) if rows else None, "written": len(rows), "masked": made.masked, "left_out": dict(left_out)}
        print_json(told)
        return
    for why, count in left_out.most_common():
        output.print(f"left out: {count:,} ({why})", markup=False, highlight=False, soft_wrap=True)
    if made.masked:
        output.print(f"{made.masked:,} rows held personal data, which is masked", highlight=False)
    where = f"{place}: {len(rows):,} rows. Read them, then add them to train" if rows else "no rows were written"
    output.print(where, markup=False, highlight=False, soft_wrap=True)


def begin(since: str, now: datetime) -> datetime | None:
    """When `since` was: so long ago, or a date; None for "".

    Raises:
        ConfigError: If it is neither.
    """
    if not since:
        return None
    match = re.fullmatch(r"(\d{1,6})([dhm])", since.strip())
    if match is not None:
        unit = {"d": "days", "h": "hours", "m": "minutes"}[match[2]]
        return now - timedelta(**{unit: int(match[1])})
    try:
        moment = datetime.fromisoformat(since.strip())
    except ValueError as error:
        raise ConfigError(f"--since {since}: is no time. Write 7d, 12h, 30m, or a date as 2026-11-01.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


@dataclass(frozen=True, slots=True)
class Composed:
    """Rows as they may be written, how many of them were masked, and what was left out by the reason."""

    rows: tuple[Example, ...]
    masked: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def compose_rows(rows: Sequence[Example], task: "Task") -> Composed:
    """The rows with personal data masked, without those that the task has already or asks in its test or audit set.

    The task's own rows are masked beside them, so that the same question is found whatever name stands in it; they are not written.
    """
    from sadari.task.clean import CleanOptions, clean_rows
    from sadari.task.readers import Row

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
    return Composed(tuple(made), masked, {words[kind]: count for kind, count in lost.items() if count})


def _asked_in_test(rows: "Sequence[Row]", test: "Sequence[Row]", threshold: float) -> set[str]:
    """The rows in which a user asks, at any turn, what the test set asks: whatever else was said, the answer would be learnt."""
    from sadari.task.leaks import find_twins
    from sadari.task.readers import Row

    def alone(text: str, where: str) -> Row:
        return Row(Example(where, (Message("user", text),)), where)

    asked = [alone(m.content, row.where) for row in rows for m in row.example.messages if m.role == "user" and m.content.strip()]
    judged = [*test, *(alone(row.example.question, row.where) for row in test if row.example.question)]
    return {twin.train.where for twin in find_twins([*rows, *asked], judged, threshold=threshold)} if asked and judged else set()


def _texts(example: Example) -> list[object]:
    return [(m.content, [dict(call.arguments) for call in m.tool_calls]) for m in example.messages]


def _tools(task: "Task") -> tuple[ToolSpec, ...]:
    """What the task's agent can call."""
    from sadari.agent.tools import close_tools, open_tools
    from sadari.agent.tools.place import Place

    opened = open_tools([(tool.kind, tool.options) for tool in task.tools], Place(task.folder, os.environ, task.language))
    close_tools(opened)
    return tuple(tool.spec for tool in opened)


def _now() -> datetime:
    return datetime.now().astimezone()
