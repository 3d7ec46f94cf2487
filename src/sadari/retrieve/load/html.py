"""Web pages (BeautifulSoup over lxml, which fetches nothing): what a reader would see, as Markdown.

Not covered: what a script would put there; elements nested more than 256 deep, where lxml stops.
"""

import re
from collections.abc import Iterator
from typing import Any

from sadari.retrieve.load.encoding import decode
from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.markdown import table
from sadari.retrieve.load.parsed import Parsed, clean, iso_date

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([\w-]{2,30})", re.IGNORECASE)
_UNSEEN = {"script", "style", "noscript", "template", "head", "svg", "iframe", "object", "select", "button", "nav"}
_BLOCKS = set(
    "p div section article main header footer aside ul ol dl dt dd figure figcaption blockquote form fieldset".split()  # noqa: SIM905
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.IGNORECASE)
_DATES = (
    "article:modified_time",
    "last-modified",
    "dcterms.modified",
    "og:updated_time",
    "date",
    "article:published_time",
    "dcterms.date",
)


def read_html(data: bytes, limits: Limits) -> Parsed:
    """Headings, lists, tables and text of a page; hidden parts, scripts and menus are left out."""
    from bs4 import BeautifulSoup

    charset = _CHARSET.search(data[:4096])
    soup = BeautifulSoup(decode(data, charset[1].decode() if charset else ""), "lxml")
    text = clean("".join(_pieces(soup.body or soup)))
    named = {str(tag.get("property") or tag.get("name") or "").lower(): str(tag.get("content") or "") for tag in soup("meta")}
    date = next((day for name in _DATES if (day := iso_date(named.get(name)))), "")
    language = str(soup.html.get("lang") or "") if soup.html else ""
    heading = soup.title or soup.h1
    title = " ".join(heading.get_text().split()) if heading else ""
    return Parsed(text, clean(title), date=date, metadata={"language": language} if language else {})


def html_text(page: str) -> str:
    """The text of a piece of HTML, such as the body of a mail."""
    from bs4 import BeautifulSoup

    return clean("".join(_pieces(BeautifulSoup(page, "lxml"))))


def _pieces(tag: Any) -> Iterator[str]:
    from bs4.element import NavigableString, PreformattedString, Tag

    for child in tag.children:
        if isinstance(child, Tag):
            if child.name not in _UNSEEN and not _is_hidden(child):
                yield from _element(child)
        elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):  # comments, doctypes
            yield re.sub(r"\s+", " ", child)


def _element(tag: Any) -> Iterator[str]:
    name = tag.name
    if re.fullmatch("h[1-6]", name):
        words = " ".join("".join(_pieces(tag)).split())
        yield f"\n\n{'#' * int(name[1])} {words}\n\n" if words else ""
    elif name == "table":
        yield f"\n\n{_table(tag)}\n\n"
    elif name == "pre":
        yield f"\n\n```\n{tag.get_text().strip(chr(10))}\n```\n\n"
    elif name == "br":
        yield "\n"
    elif name == "hr":
        yield "\n\n"
    elif name == "li":
        yield f"\n- {''.join(_pieces(tag)).strip()}"
    elif name in _BLOCKS:
        yield "\n\n"
        yield from _pieces(tag)
        yield "\n\n"
    else:
        yield from _pieces(tag)


def _table(tag: Any) -> str:
    """Rows of this table alone; a table that lays out other tables is told as the text in it."""
    if tag.find("table"):
        return "\n\n".join("".join(_pieces(cell)) for cell in tag.find_all(["td", "th"]) if cell.find_parent("table") is tag)
    caption = tag.find("caption")
    rows = [["".join(_pieces(cell)) for cell in row.find_all(["td", "th"])] for row in tag.find_all("tr")]
    above = "".join(_pieces(caption)).strip() + "\n\n" if caption else ""
    return above + table(rows)


def _is_hidden(tag: Any) -> bool:
    return tag.has_attr("hidden") or tag.get("aria-hidden") == "true" or bool(_HIDDEN.search(str(tag.get("style") or "")))
