"""Imports point one way: nobody knows those above them."""

import ast
from pathlib import Path

import sadari

SOURCE = Path(sadari.__file__).parent

BASE = {"types", "errors", "files", "text", "schema"}
MAY_KNOW: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "files": {"errors"},
    "text": set(),
    "schema": {"errors"},
    "egress": set(),
    "migrations": {"errors"},
    "task": BASE | {"retrieve"},  # whose loading reads the documents of a task
    "prompt": BASE,
    "retrieve": BASE | {"model", "egress"},  # embedders behind an endpoint, and shown only to who asks for them
    "model": BASE | {"mini"},  # where the bundled weights are
    "measure": BASE,
    "mini": BASE | {"model", "prompt"},  # its rows are laid out as sadari will serve them
    "bundle": BASE,
    "looks": BASE,
    "answer": BASE | {"prompt", "retrieve", "task"},
    "adapters": BASE | {"agent", "model", "acting", "answer", "retrieve"},
    "agent": BASE | {"model", "retrieve", "egress", "migrations"},
    "train": BASE | {"model", "answer"},
    "rungs": BASE | {"model", "answer", "train", "prompt", "retrieve", "measure"},
    "ladder": BASE | {"measure", "task", "rungs"},
}
EVERYONE = {"run", "acting", "serve", "cli", "measurer", "check", "review", "__main__"}
"""They put the house together."""


def imports_of(file: Path) -> set[str]:
    """The rooms of sadari that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "sadari" else [node.module]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("sadari.")}
    return found - {"__version__"}


def room_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_imports_point_one_way() -> None:
    wrong = [
        f"{file.relative_to(SOURCE)} imports {', '.join(sorted(known))}"
        for file in SOURCE.rglob("*.py")
        if (room := room_of(file)) not in EVERYONE | {"__init__"}
        and (known := imports_of(file) - MAY_KNOW.get(room, set()) - {room})
    ]
    assert wrong == []


def test_every_room_of_the_house_has_its_rule() -> None:
    assert {room_of(f) for f in SOURCE.rglob("*.py")} - EVERYONE - {"__init__"} == set(MAY_KNOW)
