"""`sadari data from-log`: rows to learn from, out of what a task's agent did."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sadari.cli.show import output, print_json
from sadari.errors import ConfigError

if TYPE_CHECKING:
    from sadari.agent.rows import Trust
    from sadari.serve.learning import Learnable

OUT = "data/from-log.jsonl"
PAIRS_OUT = "data/pairs-from-log.jsonl"
"""Where rows and pairs go, in the task's folder."""

Since = Annotated[str, typer.Option(help="Only runs that began within this time: 7d, 12h, 30m; or since a date, 2026-11-01.")]
LogOption = Annotated[str, typer.Option(help="The log, if it is not that of the task: a file, or postgresql://user@host/database.")]
TRUST_HELP = (
    "Whose word makes an answer one to learn. reviewed: somebody else than who asked called it right, corrected it or mended its "
    "calls; rated: or who asked rated or corrected it; all: or nobody objected."
)

SOURCES = {
    "corrected": "corrected by a person",
    "reviewed": "called right by a person",
    "mended": "calls mended by a person",
    "rated-up": "rated up by who asked",
    "corrected-by-asker": "corrected by who asked",
    "unrated": "nobody objected",
}


def from_log(
    task: Annotated[Path, typer.Argument(help="Task folder, or its sadari.yaml.")] = Path("."),
    since: Since = "",
    user: Annotated[list[str] | None, typer.Option(help="Only runs of this user; may be given more than once.")] = None,
    log: LogOption = "",
    trust: Annotated[str, typer.Option(help=TRUST_HELP)] = "all",
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Preference pairs instead: what was said, and what a person wrote in its place.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help=f"New .jsonl file; default: {OUT}, or {PAIRS_OUT}, in the task.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write finished runs of the task's agent as rows: questions, calls, results, answers, as people corrected them.

    Personal data is masked; what the task has already, or asks in its test set, is left out, and so is what was erased. What
    failed, was denied, rated down or objected to stands in a row only as context. Read the rows before you learn from them.
    """
    from sadari.cli.log import open_log
    from sadari.serve.learning import Wanted, learnable, tools_of
    from sadari.task import load_task
    from sadari.task.writers import write_examples

    wanted = Wanted(begin(since, _now()), user or None, trust_of(trust), pairs)
    opened, loaded = open_log(log or str(task)), load_task(task)
    place = out or loaded.folder / (PAIRS_OUT if pairs else OUT)
    if place.exists():
        raise ConfigError(f"{place} exists, and nothing is overwritten. Name another file with --out, or remove it.")
    found = learnable(opened, loaded, tools_of(loaded), wanted)
    if found.rows:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_examples(place, found.rows)
    if json:
        told = {"file": str(place) if found.rows else None, "written": len(found.rows), "masked": found.masked}
        print_json(told | {"sources": dict(found.sources), "left_out": dict(found.left_out)})
        return
    print_found(found)
    what = "pairs" if pairs else "rows"
    where = f"{place}: {len(found.rows):,} {what}. Read them, then add them to train" if found.rows else f"no {what} were written"
    output.print(where, markup=False, highlight=False, soft_wrap=True)


def print_found(found: "Learnable") -> None:
    """What came from where, and what was left out and why."""
    table = Table(header_style="bold")
    for name in ("from the log", "", "why"):
        table.add_column(name, justify="right" if not name else "left")
    for basis, count in found.sources.items():
        table.add_row("learnt from", f"{count:,}", SOURCES[basis])
    for why, count in found.left_out.items():
        table.add_row("left out", f"{count:,}", why)
    if table.row_count:
        output.print(table)
    if found.masked:
        output.print(f"{found.masked:,} rows held personal data, which is masked", highlight=False)


def trust_of(written: str) -> "Trust":
    """The trust that was asked for.

    Raises:
        ConfigError: If there is none of that name.
    """
    from sadari.agent.rows import TRUST

    for trust in TRUST:
        if trust == written:
            return trust
    raise ConfigError(f"--trust {written}: is not known. Write one of {', '.join(TRUST)}.")


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


def _now() -> datetime:
    return datetime.now().astimezone()
