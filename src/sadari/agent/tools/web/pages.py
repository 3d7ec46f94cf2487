"""One page of the web as text: fetched through the guard, read by the loader of documents, in its worker.

Covered: what `sadari.egress` covers; no parser of others' code runs in this process; scripts, menus and hidden parts are left out.
Not covered: pages that a script writes; pages behind a login.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sadari.egress import Ask, Caps, Egress, Reply, send

READ = ("text/", "application/xhtml+xml", "application/pdf", "application/json", "application/xml", "application/rss+xml")
"""Beginnings of the content types that are read."""

_SUFFIXES = {"text/html": ".html", "application/xhtml+xml": ".html", "application/pdf": ".pdf", "text/markdown": ".md", "": ""}


@dataclass(frozen=True, slots=True)
class WebPage:
    """What a page says; `date` is YYYY-MM-DD, "" if nobody told it."""

    address: str
    title: str
    text: str
    date: str = ""


class UnreadablePageError(Exception):
    """A page was answered, but holds nothing that can be read.

    Args:
        status: Of the answer.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Pages(Protocol):
    """What opens pages: the network, or a recording."""

    def page(self, address: str) -> WebPage:
        """The page at an address.

        Raises:
            EgressError: If it may not or cannot be fetched.
            UnreadablePageError: If it is no page, or holds no text.
        """
        ...


@dataclass(frozen=True, slots=True)
class LivePages:
    """Pages of the network."""

    egress: Egress
    caps: Caps

    def page(self, address: str) -> WebPage:
        """As `Pages` says."""
        accepted = "text/html,application/xhtml+xml,text/*;q=0.9,*/*;q=0.5"
        reply = send(Ask(address, headers={"Accept": accepted}), self.egress, self.caps)
        if reply.status != 200:
            raise UnreadablePageError(reply.status, f"the server answered {reply.status}.")
        return _read(reply, self.caps)


def _read(reply: Reply, caps: Caps) -> WebPage:
    from sadari.retrieve.load import Limits, Options, load_all
    from sadari.retrieve.load.fetch import changed_on

    suffix = _SUFFIXES.get(reply.type, ".txt")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"page{suffix}")
        path.write_bytes(reply.body)
        loaded = load_all(path, Options(Limits(seconds=caps.seconds, file_bytes=2 * caps.size, text_chars=4 * caps.size)))
    if not loaded.documents:
        raise UnreadablePageError(reply.status, loaded.faults[0].reason if loaded.faults else "it holds no text.")
    found = loaded.documents[0]
    address = str(reply.address)
    title = address if found.title == path.stem else found.title
    return WebPage(address, title, found.text, found.date or changed_on(reply))
