"""Markdown of an answer as HTML that may stand in a page.

Covered: HTML in the text is shown as text; links lead to http, https and mailto only, and tell nobody where they were clicked;
pictures are shown as the text that describes them, so that reading an answer fetches nothing; no attribute holds a style
or a title.
Not covered: a link that says one address and leads to another; the agent's filters look at where links lead.
"""

import re
from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Any

from markdown_it import MarkdownIt

LONGEST = 20_000
"""Characters that are read as Markdown; what follows stands as it is. The worst text of this length takes 0.3 s."""

_LINKS = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_PLACE = 0xE000  # characters that no text means anything by: they hold the places of marks while Markdown is read
_HELD = re.compile("[\ue000-\uf8ff]")
_NO_ROOM = re.compile(r"\s*(?:\||#|```|~~~|    |\t)")


def to_html(text: str, marks: Sequence[tuple[int, str]] = ()) -> str:
    """The text as HTML.

    Args:
        marks: What stands behind so many characters of the text, as HTML that is put there as it is. One that falls into a code
            block, a heading or a table is left out.
    """
    text, rest = _HELD.sub("\ufffd", text[:LONGEST]), text[LONGEST:]
    shown: list[str] = []
    for place, mark in sorted(marks, key=lambda one: one[0])[::-1][: 0xF8FF - _PLACE]:
        if place <= len(text) and _has_room(text, place):
            text = f"{text[:place]}{chr(_PLACE + len(shown))}{text[place:]}"
            shown.append(mark)
    html: str = _reader().render(text, {"marks": shown})
    return f"{html}<p>{escape(rest)}</p>\n" if rest else html


def _has_room(text: str, place: int) -> bool:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return "```" not in text and "~~~" not in text and not _NO_ROOM.match(line)


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    reader.validateLink = _may_be_linked  # type: ignore[method-assign]
    for name, rule in _RULES.items():
        reader.add_render_rule(name, rule)
    return reader


def _may_be_linked(url: str) -> bool:
    return _LINKS.match(url) is not None


def _text(self: Any, tokens: Any, i: int, options: Any, env: Any) -> str:
    marks = dict(enumerate(env["marks"]))
    return _HELD.sub(lambda held: marks.get(ord(held[0]) - _PLACE, ""), escape(tokens[i].content))  # "&#xE000;" is none


def _code(self: Any, tokens: Any, i: int, options: Any, env: Any) -> str:
    code = escape(_HELD.sub("", tokens[i].content))
    return f"<code>{code}</code>" if tokens[i].type == "code_inline" else f"<pre><code>{code}</code></pre>\n"


def _picture(self: Any, tokens: Any, i: int, options: Any, env: Any) -> str:
    return escape(_HELD.sub("", tokens[i].content))


def _link(self: Any, tokens: Any, i: int, options: Any, env: Any) -> str:
    return f'<a href="{escape(str(tokens[i].attrs["href"]))}" target="_blank" rel="noopener noreferrer">'


def _heading(self: Any, tokens: Any, i: int, options: Any, env: Any) -> str:
    level = min(6, int(tokens[i].tag[1]) + 2)  # under the headings of the page
    return f"<h{level}>" if tokens[i].nesting == 1 else f"</h{level}>\n"


def _table(self: Any, tokens: Any, i: int, options: Any, env: Any) -> str:
    return '<div class="table" tabindex="0"><table>\n' if tokens[i].nesting == 1 else "</table></div>\n"


def _cell(self: Any, tokens: Any, i: int, options: Any, env: Any) -> str:
    is_number = tokens[i].attrs.get("style") == "text-align:right"  # pages take no styles from attributes
    return f'<{tokens[i].tag} class="number">' if is_number else f"<{tokens[i].tag}>"


_RULES = {
    "text": _text,
    "code_inline": _code,
    "code_block": _code,
    "fence": _code,
    "image": _picture,
    "link_open": _link,
    "heading_open": _heading,
    "heading_close": _heading,
    "table_open": _table,
    "table_close": _table,
    "th_open": _cell,
    "td_open": _cell,
}
