"""The verbs for systems that act: ask, log, approvals, tools."""

import sqlite3
from pathlib import Path

import pytest

from command import Sadari
from sadari.bundle import save_bundle
from test_acting import TOOLS, system_in


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_bundle(system_in(tmp_path), tmp_path / "best")
    return tmp_path / "best"


@pytest.fixture
def waiting(sadari: Sadari, bundle: Path) -> str:
    """A request for approval, as RUN/CALL."""
    assert sadari("ask", bundle, "A-1을 취소해 주세요").code == 8
    (one,) = sadari("approvals", "list", bundle, "--json").json
    return f"{one['run']}/{one['call']}"


def test_a_question_whose_call_needs_a_person_waits_and_says_how_to_go_on(sadari: Sadari, bundle: Path) -> None:
    said = sadari("ask", bundle, "A-1을 취소해 주세요")
    assert said.code == 8
    assert "calls order_status(order_id='A-1')" in said.err
    assert "sadari approvals approve" in said.err
    assert not (bundle.parent / "happened").exists()


def test_an_approved_call_is_made_when_the_run_goes_on(
    sadari: Sadari, bundle: Path, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "cancel_order(order_id='A-1')" in sadari("approvals", "approve", waiting, bundle, "--by", "boss").out
    monkeypatch.setattr("builtins.input", lambda *_: "")
    sadari("chat", bundle, "--run", waiting.partition("/")[0])
    assert (bundle.parent / "happened").read_text() == "A-1"
    assert "Nothing waits" in sadari("approvals", "list", bundle).out


def test_what_was_decided_once_is_not_decided_again(sadari: Sadari, bundle: Path, waiting: str) -> None:
    assert sadari("approvals", "deny", waiting, bundle, "--reason", "한도").code == 0
    again = sadari("approvals", "approve", waiting, bundle)
    assert again.code == 8
    assert "does not wait" in again.err


def test_arguments_that_are_no_json_say_how_to_write_them(sadari: Sadari, bundle: Path, waiting: str) -> None:
    assert '{"amount": 5000}' in sadari("approvals", "edit", waiting, "amount=3", bundle).err


def test_the_log_is_listed_shown_and_verified(sadari: Sadari, bundle: Path, waiting: str) -> None:
    run = waiting.partition("/")[0]
    assert run in sadari("log", "list", bundle).out
    assert "call.waiting" in sadari("log", "show", run, bundle).out
    verified = sadari("log", "verify", bundle)
    assert (verified.code, "the log is whole" in verified.out) == (0, True)
    with sqlite3.connect(bundle / "agent-log.sqlite") as connection:
        connection.execute("UPDATE events SET body = replace(body, 'A-1', 'B-2') WHERE kind = 'call.waiting' OR kind = 'run.asked'")
    tampered = sadari("log", "verify", bundle)
    assert tampered.code == 7
    assert "content was changed" in tampered.err


def test_a_user_is_erased_and_the_log_stays_whole(sadari: Sadari, bundle: Path, waiting: str) -> None:
    (run,) = sadari("log", "list", bundle, "--json").json
    assert "1 runs and 0 facts erased" in sadari("log", "erase", run["user"], bundle, "--yes").out
    assert "(erased)" in sadari("log", "show", run["run"], bundle).out
    assert sadari("log", "verify", bundle).code == 0


def test_a_log_that_is_not_there_says_when_it_begins(sadari: Sadari, tmp_path: Path) -> None:
    said = sadari("log", "list", tmp_path)
    assert said.code == 7
    assert "first question" in said.err


@pytest.fixture
def task(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "rows.jsonl").write_text('{"input": "1", "output": "2"}\n')
    (tmp_path / "sadari.yaml").write_text(
        "goal: 돕기\nexamples: {train: rows.jsonl, test: rows.jsonl}\ntools: [calculator, {python: tools.py}]\n"
    )
    return tmp_path


def test_tools_are_listed_with_what_they_change(sadari: Sadari, task: Path) -> None:
    listed = sadari("tools", "list", task, "--json").json
    assert {t["spec"]["name"]: t["traits"]["effect"] for t in listed} == {
        "calculator": "read",
        "order_status": "read",
        "cancel_order": "irreversible",
    }


def test_one_tool_is_tried_and_mistakes_are_taught(sadari: Sadari, task: Path) -> None:
    assert sadari("tools", "call", "order_status", '{"order_id": "A-1"}', task).out.strip() == "준비 중"
    assert "Did you mean order_status?" in sadari("tools", "call", "order_state", "{}", task).err
    assert "order_status lacks order_id" in sadari("tools", "call", "order_status", "{}", task).err
    assert "no JSON" in sadari("tools", "call", "order_status", "A-1", task).err


def test_a_task_without_servers_has_nothing_to_trust(sadari: Sadari, task: Path) -> None:
    assert "declares no MCP servers" in sadari("tools", "trust", task).err
