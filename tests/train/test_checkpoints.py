"""Checkpoints: whole or not there, and only of the run that asks."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sadari.errors import RunError
from sadari.train.checkpoints import Checkpoints, Position, best_look, differences

IDENTITY = {"plan": {"steps": 9}, "seed": 0}
WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1.5], dtype=torch.bfloat16)}
MOMENTS = {"exp_avg.a": torch.ones(2, 3), "step.a": torch.tensor(4.0)}


def position(step: int, *looks: tuple[int, float, float]) -> Position:
    return Position(step, tuple(1 / n for n in range(1, step + 1)), looks, 100, 60, 1.5, None, {"torch": "00"})


def write(folder: Path, *steps: int, looks: tuple[tuple[int, float, float], ...] = ()) -> Checkpoints:
    checkpoints = Checkpoints(folder, IDENTITY)
    for step in steps:
        checkpoints.write(position(step, *(look for look in looks if look[0] <= step)), WEIGHTS, MOMENTS)
    return checkpoints


def test_what_is_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    checkpoints = write(tmp_path, 3)
    assert checkpoints.newest() == 3
    assert checkpoints.position(3) == position(3)
    assert checkpoints.position(3).losses == (1.0, 0.5, 1 / 3)
    for found, wanted in ((checkpoints.weights(3), WEIGHTS), (checkpoints.moments(3), MOMENTS)):
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in wanted.items())


def test_a_folder_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, IDENTITY).newest() is None
    assert Checkpoints(tmp_path / "absent", IDENTITY).newest() is None


def test_newest_is_told_by_the_number_not_by_its_spelling(tmp_path: Path) -> None:
    assert write(tmp_path, 9, 10).newest() == 10


def test_the_best_look_has_the_highest_score_then_the_lowest_loss_then_the_latest_step() -> None:
    assert best_look([(1, 0.5, 2.0), (2, 0.7, 9.0), (3, 0.7, 8.0), (4, 0.7, 8.0), (5, 0.6, 0.1)]) == (4, 0.7, 8.0)


def test_the_newest_two_and_the_best_stay(tmp_path: Path) -> None:
    write(tmp_path, 1, 2, 3, 4, 5, looks=((2, 0.9, 1.0), (4, 0.5, 1.0)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "checkpoint-2", "checkpoint-4", "checkpoint-5", "last"]
    assert os.readlink(tmp_path / "best") == "checkpoint-2"
    assert os.readlink(tmp_path / "last") == "checkpoint-5"


def test_a_new_best_lets_the_old_one_go(tmp_path: Path) -> None:
    write(tmp_path, 1, 2, 3, 4, looks=((1, 0.5, 1.0), (4, 0.9, 1.0)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "checkpoint-3", "checkpoint-4", "last"]
    assert os.readlink(tmp_path / "best") == "checkpoint-4"


def damage(path: Path, how: str) -> None:
    if how == "a byte":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    elif how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize("how", ["a byte", "cut", "gone", "empty"])
@pytest.mark.parametrize("name", ["weights.safetensors", "moments.safetensors", "position.json", "run.json", "complete.json"])
def test_a_damaged_checkpoint_is_skipped_and_named_whatever_is_damaged(name: str, how: str, tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    damage(tmp_path / "checkpoint-2" / name, how)
    told: list[str] = []
    assert Checkpoints(tmp_path, IDENTITY, told.append).newest() == 1
    assert len(told) == 1
    assert told[0].startswith(f"{tmp_path}/checkpoint-2 is skipped: ")
    assert name in told[0] or name == "complete.json"  # which then says of another that it is not as it was
    assert os.readlink(tmp_path / "last") == "checkpoint-1"


def test_a_checkpoint_whose_best_is_damaged_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, 1, 2, looks=((1, 0.5, 1.0),))
    damage(tmp_path / "checkpoint-1" / "weights.safetensors", "a byte")
    told: list[str] = []
    assert Checkpoints(tmp_path, IDENTITY, told.append).newest() is None
    assert "checkpoint-2 is skipped: its best look is checkpoint-1, and there weights.safetensors" in told[0]


def test_a_checkpoint_under_another_number_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / "checkpoint-1").rename(tmp_path / "checkpoint-7")
    told: list[str] = []
    assert Checkpoints(tmp_path, IDENTITY, told.append).newest() is None
    assert told == [f"{tmp_path}/checkpoint-7 is skipped: it holds step 1"]


def test_a_mark_cannot_send_the_reader_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, 1)
    mark = tmp_path / "checkpoint-1" / "complete.json"
    mark.write_text(json.dumps({"../../../../etc/passwd": [1, "0"]}))
    told: list[str] = []
    assert Checkpoints(tmp_path, IDENTITY, told.append).newest() is None
    assert told == [f"{tmp_path}/checkpoint-1 is skipped: weights.safetensors is not as it was written"]


@pytest.mark.parametrize("name", ["checkpoint-", "checkpoint-x", "checkpoint-1.5", "checkpoint--1"])
def test_other_folders_are_let_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert write(tmp_path, 1, 2, 3).newest() == 3
    assert (tmp_path / name).is_dir()


def test_damaged_checkpoints_of_later_steps_are_removed_when_an_earlier_one_is_gone_on_with(tmp_path: Path) -> None:
    checkpoints = write(tmp_path, 4, 9)
    damage(tmp_path / "checkpoint-9" / "position.json", "cut")
    assert checkpoints.newest() == 4
    checkpoints.write(position(5), WEIGHTS, MOMENTS)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-5"]


def test_another_run_is_refused_and_the_differences_are_listed(tmp_path: Path) -> None:
    write(tmp_path, 1)
    other: dict[str, Any] = {"plan": {"steps": 8}, "seed": 0, "more": 1}
    with pytest.raises(
        RunError,
        match=r"checkpoint-1 belongs to another run: more was absent and is 1; plan steps was 9 and is 8\. To go on with it",
    ):
        Checkpoints(tmp_path, other).newest()


def test_of_many_differences_five_are_shown(tmp_path: Path) -> None:
    write(tmp_path, 1)
    other = {**IDENTITY, "parameters": {str(i): "float32" for i in range(7)}}
    with pytest.raises(RunError, match=r"parameters 4 was absent and is float32, and 2 more\."):
        Checkpoints(tmp_path, other).newest()


def test_numbers_that_went_through_json_are_the_same_numbers() -> None:
    now = {"rate": 3e-4, "epochs": 3.0, "clip": 1, "flag": True}
    assert differences(json.loads(json.dumps(now)), now) == []


def test_curves_that_are_not_finite_survive(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, IDENTITY)
    checkpoints.write(replace(position(1), looks=((1, 0.5, float("inf")),)), WEIGHTS, MOMENTS)
    assert checkpoints.position(1).looks == ((1, 0.5, float("inf")),)


def test_a_work_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"file/run/checkpoint-1 cannot be written: Not a directory\."):
        write(tmp_path / "file" / "run", 1)


def test_a_read_only_work_folder_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is read-only to root")
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match=r"checkpoint-1 cannot be written: Permission denied\. Free space or mend the folder"):
        write(tmp_path, 1)


def test_a_disk_that_fills_up_leaves_no_checkpoint_and_is_named(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: it fails in the same call."""
    code = """
import torch
from pathlib import Path
from sadari.train.checkpoints import Checkpoints, Position
Checkpoints(Path("run"), {}).write(Position(1, (1.0,), (), 0, 0, 0.0, None, {}), {"a": torch.zeros(10**5)}, {})
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))  # noqa: E731
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert "RunError: run/checkpoint-1 cannot be written: " in done.stderr
    assert list((tmp_path / "run").iterdir()) == []
