"""The pages say what is there: links, commands and options exist, both READMEs hold the same parts, nothing is out of date."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from sadari.cli.main import app
from sadari.measure.judging.human_labels import read_labels
from sadari.task import scan_rows
from sadari.task.config import TASK_FILE, TaskConfig, load_config
from sadari.types import Example, Message

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.glob("*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


def _program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _fences(page: Path, language: str) -> list[str]:
    return [text for kind, text in _FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def _commands(page: Path) -> list[list[str]]:
    """Every `sadari ...` line of a page's command blocks, split as a shell would; variables set before it are left out."""
    lines = "\n".join(_fences(page, "")).splitlines()
    found = [re.search(r"^(?:[A-Z_]+=\S+ )*sadari (.*)$", line) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            anchors = [_anchor(heading) for heading in _HEADING.findall(target.read_text(encoding="utf-8"))]
            assert anchor in anchors, link


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_verbs_and_flags_that_exist(page: Path) -> None:
    for command in _commands(page):
        verb: Any = typer.main.get_command(app)
        words = iter(command)
        while hasattr(verb, "commands"):  # a group, such as `data`
            word = next(words)
            if word not in verb.commands and hasattr(verb, "default"):  # `serve mall` is `serve start mall`
                word = verb.default
            assert word in verb.commands, command
            verb = verb.commands[word]
        known = {name for parameter in verb.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, command


@pytest.mark.parametrize("name", ["how-to.md", "tutorial.md"])
def test_row_snippets_can_be_read(name: str, tmp_path: Path) -> None:
    rows = "".join(_fences(DOCS / name, "json")).splitlines()
    examples = {"t-17": Example("t-17", (Message("user", "언제 오나요?"),))}
    for number, row in enumerate(rows):
        file = tmp_path / f"{number}.jsonl"
        file.write_text(row + "\n", encoding="utf-8")
        if "right" in json.loads(row):  # an answer that people judged
            assert len(read_labels(file, examples)) == 1
        else:
            scan = scan_rows(file)
            assert (scan.problems, scan.unused, len(scan.rows)) == ((), (), 1)


MODEL_SNIPPETS = [text for text in _fences(DOCS / "how-to.md", "python") if "load_model(" in text]


@pytest.mark.parametrize("snippet", MODEL_SNIPPETS, ids=["schema", "stream"])
def test_python_snippets_run(snippet: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(snippet, "how-to.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_snippets_for_ci_are_yaml() -> None:
    snippets = [yaml.safe_load(text) for text in _fences(DOCS / "how-to.md", "yml")]
    assert [type(snippet) for snippet in snippets] == [dict, list]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_task_file_snippets_are_valid(page: Path) -> None:
    whole = {"goal": "g", "examples": "all.jsonl"}
    for snippet in _fences(page, "yaml"):
        for part in _one_per_key(snippet):
            TaskConfig.model_validate({**whole, **part})


def _one_per_key(snippet: str) -> list[dict[str, Any]]:
    """The snippet as one mapping, or line by line where it shows one option several times."""
    keys = re.findall(r"^(\w+):", snippet, re.MULTILINE)
    texts = [snippet] if len(set(keys)) == len(keys) else snippet.splitlines()
    return [part for part in map(yaml.safe_load, texts) if part]


def test_the_reference_is_up_to_date() -> None:
    generate = _program("generate_reference")

    assert (DOCS / "reference.md").read_text(encoding="utf-8") == generate.page(), "run `python docs/generate_reference.py`"


def test_both_readmes_hold_the_same_parts() -> None:
    english, korean = (REPOSITORY / name for name in ("README.md", "README.ko.md"))

    assert [len(found) for found in _shape(english)] == [len(found) for found in _shape(korean)]
    assert _commands(english) == _commands(korean)


def _shape(page: Path) -> tuple[list[str], ...]:
    text = page.read_text(encoding="utf-8")
    prose = _FENCE.sub("", text)
    return (
        re.findall(r"^#+ ", prose, re.MULTILINE),
        _FENCE.findall(text),
        re.findall(r"^\|", prose, re.MULTILINE),
        re.findall(r"^- ", prose, re.MULTILINE),
    )


def test_the_readmes_are_filled_from_a_run(tmp_path: Path) -> None:
    fill = _program("fill_readme")
    run = _made_up_run(tmp_path)
    result = json.loads((run / "report.json").read_text(encoding="utf-8"))

    table = fill.demo_table(result, run, fill.ENGLISH)
    page = fill.filled("before\n<!-- demo:start -->\nold\n<!-- demo:end -->\nafter\n", table)

    assert "| retrieval | 80.0% (72.0% – 86.0%) | 4e-12 | taken | 7 s | 0.25 / 0.50 | 12.50 |" in page
    assert "2 test conversations; winner: **retrieval**. Not climbed, since the climb had ended: lora." in page
    assert "old" not in page
    assert page.startswith("before\n<!-- demo:start -->\n|")
    assert page.endswith("<!-- demo:end -->\nafter\n")
    assert fill.filled(page, table) == page


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_each_readme_has_one_place_for_the_table(name: str) -> None:
    fill = _program("fill_readme")

    assert "TABLE" in fill.filled((REPOSITORY / name).read_text(encoding="utf-8"), "TABLE")


def _made_up_run(folder: Path) -> Path:
    base = {"failures": 0, "reason": "", "cost_per_1000_requests": 12.5, "p50_latency_s": 0.25, "p95_latency_s": 0.5}
    steps = [
        {"rung": "baseline", "quality": 0.1, "quality_low": 0.05, "quality_high": 0.2, "p_value": None, "verdict": "baseline"}
        | {"taken": True, "build_seconds": 0.0, **base},
        {"rung": "retrieval", "quality": 0.8, "quality_low": 0.72, "quality_high": 0.86, "p_value": 4e-12, "verdict": "better"}
        | {"taken": True, "build_seconds": 7.2, **base},
    ]
    result = {"run": "1", "task": "mall", "steps": steps, "winner": {"rung": "retrieval", "quality": 0.8, "bundle": "best"}}
    task = {"money": {"currency": "KRW"}, "ladder": [{"name": "retrieval"}, {"name": "lora"}]}
    config = {"sadari": "0.1.0", "options": {"quick": False}, "task": task}
    (folder / "report.json").write_text(json.dumps(result), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "predictions").mkdir()
    (folder / "predictions" / "0-baseline.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n', encoding="utf-8")
    return folder


def test_the_tutorial_runs_from_its_first_command_to_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"say": "택배사는 한빛택배입니다."}]), encoding="utf-8")
    scripted = f"scripted:{rules}"
    commands = _commands(DOCS / "tutorial.md")
    assert [command[0] for command in commands] == ["init", "check", "climb", "report", "ask", "chat", "eval", "compare"]

    for command in commands:
        # A scripted model answers in the place of mini, and cannot be tuned.
        done = CliRunner().invoke(app, [scripted if part == "mini" else part for part in command], input="\n")
        assert done.exit_code == 0, (command, done.output, done.exception)
        if command[0] == "init":
            file = tmp_path / "desk" / TASK_FILE
            told = file.read_text(encoding="utf-8").replace("model: mini", f"model: {scripted}")
            file.write_text(re.sub(r"^ladder: .*$", "ladder: [prompt, retrieval]", told, flags=re.MULTILINE), encoding="utf-8")
            assert load_config(file).model == scripted
