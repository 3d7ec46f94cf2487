"""One page over https from a host that the caller allows; `sadari.egress` guards the way.

Covered: other hosts, schemes and ports; all that `sadari.egress` covers. Not covered: what the allowed host itself serves.
"""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from urllib.parse import unquote

from sadari.egress import Ask, Caps, Egress, EgressError, Reply, send
from sadari.retrieve.load.kinds import SUFFIXES, suffix_of
from sadari.retrieve.load.limits import Limits

_TYPES = {"text/html": ".html", "application/pdf": ".pdf", "text/markdown": ".md", "text/csv": ".csv", "text/plain": ".txt"}


class FetchError(Exception):
    """A page was not fetched; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a server sent: the bytes, a name whose suffix tells the kind, and the day of their last change ("" if untold)."""

    data: bytes
    name: str
    date: str


def fetch(address: str, hosts: tuple[str, ...], limits: Limits) -> Page:
    """The page at an `https://` address; every redirect is checked as the first address is.

    Raises:
        FetchError: If the host is not allowed or not public, the server refuses, or the page exceeds the limits.
    """
    egress = Egress(hosts, schemes=("https",), ports=(443,))
    try:
        reply = send(Ask(address), egress, Caps(limits.seconds, limits.file_bytes))
    except EgressError as error:
        raise FetchError(str(error)) from error
    if reply.status != 200:
        raise FetchError(f"the server answered {reply.status} {reply.reason}. Open the address in a browser.")
    return Page(reply.body, _name(reply), changed_on(reply))


def _name(reply: Reply) -> str:
    """The last part of the path, with the suffix of the type that the server states where it has none that is known."""
    name = PurePosixPath(unquote(reply.address.target.partition("?")[0])).name or "page"
    return name if suffix_of(name) in SUFFIXES else name + _TYPES.get(reply.type, "")


def changed_on(reply: Reply) -> str:
    """The day that a server states as that of the last change; "" if it states none."""
    try:
        return parsedate_to_datetime(reply.headers.get("last-modified", "")).date().isoformat()
    except (TypeError, ValueError, IndexError):
        return ""
