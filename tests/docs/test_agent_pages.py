"""The pages about agents: what they declare can be opened, what they show runs, and every option stands there."""

import importlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sadari.agent.config import AgentConfig, agent_config
from sadari.agent.tools import _MODULES as MODULES
from sadari.agent.tools import close_tools, open_tools
from sadari.agent.tools.place import Place
from sadari.errors import ConfigError
from sadari.task.config import ToolDeclaration

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "agent.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = [text for kind, text in _FENCE.findall(PAGE) if kind == "python"]
YAML = [text for kind, text in _FENCE.findall(PAGE) if kind == "yaml"]
DECLARED = [line for text in YAML for line in text.splitlines() if line.startswith("tools:")]
ELSEWHERE = ("postgresql://", "mcp.json", "bubblewrap", "searxng", "openapi")
"""What needs a server, a wall or a document that is not here."""

RULES = [
    {"when": "배송 중", "say": "A-1은 배송 중입니다."},
    {"when": "취소했습니다", "say": "A-2 주문을 취소했습니다."},
    {"when": "취소해", "tool_calls": [{"name": "cancel_order", "arguments": {"order": "A-2"}}]},
    {"when": "어디", "tool_calls": [{"name": "find_order", "arguments": {"order": "A-1"}}]},
    {"say": "안녕하세요."},
]


def row(number: int, question: str, name: str, order: str, result: str) -> str:
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": {"order": order}}}
    said = [
        {"role": "user", "content": f"{question} {number}"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": result},
        {"role": "assistant", "content": result},
    ]
    return json.dumps({"messages": said, "facts": [[result[4:]]]}, ensure_ascii=False) + "\n"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The task of the page, with a scripted model in place of mini; the folder around it."""
    (tmp_path / "rules.json").write_text(json.dumps(RULES, ensure_ascii=False), encoding="utf-8")
    desk = tmp_path / "desk"
    (desk / "data").mkdir(parents=True)
    (desk / "notes").mkdir()
    (desk / "tools.py").write_text(PYTHON[0], encoding="utf-8")
    (desk / "sales.csv").write_text("지점,매출,원가\n강남,100,50\n", encoding="utf-8")
    with sqlite3.connect(desk / "data" / "shop.db") as shop:
        shop.execute("CREATE TABLE orders (id TEXT, phone TEXT)")
    task = next(text for text in YAML if text.startswith("goal:"))
    model = f"model: scripted:{tmp_path}/rules.json\nladder: [prompt]\n"
    (desk / "sadari.yaml").write_text(task + model, encoding="utf-8")
    for name, first in (("train", 0), ("test", 100)):
        rows = [row(first + i, "A-1 어디쯤인가요?", "find_order", "A-1", "A-1: 배송 중") for i in range(6)]
        (desk / "data" / f"{name}.jsonl").write_text("".join(rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return desk


def test_the_task_of_the_page_is_climbed_and_its_python_runs_in_order(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from sadari.cli.main import app

    for library in ("langgraph", "langchain_core", "pydantic_ai"):
        pytest.importorskip(library)
    assert CliRunner().invoke(app, ["climb", "desk"]).exit_code == 0
    world: dict[str, Any] = {}
    for text in PYTHON[1:]:
        exec(compile(text, "agent.md", "exec"), world)
    printed = capsys.readouterr().out
    for said in ("A-1은 배송 중입니다.", "A-2 주문을 취소했습니다.", "안녕하세요.", "'order': 'A-1'"):
        assert said in printed


def test_every_declaration_that_needs_nothing_from_elsewhere_can_be_opened(desk: Path) -> None:
    opened = 0
    for line in DECLARED:
        if any(mark in line for mark in ELSEWHERE):
            continue
        kinds = [ToolDeclaration.model_validate(entry) for entry in yaml.safe_load(line)["tools"]]
        close_tools(open_tools([(one.kind, one.options) for one in kinds], Place(desk)))
        opened += 1
    assert opened == 5


def test_the_options_of_what_needs_a_server_are_read(desk: Path) -> None:
    for line in DECLARED:
        if any(mark in line for mark in ELSEWHERE):
            (entry,) = yaml.safe_load(line)["tools"]
            (kind, options), *_ = entry.items()
            module, name, _ = MODULES[kind].split(":")
            getattr(importlib.import_module(f"sadari.agent.tools.{module}"), name).model_validate(options)


def test_the_settings_of_the_agent_on_the_page_are_read() -> None:
    shown = [settings for text in YAML if (settings := yaml.safe_load(text).get("agent"))]
    assert {part for one in shown for part in one} == AgentConfig.model_fields.keys() - {"four_eyes"}
    for one in shown:
        agent_config(one)
    with pytest.raises(ConfigError, match="agent"):
        agent_config({"polic": {}})


def options_of_tools() -> Iterator[tuple[str, str]]:
    for kind, place in MODULES.items():
        module, name, _ = place.split(":")
        model = getattr(importlib.import_module(f"sadari.agent.tools.{module}"), name)
        yield from ((kind, field.alias or option) for option, field in model.model_fields.items())


@pytest.mark.parametrize(("kind", "option"), [*options_of_tools()])
def test_every_option_of_every_kind_stands_on_the_page(kind: str, option: str) -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` |")]
    if kind == "sql":  # is told to take those of `table`
        lines += [line for line in PAGE.splitlines() if line.startswith("| `table` |")]
    assert any(f"`{option}`" in line for line in lines)


@pytest.mark.parametrize("part", [name for name in AgentConfig.model_fields])
def test_every_part_of_the_agents_settings_stands_on_the_page(part: str) -> None:
    assert f"`{part}`" in PAGE or f"`{part}:`" in PAGE
