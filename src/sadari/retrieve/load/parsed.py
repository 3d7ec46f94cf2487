"""What a reader makes of one file, and how it says that it cannot."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PAGE_BREAK = "\n\n"

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u302a-\u302f\u3099\u309a\ufe20-\ufe2f]{31,}"
)
_BLANK_LINES = re.compile(r"\n{3,}")


class UnreadableError(Exception):
    """The bytes hold no document that can be read.

    Args:
        reason: What is wrong and what to do.
        where: The place in the file, for example ` line 3`; it follows the name of the file.
    """

    def __init__(self, reason: str, *, where: str = "") -> None:
        super().__init__(reason)
        self.reason, self.where = reason, where


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file as it was read.

    Args:
        text: In NFC, with Markdown headings and tables; "" for an archive.
        title: As the file states it; "" if it does not.
        pages: Where in `text` each page begins.
        date: YYYY-MM-DD from the file's own metadata; "" if it states none.
        access: Labels from its front matter.
        pictures: Pages, from 0, that show something but hold no text.
        inner: Names of files inside that are still to be read: members of an archive, attachments of a mail.
        unread: Parts that hold something which was not read: name and reason.
    """

    text: str = ""
    title: str = ""
    pages: tuple[int, ...] = ()
    date: str = ""
    access: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[int, ...] = ()
    inner: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()


def compose(text: str) -> str:
    """The text in NFC with plain line ends, and otherwise as it stands.

    Of a run of combining marks 30 are kept, as many as any language uses (UAX #15): to order more takes time with their square.
    """
    text = _MARKS.sub(lambda run: run[0][:30], text.replace("\r\n", "\n").replace("\r", "\n"))
    return unicodedata.normalize("NFC", text)


def clean(text: str) -> str:
    """The text composed, without control characters, trailing blanks and runs of empty lines."""
    text = _CONTROLS.sub("", compose(text.replace("\x0b", "\n").replace("\x0c", "\n")))
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def join_pages(pages: Iterable[str]) -> tuple[str, tuple[int, ...]]:
    """Cleaned pages as one text, and where each begins in it."""
    text, starts, length = [], [], 0
    for page in pages:
        page = clean(page)
        starts.append(length)
        text.append(page)
        length += len(page) + len(PAGE_BREAK)
    return PAGE_BREAK.join(text), tuple(starts)


def iso_date(value: object) -> str:
    """The day of a date as files write it (`2026-05-01T…`, `D:20260501…`, a datetime); "" if it is none."""
    found = re.match(r"(?:D:)?\s*((?:19|20)\d\d)[-./]?(\d\d)[-./]?(\d\d)", str(value or ""))
    if found is None or not ("01" <= found[2] <= "12" and "01" <= found[3] <= "31"):
        return ""
    return "-".join(found.groups())
