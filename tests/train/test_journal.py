"""The log of a run, and what trackers hear of it."""

import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sadari.errors import RunError
from sadari.train.journal import Journal

STEP = {"loss": 2.5, "seconds": 1.0}


class Heard:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.values: list[tuple[int, dict[str, float]]] = []
        self.calls: list[str] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.values.append((step, dict(values)))

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self, failed: bool) -> None:
        self.calls.append(f"close {failed}")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, *steps: int, run: str = "a") -> None:
    with Journal(path, {"run": run}) as journal:
        for step in steps:
            journal.log("step", step, {**STEP, "loss": 10.0 + step, "seconds": 2.0 * step})


def test_a_run_each_step_and_each_look_have_a_line(tmp_path: Path) -> None:
    with Journal(tmp_path / "run" / "train.jsonl", {"run": "a", "steps": 2}) as journal:
        journal.log("step", 1, STEP)
        journal.log("step", 2, STEP)
        journal.log("look", 2, {"score": 0.5, "loss": 2.0, "seconds": 1.0})
    assert read(tmp_path / "run" / "train.jsonl") == [
        {"kind": "run", "run": "a", "steps": 2},
        {"kind": "step", "step": 1, "loss": 2.5, "seconds": 1.0},
        {"kind": "step", "step": 2, "loss": 2.5, "seconds": 1.0},
        {"kind": "look", "step": 2, "score": 0.5, "loss": 2.0, "seconds": 1.0},
    ]


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "log", {"run": "a"}) as journal:
        journal.log("step", 1, STEP)
        assert len(read(tmp_path / "log")) == 2


def test_steps_that_are_gone_through_again_are_not_logged_again(tmp_path: Path) -> None:
    write(tmp_path / "log", 1, 2, 3)
    before = (tmp_path / "log").read_bytes()
    write(tmp_path / "log", 2, 3, 4)  # from a checkpoint after step 1
    assert (tmp_path / "log").read_bytes().startswith(before)
    assert [entry["step"] for entry in read(tmp_path / "log") if entry["kind"] == "step"] == [1, 2, 3, 4]


def test_a_line_that_a_crash_left_unfinished_is_taken_away(tmp_path: Path) -> None:
    write(tmp_path / "log", 1, 2)
    (tmp_path / "log").write_bytes((tmp_path / "log").read_bytes()[:-4])
    write(tmp_path / "log", 2)
    assert [entry.get("step") for entry in read(tmp_path / "log")] == [None, 1, 2]


def test_another_run_begins_with_a_line_of_its_own_and_logs_all_its_steps(tmp_path: Path) -> None:
    write(tmp_path / "log", 1, 2)
    write(tmp_path / "log", 1, run="b")
    write(tmp_path / "log", 1, 2, run="b")
    assert [entry.get("run", entry.get("step")) for entry in read(tmp_path / "log")] == ["a", 1, 2, "b", 1, 2]


def test_the_time_that_was_spent_before_a_crash_is_known(tmp_path: Path) -> None:
    write(tmp_path / "log", 1, 2)
    assert Journal(tmp_path / "log", {"run": "a"}).seconds == 4.0
    assert Journal(tmp_path / "log", {"run": "b"}).seconds == 0.0


@pytest.mark.parametrize("line", ["[]", "{}", '{"kind": "step"}', '{"kind": "step", "step": "x", "seconds": 0}', "\x00\x00", "5"])
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    write(tmp_path / "log", 1)
    with (tmp_path / "log").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match=r"log line 3 is damaged \(.*\)\. Move the file away and run again\."):
        Journal(tmp_path / "log", {"run": "a"})


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(RunError, match=r"log cannot be written: Is a directory\. Free space or mend the folder"):
        Journal(tmp_path / "log", {"run": "a"})


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: it fails in the same call."""
    code = """
from pathlib import Path
from sadari.train.journal import Journal
with Journal(Path("log"), {"run": "a"}) as journal:
    for step in range(99):
        journal.log("step", step + 1, {"loss": 1.0})
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # noqa: E731
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert "RunError: log cannot be written: File too large. Free space or mend the folder" in done.stderr


def test_a_file_without_lines_is_not_read_to_its_end() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("there is no /dev/zero")
    with pytest.raises(RunError, match="/dev/zero line 1 is damaged"):
        Journal(Path("/dev/zero"), {"run": "a"})


def test_numbers_that_json_has_not_are_null(tmp_path: Path) -> None:
    with Journal(tmp_path / "log", {"run": "a"}) as journal:
        journal.log("look", 1, {"loss": float("nan"), "seconds": 1.0})
    assert read(tmp_path / "log")[1]["loss"] is None


def test_trackers_hear_steps_and_looks_under_names_of_their_own_and_how_it_ended(tmp_path: Path) -> None:
    heard = Heard()
    with Journal(tmp_path / "log", {"run": "a"}, [heard]) as journal:
        journal.log("step", 1, STEP)
        journal.log("look", 1, {"score": 0.5})
        journal.flush()
    assert heard.values == [(1, STEP), (1, {"validation/score": 0.5})]
    assert heard.calls == ["flush", "close False"]
    heard = Heard()
    with pytest.raises(ZeroDivisionError), Journal(tmp_path / "log", {"run": "a"}, [heard]):
        raise ZeroDivisionError
    assert heard.calls == ["close True"]


def test_a_journal_without_a_file_says_nothing_anywhere() -> None:
    with Journal() as journal:
        journal.log("step", 1, STEP)
        journal.flush()
