"""Hostile files: each becomes a fault of its own, and the next file is read as if nothing had been."""

import os
import signal
from pathlib import Path
from types import ModuleType

import pytest

from sadari.retrieve.load import Limits, Options, load_all
from sadari.retrieve.load.isolation import Worker


def reason(folder: Path, limits: Limits | None = None) -> str:
    """The one fault of a folder in which `good.html` is read all the same."""
    (folder / "zz-good.html").write_text("<p>글</p>")
    loaded = load_all(folder, Options(limits=limits or Limits()))
    assert [document.id for document in loaded.documents] == ["zz-good.html"]
    (fault,) = loaded.faults
    return fault.reason


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path, files: ModuleType) -> None:
    rows = "<table>" + "<tr><td>x</td></tr>" * 200_000 + "</table>"
    (tmp_path / "a.html").write_text(rows)
    assert "took longer than 1 seconds" in reason(tmp_path, Limits(seconds=1))


def test_a_file_that_swells_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("가,나\n" * 400_000)
    assert "memory" in reason(tmp_path, Limits(memory_bytes=50 << 20))


def test_a_file_with_too_much_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("가" * 5000)
    assert "5,000 characters; the limit is 1,000 (`text_chars`)" in reason(tmp_path, Limits(text_chars=1000))


def test_a_file_that_is_too_large_is_named_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(200_000_000)
    assert "holds 200.0 MB; the limit is 134.2 MB (`file_bytes`)" in reason(tmp_path)


def test_an_archive_that_unpacks_to_too_much_is_named(tmp_path: Path, files: ModuleType) -> None:
    (tmp_path / "a.zip").write_bytes(files.archive({f"{at}.txt": os.urandom(1000) for at in range(20)}))
    assert "(`unpacked_bytes`)" in reason(tmp_path, Limits(unpacked_bytes=10_000))
    assert "holds 20 files; the limit is 5 (`members`)" in reason(tmp_path, Limits(members=5))


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>글</p>")
    with Worker(Limits()) as worker:
        assert worker.ask(tmp_path / "a.html", "a.html")["parsed"]["text"] == "글"
        assert worker._process is not None
        os.kill(worker._process.pid, signal.SIGKILL)
        worker._process.wait()
        assert "ended the reading process" in worker.ask(tmp_path / "a.html", "a.html")["fault"]
        assert worker.ask(tmp_path / "a.html", "a.html")["parsed"]["text"] == "글"


def test_a_parser_may_neither_reach_the_network_nor_start_programs_nor_write(tmp_path: Path) -> None:
    script = f"""
import os, socket, subprocess
from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.worker import _confine
_confine(Limits())
for name, act in (("socket", lambda: socket.socket()), ("program", lambda: subprocess.Popen(["true"])),
                  ("lookup", lambda: socket.getaddrinfo("localhost", 1)), ("fork", os.fork),
                  ("write", lambda: open({str(tmp_path / "x")!r}, "w", buffering=1).write("x\\n"))):
    try:
        act()
        print(name, "done")
    except OSError:
        print(name, "refused")
"""
    import subprocess
    import sys

    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert out.stdout.split("\n")[:5] == [f"{name} refused" for name in ("socket", "program", "lookup", "fork", "write")]


def test_modules_in_the_folder_of_documents_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bs4.py").write_text("raise SystemExit('taken over')")
    (tmp_path / "a.html").write_text("<p>글</p>")
    monkeypatch.chdir(tmp_path)
    assert [document.text for document in load_all(tmp_path / "a.html").documents] == ["글"]


def test_keys_in_the_environment_are_not_shown_to_parsers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "s3cret")
    (tmp_path / "a.html").write_text("<p>글</p>")
    with Worker(Limits()) as worker:
        worker.ask(tmp_path / "a.html", "a.html")
        assert worker._process is not None
        assert b"s3cret" not in Path(f"/proc/{worker._process.pid}/environ").read_bytes()
