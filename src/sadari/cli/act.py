"""Talking to a system that acts: its steps as they happen, and the decisions that it waits for."""

from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime
from getpass import getuser
from typing import TYPE_CHECKING, Any

from sadari.cli.approvals import call_text
from sadari.cli.show import errors
from sadari.cli.what import log_of
from sadari.prompt.compose import language_of
from sadari.types import Answer, Caller, Delta, System

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sadari.agent.approval import Pending
    from sadari.agent.loop import Loop

Ask = Callable[[str], str]
"""Asks the person at the terminal; what is typed."""


@contextmanager
def opened_loop(what: str, system: System) -> "Iterator[Loop]":
    """The agent of a system, on the log of its task; its tools are closed at the end."""
    from sadari.agent.log import Log
    from sadari.agent.loop import Loop
    from sadari.run import open_engine

    engine, log = open_engine(), Log(log_of(what))
    try:
        yield Loop(engine.acting(system).on(log), log)
    finally:
        engine.close()
        log.close()


def converse(loop: "Loop", run: str, text: str, ask: Ask | None) -> tuple[str, Answer | None]:
    """Ask one question; the run, and its answer, None while it waits for a person.

    Args:
        run: The run that goes on; "" begins one.
        text: The question; "" only goes on with what waits in the run.
        ask: Asks for decisions; None leaves them for later.
    """
    user = getuser()
    if text:
        run = loop.ask(text, Caller(user, language=language_of(text)), run)
    while True:
        for piece in loop.advance(run):
            if not isinstance(piece, Delta):
                _tell(piece.kind, piece.body or {}, loop, run)
        if not _decided(loop, run, user, ask):
            return run, loop.state(run).answer


def _decided(loop: "Loop", run: str, by: str, ask: Ask | None) -> bool:
    """Whether the person at the terminal decided something, so that the run may go on."""
    from sadari.agent import approval

    decided = False
    for one in approval.pending(loop.log, _now(), run=run):
        told = f"{call_text(one)} waits for a person: {one.reason}"
        errors.print(told, markup=False, highlight=False, style="yellow", soft_wrap=True)
        if ask is None:
            errors.print(f"Decide with `sadari approvals approve {one.run}/{one.call}`, or deny.", markup=False, highlight=False)
            continue
        decided = _decide(loop, one, by, ask) or decided
    return decided


def _decide(loop: "Loop", one: "Pending", by: str, ask: Ask) -> bool:
    from sadari.agent import approval

    if one.kind == "unknown":
        said = ask("Did it take effect? [y]es, [n]o, [l]ater: ")
        if said in ("y", "n"):
            approval.settle(loop.log, one.run, one.call, by, happened=said == "y")
        return said in ("y", "n")
    said = ask("Approve exactly this call? [y]es, [n]o, [l]ater: ")
    if said == "y":
        approval.approve(loop.log, one.run, one.call, one.fingerprint, by, now=_now())
    elif said == "n":
        approval.deny(loop.log, one.run, one.call, one.fingerprint, by, now=_now())
    return said in ("y", "n")


_SHOWN = {
    "call.expired": "expired",
    "call.started": "calls",
    "call.succeeded": "got",
    "call.failed": "failed",
    "call.refused": "refused",
    "call.denied": "denied",
}


def _tell(kind: str, body: Any, loop: "Loop", run: str) -> None:
    """One line for each step of a call."""
    if kind not in _SHOWN:
        return
    call = loop.state(run).calls[body["id"]]
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    text = f"{call.name}({arguments})" if kind == "call.started" else str(body.get("text", "")).replace("\n", " ")[:200]
    errors.print(f"  {_SHOWN[kind]} {text}", markup=False, highlight=False, style="dim", soft_wrap=True)


def _now() -> datetime:
    return datetime.now().astimezone()
