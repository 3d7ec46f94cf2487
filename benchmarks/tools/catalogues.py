"""Catalogues of a given size, pooled from the tools of many rows, each with the rows that are asked of it.

Nothing is learnt from the rows. A tool that another row brought may answer as well as the gold one (BFCL has dozens that tell the
weather), so recall here is a lower bound.
"""

import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "evidence"))

import bfcl
import functionchat

from sadari.types import Example, ToolSpec


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Tools that stand in one prompt, and the examples whose right tools are among them."""

    tools: tuple[ToolSpec, ...]
    rows: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Examples that call tools, and the tools to fill catalogues with, nearest first.

    Args:
        earlier: Examples of the same company that stand for its training rows; none of them is asked.
    """

    name: str
    rows: tuple[Example, ...]
    fill: tuple[tuple[ToolSpec, ...], ...]
    earlier: tuple[Example, ...] = ()


def read_sources(data: Path) -> list[Source]:
    """BFCL as written and by users; FunctionChat as it is and with English names alone, each without and with earlier rows."""
    categories = {name: bfcl.read_category(data / "bfcl", name) for name in bfcl.CATEGORIES}
    written = [e for name, rows in categories.items() if not name.startswith("live") for e in rows]
    live = [e for name, rows in categories.items() if name.startswith("live") for e in rows]
    single = functionchat.read_singlecalls(data / "ko-functionchat" / "singlecall.jsonl")
    dialog = functionchat.read_dialog(data / "ko-functionchat" / "dialog.jsonl")
    english, korean = tools_of([*written, *live]), tools_of([*single, *dialog])
    once = tuple({e.question: e for e in single}.values())  # each request stands there with five tool sets
    bare = tuple(map(bare_tool, korean))
    one, many = "korean, one turn", "korean, dialogues"
    return [
        Source("english", calling(written), (english,)),
        Source("english, by users", calling(live), (english,)),
        Source(one, calling(once), (korean, english)),
        Source(many, calling(dialog), (korean, english)),
        Source(f"{one}, trained rows", calling(once), (korean, english), calling(dialog)),
        Source(f"{many}, trained rows", calling(dialog), (korean, english), calling(once)),
        Source(f"{one}, english names", bare_rows(calling(once)), (bare, english)),
        Source(f"{many}, english names", bare_rows(calling(dialog)), (bare, english)),
        Source(f"{one}, english names, trained rows", bare_rows(calling(once)), (bare, english), calling(dialog)),
        Source(f"{many}, english names, trained rows", bare_rows(calling(dialog)), (bare, english), calling(once)),
    ]


def pool(source: Source, size: int, seed: int = 0) -> list[Catalogue]:
    """Catalogues of exactly `size` tools that between them ask every row once, but rows that bring more tools than that.

    A row joins the first catalogue that has room for its tools and no other tool of their names.
    """
    waiting = random.Random(seed).sample(source.rows, len(source.rows))
    catalogues: list[Catalogue] = []
    while waiting:
        tools: dict[str, ToolSpec] = {}
        asked: list[Example] = []
        left: list[Example] = []
        for row in waiting:
            own = {tool.name: tool for tool in row.tools}
            fits = len(tools | own) <= size and all(tools.get(name, tool) == tool for name, tool in own.items())
            (asked if fits else left).append(row)
            tools |= own if fits else {}
        if not asked:
            break
        order = random.Random(seed + len(catalogues))
        for tool in (t for part in source.fill for t in order.sample(part, len(part))):
            if len(tools) < size:
                tools.setdefault(tool.name, tool)
        catalogues.append(Catalogue(tuple(order.sample([*tools.values()], len(tools))), tuple(asked)))
        waiting = left
    return catalogues


def calling(rows: Iterable[Example]) -> tuple[Example, ...]:
    """Those whose right answer calls a tool."""
    return tuple(row for row in rows if row.reference.calls)


def tools_of(rows: Iterable[Example]) -> tuple[ToolSpec, ...]:
    """One tool of every name."""
    return tuple({tool.name: tool for row in rows for tool in row.tools}.values())


def bare_rows(rows: Sequence[Example]) -> tuple[Example, ...]:
    """The rows with `bare_tool`s."""
    return tuple(replace(row, tools=tuple(map(bare_tool, row.tools))) for row in rows)


def bare_tool(tool: ToolSpec) -> ToolSpec:
    """The tool without its descriptions: English names, as an API has that nobody described for Korean askers."""
    return replace(tool, description="", parameters=json.loads(json.dumps(tool.parameters), object_hook=_undescribed))


def _undescribed(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if not (key == "description" and isinstance(value, str))}
