"""`sadari climb --from-log` climbs on from the last winner; the log's rows reach train, and nothing else."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from acting import Script
from command import Sadari
from sadari.agent.log import Draft, Log
from sadari.agent.loop import Agent, Loop
from sadari.cli.climb import new_rows, with_rows
from sadari.run import ClimbOptions, run_climb
from sadari.task import load_task
from sadari.types import Caller, Example, Message
from small_tasks import write_label_task


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_label_task(tmp_path_factory.mktemp("climbed") / "task")
    for _ in run_climb(load_task(folder), ClimbOptions(), lambda line: None):
        pass
    return folder


@pytest.fixture
def task(climbed: Path, tmp_path: Path) -> Path:
    """A task that was climbed once."""
    copytree(climbed, tmp_path / "task")
    return tmp_path / "task"


def say(task: Path, question: str, answer: str, rating: str = "", corrected: str = "") -> None:
    """A conversation in the task's log."""
    log = Log(task / "agent-log.sqlite")
    run = Loop(Agent(Script(answer), ()), log).answer(question, Caller("kim")).run
    if rating:
        asked = next(event.seq for event in log.events(run) if event.kind == "run.asked")
        body = {"by": "kim", "question": asked, "rating": rating, "reason": "", "corrected": corrected}
        log.append(run, [Draft("answer.rated", body)])


def config_of(run: Path) -> Any:
    return json.loads((run / "config.json").read_text())


def test_rows_of_the_log_are_learnt_from_the_winner_on_and_only_once(sadari: Sadari, task: Path) -> None:
    say(task, "쿠폰 번호를 잃어버렸어요", "환불", "down", "적립")
    say(task, "언제 문 열어요?", "글쎄요")  # nobody rated it
    said = sadari("climb", task, "--from-log")
    assert said.code == 0, said.err
    assert "1 rows of the log were added to train, 1 of them new" in said.err
    result = json.loads((task / "runs/2/report.json").read_text())
    assert result["steps"][0]["rung"] == "incumbent"
    won = json.loads((task / "runs/1/report.json").read_text())["winner"]
    assert result["steps"][0]["quality"] == won["quality"]
    rows = [json.loads(line) for line in (task / "runs/2/from-log.jsonl").read_text().splitlines()]
    assert [row["messages"][-1]["content"] for row in rows] == ["적립"]
    again = sadari("climb", task, "--from-log")
    assert (again.code, "no new rows" in again.out) == (0, True)
    assert not (task / "runs/3").exists()


def test_a_log_without_anything_new_ends_before_the_climb(sadari: Sadari, task: Path) -> None:
    question = json.loads((task / "test.jsonl").read_text().splitlines()[0])["input"]
    say(task, question, "환불", "down", "배송")  # the test set asks it
    say(task, "언제 문 열어요?", "글쎄요", "down")
    said = sadari("climb", task, "--from-log", "--json")
    assert said.json["new"] == 0
    assert said.json["left_out"] == {"rated down and not corrected": 1, "the test set asks it": 1}
    assert not (task / "runs/2").exists()


def test_rows_reach_train_and_no_other_split(task: Path) -> None:
    loaded = load_task(task)
    row = Example("run-1", (Message("user", "쿠폰 번호를 잃어버렸어요"), Message("assistant", "적립")))
    grown = with_rows(loaded, [row], "1 row")
    assert grown.train == (*loaded.train, row)
    assert (grown.validation, grown.test, grown.audit) == (loaded.validation, loaded.test, loaded.audit)
    assert grown.fingerprint != loaded.fingerprint
    assert new_rows([row], task) == [row]


def test_without_a_climb_to_go_on_from_it_says_how_to_begin(sadari: Sadari, tmp_path: Path) -> None:
    folder = write_label_task(tmp_path / "fresh")
    said = sadari("climb", folder, "--from-log")
    assert (said.code, "Begin with `sadari climb`" in said.err) == (7, True)


def test_what_only_a_log_needs_is_refused_without_it(sadari: Sadari, task: Path) -> None:
    said = sadari("climb", task, "--since", "7d")
    assert (said.code, "--from-log" in said.err) == (2, True)
