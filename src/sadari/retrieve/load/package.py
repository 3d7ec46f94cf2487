"""Zip packages (archives, Office files, HWPX): opened only when what they say they unpack to stays within the limits."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sadari.retrieve.load.kinds import HEAD_BYTES, is_document, suffix_of
from sadari.retrieve.load.limits import Limits, megabytes
from sadari.retrieve.load.parsed import Parsed, UnreadableError, compose

_BOMB_BYTES = 1 << 20
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800
_LINK = 0o120000


@contextmanager
def open_package(data: bytes, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """A zip file whose members may be read: `zipfile` never yields more of a member than it states.

    Raises:
        UnreadableError: If it is damaged, or its members would unpack to too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            _check_size(package.infolist(), limits)
            yield package
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise UnreadableError(f"is damaged or cut short ({error}). Get it again, or delete it.") from error


def _check_size(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(members) > limits.members:
        raise UnreadableError(f"holds {len(members):,} files; the limit is {limits.members:,} (`members`). Split it.")
    total = sum(member.file_size for member in members)
    if total > limits.unpacked_bytes:
        raise UnreadableError(
            f"unpacks to {megabytes(total)}; the limit is {megabytes(limits.unpacked_bytes)} (`unpacked_bytes`). Split it."
        )
    for member in members:
        if member.file_size > _BOMB_BYTES and member.file_size > limits.ratio * max(member.compress_size, 1):
            ratio = member.file_size / max(member.compress_size, 1)
            raise UnreadableError(
                f"looks like a zip bomb: {member.filename[:80]} unpacks to {ratio:,.0f} times its size; the limit is "
                f"{limits.ratio:,.0f} (`ratio`). If it is honest, unpack it first."
            )


def list_archive(data: bytes, limits: Limits) -> Parsed:
    """The documents in a zip archive as `inner`; those that cannot be read as `unread`. Pictures and the like are left out."""
    inner, unread = [], []
    with open_package(data, limits) as package:
        for member in package.infolist():
            name = _name(member)
            if member.is_dir() or _is_hidden(name):
                continue
            if member.external_attr >> 16 & 0o170000 == _LINK:
                unread.append((name, "is a symbolic link. Pack the file itself."))
            elif member.flag_bits & _ENCRYPTED:
                unread.append((name, "is password-protected. Pack it without a password."))
            elif suffix_of(name) == ".zip":
                unread.append((name, "is an archive inside an archive. Unpack it first."))
            elif member.file_size > limits.file_bytes:
                unread.append((name, f"is larger than {megabytes(limits.file_bytes)} (`file_bytes`). Split it."))
            elif is_document(name, _head(package, member)):
                inner.append(name)
    twice = {name for name in inner if inner.count(name) > 1} if len(set(inner)) < len(inner) else set()
    unread += [(name, "stands twice in the archive; the last one is read. Give each its own name.") for name in sorted(twice)]
    return Parsed(inner=tuple(dict.fromkeys(inner)), unread=tuple(unread))


def read_member(data: bytes, name: str, limits: Limits) -> bytes:
    """The bytes of one member, by the name that `list_archive` gave it."""
    with open_package(data, limits) as package:
        for member in reversed(package.infolist()):
            if _name(member) == name and member.file_size <= limits.file_bytes:
                return package.read(member)
    raise UnreadableError("is not in the archive any more.")


def _head(package: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with package.open(member) as file:
            return file.read(HEAD_BYTES)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError):
        return b""  # told when the member itself is read, if its name says that it is a document


def _name(member: zipfile.ZipInfo) -> str:
    """The member's name; Korean Windows writes CP949 without saying so, which `zipfile` takes for CP437."""
    name = member.filename
    if not member.flag_bits & _UTF8_NAME and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("cp949")
    return compose("/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")))


def _is_hidden(name: str) -> bool:
    return not name or any(part.startswith((".", "__MACOSX", "~$")) for part in name.split("/"))
