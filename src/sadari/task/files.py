"""Reading files at the edge: every failure names the file and what to do."""

import difflib
import gzip
import os
import re
import zlib
from pathlib import Path

from sadari.errors import DataError
from sadari.task.text import nfc

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_OTHER_ENCODINGS = ("cp949", "utf-16", "cp1252")


def shown_path(path: Path, folder: Path | None) -> str:
    """The path as messages print it: relative to `folder` where it lies inside."""
    if folder is not None:
        try:
            return nfc(path.resolve().relative_to(folder.resolve()).as_posix())
        except ValueError:
            pass
    return nfc(str(path))


def resolve_path(name: str, folder: Path) -> Path:
    """The path that a task file means: relative to `folder`, with `~`, `${NAME}` and `${NAME:-default}` filled in.

    Raises:
        DataError: If an environment variable is not set and has no default.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if found is None:
            raise DataError(f"{name}: the environment variable {match[1]} is not set. Set it, or write ${{{match[1]}:-default}}.")
        return found

    return folder / Path(_VARIABLE.sub(value, name)).expanduser()


def read_text(path: Path, shown: str) -> str:
    """The file's text, in NFC, without a byte order mark; `.gz` is unpacked.

    Raises:
        DataError: If there is no such file, it is a folder, cannot be read, or is not UTF-8. `shown` is how the message names it.
    """
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file())
        example = f", for example {shown.rstrip('/')}/{inside[0]}" if inside else ""
        raise DataError(f"{shown}: is a folder, but a file is needed. Name the file in it{example}.")
    if not path.exists():
        raise DataError(f"{shown}: no such file.{_nearby(path)} A path is taken relative to the folder of sadari.yaml.")
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{shown}: cannot be unpacked as gzip ({error}). Pack it again, or give the plain file.") from error
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror or error}). Check its permissions.") from error
    try:
        return nfc(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(data, error, shown)) from error


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {path.parent} either."
    close = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def _not_utf8(data: bytes, error: UnicodeDecodeError, shown: str) -> str:
    bom = b"\xef\xbb\xbf"
    at = error.start + (len(bom) if data.startswith(bom) else 0)  # utf-8-sig counts after the mark
    line = data.count(b"\n", 0, at) + 1
    fitting = ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else [name for name in _OTHER_ENCODINGS if _decodes(data, name)]
    guess = " or ".join(fitting) if fitting else "cp949 (Korean Windows)"
    first = fitting[0] if fitting else "cp949"
    return (
        f"{shown} line {line}: not UTF-8 at byte {at} (0x{data[at]:02x}). It may be {guess}; convert it: iconv -f {first} -t utf-8."
    )


def _decodes(data: bytes, encoding: str) -> bool:
    if encoding == "utf-16" and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return False
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
