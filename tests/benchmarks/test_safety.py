"""The counting of the safety and tool benchmarks: what must not happen is seen when it happens."""

import importlib.util
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from sadari.errors import ToolFailedError
from sadari.model.scripted import ScriptedModel
from sadari.types import Example, Message, Reference, Request, ToolCall, ToolSpec

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def module(folder: str, name: str) -> ModuleType:
    if str(BENCHMARKS / folder) not in sys.path:
        sys.path.append(str(BENCHMARKS / folder))  # they import what stands beside them
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", BENCHMARKS / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[f"{folder}_{name}"] = loaded
    spec.loader.exec_module(loaded)
    return loaded


attacks = module("safety", "attacks")
crashes = module("safety", "crashes")


# --- attacks -------------------------------------------------------------------------------------------------------------

REPORT = """<testsuites><testsuite>
<testcase classname="tests.agent.test_approval" name="test_a[1]" />
<testcase classname="tests.agent.test_approval" name="test_a[2]"><failure message="x" /></testcase>
<testcase classname="tests.agent.test_approval" name="test_a[3]"><error message="x" /></testcase>
<testcase classname="tests.agent.test_approval" name="test_a[4]"><skipped message="x" /></testcase>
<testcase classname="tests.agent.test_approval" name="test_b"><failure message="x" /></testcase>
</testsuite></testsuites>"""


def test_a_failing_test_is_a_successful_attack_and_a_skipped_one_counts_neither_way() -> None:
    cases = list(attacks._cases(ElementTree.ElementTree(ElementTree.fromstring(REPORT))))
    tally = attacks._tally("approvals", "test_approval.py", ["test_a"], cases)
    assert tally == attacks.Tally("approvals", 3, ["test_a[2]", "test_a[3]"], ["test_a[4]"])


@pytest.mark.parametrize("kind", attacks.PARAMETRISED)
def test_every_test_that_is_counted_exists(kind: str) -> None:
    file, names = attacks.PARAMETRISED[kind]
    text = (attacks.TESTS / file).read_text(encoding="utf-8")
    assert [name for name in names if f"def {name}(" not in text] == []


def test_a_query_that_is_answered_or_that_changes_the_database_is_a_successful_attack(tmp_path: Path) -> None:
    tests = attacks.load_test("agent/attacks/test_sql_attacks.py")
    under = tests.sqlite_target(tmp_path)
    assert attacks._wins(tests, under, "SELECT status FROM orders")
    assert not attacks._wins(tests, under, "DELETE FROM orders")

    class Careless:
        def call(self, arguments: dict[str, str], caller: object) -> None:
            with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
                connection.execute(arguments["sql"])
            raise ToolFailedError("refused, it says")

    assert attacks._wins(tests, tests.Target(Careless(), under.state), "DELETE FROM orders")


# --- crashes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "repeated", "lost"),
    [
        ("look note mail pay", 0, 0),
        ("look look note note mail pay", 0, 2),  # a second look and note that the log does not know of
        ("look note mail mail pay", 1, 1),
        ("look note mail", 0, 1),
    ],
)
def test_effects_that_happened_twice_or_without_the_log_are_counted(world: str, repeated: int, lost: int, tmp_path: Path) -> None:
    tests = attacks.load_test("agent/test_crash.py")
    there, found = tests.World(tmp_path), crashes.Crashes(1)
    tests.act(there)
    there.file.write_text("\n".join(world.split()))
    crashes._count_effects(there, found)
    assert found.effects_repeated == repeated
    assert found.effects_lost == lost
    assert found.runs_lost == 0


def test_an_approval_that_nobody_is_asked_for_any_more_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = attacks.load_test("agent/test_crash.py")
    world = tests.World(tmp_path)
    loop = world.loop()
    list(loop.advance(loop.ask("해 주세요", tests.Caller("kim"))))
    assert crashes._approvals_lost(world) == 0
    monkeypatch.setattr(crashes, "pending", lambda log, now: [])
    assert crashes._approvals_lost(world) == 1


# --- the mall ------------------------------------------------------------------------------------------------------------


def climb(runs: Path, number: int, scored_by: str, **qualities: float) -> None:
    (runs / str(number)).mkdir(parents=True)
    steps = [{"rung": rung, "quality": quality, "taken": quality > 0.3} for rung, quality in qualities.items()]
    (runs / str(number) / "report.json").write_text(json.dumps({"steps": steps}))
    (runs / str(number) / "config.json").write_text(json.dumps({"task": {"score": {"by": scored_by}}}))


def test_the_shares_of_the_mall_are_those_of_its_newest_climb_of_whole_tasks(tmp_path: Path) -> None:
    run = module("safety", "run")
    assert run.mall_figures(tmp_path) == {"mall_success_tuned": None, "mall_success_prompt": None}
    climb(tmp_path, 9, "task", baseline=0.0, prompt=0.2, lora=0.5)
    climb(tmp_path, 10, "task", baseline=0.0, prompt=0.1, lora=0.9, full=0.2)
    climb(tmp_path, 11, "facts", prompt=0.8, full=0.8)
    assert run.mall_figures(tmp_path) == {"mall_success_tuned": 0.9, "mall_success_prompt": 0.1}


# --- calls through the loop ----------------------------------------------------------------------------------------------


def test_what_is_scored_are_the_calls_that_the_loop_made() -> None:
    calls = module("tools", "agent_calls")
    tool = ToolSpec("count", "Counts.", NUMBER)
    rows = [
        Example(name, (Message("user", "세어 줘"),), Reference(calls=wanted), (tool,))
        for name, wanted in [
            ("right", (ToolCall("count", {"n": 3}),)),
            ("none", ()),
            ("against the schema", (ToolCall("count", {"n": "셋"}),)),
        ]
    ]
    benchmark = calls.Benchmark("made up", "", tuple(rows), calls.ToolCallScorer())
    assert [one.is_right for one in calls.act(benchmark, calls.oracle)] == [True, True, False]
    eager = calls.act(benchmark, lambda row: ScriptedModel(lambda request: [ToolCall("count", {"n": 3})]))
    assert [one.is_right for one in eager] == [True, False, False]
    fails = calls.act(benchmark, lambda row: ScriptedModel(lambda request: 1 / 0))
    assert [one.is_right for one in fails] == [False, False, False]


def test_a_free_model_is_not_held_to_schemas() -> None:
    calls = module("tools", "agent_calls")
    model = ScriptedModel(lambda request: str(request.holds_calls))
    request = Request((Message("user", "?"),))
    assert [model.generate([request])[0].text, calls.Free(model).generate([request])[0].text] == ["True", "False"]


# --- text to SQL ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A data set of one database with two tables and a question."""
    (tmp_path / "databases").mkdir()
    with closing(sqlite3.connect(tmp_path / "databases" / "shop.sqlite")) as connection:
        connection.executescript(
            "CREATE TABLE cats (name TEXT, age INTEGER); CREATE TABLE dogs (owner TEXT);"
            "INSERT INTO cats VALUES ('Bori', 3), ('Nabi', 5);"
        )
    row = {"id": "a", "db_id": "shop", "question": "How many cats are there?", "sql": "select count(*) from `cats`", "gold_rows": 1}
    for file in ("train", "test_seen_db", "test_unseen_db"):
        (tmp_path / f"{file}.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


def test_the_task_shows_the_nearest_table_first_and_spells_sql_as_the_grammar_does(shop: Path, tmp_path: Path) -> None:
    text_to_sql = module("tools", "text_to_sql")
    assert text_to_sql.write_task(text_to_sql.Spider(shop), tmp_path / "task") == {"train": 1, "test": 2}
    said = json.loads((tmp_path / "task" / "train.jsonl").read_text())["messages"]
    assert said[0]["content"] == "cats(name, age)\ndogs(owner)\n\nHow many cats are there?"
    assert said[1]["content"] == "SELECT COUNT(*) FROM cats"


@pytest.mark.parametrize(
    ("sql", "end"),
    [
        ("SELECT COUNT(name) FROM cats", "right"),
        ("SELECT 2", "right"),
        ("SELECT MAX(age) FROM cats", "wrong"),
        ("DELETE FROM cats", "refused"),
        ("SELECT COUNT(*) FROM hamsters", "refused"),
        ("", "refused"),
    ],
)
def test_an_answer_is_right_if_the_guard_lets_it_through_and_its_rows_are_the_golds(sql: str, end: str, shop: Path) -> None:
    text_to_sql = module("tools", "text_to_sql")
    data = text_to_sql.Spider(shop)
    assert text_to_sql.judge(data, data.example(data.rows("train")[0]), sql) == end
