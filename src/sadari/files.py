"""Files that are whole or absent: every write goes to a temporary neighbour first and is then renamed."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from sadari.errors import DataError, RunError

T = TypeVar("T")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; after a crash at any moment the file holds the old text or the new.

    Raises:
        RunError: If the disk is full or the folder cannot be written; names the path.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which appears under `path` only when the block ends well. An older folder there is replaced.

    Raises:
        RunError: If the disk is full or the folder cannot be written; names the path.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        yield draft
        if path.exists():
            shutil.rmtree(path)
        draft.replace(path)
    except Exception as error:
        if isinstance(error, OSError) or _WRITE_FAILED.search(str(error)):
            raise _cannot_write(path, error) from error
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


_WRITE_FAILED = re.compile("I/O error|IoError|No space left|failed writing|unexpected pos")
"""How torch and safetensors tell that the disk is full: their errors are no `OSError`s."""


def _cannot_write(path: Path, error: Exception) -> RunError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
    return RunError(f"{path} cannot be written: {why}. Free space or mend the folder, then run the same command again.")


def to_json(value: Any, kind: Any = None) -> str:
    """One noun as indented JSON, Hangul readable."""
    plain = TypeAdapter(kind or type(value)).dump_python(value, mode="json")
    return json.dumps(plain, ensure_ascii=False, indent=2) + "\n"


def read_json(path: Path, kind: type[T]) -> T:
    """One noun from a JSON file.

    Raises:
        RunError: If the file is missing or does not hold the noun; names the path.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        why = str(error).splitlines()[0]
        raise RunError(f"{path} is damaged: it holds no {kind.__name__.strip('_')} ({why}). Delete it and run again.") from error


def kept(path: Path, kind: type[T], make: Callable[[], T]) -> T:
    """What `path` holds; if there is no such file yet, what `make` makes, written there first.

    What is returned was read from the file, so a continued run sees the very values that an undisturbed one sees.
    """
    if not path.exists():
        write_text(path, to_json(make(), kind))
    return read_json(path, kind)


def write_lines(path: Path, values: Iterable[T], kind: type[T]) -> None:
    """Write nouns as JSONL, one a line."""
    adapter = TypeAdapter(kind)
    write_text(path, "".join(adapter.dump_json(v).decode() + "\n" for v in values))


def append_line(path: Path, value: T, kind: type[T]) -> None:
    """Add one noun to a log. A last line that a crash left unfinished is taken away first: it was never told as written.

    Raises:
        RunError: If the file cannot be written; names the path.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            with suppress(OSError):  # where there are no locks, two that write at once may take each other's line for unfinished
                fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(TypeAdapter(kind).dump_json(value) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot_write(path, error) from error


def read_log(path: Path, kind: type[T]) -> list[T]:
    """What `append_line` wrote, oldest first; nothing where there is no file.

    Raises:
        RunError: If a finished line does not hold the noun; names the path.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return [TypeAdapter(kind).validate_json(line) for line in lines]
    except ValueError as error:
        raise RunError(f"{path} is damaged ({str(error).splitlines()[0]}). Move it away and run again.") from error


def read_lines(path: Path, kind: type[T]) -> list[T]:
    """Nouns from a JSONL file.

    Raises:
        DataError: If the file is missing or a line does not hold the noun; names file and line.
    """
    adapter = TypeAdapter(kind)
    values = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    values.append(adapter.validate_json(line))
                except ValueError as error:
                    raise DataError(f"{path} line {number}: not a {kind.__name__}: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. It belongs to the bundle: copy the whole folder.") from error
    return values
