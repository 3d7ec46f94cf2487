"""`sadari approvals`: calls that wait for a person, and the decision."""

from datetime import datetime
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer

from sadari.cli.log import What, open_log
from sadari.cli.show import output, print_json
from sadari.errors import DataError, ToolRefusedError

if TYPE_CHECKING:
    from sadari.agent.approval import Pending
    from sadari.agent.log import Log

approvals = typer.Typer(help="Calls of agents that wait for a person: list them, approve, deny, edit, or say what became of them.")

Number = Annotated[str, typer.Argument(metavar="REQUEST", help="As `sadari approvals list` gives it, RUN/CALL.")]
By = Annotated[str, typer.Option(help="Who decides; default: the user of this machine.")]


@approvals.command("list")
def list_pending(what: What = ".", json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """What waits for a person, oldest first."""
    from dataclasses import asdict

    from sadari.agent.approval import pending

    waiting = pending(open_log(what), _now())
    if json:
        print_json([asdict(one) for one in waiting])
        return
    for one in waiting:
        output.print(_told(one), markup=False, highlight=False, soft_wrap=True)
    if not waiting:
        output.print("Nothing waits for a person.")


@approvals.command("approve")
def approve(request: Number, what: What = ".", by: By = "") -> None:
    """Consent to exactly the call that is shown. It is made when its run goes on: by the service, or by `sadari chat --run RUN`.

    With `agent: {four_eyes: true}` nobody may approve what he asked for himself.
    """
    from sadari.agent import approval

    log, one = _find(what, request)
    approval.approve(log, one.run, one.call, one.fingerprint, by or getuser(), now=_now())
    output.print(f"approved: {call_text(one)}", markup=False, highlight=False, soft_wrap=True)


@approvals.command("deny")
def deny(
    request: Number, what: What = ".", by: By = "", reason: Annotated[str, typer.Option(help="Told to the model.")] = ""
) -> None:
    """Refuse a call; the model is told so and goes on without it."""
    from sadari.agent import approval

    log, one = _find(what, request)
    approval.deny(log, one.run, one.call, one.fingerprint, by or getuser(), now=_now(), reason=reason)
    output.print(f"denied: {call_text(one)}", markup=False, highlight=False, soft_wrap=True)


@approvals.command("edit")
def edit(
    request: Number,
    arguments: Annotated[str, typer.Argument(help="The arguments in their place, as a JSON object.")],
    what: What = ".",
    by: By = "",
) -> None:
    """Put other arguments in place of the model's: a new request, which is checked and has to be approved as well."""
    import json

    from sadari.agent import approval

    try:
        wanted = json.loads(arguments)
    except ValueError as error:
        raise DataError(f"the arguments are no JSON ({error}). Write them as '{{\"amount\": 5000}}'.") from error
    if not isinstance(wanted, dict):
        raise DataError("the arguments have to be a JSON object, as '{\"amount\": 5000}'.")
    log, one = _find(what, request)
    made = approval.edit(log, one.run, one.call, one.fingerprint, by or getuser(), wanted, now=_now())
    output.print(f"asked anew as {one.run}/{made}, when the run goes on", markup=False, highlight=False)


@approvals.command("settle")
def settle(
    request: Number,
    happened: Annotated[bool, typer.Option("--happened/--not-happened", help="Whether the call took effect.")],
    what: What = ".",
    by: By = "",
    told: Annotated[str, typer.Option(help="What the model is told of it.")] = "",
) -> None:
    """Say what became of a call that was begun and whose end nobody saw."""
    from sadari.agent import approval

    log, one = _find(what, request)
    approval.settle(log, one.run, one.call, by or getuser(), happened=happened, told=told)
    output.print(f"settled: {call_text(one)}", markup=False, highlight=False, soft_wrap=True)


def _find(what: str, request: str) -> "tuple[Log, Pending]":
    from sadari.agent.approval import pending

    log = open_log(what)
    for one in pending(log, _now()):
        if request == f"{one.run}/{one.call}":
            return log, one
    raise ToolRefusedError(f"{request} does not wait for a person (any more). `sadari approvals list` shows what does.")


def _told(one: "Pending") -> str:
    asked = f"asked by {one.user or 'somebody unknown'}: {one.question}"
    until = f"until {one.expires[:16].replace('T', ' ')}" if one.expires else "begun, and nobody saw its end"
    changed = f"\n    arguments changed by {one.edited_by}" if one.edited_by else ""
    return f"{one.run}/{one.call}  {call_text(one)}\n    {asked}{changed}\n    why a person: {one.reason}; {until}"


def call_text(one: "Pending") -> str:
    """The call, as people read it."""
    return f"{one.tool}({', '.join(f'{name}={value!r}' for name, value in one.arguments.items())})"


def _now() -> datetime:
    return datetime.now().astimezone()
