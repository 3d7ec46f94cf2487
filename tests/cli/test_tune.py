"""`sadari tune`: one technique by itself, on a task or on a file of rows."""

import json
from collections.abc import Callable
from pathlib import Path

from command import Sadari
from small_tasks import write_label_task

FEW = ("--set", "max_steps=2", "--set", "looks=1", "--set", "validation_rows=4", "--set", "canaries=0")


def rows_file(folder: Path) -> Path:
    """Sixty labelled questions in one file."""
    task = write_label_task(folder / "task")
    lines = [line for name in ("train", "test") for line in (task / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    path = folder / "questions.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_file_of_rows_becomes_a_task_and_is_tuned_measured_and_kept(
    tmp_path: Path, checkpoint: Callable[[str], Path], sadari: Sadari
) -> None:
    rows = rows_file(tmp_path)
    words = ("tune", rows, "--method", "lora", "--set", "rank=4", *FEW, "--model", checkpoint("llama"), "--json")
    said = sadari(*words)
    assert said.code == 0, said.err
    folder = tmp_path / "questions-task"
    assert "questions.jsonl" in (folder / "sadari.yaml").read_text(encoding="utf-8")
    assert [step["rung"] for step in said.json["steps"]] == ["baseline", "lora"]
    work = folder / "runs" / "1" / "steps" / "1-lora" / "work"
    assert json.loads((work / "adapter" / "adapter_config.json").read_text())["r"] == 4
    logged = [json.loads(line) for line in (work / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged if line["kind"] == "step"] == [1, 2]
    assert (work / "estimate.json").is_file()
    assert "GiB" in said.err  # told before it was trained
    assert sadari(*words).json["steps"] == said.json["steps"]  # finished: nothing is tuned again
    assert not (folder / "runs" / "2").exists()


def test_every_wrong_word_is_told_with_the_way_out(tmp_path: Path, sadari: Sadari) -> None:
    task = write_label_task(tmp_path / "task")
    wrong = {
        ("--method", "lorra"): "`lorra` is no rung. Did you mean `lora`?",
        ("--set", "rank"): "write NAME=VALUE",
        ("--set", "rnak=8"): "Did you mean `rank`?",
        ("--set", "rank=0"): "rank",
        ("--method", "full", "--set", "rank=8"): "rank: is no known option",
    }
    for words, told in wrong.items():
        said = sadari("tune", task, *words)
        assert said.code == 2, words
        assert told in said.err.replace("\n", " "), words
    assert sadari("tune", tmp_path / "nowhere.jsonl").code == 2


def test_a_folder_that_holds_a_task_of_other_rows_is_not_touched(tmp_path: Path, sadari: Sadari) -> None:
    rows = rows_file(tmp_path)
    (tmp_path / "questions-task").mkdir()
    mine = "goal: mine\nexamples: {train: other.jsonl}\n"
    (tmp_path / "questions-task" / "sadari.yaml").write_text(mine, encoding="utf-8")
    said = sadari("tune", rows)
    assert said.code == 2
    assert "--output" in said.err
    assert (tmp_path / "questions-task" / "sadari.yaml").read_text(encoding="utf-8") == mine
