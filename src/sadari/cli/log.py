"""`sadari log`: what agents did, listed, shown and verified."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sadari.cli.show import errors, output, print_json
from sadari.cli.what import log_of
from sadari.errors import ConfigError, RunError

if TYPE_CHECKING:
    from sadari.agent.log import Log

log = typer.Typer(help="What agents did: every step, every call, who approved it. Listed, shown, verified, erased.")

What = Annotated[str, typer.Argument(metavar="LOG", help="A task folder, a log file, or postgresql://user@host/database.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

SHOWN = 100
"""Characters of an event that a table shows."""


def open_log(what: str) -> "Log":
    """The log that exists there.

    Raises:
        RunError: If there is none.
    """
    from sadari.agent.log import Log

    place = log_of(what)
    if "://" not in place and not Path(place).is_file():
        raise RunError(f"{place}: there is no log yet. It begins with the first question to a system with tools.")
    return Log(place)


@log.command("list")
def list_runs(
    what: What = ".",
    user: Annotated[str | None, typer.Option(help="Only the runs of this user.")] = None,
    status: Annotated[str | None, typer.Option(help="Only these: running, waiting, idle, cancelled, erased.")] = None,
    json: Json = False,
) -> None:
    """The runs, newest first."""
    from dataclasses import asdict

    runs = open_log(what).runs(user=user, status=status)
    if json:
        print_json([asdict(run) for run in runs])
        return
    table = Table(header_style="bold")
    for name in ("run", "user", "status", "events", "started", "agent"):
        table.add_column(name, no_wrap=True)
    for run in runs:
        table.add_row(run.run, run.user, run.status, str(run.events), run.started[:19].replace("T", " "), run.agent)
    output.print(table)


@log.command("show")
def show(
    run: Annotated[str, typer.Argument(help="Name of the run, as `sadari log list` gives it.")],
    what: What = ".",
    json: Json = False,
) -> None:
    """Everything that happened in a run, in order."""
    from dataclasses import asdict

    events = open_log(what).events(run)
    if not events:
        raise RunError(f"{run}: there is no such run in {log_of(what)}. `sadari log list` shows those that are.")
    if json:
        print_json([asdict(event) for event in events])
        return
    for event in events:
        told = "(erased)" if event.body is None else _brief(event.body)
        line = f"{event.seq:4}  {event.time[11:19]}  {event.kind:15}  {told}"
        output.print(line, markup=False, highlight=False, soft_wrap=True)


@log.command("verify")
def verify(
    what: What = ".",
    anchor: Annotated[str, typer.Option(help="A head that an earlier call printed, and that you kept elsewhere.")] = "",
    json: Json = False,
) -> None:
    """Check that no event was changed, added or taken away. Keep the head that is printed: it proves the log up to here later."""
    from dataclasses import asdict

    found = open_log(what).verify(anchor)
    if json:
        print_json(asdict(found))
    else:
        for fault in found.faults:
            errors.print(f"fault: {fault}", markup=False, style="red", soft_wrap=True)
        verdict = "the log is whole" if not found.faults else f"{len(found.faults)} faults"
        told = f"{found.events:,} events, {found.erased:,} erased: {verdict}\nhead: {found.head}"
        output.print(told, markup=False, highlight=False, soft_wrap=True)
    if found.faults:
        raise typer.Exit(RunError.exit_code)


@log.command("erase")
def erase(
    user: Annotated[str, typer.Argument(help="The user whose runs are emptied; left out with --older-than.")] = "",
    what: What = ".",
    older_than: Annotated[str, typer.Option(help="Of all users, what has rested for so long: 90d.")] = "",
    by: Annotated[str, typer.Option(help="Who erases; written into the log.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase what a user's runs hold and what is remembered of the user; or what is older than it may be.

    That there were such events stays, so that the log can still be verified.
    """
    from datetime import UTC, datetime

    from sadari.agent.log.database import open_database
    from sadari.serve.retention import Retention

    if older_than:  # then the one argument is the log
        user, what = "", (user or what)
    elif not user:
        raise ConfigError("whom? Name a user: sadari log erase USER; or say how old: sadari log erase --older-than 90d.")
    days, now = _days(older_than) if older_than else None, datetime.now(UTC)
    opened = open_log(what)
    retention = Retention(opened, open_database(opened.url), days)
    runs = len(retention.due(now)) if days else sum(run.status != "erased" for run in opened.runs(user=user))
    whose = f"that rested for {days} days" if days else f"of {user} and all that is remembered"
    if not yes:
        typer.confirm(f"Erase {runs} runs {whose}? This cannot be undone.", abort=True)
    who = by or "the command line"
    if days:
        output.print(f"{retention.apply(now, by=who)} runs erased", markup=False, highlight=False)
    else:
        erased = retention.erase_user(user, who)
        output.print(f"{erased.runs} runs and {erased.facts} facts erased", markup=False, highlight=False)


def _days(written: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,4})d", written)
    if match is None:
        raise ConfigError(f"--older-than {written[:20]}: write days, as 90d.")
    return int(match[1])


@log.command("cancel")
def cancel_run(
    run: Annotated[str, typer.Argument(help="Name of the run, as `sadari log list` gives it.")],
    what: What = ".",
    by: Annotated[str, typer.Option(help="Who cancels; written into the log.")] = "",
) -> None:
    """End the work on a run's question: what waits is denied, and no call begins any more. The run takes the next question."""
    from sadari.agent.loop import cancel
    from sadari.agent.state import fold

    opened = open_log(what)
    state = fold(opened.events(run))
    if not state.run:
        raise RunError(f"{run}: there is no such run in {log_of(what)}. `sadari log list` shows those that are.")
    if state.status not in ("running", "waiting"):
        raise RunError(f"{run} is {state.status}: there is nothing to cancel.")
    if state.parent:
        raise RunError(f"{run} is a part of {state.parent}: cancel that one.")
    cancel(opened, run, by or "the command line")
    output.print(f"{run} is cancelled", markup=False, highlight=False)


def _brief(body: Any) -> str:
    if body.get("text"):
        told = f"{body.get('id', '')} {body['text']}".strip()
    elif body.get("calls") and isinstance(body["calls"][0], dict):
        told = "; ".join(f"{call['id']} {call['name']}({_arguments(call['arguments'])})" for call in body["calls"])
    elif "rulings" in body:
        told = f"{body['id']} " + "; ".join(f"{r['by']}: {r['decision']} {r['reason']}".strip() for r in body["rulings"])
    else:
        told = ", ".join(f"{name} {value}" for name, value in body.items() if value not in ("", [], {}))
    told = told.replace("\n", " ")
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}..."


def _arguments(arguments: Any) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
