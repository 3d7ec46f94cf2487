"""`sadari compare --pairwise`: a judge that chooses between answers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sadari.cli.main import app
from small_tasks import write_label_task


@pytest.fixture
def task(tmp_path: Path) -> Path:
    judge = {"model": "scripted:judge.json", "rubric": "알맞은 유형을 고르면 좋은 답이다."}
    folder = write_label_task(tmp_path / "task", score={"by": "label", "judge": judge})
    (folder / "judge.json").write_text(json.dumps([{"say": '{"verdict": "first"}'}]), encoding="utf-8")
    for name, say in (("a", "배송"), ("b", "환불")):
        (folder / f"{name}.json").write_text(json.dumps([{"say": say}]), encoding="utf-8")
    return folder


def compare(task: Path, *more: str) -> str:
    arms = [f"scripted:{task / name}.json" for name in ("a", "b")]
    result = CliRunner().invoke(app, ["compare", *arms, "--task", str(task), "--pairwise", *more])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_judge_that_goes_by_place_prefers_nobody_and_is_found_out(task: Path) -> None:
    found = json.loads(compare(task, "--json"))
    assert (found["a"], found["b"], found["ties"], found["unsure"]) == (0, 0, 0, 32)
    assert (found["bias"]["pairs"], found["bias"]["always_first"]) == (32, 32)
    assert "decided by place rather than by answer: 100% of the pairs" in compare(task)


def test_what_was_judged_is_not_asked_again(task: Path) -> None:
    first = compare(task)
    kept = (task / "runs" / "judge.jsonl").read_bytes()
    assert compare(task) == first
    assert (task / "runs" / "judge.jsonl").read_bytes() == kept


def test_without_a_judge_it_says_what_to_set(tmp_path: Path) -> None:
    folder = write_label_task(tmp_path / "task")
    result = CliRunner().invoke(app, ["compare", "mini", "mini", "--task", str(folder), "--pairwise"])
    assert "Set `score.judge" in str(result.exception)
