"""`sadari serve`: a system answers programs and people; `sadari serve keys`: who may ask."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from sadari.cli.show import errors, output, print_json
from sadari.cli.what import log_of, system_of, with_index
from sadari.errors import ConfigError

if TYPE_CHECKING:
    from sadari.agent.log.database import Database


class _OrServe(TyperGroup):
    """A group whose first verb may be left out: what is no verb is what is served."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`serve mall` is `serve start mall`."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["start", *args]
        return super().parse_args(ctx, args)


serve = typer.Typer(cls=_OrServe, help="Serve a system to programs and people: `sadari serve BUNDLE`. Keys say who may ask.")
keys = typer.Typer(help="Keys: make one for somebody, list them, revoke one.", no_args_is_help=True)
serve.add_typer(keys, name="keys")

LogPlace = Annotated[str, typer.Argument(metavar="LOG", help="A task folder, a log file, or postgresql://user@host/database.")]


@serve.command("start")
def start(
    what: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, a run, or a task folder with a finished climb.")] = ".",
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    log: Annotated[str | None, typer.Option(help="Log: a file, or postgresql://...; default: that of the task.")] = None,
    keys: Annotated[
        bool | None, typer.Option("--keys/--no-keys", help="Whether a key is asked for; default: as soon as there is one.")
    ] = None,
    host_name: Annotated[list[str] | None, typer.Option(help="Name under which clients may ask as well; may be repeated.")] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Origin of other pages that may ask; may be repeated.")] = None,
    adapter: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of an adapter for the raw model; may be repeated.")] = None,
    index: Annotated[str | None, typer.Option(help="Look up in this index in place of the bundle's documents.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate in PEM.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="Private key of the certificate, in PEM.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Requests that are worked on at once.")] = 64,
) -> None:
    """Answer at an OpenAI-compatible address until Ctrl-C or SIGTERM; requests under way are then given time to end."""
    system = with_index(system_of(what), index)
    from sadari.serve import listen, open_service
    from sadari.serve import serve as listen_and_serve

    options = _options(
        host=host,
        port=port,
        log=log_of(what) if log is None else log,
        keys=keys,
        hosts=tuple(host_name or ()),
        origins=tuple(origin or ()),
        adapters=_adapters(adapter or []),
        certificate=certificate,
        private_key=private_key,
        at_once=at_once,
    )
    service = open_service(system, options)
    try:
        listening = listen(service)
    except ConfigError:
        service.close()
        raise
    listen_and_serve(service, listening, lambda line: errors.print(line, markup=False, highlight=False, soft_wrap=True))


def _options(**given: Any) -> Any:
    from pydantic import ValidationError

    from sadari.serve import ServeOptions

    try:
        return ServeOptions(**given)
    except ValidationError as error:
        raise ConfigError("\n".join(str(fault["msg"]).removeprefix("Value error, ") for fault in error.errors())) from error


def _adapters(written: list[str]) -> dict[str, Path]:
    parted = [one.partition("=") for one in written]
    for (name, _, folder), whole in zip(parted, written, strict=True):
        if not name or not folder:
            raise ConfigError(f"--adapter {whole}: write NAME=FOLDER.")
    return {name: Path(folder) for name, _, folder in parted}


@keys.command("add")
def add_key(
    user: Annotated[str, typer.Argument(help="For whom; everything asked with the key is this user's.")],
    what: LogPlace = ".",
    role: Annotated[str, typer.Option(help="user (asks), approver, operator (sees all runs), or admin.")] = "user",
    days: Annotated[float | None, typer.Option(help="Days after which it expires; 0 for never.")] = 90,
    label: Annotated[list[str] | None, typer.Option(help="Access label of documents that may be seen; may be repeated.")] = None,
    per_minute: Annotated[int | None, typer.Option(min=1, help="Requests in a minute.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Requests at once.")] = None,
) -> None:
    """Make a key. It is printed once and kept as a hash: nobody can show it again."""
    from sadari.serve import Identity, Keys

    made = Identity(user, role, tuple(label or ()), "", per_minute, concurrent)  # type: ignore[arg-type]  # checked by `add`
    print(Keys(_database(what)).add(made, days or None))
    errors.print("Keep it now: it is not shown again.", style="dim")


@keys.command("list")
def list_keys(what: LogPlace = ".", json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """The keys, newest first, without what is secret of them."""
    from dataclasses import asdict

    from sadari.serve import Keys

    entries = Keys(_database(what)).all()
    if json:
        print_json([asdict(entry) for entry in entries])
        return
    table = Table(header_style="bold")
    for name in ("key", "user", "role", "created", "expires", "revoked"):
        table.add_column(name, no_wrap=True)
    for one in entries:
        table.add_row(one.key, one.identity.user, one.identity.role, one.created, one.expires or "never", one.revoked or "-")
    output.print(table)


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="As `sadari serve keys list` gives it.")], what: LogPlace = ".") -> None:
    """Let a key in no more, from the next request on."""
    from sadari.serve import Keys

    Keys(_database(what)).revoke(key)
    output.print(f"revoked: {key[:12]}", markup=False, highlight=False)


def _database(what: str) -> "Database":
    from sadari.agent.log.database import open_database

    return open_database(log_of(what))
