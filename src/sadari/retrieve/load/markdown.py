"""Markdown: tables written, headings and front matter read, all in time linear in the text."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from sadari.retrieve.load.parsed import UnreadableError

_FRONT = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_CHARS = 20_000
_RESTRICTED = re.compile(r"^[ \t\"']*access[ \t\"']*:", re.MULTILINE | re.IGNORECASE)
_HEADING_CHARS = 300
_ATTRIBUTES = re.compile(r"[ \t]*\{[^{}\n]*\}[ \t]*$")


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows as a Markdown table whose header is the first row; empty rows and trailing empty columns are left out."""
    cells = [[_cell(value) for value in row] for row in rows]
    cells = [row for row in cells if any(row)]
    width = max((at + 1 for row in cells for at, value in enumerate(row) if value), default=0)
    if not width:
        return ""
    lines = ["| " + " | ".join((row + [""] * width)[:width]) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * width, *lines[1:]])


def _cell(value: str) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def first_heading(text: str) -> str:
    """The first heading that stands outside of fenced code, without closing `#` and `{attributes}`; "" if there is none."""
    fence = ""
    for line in text.split("\n"):
        stripped = line.lstrip(" ")
        mark = stripped[:3]
        if fence:
            fence = "" if mark == fence else fence
        elif mark in ("```", "~~~"):
            fence = mark
        elif stripped.startswith("#") and len(line) - len(stripped) <= 3:
            words = stripped[:_HEADING_CHARS].lstrip("#")
            if len(stripped) - len(stripped.lstrip("#")) <= 6 and words[:1] in (" ", "\t"):
                heading = _ATTRIBUTES.sub("", words.strip()).rstrip("# \t")
                if heading:
                    return heading
    return ""


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The YAML mapping between `---` lines at the top, and the text below it; ({}, text) if there is none.

    Raises:
        UnreadableError: If it names access labels but is broken: nobody could tell then who may read the document.
    """
    if not text.startswith("---"):
        return {}, text
    found = _FRONT.match(text[:_FRONT_CHARS])
    values = _mapping(found[1]) if found else None
    if found is None or values is None:
        if _RESTRICTED.search(text[:_FRONT_CHARS].split("\n---", 2)[0]):
            raise UnreadableError("front matter: is broken YAML, so that its `access` cannot be told. Mend it.")
        return {}, text
    return values, text[found.end() :].lstrip("\n")


def _mapping(front: str) -> dict[str, Any] | None:
    try:
        aliased = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(front))  # aliases multiply
        values = None if aliased else yaml.safe_load(front)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
