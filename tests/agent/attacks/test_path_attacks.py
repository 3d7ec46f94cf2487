"""Ways out of the folder of the files tools: by name, by link, by kind of file, by a race. Nothing outside is read or changed."""

import os
import socket
import threading
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sadari.agent.tools.files import FilesOptions, open_files
from sadari.agent.tools.place import Place
from sadari.errors import ToolFailedError, ToolRefusedError
from sadari.types import Caller, Tool

SECRET = "canary-7731"

BY_NAME = [
    "../secret.txt", "../../secret.txt", "a/../../secret.txt", "./../secret.txt", "a/./../../secret.txt", "....//secret.txt",
    "..", "a/..", "..//secret.txt", "/etc/passwd", "//etc/passwd", "///etc/passwd", "{outside}/secret.txt", "~/secret.txt",
    "~root/.ssh/id_rsa", "..\\secret.txt", "a\\..\\..\\secret.txt", "C:\\secret.txt", "C:secret.txt", "c:/secret.txt",
    "\\\\server\\share\\secret.txt", "\\\\?\\C:\\secret.txt", "file:///etc/passwd", "a.txt:stream", "a.txt::$DATA",
    "a.txt\0.png", "\0", "a\n.txt", "a\r\n/../../secret.txt", "．．/secret.txt", "‥/secret.txt", "..／secret.txt",
    "..∕secret.txt", "..⁄secret.txt", "a⧸b.txt", "․․/secret.txt", "..\u200b/secret.txt", "\u202e/txt.terces", ".\u2060./secret.txt",
    "\ud800", "CON", "nul.txt", "COM1", "lpt9.txt", "AUX/a.txt", "a.txt ", "a.txt.", "a.", " ", ".env",
    "a/.git/config", ".ssh/id_rsa",
    "%2e%2e/secret.txt\0", "*", "a?.txt", "<a>", "a|b", "x" * 300, "가" * 100, "a/" * 40 + "a.txt", "a" * 5_000,
    "/proc/self/environ",
    "/proc/self/fd/0", "/dev/stdin", "/dev/zero", "a.txt/..", "a.txt/b.txt", "a.txt/../../secret.txt",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text(SECRET)
    root = tmp_path / "task" / "root"
    (root / "a").mkdir(parents=True)
    (root / "a.txt").write_text("inside")
    (root.parent / "secret.txt").write_text(SECRET)
    return root


@pytest.fixture
def tools(folder: Path) -> Mapping[str, Tool]:
    opened = open_files(FilesOptions(folder="root", writable=True), Place(folder.parent, language="en"))
    return {tool.spec.name: tool for tool in opened}


def everything_outside(folder: Path) -> dict[str, str]:
    top = folder.parent.parent
    return {str(path): path.read_text() for path in top.rglob("*") if path.is_file() and not path.is_relative_to(folder)}


def refusal(tools: Mapping[str, Tool], name: str, **arguments: Any) -> str:
    with pytest.raises((ToolFailedError, ToolRefusedError)) as caught:
        tools[name].call(arguments, Caller(language="en"))
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", BY_NAME)
def test_no_name_leads_out(path: str, folder: Path, tools: Mapping[str, Tool]) -> None:
    path = path.replace("{outside}", str(folder.parent))
    before = everything_outside(folder)
    names = sorted(str(found) for found in folder.rglob("*"))
    refusal(tools, "read_file", path=path)
    refusal(tools, "write_file", path=path, content="BREACH", overwrite=True)
    refusal(tools, "append_file", path=path, content="BREACH")
    if path != "a.txt/..":
        refusal(tools, "list_files", path=path)
    assert everything_outside(folder) == before
    assert sorted(str(found) for found in folder.rglob("*")) == names


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def hard_link(path: Path) -> None:
    os.link(path.parent.parent / "secret.txt", path)


def unix_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the whole path may be longer than a socket's may be
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root makes devices")


BY_KIND: dict[str, Callable[[Path], None]] = {
    "link to a file above": link("../secret.txt"),
    "link to an absolute file": link("/etc/passwd"),
    "link to a file inside": link("a.txt"),
    "link to a folder above": link(".."),
    "link to the root": link("/"),
    "link to itself": link("bad"),
    "link to nothing": link("../new.txt"),
    "link through proc": link("/proc/self/cwd"),
    "link to an open file": link("/proc/self/fd/0"),
    "hard link": hard_link,
    "pipe": os.mkfifo,
    "socket": unix_socket,
    "device": device,
}


@pytest.mark.parametrize("kind", BY_KIND)
def test_only_plain_files_are_opened(kind: str, folder: Path, tools: Mapping[str, Tool]) -> None:
    BY_KIND[kind](folder / "bad")
    before = everything_outside(folder)
    refusal(tools, "read_file", path="bad")
    refusal(tools, "write_file", path="bad", content="BREACH", overwrite=True)
    refusal(tools, "append_file", path="bad", content="BREACH")
    refusal(tools, "list_files", path="bad")
    refusal(tools, "read_file", path="bad/secret.txt")
    refusal(tools, "write_file", path="bad/new.txt", content="BREACH")
    assert "bad" not in tools["list_files"].call({}, Caller()).text
    assert SECRET not in tools["search_files"].call({"text": "canary"}, Caller()).text
    assert everything_outside(folder) == before


def test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere(folder: Path, tools: Mapping[str, Tool]) -> None:
    """A test of the path and then an opening of it would sooner or later meet the link in between."""
    (folder / "a" / "secret.txt").write_text("inside")
    (folder / "link").symlink_to("..")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for source, target in (("a", "b"), ("link", "a"), ("a", "link"), ("b", "a")):
                os.rename(folder / source, folder / target)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    for _ in range(1_500):
        try:
            seen.add(tools["read_file"].call({"path": "a/secret.txt"}, Caller(language="en")).text)
        except (ToolFailedError, ToolRefusedError) as error:
            seen.add(type(error).__name__)
    done.set()
    swapping.join()
    assert seen <= {"inside", "ToolFailedError", "ToolRefusedError"}
    assert "inside" in seen


def test_a_search_begun_outside_is_refused_or_finds_nothing(folder: Path, tools: Mapping[str, Tool]) -> None:
    (folder / "out").symlink_to("..")
    assert SECRET not in tools["search_files"].call({"text": "canary", "path": "out"}, Caller()).text
    refusal(tools, "search_files", text="canary", path="..")


def test_names_that_only_look_like_ways_out_are_plain_names(folder: Path, tools: Mapping[str, Tool]) -> None:
    for name in ("%2e%2e%2fsecret.txt", "a..txt", "..txt..a".strip("."), "회의 메모.txt"):
        tools["write_file"].call({"path": name, "content": "inside"}, Caller())
        assert (folder / name).read_text() == "inside"


def test_files_named_in_decomposed_hangul_are_found_by_composed_names(folder: Path, tools: Mapping[str, Tool]) -> None:
    (folder / unicodedata.normalize("NFD", "회의.txt")).write_text("맥에서 온 파일")
    assert tools["read_file"].call({"path": "회의.txt"}, Caller()).text == "맥에서 온 파일"
    tools["append_file"].call({"path": "회의.txt", "content": "!"}, Caller())
    assert len(list(folder.glob("*.txt"))) == 2
