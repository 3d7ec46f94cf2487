"""Text files in one folder: listed, read, searched; and written, if the task says so, with a person's approval.

Covered:
- No way out of the folder: every part of a path is opened by itself, from the folder before it, without following links; what is
  then read is a plain file with one name, on the folder's own disk. No test of the text alone is trusted to keep a path inside.
- Refused by name: "..", absolute paths, backslashes, drives, control and invisible characters, letters that fold to "." or "/",
  names that Windows reserves, hidden files.
- Refused by kind: links, hard links, devices, pipes, sockets, other file systems, what is not text, what is too large.
- A file is written whole or not at all, within quotas of bytes and of files.

Not covered:
- Somebody else who writes in the folder at the same time can make the quotas inexact.
- What the files say: it is data, and may hold instructions; the loop treats it so.
"""

import difflib
import errno
import os
import secrets
import stat
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from sadari.agent.tools.place import Place
from sadari.errors import ConfigError, ToolFailedError, ToolRefusedError
from sadari.types import Caller, Outcome, Tool, ToolSpec, Traits

Language = Literal["ko", "en"]

MOST_PATH_CHARS = 500
MOST_PARTS = 12
MOST_NAME_BYTES = 200
MOST_LISTED = 200
MOST_FOUND = 50
MOST_SEEN = 20_000
SEARCH_SECONDS = 5.0
_SHOWN_LINE = 200


class FilesOptions(BaseModel, frozen=True, extra="forbid"):
    """Settings of the files tools, as written under `tools:`."""

    folder: str = Field(description="The folder whose text files the agent may see; relative to the task.")
    writable: bool = Field(False, description="Whether it may also write there; each write needs approval.")
    max_file_kb: int = Field(1_000, ge=1, le=100_000, description="Largest file that is read or written, in kB.")
    quota_mb: int = Field(50, ge=1, le=100_000, description="Most that the folder may hold after a write, in MB.")
    quota_files: int = Field(1_000, ge=1, le=100_000, description="Most files and folders it may hold after a write.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"folder": value} if isinstance(value, str) else value


# --- names -------------------------------------------------------------------------------------------------------------


_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", *(f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789¹²³")]
)


def parts_of(path: str) -> tuple[str, ...]:
    """The names in a relative path, in NFC; () for the folder itself.

    Raises:
        ValueError: If a name may not be used; the message is one of the keys of `_SAYS`.
    """
    if len(path) > MOST_PATH_CHARS:
        raise ValueError("long")
    if path.startswith(("/", "~")) or "\\" in path or ":" in path:
        raise ValueError("absolute")
    names = [name for name in path.split("/") if name not in ("", ".")]
    if len(names) > MOST_PARTS:
        raise ValueError("long")
    return tuple(_checked(unicodedata.normalize("NFC", name)) for name in names)


def _checked(name: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for char in name):
        raise ValueError("invisible")
    folded = unicodedata.normalize("NFKC", name)
    if ".." in (name, folded) or any(sign in folded for sign in "/\\:") or any(sign in name for sign in "∕⁄⧸⧵∶"):
        raise ValueError("outside")
    if folded.startswith("."):
        raise ValueError("hidden")
    if (
        folded.split(".")[0].strip().lower() in _RESERVED
        or folded != folded.strip().rstrip(".")
        or any(s in folded for s in '<>"|?*')
    ):
        raise ValueError("reserved")
    if len(name.encode()) > MOST_NAME_BYTES:
        raise ValueError("long")
    return name


_SAYS: Mapping[str, Mapping[Language, str]] = {
    "long": {"ko": "경로가 너무 깁니다: {path}. 짧은 이름을 쓰세요.", "en": "The path is too long: {path}. Use shorter names."},
    "absolute": {
        "ko": "절대 경로는 쓸 수 없습니다: {path}. 폴더 안의 상대 경로를 쓰세요. 예: 회의/메모.txt",
        "en": "Absolute paths are not allowed: {path}. Write it relative to the folder, for example notes/today.txt",
    },
    "outside": {"ko": "폴더 밖으로 나갈 수 없습니다: {path}", "en": "The path leaves the folder: {path}"},
    "invisible": {
        "ko": "경로에 보이지 않는 문자가 있습니다: {path}. 글자와 숫자만 쓰세요.",
        "en": "The path holds invisible characters: {path}. Use letters and digits.",
    },
    "hidden": {"ko": "숨은 파일은 쓸 수 없습니다: {path}", "en": "Hidden files are out of reach: {path}"},
    "reserved": {
        "ko": "쓸 수 없는 파일 이름입니다: {path}. 다른 이름을 쓰세요.",
        "en": "That name cannot be used: {path}. Choose another one.",
    },
    "link": {"ko": "링크이거나 일반 파일이 아닙니다: {path}", "en": "{path} is a link or no plain file, and is not opened."},
    "missing": {"ko": "{path}이(가) 없습니다.{near}", "en": "There is no {path}.{near}"},
    "folder": {
        "ko": "{path}은(는) 폴더입니다. 파일 경로를 쓰세요.",
        "en": "{path} is a folder: give the path of a file.",
    },
    "file": {"ko": "{path}은(는) 파일입니다. 폴더 경로를 쓰세요.", "en": "{path} is a file: give the path of a folder."},
    "large": {
        "ko": "{path}은(는) {size}바이트로 너무 큽니다. {most}바이트까지 다룹니다.",
        "en": "{path} has {size} bytes; files up to {most} bytes are handled.",
    },
    "binary": {"ko": "{path}은(는) 텍스트 파일이 아닙니다.", "en": "{path} is no text file."},
    "exists": {
        "ko": "{path}이(가) 이미 있습니다. 내용을 바꾸려면 overwrite를 true로 하거나 다른 이름을 쓰세요.",
        "en": "{path} exists already. Set overwrite to true to replace it, or choose another name.",
    },
    "quota": {
        "ko": "폴더가 가득 찼습니다 ({most}). 더 짧게 쓰거나 사용자에게 정리를 부탁하세요.",
        "en": "The folder is full ({most}). Write less, or ask the user to make room.",
    },
    "disk": {"ko": "{path}을(를) 다룰 수 없습니다: {why}", "en": "{path} cannot be used: {why}"},
    "line": {"ko": "{path}은(는) {most}줄입니다. from_line을 줄이세요.", "en": "{path} has {most} lines: make from_line smaller."},
}
_REFUSED = ("outside", "hidden", "link")


class _PathError(Exception):
    """A key of `_SAYS` with what its message names."""

    def __init__(self, kind: str, **facts: object) -> None:
        super().__init__(kind)
        self.kind, self.facts = kind, facts

    def told(self, path: str, language: Language) -> ToolFailedError | ToolRefusedError:
        shown = "".join(char if char.isprintable() else "?" for char in path[:MOST_PATH_CHARS])
        error = ToolRefusedError if self.kind in _REFUSED else ToolFailedError
        return error(_SAYS[self.kind][language].format(**{"path": shown or ".", "near": "", **self.facts}))


# --- the folder --------------------------------------------------------------------------------------------------------


_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    is_folder: bool
    size: int


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder, whose plain text files are reached by relative paths and nothing else is.

    Args:
        root: Where it is.
        max_bytes: Of one file.
        quota_bytes, quota_files: Of all it holds after a write.
    """

    root: Path
    max_bytes: int
    quota_bytes: int
    quota_files: int
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def entries(self, path: str) -> list[_Entry]:
        """What stands in one folder, links and hidden files left out, folders first."""
        with self._opened(parts_of(path)) as (fd, device):
            return sorted(_entries(fd, device, ""), key=lambda entry: (not entry.is_folder, entry.path))

    def walk(self, path: str) -> Iterator[_Entry]:
        """All files under one folder, those of deeper folders too, in the order of their names."""
        pending = [("", parts_of(path))]
        seen = 0
        while pending:
            prefix, parts = pending.pop()
            with suppress(_PathError), self._opened(parts) as (fd, device):
                found = sorted(_entries(fd, device, prefix), key=lambda entry: entry.path)
                seen += len(found)
                if seen > MOST_SEEN:
                    return
                yield from (entry for entry in found if not entry.is_folder)
                if len(parts) < MOST_PARTS:
                    inner = [entry.path for entry in found if entry.is_folder]
                    pending += [(f"{name}/", (*parts_of(path), *name.split("/"))) for name in reversed(inner)]

    def read(self, path: str) -> str:
        """The text of one file."""
        data = self._bytes(path)
        text = _decoded(data)
        if text is None:
            raise _PathError("binary")
        return text

    def write(self, path: str, text: str, overwrite: bool) -> int:
        """Make one file hold `text`, and the folders above it; the bytes it then has. A repeated write changes nothing."""
        with self._lock:
            before = self._before(path)
            data = text.encode()
            if before is not None and before != data and not overwrite:
                raise _PathError("exists")
            return self._replace(path, before, data)

    def append(self, path: str, text: str) -> int:
        """Add `text` at the end of one file, which may be new; the bytes it then has."""
        with self._lock:
            before = self._before(path)
            if before is not None and _decoded(before) is None:
                raise _PathError("binary")
            return self._replace(path, before, (before or b"") + text.encode())

    def near(self, path: str) -> list[str]:
        """Names of files that resemble one that is missing."""
        known = [entry.path for entry in self.walk("")]
        bare = {name.rsplit("/", 1)[-1]: name for name in known}
        close = difflib.get_close_matches(path, known, 3, 0.5) or difflib.get_close_matches(path.rsplit("/", 1)[-1], bare, 3, 0.5)
        return [bare.get(name, name) for name in close]

    @contextmanager
    def _opened(self, parts: Sequence[str], make: bool = False) -> Iterator[tuple[int, int]]:
        """A descriptor of the folder that `parts` lead to, and the device that all of it is on."""
        with ExitStack() as stack:
            fd = _open(str(self.root), _FOLDER_FLAGS, None)
            stack.callback(os.close, fd)
            device = os.fstat(fd).st_dev
            for part in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(_spelling(part, fd), 0o755, dir_fd=fd)
                fd = _open(_spelling(part, fd), _FOLDER_FLAGS, fd)
                stack.callback(os.close, fd)
                if os.fstat(fd).st_dev != device:
                    raise _PathError("link")
            yield fd, device

    def _bytes(self, path: str) -> bytes:
        *above, name = parts_of(path) or ("",)
        if not name:
            raise _PathError("folder")
        with self._opened(above) as (fd, device):
            name = _spelling(name, fd)
            _check(_status(name, fd), device)  # before it is opened: to open some devices is to act on them
            file = _open(name, _FILE_FLAGS, fd)
            try:
                found = os.fstat(file)
                _check(found, device)
                if found.st_size > self.max_bytes:
                    raise _PathError("large", size=found.st_size, most=self.max_bytes)
                with open(file, "rb", closefd=False) as stream:
                    return stream.read(self.max_bytes)
            finally:
                os.close(file)

    def _before(self, path: str) -> bytes | None:
        try:
            return self._bytes(path)
        except _PathError as trouble:
            if trouble.kind == "missing":
                return None
            raise

    def _replace(self, path: str, before: bytes | None, data: bytes) -> int:
        if len(data) > self.max_bytes:
            raise _PathError("large", size=len(data), most=self.max_bytes)
        *above, name = parts_of(path)
        if before == data:
            return len(data)
        self._check_quota(len(data) - len(before or b""), 0 if before is not None else 1)
        with self._opened(above, make=True) as (fd, _):
            name = _spelling(name, fd)
            draft = f".{secrets.token_hex(8)}.tmp"
            try:
                file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=fd)
                with open(file, "wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(file)
                os.replace(draft, name, src_dir_fd=fd, dst_dir_fd=fd)
                os.fsync(fd)
            except BaseException:
                with suppress(OSError):
                    os.unlink(draft, dir_fd=fd)
                raise
        return len(data)

    def _check_quota(self, more_bytes: int, more_files: int) -> None:
        held_bytes = held_files = 0
        top = os.open(self.root, _FOLDER_FLAGS)
        try:
            for _, folders, files, fd in os.fwalk(".", dir_fd=top, follow_symlinks=False):
                held_files += len(folders) + len(files)
                if held_files > max(self.quota_files, MOST_SEEN):
                    raise _PathError("quota", most=f"{self.quota_files} files")
                held_bytes += sum(os.stat(name, dir_fd=fd, follow_symlinks=False).st_size for name in files)
        finally:
            os.close(top)
        if more_bytes > 0 and held_bytes + more_bytes > self.quota_bytes:
            raise _PathError("quota", most=f"{self.quota_bytes // 10**6} MB")
        if more_files and held_files + more_files > self.quota_files:
            raise _PathError("quota", most=f"{self.quota_files} files")


def _open(name: str, flags: int, fd: int | None) -> int:
    try:
        return os.open(name, flags, dir_fd=fd)
    except OSError as error:
        if error.errno == errno.ENOTDIR and fd is not None and stat.S_ISREG(_status(name, fd).st_mode):
            raise _PathError("file") from error
        raise _told_by_system(error) from error


def _told_by_system(error: OSError) -> _PathError:
    if error.errno == errno.ENOENT:
        return _PathError("missing")
    if error.errno in (errno.ELOOP, errno.ENXIO, errno.EMLINK, errno.ENOTDIR):  # ENOTDIR: a link to a folder is no folder
        return _PathError("link")
    return _PathError("disk", why=error.strerror or "OSError")


def _status(name: str, fd: int) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError as error:
        raise _told_by_system(error) from error


def _check(found: os.stat_result, device: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise _PathError("folder")
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_dev != device:
        raise _PathError("link")


def _spelling(name: str, fd: int) -> str:
    """The name as the disk has it: files that come from a Mac are named in decomposed Hangul."""
    decomposed = unicodedata.normalize("NFD", name)
    if decomposed != name:
        for spelling in (name, decomposed):
            with suppress(FileNotFoundError):
                os.stat(spelling, dir_fd=fd, follow_symlinks=False)
                return spelling
    return name


def _entries(fd: int, device: int, prefix: str) -> Iterator[_Entry]:
    for name in os.listdir(fd):
        try:
            usable = parts_of(name)
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except (ValueError, OSError):
            continue
        is_folder = stat.S_ISDIR(found.st_mode)
        is_file = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        if len(usable) == 1 and found.st_dev == device and (is_folder or is_file):
            yield _Entry(prefix + usable[0], is_folder, found.st_size)


_MARKED = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def _decoded(data: bytes) -> str | None:
    """As UTF-8, UTF-16 with its mark, or CP949, which Korean Windows writes; None for what is no text."""
    marked = next((encoding for mark, encoding in _MARKED if data.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", "cp949"):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            return None if "\0" in text else text
    return None


# --- the tools ---------------------------------------------------------------------------------------------------------


Act = Callable[[Folder, Mapping[str, Any], Language], Outcome]


@dataclass(frozen=True, slots=True)
class _FilesTool:
    spec: ToolSpec
    traits: Traits
    folder: Folder
    act: Act

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        path = str(arguments.get("path") or "")
        try:
            return self.act(self.folder, arguments, caller.language)
        except ValueError as error:  # of `parts_of`, or text that is no Unicode
            kind = str(error) if str(error) in _SAYS else "binary"
            raise _PathError(kind).told(path, caller.language) from error
        except _PathError as trouble:
            if trouble.kind == "missing" and (near := self.folder.near(path)):
                ask = "비슷한 파일" if caller.language == "ko" else "Did you mean"
                trouble.facts["near"] = f" {ask}: {', '.join(near)}"
            raise trouble.told(path, caller.language) from trouble
        except OSError as error:
            raise _PathError("disk", why=error.strerror or "OSError").told(path, caller.language) from error


def _list(folder: Folder, arguments: Mapping[str, Any], language: Language) -> Outcome:
    found = folder.entries(str(arguments.get("path") or ""))
    lines = [f"{entry.path}/" if entry.is_folder else f"{entry.path} ({entry.size:,} B)" for entry in found[:MOST_LISTED]]
    if len(found) > MOST_LISTED:
        lines.append(f"... 외 {len(found) - MOST_LISTED}개" if language == "ko" else f"... and {len(found) - MOST_LISTED} more")
    data = [{"name": entry.path, "folder": entry.is_folder, "bytes": entry.size} for entry in found[:MOST_LISTED]]
    return Outcome("\n".join(lines) or ("비어 있습니다." if language == "ko" else "Empty."), data)


def _read(folder: Folder, arguments: Mapping[str, Any], language: Language) -> Outcome:
    lines = folder.read(str(arguments["path"])).splitlines()
    first = max(1, int(arguments.get("from_line") or 1))
    if first > max(1, len(lines)):
        raise _PathError("line", most=len(lines))
    if first == 1:
        return Outcome("\n".join(lines), {"lines": len(lines)})
    head = f"[{first}-{len(lines)}번째 줄]" if language == "ko" else f"[lines {first} to {len(lines)}]"
    return Outcome("\n".join([head, *lines[first - 1 :]]), {"lines": len(lines)})


def _search(folder: Folder, arguments: Mapping[str, Any], language: Language) -> Outcome:
    wanted = unicodedata.normalize("NFC", str(arguments["text"])).casefold()
    until, hits = monotonic() + SEARCH_SECONDS, list[dict[str, Any]]()
    start = str(arguments.get("path") or "")
    is_whole = True
    for entry in folder.walk(start):
        if monotonic() > until or len(hits) >= MOST_FOUND:
            is_whole = False
            break
        with suppress(_PathError, ValueError):
            path = "/".join((*parts_of(start), entry.path))
            for number, line in enumerate(unicodedata.normalize("NFC", folder.read(path)).splitlines(), 1):
                if wanted in line.casefold() and len(hits) < MOST_FOUND:
                    hits.append({"path": path, "line": number, "text": line.strip()[:_SHOWN_LINE]})
    lines = [f"{hit['path']}:{hit['line']}: {hit['text']}" for hit in hits]
    if not is_whole:
        lines.append(
            "... 더 있을 수 있습니다. 더 긴 말로 찾으세요."
            if language == "ko"
            else "... there may be more: search for a longer text."
        )
    return Outcome("\n".join(lines) or ("찾지 못했습니다." if language == "ko" else "Nothing found."), hits)


def _write(folder: Folder, arguments: Mapping[str, Any], language: Language) -> Outcome:
    return _written(
        folder.write(str(arguments["path"]), str(arguments["content"]), bool(arguments.get("overwrite"))), arguments, language
    )


def _append(folder: Folder, arguments: Mapping[str, Any], language: Language) -> Outcome:
    return _written(folder.append(str(arguments["path"]), str(arguments["content"])), arguments, language)


def _written(size: int, arguments: Mapping[str, Any], language: Language) -> Outcome:
    path = "/".join(parts_of(str(arguments["path"])))
    said = f"{path}에 저장했습니다 ({size:,}바이트)." if language == "ko" else f"{path} is saved ({size:,} bytes)."
    return Outcome(said, {"path": path, "bytes": size})


_TEXTS: Mapping[Language, Mapping[str, str]] = {
    "ko": {
        "list_files": "폴더에 있는 파일과 하위 폴더의 이름을 보여 줍니다.",
        "read_file": "텍스트 파일을 읽습니다.",
        "search_files": "모든 텍스트 파일에서 글자를 찾아 파일, 줄 번호, 줄을 보여 줍니다.",
        "write_file": "텍스트 파일을 새로 만들거나 전체를 바꿉니다.",
        "append_file": "텍스트 파일 끝에 덧붙입니다.",
        "path": "폴더 안의 상대 경로. 예: 회의/메모.txt",
        "from_line": "이 줄부터 읽습니다 (1부터).",
        "text": "찾을 글자",
        "content": "쓸 내용",
        "overwrite": "이미 있는 파일을 바꿀지",
    },
    "en": {
        "list_files": "Lists the files and folders in a folder.",
        "read_file": "Reads a text file.",
        "search_files": "Finds a text in all text files: file, line number and line.",
        "write_file": "Makes a text file, or replaces the whole of one.",
        "append_file": "Adds text at the end of a file.",
        "path": "Relative path in the folder, for example notes/today.txt",
        "from_line": "The first line to read, from 1.",
        "text": "The text to find",
        "content": "What to write",
        "overwrite": "Whether an existing file is replaced",
    },
}
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "path": {"type": "string", "maxLength": MOST_PATH_CHARS},
    "from_line": {"type": "integer", "minimum": 1},
    "text": {"type": "string", "minLength": 1, "maxLength": 200},
    "content": {"type": "string"},
    "overwrite": {"type": "boolean"},
}
_READS: Mapping[str, tuple[Act, tuple[str, ...], tuple[str, ...]]] = {
    "list_files": (_list, (), ("path",)),
    "read_file": (_read, ("path",), ("from_line",)),
    "search_files": (_search, ("text",), ("path",)),
}
_WRITES: Mapping[str, tuple[Act, tuple[str, ...], tuple[str, ...]]] = {
    "write_file": (_write, ("path", "content"), ("overwrite",)),
    "append_file": (_append, ("path", "content"), ()),
}


def open_files(options: FilesOptions, place: Place) -> list[Tool]:
    """The tools `list_files`, `read_file`, `search_files`; and `write_file`, `append_file` if the folder is writable.

    Raises:
        ConfigError: If there is no such folder, or a writable one holds the task itself.
    """
    root = place.path(options.folder)
    if not root.is_dir():
        raise ConfigError(f"tools: files: {options.folder} is no folder ({root}). Make it, or name another one.")
    if options.writable and place.folder.resolve().is_relative_to(root):
        raise ConfigError(
            f"tools: files: {options.folder} holds the task file itself, which the agent could then rewrite. "
            "Name a folder below it, such as `files: notes`, or take `writable` away."
        )
    folder = Folder(root, options.max_file_kb * 1_000, options.quota_mb * 1_000_000, options.quota_files)
    reads = [_tool(name, Traits(timeout_s=15.0), folder, place.language) for name in _READS]
    if not options.writable:
        return reads
    write = _tool("write_file", Traits("write", is_idempotent=True, is_trusted=True), folder, place.language)
    return [*reads, write, _tool("append_file", Traits("write", is_trusted=True), folder, place.language)]


def _tool(name: str, traits: Traits, folder: Folder, language: Language) -> Tool:
    act, required, optional = {**_READS, **_WRITES}[name]
    texts = _TEXTS[language]
    parameters = {
        "type": "object",
        "properties": {argument: {**_SCHEMAS[argument], "description": texts[argument]} for argument in (*required, *optional)},
        "required": list(required),
        "additionalProperties": False,
    }
    return _FilesTool(ToolSpec(name, texts[name], parameters), traits, folder, act)
