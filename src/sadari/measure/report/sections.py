"""A report in pieces: sections of text and tables, the same for the HTML page and for Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["", "notice", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is read: the first column names the row, the others are figures.

    Raises:
        ValueError: If a row is not as long as the head.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"the table {self.caption or self.columns} has a row that is not {len(self.columns)} long.")


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report.

    Args:
        name: Its place in the page, in Latin letters.
        level: How loudly it is told; "" is plain.
        text: Paragraphs.
        points: A list under the paragraphs.
    """

    name: str
    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    level: Level = ""


def section_markdown(section: Section, *, depth: int = 2) -> str:
    """The section as GitHub-flavoured Markdown."""
    head = f"{'#' * depth} {_plain(section.title)}"
    blocks = [head, *(_plain(text) for text in section.text)]
    if section.points:
        blocks.append("\n".join(f"- {_plain(point)}" for point in section.points))
    for table in section.tables:
        blocks += ([f"**{_plain(table.caption)}**"] if table.caption else []) + [table_markdown(table)]
    return "\n\n".join(blocks)


def table_markdown(table: Table) -> str:
    """The table in pipes; what could end a cell is escaped."""
    lines = [table.columns, ("---", *("---:" for _ in table.columns[1:])), *table.rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|") or " "


def _plain(text: str) -> str:
    """One line in which nothing is markup: what users and models wrote must not become links or HTML."""
    escaped = re.sub(r"([\\`*_\[\]<>#~])", r"\\\1", " ".join(text.split()))  # two ~ strike out what is between: 10~20, 30~40
    return re.sub(r"(?i)\b(https?|ftp)://|\bwww\.", lambda found: found[0].replace(":", "\\:").replace(".", "\\."), escaped)


def fitting(sections: Sequence[Section | None]) -> list[Section]:
    """The sections that have something to say."""
    return [section for section in sections if section is not None]
