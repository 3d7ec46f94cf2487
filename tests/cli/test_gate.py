"""`sadari gate`: from kept scores, from `sadari eval --json`, and what it does with files that are not what they seem."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from command import Sadari
from small_tasks import write_label_task

RIGHT = [{"when": w, "say": label} for label, words in {"배송": "배송 도착 출고 송장", "환불": "환불 취소 입금 반환",
         "교환": "교환 사이즈 색상 불량", "적립": "적립 포인트 쿠폰 등급"}.items() for w in words.split()]  # fmt: skip


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A label task, and beside it the rules of a good and of a bad model."""
    folder = write_label_task(tmp_path / "task", ladder=["prompt"])
    (folder / "good.json").write_text(json.dumps(RIGHT, ensure_ascii=False))
    (folder / "bad.json").write_text(json.dumps([{"say": "환불"}], ensure_ascii=False))
    return folder


def scored(sadari: Sadari, task: Path, name: str) -> Path:
    said = sadari("eval", f"scripted:{task / name}.json", "--task", task, "--json")
    assert said.code == 0, said.err
    path = task.parent / f"{name}-scores.json"
    path.write_text(said.out)
    return path


def edited(path: Path, **changes: Any) -> Path:
    target = path.with_name("edited.json")
    target.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return target


def test_scores_of_eval_go_through_the_gate_in_the_right_direction(sadari: Sadari, task: Path) -> None:
    good, bad = scored(sadari, task, "good"), scored(sadari, task, "bad")
    assert sadari("gate", bad, good, "--task", task).code == 0
    said = sadari("gate", good, bad, "--task", task)
    assert said.code == 9
    assert "FAIL quality" in said.out
    assert "worse than before: test-" in said.out
    assert sadari("gate", good, good, "--task", task).code == 0


def test_the_json_and_the_junit_file_say_the_same(sadari: Sadari, task: Path, tmp_path: Path) -> None:
    good, bad = scored(sadari, task, "good"), scored(sadari, task, "bad")
    said = sadari("gate", good, bad, "--task", task, "--json", "--junit", tmp_path / "ci" / "gate.xml")
    assert said.code == 9
    checks = json.loads(said.out)
    assert checks["passed"] is False
    suite = ElementTree.parse(tmp_path / "ci" / "gate.xml").getroot()
    assert suite.get("tests") == str(len(checks["checks"]))
    assert [case.get("name") for case in suite if case.find("failure") is not None] == [
        check["name"] for check in checks["checks"] if not check["passed"]
    ]


def test_a_system_without_scores_is_measured_now(sadari: Sadari, task: Path) -> None:
    good = scored(sadari, task, "good")
    assert sadari("gate", good, f"scripted:{task / 'good.json'}", "--task", task).code == 0
    assert sadari("gate", good, f"scripted:{task / 'bad.json'}", "--task", task).code == 9


def test_a_task_that_is_named_and_not_there_is_a_mistake(sadari: Sadari, task: Path, tmp_path: Path) -> None:
    good = scored(sadari, task, "good")
    said = sadari("gate", good, good, "--task", tmp_path / "nowhere")
    assert said.code == 2
    assert "nowhere" in said.err


def test_examples_of_one_group_count_once_also_from_a_file(sadari: Sadari, tmp_path: Path) -> None:
    """All 8 questions of one label are one conversation: losing that one is no proof, though 8 losses alone would be."""
    task = write_label_task(tmp_path / "task", ladder=["prompt"])
    rows = [json.loads(line) for line in (task / "test.jsonl").read_text().splitlines()]
    (task / "test.jsonl").write_text(
        "".join(json.dumps({**row, "group": row["output"]}, ensure_ascii=False) + "\n" for row in rows)
    )
    (task / "good.json").write_text(json.dumps(RIGHT, ensure_ascii=False))
    worse = [{**rule, "say": "환불"} if rule["say"] == "교환" else rule for rule in RIGHT]
    (task / "worse.json").write_text(json.dumps(worse, ensure_ascii=False))
    good, bad = scored(sadari, task, "good"), scored(sadari, task, "worse")
    assert json.loads(good.read_text())["groups"][:1] == ["배송"]
    assert sadari("gate", good, bad, "--task", task).code == 0


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"scores": {}, "groups": []}, 7, "not measured on the same examples"),
        ({"scores": {"other": 1.0}, "groups": []}, 7, "not measured on the same examples"),
        ({"scorer": "text"}, 7, "different scorers"),
        ({"failures": float("inf")}, 3, "holds no scorecard"),
        ({"failures": "many"}, 3, "holds no scorecard"),
        ({"scores": [1, 2]}, 3, "holds no scorecard"),
        ({"groups": ["a"]}, 3, "holds no scorecard"),
        ({"quality_low": None}, 3, "holds no scorecard"),
        ({"test": "another test set"}, 7, "same ids"),
    ],
)
def test_a_file_that_was_edited_by_hand_is_an_error_and_never_a_pass(
    changes: dict[str, Any], code: int, said: str, sadari: Sadari, task: Path
) -> None:
    good = scored(sadari, task, "good")
    found = sadari("gate", good, edited(good, **changes), "--task", task)
    assert (found.code, "Traceback" in found.err) == (code, False)
    assert said in " ".join(found.err.split())


@pytest.mark.parametrize("score", [float("nan"), 7, -1])
def test_a_score_that_is_none_is_an_error(score: float, sadari: Sadari, task: Path) -> None:
    good = scored(sadari, task, "good")
    scores = {**json.loads(good.read_text())["scores"], "test-배송-0": score}
    found = sadari("gate", good, edited(good, scores=scores), "--task", task)
    assert found.code == 7
    assert "test-배송-0" in found.err


def test_every_eval_is_a_look_at_the_test_set_and_is_logged_once(sadari: Sadari, task: Path) -> None:
    from sadari.looks import LOG

    for _ in range(2):
        scored(sadari, task, "good")
    scored(sadari, task, "bad")
    looks = [json.loads(line) for line in (task / "runs" / LOG).read_text().splitlines()]
    assert [look["run"] for look in looks] == ["eval", "eval"]


def test_a_task_that_cannot_be_written_can_still_be_evaluated(sadari: Sadari, task: Path) -> None:
    (task / "runs").write_text("in the way")
    said = sadari("eval", f"scripted:{task / 'good.json'}", "--task", task, "--json")
    assert said.code == 0
    assert "look" in said.err


def test_a_report_without_a_review_is_still_shown(sadari: Sadari, task: Path) -> None:
    """A finished run of before there were reviews."""
    assert sadari("climb", task).code == 0
    path = task / "runs/1/report.json"
    kept = json.loads(path.read_text())
    del kept["review"]
    path.write_text(json.dumps(kept))
    (task / "runs/1/review.json").unlink()
    for words in (("climb", task), ("report", task)):
        said = sadari(*words)
        assert said.code == 0, said.err
    assert sadari("report", task, "--language", "en").code == 7
