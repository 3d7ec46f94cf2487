"""`sadari serve`: a system answers programs and people; `sadari serve keys` and `people`: who may ask."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from sadari.bundle import SYSTEM_FILE
from sadari.cli.people import LogPlace, people
from sadari.cli.show import errors, output, print_json
from sadari.cli.what import log_of, system_of, with_index
from sadari.errors import ConfigError

if TYPE_CHECKING:
    from sadari.agent.log.database import Database


class _OrServe(TyperGroup):
    """A group whose first verb may be left out: what is no verb is what is served."""

    default = "start"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`serve mall` is `serve start mall`."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


serve = typer.Typer(cls=_OrServe, help="Serve a system to programs and people: `sadari serve BUNDLE`.")
keys = typer.Typer(help="Keys: make one for somebody, list them, revoke one.", no_args_is_help=True)
serve.add_typer(keys, name="keys")
serve.add_typer(people, name="people")


@serve.command("start")
def start(
    what: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle, a run, or a task folder with a finished climb.")] = ".",
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    log: Annotated[str | None, typer.Option(help="Log: a file, or postgresql://...; default: that of the task.")] = None,
    keys: Annotated[
        bool | None, typer.Option("--keys/--no-keys", help="Whether to ask who asks; default: if there is a key or a person.")
    ] = None,
    host_name: Annotated[list[str] | None, typer.Option(help="Name under which clients may ask as well; may be repeated.")] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Origin of other pages that may ask; may be repeated.")] = None,
    adapter: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of an adapter for the raw model; may be repeated.")] = None,
    index: Annotated[str | None, typer.Option(help="Look up in this index in place of the bundle's documents.")] = None,
    proxy: Annotated[list[str] | None, typer.Option(help="Address of a reverse proxy that is believed; may be repeated.")] = None,
    oidc: Annotated[Path | None, typer.Option(help="YAML file of the OpenID Connect provider: issuer, client_id, ...")] = None,
    prompt_price: Annotated[float | None, typer.Option(min=0, help="Of 1,000 tokens; default: that of the task.")] = None,
    completion_price: Annotated[float | None, typer.Option(min=0, help="Of 1,000 tokens; default: that of the task.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate in PEM.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="Private key of the certificate, in PEM.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Requests that are worked on at once.")] = 64,
    retention_days: Annotated[int | None, typer.Option(min=1, help="Erase conversations that rested for so many days.")] = None,
    log_format: Annotated[str, typer.Option(help="Lines on standard error: text, or json with every request.")] = "text",
    trace_content: Annotated[bool, typer.Option("--trace-content", help="Put what was said into the traces.")] = False,
) -> None:
    """Answer at an OpenAI-compatible address until Ctrl-C or SIGTERM; requests under way are then given time to end."""
    system = None if _is_task(what) else with_index(system_of(what), index)
    from sadari.serve import listen, open_service, open_task
    from sadari.serve import serve as listen_and_serve

    task = _task_of(what)
    prices = _prices_of(task)
    options = _options(
        host=host,
        port=port,
        log=log_of(what if Path(what).exists() else ".") if log is None else log,
        keys=keys,
        hosts=tuple(host_name or ()),
        origins=tuple(origin or ()),
        adapters=_adapters(adapter or []),
        task=task,
        proxies=tuple(proxy or ()),
        oidc=_provider(oidc),
        price_per_1k_prompt_tokens=prices[0] if prompt_price is None else prompt_price,
        price_per_1k_completion_tokens=prices[1] if completion_price is None else completion_price,
        certificate=certificate,
        private_key=private_key,
        at_once=at_once,
        retention_days=retention_days,
        log_format=log_format,
        trace_content=trace_content,
    )
    if system is None:
        service = open_task(Path(what), options, lambda chosen: with_index(chosen, index))
    else:
        service = open_service(system, options)
    try:
        listening = listen(service)
    except ConfigError:
        service.close()
        raise
    listen_and_serve(service, listening, lambda line: errors.print(line, markup=False, highlight=False, soft_wrap=True))


def _is_task(what: str) -> bool:
    """Whether what is served is a task, which says itself what is served, and not one of its bundles."""
    folder = Path(what)
    is_bundle = any((place / SYSTEM_FILE).is_file() for place in (folder, folder / "best"))
    return not is_bundle and ((folder / "runs").is_dir() or (folder / "served.json").is_file())


def _options(**given: Any) -> Any:
    from pydantic import ValidationError

    from sadari.serve import ServeOptions

    try:
        return ServeOptions(**given)
    except ValidationError as error:
        raise ConfigError("\n".join(_told(fault) for fault in error.errors())) from error


def _told(fault: Any) -> str:
    """A fault with the place it is at, without what was written there: that may be a secret."""
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        from difflib import get_close_matches

        from sadari.serve.options import OidcOptions

        close = get_close_matches(str(fault["loc"][-1]), OidcOptions.model_fields, 1)
        message = f"is no option.{f' Did you mean {close[0]}?' if close else ''}"
    return f"{'.'.join(map(str, fault['loc']))}: {message}" if fault["loc"] and fault["type"] != "value_error" else message


def _task_of(what: str) -> Path | None:
    """The folder of the task around what is served, whose climbs and prices the pages show; None if there is none."""
    from sadari.task.config import TASK_FILE

    home = Path(log_of(what)).parent
    return home if (home / TASK_FILE).is_file() else None


def _prices_of(task: Path | None) -> tuple[float, float]:
    """Prices of 1,000 prompt tokens and of 1,000 completion tokens, 0 where the task names none."""
    if task is None:
        return 0.0, 0.0
    from sadari.task.config import TASK_FILE, load_config

    money = load_config(task / TASK_FILE).money
    return money.price_per_1k_prompt_tokens or 0.0, money.price_per_1k_completion_tokens or 0.0


def _provider(file: Path | None) -> Any:
    if file is None:
        return None
    import yaml

    try:
        written = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"--oidc {file}: cannot be read as YAML.") from error
    if not isinstance(written, dict):
        raise ConfigError(f"--oidc {file}: write issuer: and client_id: into it.")
    return written


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
    tokens_per_day: Annotated[int | None, typer.Option(min=1, help="Tokens on a day (UTC).")] = None,
    money_per_day: Annotated[float | None, typer.Option(min=0, help="Money on a day (UTC); needs prices to count with.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="All that it is good for: ask, approve, operate, administer, or model:NAME; may be repeated."),
    ] = None,
) -> None:
    """Make a key. It is printed once and kept as a hash: nobody can show it again."""
    from sadari.serve import Identity, Keys

    limits = (per_minute, concurrent, tokens_per_day, money_per_day)
    made = Identity(user, role, tuple(label or ()), "", *limits, tuple(scope or ()))  # type: ignore[arg-type]  # checked by `add`
    print(Keys(_database(what)).add(made, days or None))
    errors.print("Keep it now: it is not shown again.", style="dim")


@keys.command("list")
def list_keys(what: LogPlace = ".", json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """The keys, newest first, without what is secret of them."""
    from dataclasses import asdict

    from sadari.serve import Keys

    keys = Keys(_database(what))
    entries = [(one, keys.spent(one.key)) for one in keys.all()]
    if json:
        print_json([asdict(one) | {"today": {"tokens": spent.tokens, "money": spent.money}} for one, spent in entries])
        return
    table = Table(header_style="bold")
    for name in ("key", "user", "role", "created", "expires", "revoked", "tokens today", "money today", "scope"):
        table.add_column(name, no_wrap=True)
    for one, spent in entries:
        whose = one.identity
        tokens, money = _of(spent.tokens, whose.tokens_per_day), _of(spent.money, whose.money_per_day)
        dates = (one.created, one.expires or "never", one.revoked or "-")
        table.add_row(one.key, escape(whose.user), whose.role, *dates, tokens, money, escape(" ".join(whose.scope)) or "-")
    output.print(table)


def _of(used: float, most: float | None) -> str:
    return f"{used:,.6g}" if most is None else f"{used:,.6g} of {most:,.6g}"


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="As `sadari serve keys list` gives it.")], what: LogPlace = ".") -> None:
    """Let a key in no more, from the next request on."""
    from sadari.serve import Keys

    Keys(_database(what)).revoke(key)
    output.print(f"revoked: {key[:12]}", markup=False, highlight=False)


def _database(what: str) -> "Database":
    from sadari.agent.log.database import open_database

    return open_database(log_of(what))
