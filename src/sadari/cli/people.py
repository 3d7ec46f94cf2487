"""`sadari serve people`: who may sign in to the pages. A password is asked for, or piped in; it is never an argument."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sadari.cli.show import errors, output, print_json
from sadari.cli.what import log_of

if TYPE_CHECKING:
    from sadari.serve.people import People

people = typer.Typer(help="People: let somebody sign in, list them, change or disable one.", no_args_is_help=True)

LogPlace = Annotated[str, typer.Argument(metavar="LOG", help="A task folder, a log file, or postgresql://user@host/database.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="With which the person signs in.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="Access label of documents that may be seen; may be repeated.")]
ROLES = "user (asks), approver, operator (sees all runs), or admin."


@people.command("add")
def add_person(
    user: Name,
    what: LogPlace = ".",
    role: Annotated[str, typer.Option(help=ROLES)] = "user",
    label: Labels = None,
    password: Annotated[bool, typer.Option("--password/--no-password", help="Without one: by OpenID Connect only.")] = True,
) -> None:
    """Let a person sign in. The password is asked for; from a pipe, its first line is the password."""
    kept = _people(what)
    kept.add(user, _role(role), label or (), _asked() if password else None)
    _tell("added", user)


@people.command("list")
def list_people(what: LogPlace = ".", json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The people, by name, without their passwords."""
    from dataclasses import asdict

    everybody = _people(what).all()
    if json:
        print_json([asdict(one) for one in everybody])
        return
    table = Table(header_style="bold")
    for name in ("name", "role", "labels", "signs in by", "created", "disabled"):
        table.add_column(name, no_wrap=True)
    for one in everybody:
        way = "password" if one.has_password else "OpenID Connect"
        labels = escape(", ".join(one.labels)) or "-"
        table.add_row(escape(one.user), one.role, labels, way, one.created, "disabled" if one.disabled else "-")
    output.print(table)


@people.command("change")
def change_person(
    user: Name,
    what: LogPlace = ".",
    role: Annotated[str | None, typer.Option(help=ROLES)] = None,
    label: Labels = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    enable: Annotated[bool, typer.Option("--enable", help="Let a person in again who was disabled.")] = False,
) -> None:
    """Change what is given. A new role or password ends the person's sessions."""
    new = _asked() if password else None
    _people(what).change(user, role=_role(role), labels=label or None, disabled=False if enable else None, password=new)
    _tell("changed", user)


@people.command("disable")
def disable_person(user: Name, what: LogPlace = ".") -> None:
    """Let a person in no more, by password, session or key, from the next request on."""
    _people(what).change(user, disabled=True)
    _tell("disabled", user)


def _people(what: str) -> "People":
    from sadari.agent.log.database import open_database
    from sadari.serve.people import People

    return People(open_database(log_of(what)))


def _role(written: str | None) -> Any:
    """As it was written: the library checks it and says which there are."""
    return written


def _asked() -> str:
    """A password, without showing it."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    errors.print("Reading the password from standard input.", style="dim")
    return sys.stdin.readline().rstrip("\r\n")


def _tell(done: str, user: str) -> None:
    output.print(f"{done}: {user}", markup=False, highlight=False)
