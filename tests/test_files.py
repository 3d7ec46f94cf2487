import errno
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sadari.errors import DataError, RunError
from sadari.files import kept, read_json, read_lines, to_json, whole_folder, write_lines, write_text
from sadari.types import Cost, Document, Span


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_written_file_holds_the_text_and_leaves_no_draft(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "안녕")
    assert (tmp_path / "new" / "a.txt").read_text() == "안녕"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_a_full_disk_leaves_the_old_text_and_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RunError, match=r"a\.txt cannot be written: No space left on device\. Free space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_told_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file/a\.txt cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_folder_appears_only_when_its_block_ends_well(tmp_path: Path) -> None:
    def fill(text: str, *, fail: bool) -> None:
        with whole_folder(tmp_path / "out") as draft:
            (draft / "a").write_text(text)
            assert not fail, "power cut"

    with pytest.raises(AssertionError, match="power cut"):
        fill("first", fail=True)
    assert list(tmp_path.iterdir()) == []
    fill("first", fail=False)
    with pytest.raises(AssertionError, match="power cut"):
        fill("second", fail=True)
    assert (tmp_path / "out" / "a").read_text() == "first"
    fill("second", fail=False)
    assert (tmp_path / "out" / "a").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


WRITES = {
    "torch": "import torch; torch.save({'a': torch.zeros(10**5)}, draft / 'x')",
    "safetensors": "import torch; from safetensors.torch import save_file; save_file({'a': torch.zeros(10**5)}, draft / 'x')",
    "python": "(draft / 'x').write_bytes(bytes(10**6))",
}


@pytest.mark.parametrize("writer", WRITES)
def test_a_disk_that_fills_up_while_weights_are_written_is_told_by_the_folder(writer: str, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: it fails in the same call."""
    code = f"""
from pathlib import Path
from sadari.files import whole_folder
with whole_folder(Path("weights")) as draft:
    {WRITES[writer]}
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))  # noqa: E731
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert "RunError: weights cannot be written: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_not_the_disks_keeps_its_kind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^shapes"), whole_folder(tmp_path / "out"):
        raise RuntimeError("shapes do not fit")


@dataclass(frozen=True)
class Place:
    """Something with a path and Hangul."""

    path: Path | None
    text: str


def test_nouns_survive_json_with_hangul_readable(tmp_path: Path) -> None:
    place = Place(Path("/a/b"), "서울")
    write_text(tmp_path / "p.json", to_json(place))
    assert read_json(tmp_path / "p.json", Place) == place
    assert "서울" in (tmp_path / "p.json").read_text()


@pytest.mark.parametrize("content", [b"", b"{", b'{"seconds": "soon"}', b"\xff\xfe", b"[]"])
def test_a_damaged_file_is_named_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "cost.json").write_bytes(content)
    with pytest.raises(RunError, match=r"cost\.json is damaged: it holds no Cost \(.*\)\. Delete it and run again\."):
        read_json(tmp_path / "cost.json", Cost)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cost\.json cannot be read: No such file"):
        read_json(tmp_path / "cost.json", Cost)


def test_what_is_kept_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> Cost:
        made.append(1)
        return Cost(0.1 + 0.2)

    assert kept(tmp_path / "c.json", Cost, make) == kept(tmp_path / "c.json", Cost, make) == Cost(0.1 + 0.2)
    assert made == [1]


def test_lines_are_read_back_in_order(tmp_path: Path) -> None:
    documents = [Document("a.md", "가", "줄\n바꿈\u2028"), Document("b.md", "", "")]
    write_lines(tmp_path / "d.jsonl", documents, Document)
    assert read_lines(tmp_path / "d.jsonl", Document) == documents


def test_a_damaged_line_is_named_by_its_number(tmp_path: Path) -> None:
    write_lines(tmp_path / "s.jsonl", [Span("a", 0, 1, "x")], Span)
    with (tmp_path / "s.jsonl").open("a") as file:
        file.write(json.dumps({"document": "a"}) + "\n")
    with pytest.raises(DataError, match=r"s\.jsonl line 2: not a Span"):
        read_lines(tmp_path / "s.jsonl", Span)
