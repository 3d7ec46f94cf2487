"""`sadari promote` and `sadari rollback`: what a task serves, while it is served."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sadari.cli.show import errors, output, print_json
from sadari.errors import ConfigError

if TYPE_CHECKING:
    from sadari.serve.served import Choice, Served
    from sadari.serve.signs import Sign

TaskFolder = Annotated[Path, typer.Option(help="Task folder.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait until running servers have taken it over.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

WAIT_S = 300.0
NOT_TAKEN = 4
"""Exit code where a running server could not load it: that of a model that cannot be loaded."""


def promote(
    what: Annotated[
        Path | None,
        typer.Argument(metavar="BUNDLE", help="A bundle or a run; default: the canary's, else the winner of the newest climb."),
    ] = None,
    task: TaskFolder = Path("."),
    canary: Annotated[str | None, typer.Option(help="Share of new conversations that try it, as 10%.")] = None,
    margin: Annotated[float, typer.Option(help="Of a canary: loss in mean outcome up to which it is not worse.")] = 0.02,
    by: Annotated[str, typer.Option(help="Of a canary: draw each `user`, or each `conversation`.")] = "user",
    auto: Annotated[bool, typer.Option("--auto", help="Of a canary: serve it to all once it is proven not to be worse.")] = False,
    settle: Annotated[float, typer.Option(min=0, help="Of a canary: seconds of silence after which a conversation counts.")] = 300,
    force: Annotated[bool, typer.Option("--force", help="Serve it though a check says no; that is written down.")] = False,
    wait: Wait = WAIT_S,
    json: Json = False,
) -> None:
    """Serve another system: at once, or on a share of new conversations first. Running servers drop no request."""
    from sadari.serve.promotion import Wanted, promote

    if by not in ("user", "conversation"):
        raise ConfigError(f"--by {by}: write user or conversation.")
    unit: Literal["user", "conversation"] = "conversation" if by == "conversation" else "user"
    share = None if canary is None else _share(canary)
    served, checked = promote(_home(task), Wanted(what, "", force, share, margin, unit, auto, settle))
    choice = checked.choice
    if not json:
        _print(f"{'tried' if share else 'served'}: {choice.bundle} ({choice.digest}), chosen by {choice.by}")
        for line in (checked.measured, *checked.notes):
            _print(f"  {line}" if line else "  no climb measured it")
        for problem in checked.problems:
            errors.print(f"  forced: {problem}", markup=False, highlight=False, style="yellow", soft_wrap=True)
        if served.canary is not None:
            _print(
                f"  {served.canary.share:.0%} of new conversations; `sadari rollback` ends it, `sadari promote` serves it to all"
            )
        elif served.before:
            _print(f"  before: {served.before[0].bundle}; `sadari rollback` goes back to it")
    _end(_home(task), served, choice, wait, json=json)


def rollback(
    task: TaskFolder = Path("."),
    reason: Annotated[str, typer.Option(help="Why; written down.")] = "",
    wait: Wait = WAIT_S,
    json: Json = False,
) -> None:
    """End the canary if there is one; else serve what was served before."""
    from sadari.serve.promotion import roll_back
    from sadari.serve.served import user

    served = roll_back(_home(task), user(), reason)
    last, now = served.history[-1], served.now
    assert now is not None, "there was something to go back from"
    if not json:
        _print(f"{last.what}: {last.bundle} ({last.digest})")
        _print(f"served: {now.bundle} ({now.digest}), chosen by {now.by or 'nobody'} {now.at[:19]}")
    _end(_home(task), served, now, wait, json=json)


def _home(task: Path) -> Path:
    if not task.is_dir():
        raise ConfigError(f"--task {task}: there is no such folder. Name that of the task.")
    return task.resolve()


def _share(written: str) -> float:
    try:
        share = float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ConfigError(f"--canary {written}: write a share of the conversations, as 10%.")
    return share


def _end(task: Path, served: "Served", choice: "Choice", wait: float, *, json: bool) -> None:
    """Wait for the servers, and tell what each says."""
    from dataclasses import asdict

    from sadari.serve.signs import wait_for

    signs = wait_for(task, choice, wait)
    if json:
        print_json({"served": asdict(served), "servers": [asdict(sign) for sign in signs]})
    for sign in signs if not json else ():
        _print(f"server {sign.server}: {_said(sign, choice)}")
    if not signs and not json:
        _print("no server is running; `sadari serve TASK` serves it")
    if any(sign.failed == choice.key for sign in signs):
        raise typer.Exit(NOT_TAKEN)


def _said(sign: "Sign", choice: "Choice") -> str:
    if sign.failed == choice.key:
        return f"it could not be loaded, what was served stays: {sign.why}"
    if choice.digest == sign.digest:
        return "answers with it"
    if choice.digest == sign.candidate:
        return "tries it"
    return "has not taken it over yet; it goes on by itself"


def _print(line: Any) -> None:
    output.print(line, markup=False, highlight=False, soft_wrap=True)
