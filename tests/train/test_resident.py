import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sadari.train import resident
from sadari.train.resident import Peak, available_bytes

CPU = torch.device("cpu")
MIB = 2**20


def hold_for_a_moment() -> None:
    held = torch.ones(64 * MIB // 4)
    time.sleep(0.02)
    del held


@pytest.mark.parametrize("is_allowed", [True, False], ids=["mark of the kernel", "thread that looks"])
def test_a_peak_is_seen_though_it_is_over(is_allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_allowed:
        monkeypatch.setattr(resident, "_reset_mark", lambda: False)
    with Peak(CPU) as peak:
        hold_for_a_moment()
    assert peak.growth == pytest.approx(64 * MIB, rel=0.1)


def test_an_earlier_peak_is_forgotten() -> None:
    hold_for_a_moment()
    with Peak(CPU) as peak:
        pass
    assert peak.growth < 4 * MIB


def test_there_is_room_for_something_and_for_no_more_than_the_machine_has() -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < available_bytes(CPU) < total


def group(folder: Path, limit: str, use: str, files: tuple[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in zip((*files, "memory.stat"), (limit, use, f"anon 5\ninactive_file {10 * MIB}\n"), strict=True):
        (folder / name).write_text(text)


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_container_counts(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if version == 2:
        line, folder, files = "0::/jobs/a\n", tmp_path / "jobs/a", ("memory.max", "memory.current")
    else:
        line, folder = "4:memory:/jobs/a\n", tmp_path / "memory/jobs/a"
        files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    group(folder, str(100 * MIB), str(70 * MIB), files)
    rooms = rooms_of(line, tmp_path, monkeypatch)
    assert rooms() == [40 * MIB]  # of what is used, 10 MiB are a cache that is given up
    (folder / files[0]).write_text("max\n")
    assert rooms() == []


def rooms_of(line: str, groups: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    (groups / "cgroup").write_text(line)
    monkeypatch.setattr(resident, "_PROC", groups)
    monkeypatch.setattr(resident, "_GROUPS", groups)
    return lambda: list(resident._rooms_of_containers())
