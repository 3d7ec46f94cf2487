from collections.abc import Mapping
from pathlib import Path

import pytest

from sadari.agent.tools import files
from sadari.agent.tools.files import FilesOptions, open_files
from sadari.agent.tools.place import Place
from sadari.errors import ConfigError, ToolFailedError
from sadari.types import Caller, Tool

KO = Caller(language="ko")
EN = Caller(language="en")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "notes"
    (root / "회의").mkdir(parents=True)
    (root / "a.txt").write_text("첫 줄\n둘째 줄\n셋째 줄", "utf-8")
    (root / "회의" / "메모.txt").write_text("다음 회의는 금요일", "utf-8")
    (root / ".hidden").write_text("x")
    return root


@pytest.fixture
def tools(root: Path) -> Mapping[str, Tool]:
    return opened(root)


def opened(root: Path, **options: int) -> Mapping[str, Tool]:
    found = open_files(FilesOptions(folder=root.name, writable=True, **options), Place(root.parent))
    return {tool.spec.name: tool for tool in found}


def test_folders_are_listed_before_files_and_hidden_files_are_not(tools: Mapping[str, Tool]) -> None:
    assert tools["list_files"].call({}, KO).text == "회의/\na.txt (29 B)"


def test_a_file_is_read_from_a_line_on(tools: Mapping[str, Tool]) -> None:
    assert tools["read_file"].call({"path": "a.txt"}, KO).text == "첫 줄\n둘째 줄\n셋째 줄"
    assert tools["read_file"].call({"path": "a.txt", "from_line": 3}, KO).text == "[3-3번째 줄]\n셋째 줄"
    with pytest.raises(ToolFailedError, match="3줄입니다"):
        tools["read_file"].call({"path": "a.txt", "from_line": 9}, KO)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_usual_encodings_are_read(encoding: str, root: Path, tools: Mapping[str, Tool]) -> None:
    (root / "b.txt").write_text("한국어 문서", encoding)
    assert tools["read_file"].call({"path": "b.txt"}, KO).text == "한국어 문서"


def test_a_search_tells_file_line_and_text(tools: Mapping[str, Tool]) -> None:
    assert tools["search_files"].call({"text": "금요일"}, KO).text == "회의/메모.txt:1: 다음 회의는 금요일"
    assert tools["search_files"].call({"text": "둘째", "path": "회의"}, KO).text == "찾지 못했습니다."
    assert tools["search_files"].call({"text": "회의", "path": "회의"}, KO).data[0]["path"] == "회의/메모.txt"


def test_a_missing_file_is_answered_with_names_that_resemble_it(tools: Mapping[str, Tool]) -> None:
    with pytest.raises(ToolFailedError, match=r"회의/메모\.txt"):
        tools["read_file"].call({"path": "메모.text"}, KO)


def test_a_folder_is_no_file_and_a_file_no_folder(tools: Mapping[str, Tool]) -> None:
    with pytest.raises(ToolFailedError, match="is a folder"):
        tools["read_file"].call({"path": "회의"}, EN)
    with pytest.raises(ToolFailedError, match="is a file"):
        tools["list_files"].call({"path": "a.txt"}, EN)


def test_a_file_is_made_with_its_folders_and_replaced_only_on_purpose(root: Path, tools: Mapping[str, Tool]) -> None:
    tools["write_file"].call({"path": "new/b.txt", "content": "하나"}, KO)
    with pytest.raises(ToolFailedError, match="overwrite"):
        tools["write_file"].call({"path": "new/b.txt", "content": "둘"}, KO)
    tools["write_file"].call({"path": "new/b.txt", "content": "둘", "overwrite": True}, KO)
    assert (root / "new" / "b.txt").read_text("utf-8") == "둘"


def test_the_same_write_twice_is_one_write(root: Path, tools: Mapping[str, Tool]) -> None:
    for _ in range(2):
        tools["write_file"].call({"path": "b.txt", "content": "하나"}, KO)
    assert (root / "b.txt").read_text("utf-8") == "하나"
    assert tools["write_file"].traits.may_repeat
    assert not tools["append_file"].traits.may_repeat


def test_appending_adds_at_the_end_or_begins_a_file(root: Path, tools: Mapping[str, Tool]) -> None:
    tools["append_file"].call({"path": "log.txt", "content": "a\n"}, KO)
    tools["append_file"].call({"path": "log.txt", "content": "b\n"}, KO)
    assert (root / "log.txt").read_text() == "a\nb\n"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    root: Path, tools: Mapping[str, Tool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    before = sorted(root.rglob("*"))
    with pytest.raises(ToolFailedError, match="No space left"):
        tools["write_file"].call({"path": "a.txt", "content": "x", "overwrite": True}, EN)
    assert sorted(root.rglob("*")) == before
    assert (root / "a.txt").read_text("utf-8").startswith("첫 줄")


def test_what_is_too_large_or_no_text_is_refused(root: Path) -> None:
    tools = opened(root, max_file_kb=1)
    (root / "large.txt").write_text("x" * 1_001)
    (root / "image.png").write_bytes(b"\x89PNG\0\0\xff\xfe")
    with pytest.raises(ToolFailedError, match="1001 bytes"):
        tools["read_file"].call({"path": "large.txt"}, EN)
    with pytest.raises(ToolFailedError, match="no text"):
        tools["read_file"].call({"path": "image.png"}, EN)
    with pytest.raises(ToolFailedError, match="up to 1000 bytes"):
        tools["write_file"].call({"path": "b.txt", "content": "x" * 1_001}, EN)
    with pytest.raises(ToolFailedError, match="1001 bytes"):
        tools["append_file"].call({"path": "large.txt", "content": "x"}, EN)


def test_quotas_of_bytes_and_files_hold(root: Path) -> None:
    (root / "large.txt").write_bytes(b"x" * 999_900)
    with pytest.raises(ToolFailedError, match="1 MB"):
        opened(root, quota_mb=1)["write_file"].call({"path": "b.txt", "content": "x" * 100}, EN)
    with pytest.raises(ToolFailedError, match="5 files"):
        opened(root, quota_files=5)["write_file"].call({"path": "b.txt", "content": "x"}, EN)
    assert not (root / "b.txt").exists()


def test_a_folder_that_is_not_writable_has_no_tools_that_write(root: Path) -> None:
    names = [tool.spec.name for tool in open_files(FilesOptions(folder="notes"), Place(root.parent))]
    assert names == ["list_files", "read_file", "search_files"]


def test_writing_is_declared_and_reading_is_not_trusted(tools: Mapping[str, Tool]) -> None:
    assert {name: tool.traits.effect for name, tool in tools.items()} == {
        "list_files": "read",
        "read_file": "read",
        "search_files": "read",
        "write_file": "write",
        "append_file": "write",
    }
    assert not any(tools[name].traits.is_trusted for name in ("list_files", "read_file", "search_files"))


def test_a_missing_folder_and_one_that_holds_the_task_are_errors(root: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        open_files(FilesOptions(folder="missing"), Place(root.parent))
    for written in (".", "..", "/"):
        with pytest.raises(ConfigError, match="could then rewrite"):
            open_files(FilesOptions(folder=written, writable=True), Place(root.parent))
