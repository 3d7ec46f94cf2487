"""`sadari tools`: what a task's agent can do, and the trust in other people's servers."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sadari.cli.show import output, print_json
from sadari.errors import ConfigError

if TYPE_CHECKING:
    from sadari.agent.tools.mcp.client import Offer
    from sadari.agent.tools.place import Place
    from sadari.retrieve.library import Library

tools = typer.Typer(help="What a task's agent can do: list its tools, try one, review and trust MCP servers.")

TaskFolder = Annotated[Path, typer.Argument(help="Task folder or its sadari.yaml.")]


@tools.command("list")
def list_tools(
    task: TaskFolder = Path("."), json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """Open the tools that a task declares, and tell what the model is told of each."""
    from dataclasses import asdict

    from sadari.agent.tools import close_tools, open_tools

    declared, place = _declared(task)
    opened = open_tools(declared, place, _documents(task, declared))
    try:
        if json:
            print_json([{"spec": asdict(t.spec), "traits": asdict(t.traits)} for t in opened])
            return
        table = Table(header_style="bold")
        for name in ("tool", "changes", "a person approves", "arguments", "what the model is told"):
            table.add_column(name)
        for one in opened:
            traits = one.traits
            asks = traits.needs_approval if traits.needs_approval is not None else traits.effect != "read"
            told = one.spec.description.splitlines()[0][:80] if one.spec.description else ""
            arguments = ", ".join(one.spec.parameters.get("properties", {}))
            table.add_row(one.spec.name, "nothing" if traits.effect == "read" else traits.effect, _yes(asks), arguments, told)
        output.print(table)
    finally:
        close_tools(opened)


@tools.command("call")
def call_tool(
    name: Annotated[str, typer.Argument(help="Name of the tool.")],
    arguments: Annotated[str, typer.Argument(help="Its arguments, as a JSON object.")] = "{}",
    task: TaskFolder = Path("."),
) -> None:
    """Call one tool yourself, as the agent would. What changes something is done: you are the person who approves."""
    import json
    from getpass import getuser

    from sadari.agent.teaching import teach_arguments, teach_name
    from sadari.agent.tools import close_tools, open_tools
    from sadari.types import Caller

    declared, place = _declared(task)
    opened = open_tools(declared, place, _documents(task, declared))
    try:
        tool = next((t for t in opened if t.spec.name == name), None)
        if tool is None:
            raise ConfigError(teach_name(name, [t.spec.name for t in opened], "en"))
        try:
            wanted = json.loads(arguments)
        except ValueError as error:
            raise ConfigError(f'the arguments are no JSON ({error}). Write them as \'{{"order_id": "A-1"}}\'.') from error
        wrong = teach_arguments(tool.spec, wanted, "en") if isinstance(wanted, dict) else "the arguments have to be a JSON object."
        if wrong:
            raise ConfigError(wrong)
        if tool.traits.effect != "read" and not typer.confirm(f"{name} changes something. Do it?"):
            output.print("Nothing was done.")
            return
        print(tool.call(wanted, Caller(getuser(), language=place.language)).text)
    finally:
        close_tools(opened)


@tools.command("trust")
def trust(
    task: TaskFolder = Path("."),
    yes: Annotated[bool, typer.Option("--yes", help="Trust all that is offered, after you read it once.")] = False,
) -> None:
    """Review what the MCP servers of a task offer, and pin what you trust. The servers are started for it.

    What is pinned is what the model reads; a server whose words change later is refused until you review it again.
    """
    from sadari.agent.tools.mcp import McpOptions, pin, review

    declared, place = _declared(task)
    servers = [options for kind, options in declared if kind == "mcp"]
    if not servers:
        raise ConfigError(f"{task} declares no MCP servers. Add `tools: [{{mcp: mcp.json}}]`.")
    for options in servers:
        offers = review(McpOptions.model_validate(options), place)
        kept = [one for one in offers if one.state != "gone" and _is_trusted(one, yes=yes)]
        pin(kept, place)
        output.print(f"{len(kept)} of {len(offers)} tools are pinned", markup=False, highlight=False)


def _is_trusted(one: "Offer", *, yes: bool) -> bool:
    """Show a tool in its server's words, and ask."""
    lines = [f"{one.server}: {one.pin.name} ({one.state}), from {one.origin}", f"    {one.pin.description}"]
    lines += [f"    arguments: {', '.join(one.pin.parameters.get('properties', {})) or 'none'}"]
    lines += [f"    before: {one.before.description}"] if one.before is not None else []
    lines += [f"    WARNING: its words hold orders to the model: {', '.join(one.flags)}"] if one.flags else []
    lines += [f"    cannot be pinned: {one.fault}"] if one.fault else []
    output.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    if one.fault:
        return False
    return (yes and not one.flags) or typer.confirm("    Trust it?", default=one.state == "same")


def _declared(task: Path) -> "tuple[Sequence[tuple[str, Any]], Place]":
    from sadari.agent.tools.place import Place
    from sadari.prompt.compose import language_of
    from sadari.task.config import load_config

    config = load_config(task)
    folder = task if task.is_dir() else task.parent
    if not config.tools:
        raise ConfigError(f"{task} declares no tools. Add `tools: [calculator, {{sql: data/shop.db}}]`.")
    return [(t.kind, t.options) for t in config.tools], Place(folder.resolve(), os.environ, language_of(config.goal))


def _documents(task: Path, declared: "Sequence[tuple[str, Any]]") -> "Library | None":
    """What the kind `search` looks in, searched as a climb searches it by default."""
    from tempfile import TemporaryDirectory

    from sadari.files import write_lines
    from sadari.retrieve.library import open_library
    from sadari.task import load_task
    from sadari.types import Document, Retrieval

    if not any(kind == "search" for kind, _ in declared):
        return None
    documents = load_task(task).documents
    if not documents:
        return None
    with TemporaryDirectory() as folder:
        write_lines(Path(folder) / "documents.jsonl", documents, Document)
        return open_library(Path(folder) / "documents.jsonl", Retrieval())


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
