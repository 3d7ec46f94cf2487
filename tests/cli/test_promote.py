"""`sadari promote` and `rollback`, `sadari log cancel`, and what `sadari serve` leaves where there is nothing to serve."""

import json
from pathlib import Path

import pytest

from acting import Plain, Script, call
from command import Sadari
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.types import Caller, Traits
from small_bundles import write_run


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "task"
    for number, text in ((1, "하나"), (2, "둘")):
        write_run(folder, number, text, taken=number == 1)
    return folder


def test_a_system_is_promoted_and_rolled_back_in_words(sadari: Sadari, task: Path) -> None:
    said = sadari("promote", task / "runs" / "1", "--task", task)
    assert said.code == 0, said.err
    assert "served: runs/1/best" in said.out
    assert "climb 1 prompt: 80.0% of 20, taken" in said.out
    assert "no server is running" in said.out
    refused = sadari("promote", task / "runs" / "2", "--task", task)
    assert (refused.code, "the ladder did not take it" in refused.err, "--force" in refused.err) == (2, True, True)
    forced = sadari("promote", task / "runs" / "2", "--task", task, "--force", "--json")
    assert forced.json["served"]["now"]["bundle"] == "runs/2/best"
    back = sadari("rollback", "--task", task, "--reason", "느립니다")
    assert "rolled back: runs/2/best" in back.out
    assert "served: runs/1/best" in back.out
    assert json.loads((task / "served.json").read_text())["history"][-1]["why"] == "느립니다"


def test_a_canary_is_begun_ended_and_promoted(sadari: Sadari, task: Path) -> None:
    sadari("promote", task / "runs" / "1", "--task", task)
    begun = sadari("promote", task / "runs" / "2", "--task", task, "--force", "--canary", "10%")
    assert "10% of new conversations" in begun.out
    assert "canary ended: runs/2/best" in sadari("rollback", "--task", task).out
    sadari("promote", task / "runs" / "2", "--task", task, "--force", "--canary", "0.25")
    assert "served: runs/2/best" in sadari("promote", "--task", task, "--force").out  # the canary's, where none is named
    assert json.loads((task / "served.json").read_text())["canary"] is None
    for wrong in ("0%", "100%", "ten"):
        assert sadari("promote", task / "runs" / "1", "--task", task, "--canary", wrong).code == 2


@pytest.mark.parametrize("kind", ["absent", "broken"])
def test_what_cannot_be_served_leaves_no_log_behind(
    sadari: Sadari, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = write_run(tmp_path / "task", 1, "하나")
    (tmp_path / "task" / "rules-1.json").write_text("{")
    what = "runs/7/best" if kind == "absent" else str(broken)
    before = sorted(tmp_path.rglob("*"))
    said = sadari("serve", what, "--port", "0")
    assert said.code != 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_is_cancelled_from_the_command_line(sadari: Sadari, tmp_path: Path) -> None:
    place, made = tmp_path / "log.sqlite", list[int]()
    tool = Plain("pay", lambda n: made.append(n) or "", Traits("write"))
    loop = Loop(Agent(Script([call("pay", n=5)], "끝."), (tool,)), Log(place))
    run = loop.answer("내 줘", Caller("kim")).run
    assert loop.state(run).status == "waiting"
    said = sadari("log", "cancel", run, place, "--by", "ops")
    assert said.code == 0, said.err
    state = loop.state(run)
    assert (state.status, [c.status for c in state.calls.values()], made) == ("cancelled", ["denied"], [])
    assert loop.log.events(run)[-1].body == {"by": "ops"}
    assert "nothing to cancel" in sadari("log", "cancel", run, place).err
    assert "no such run" in sadari("log", "cancel", "run-0", place).err
