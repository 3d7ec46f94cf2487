"""One page over https from a host that the caller allows.

Covered: hosts not on the list, addresses that are not public (the one connected to is the one that was checked), redirects to
either, other schemes and ports, pages that are too large or too slow. Not covered: what the allowed host itself serves.
"""

import http.client
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

from sadari.retrieve.load.kinds import SUFFIXES, suffix_of
from sadari.retrieve.load.limits import Limits, megabytes

_MOST_REDIRECTS = 5
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
    deadline = time.monotonic() + limits.seconds
    for _ in range(_MOST_REDIRECTS + 1):
        host, target = _checked(address, hosts)
        try:
            with _connect(host, deadline) as connection:
                connection.request("GET", target, headers={"User-Agent": "sadari", "Accept-Encoding": "identity"})
                response = connection.getresponse()
                if response.status in (301, 302, 303, 307, 308):
                    address = urljoin(address, response.getheader("Location") or "")
                    continue
                if response.status != 200:
                    raise FetchError(f"the server answered {response.status} {response.reason}. Open the address in a browser.")
                return Page(_body(response, deadline, limits), _name(address, response), _date(response))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FetchError(f"cannot be fetched ({error or type(error).__name__}). Check the address and the network.") from error
    raise FetchError(f"redirects more than {_MOST_REDIRECTS} times. Name the last address itself.")


def _checked(address: str, hosts: tuple[str, ...]) -> tuple[str, str]:
    """Host and path of an address that may be fetched."""
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise FetchError(f"is no address ({error}). Mend it.") from error
    if parts.scheme != "https" or port not in (None, 443) or parts.username is not None:
        raise FetchError(f"{address[:200]} is not a plain https address. Only https, port 443, without a user name, is fetched.")
    if host not in {name.lower() for name in hosts}:
        raise FetchError(f'the host "{host}" is not allowed. Add it to the allowed hosts if you trust it.')
    return host, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _connect(host: str, deadline: float) -> "_Connection":
    """A connection to a public address of the host; the name is not looked up a second time."""
    timeout = max(0.1, deadline - time.monotonic())
    found = {str(info[4][0]) for info in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)}
    private = sorted(address for address in found if not is_public(address))
    if private or not found:
        raise FetchError(
            f'the host "{host}" has the address {", ".join(private) or "none"}, which is not public. It is not fetched.'
        )
    return _Connection(host, sorted(found, key=lambda address: ":" in address)[0], timeout)


def is_public(address: str) -> bool:
    """Whether an IP address may be connected to: neither private, local, multicast nor reserved, nor one of those in IPv6 dress."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if within is not None:
            return False
    return ip.is_global and not ip.is_multicast


class _Connection(http.client.HTTPSConnection):
    """Connects to one address and proves that it is the host by its certificate."""

    def __init__(self, host: str, address: str, timeout: float) -> None:
        self._context_of_host = ssl.create_default_context()
        super().__init__(host, timeout=timeout, context=self._context_of_host)
        self._address = address

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def connect(self) -> None:
        """Open the socket to the address that was checked."""
        plain = socket.create_connection((self._address, 443), timeout=self.timeout)
        self.sock = self._context_of_host.wrap_socket(plain, server_hostname=self.host)


def _body(response: http.client.HTTPResponse, deadline: float, limits: Limits) -> bytes:
    data = bytearray()
    while piece := response.read1(1 << 16):
        data += piece
        if len(data) > limits.file_bytes:
            raise FetchError(f"is larger than {megabytes(limits.file_bytes)} (`file_bytes`). Name a smaller page.")
        if time.monotonic() > deadline:
            raise FetchError(f"took longer than {limits.seconds:g} seconds (`seconds`). Try again, or raise the limit.")
    return bytes(data)


def _name(address: str, response: http.client.HTTPResponse) -> str:
    """The last part of the path, with the suffix of the type that the server states where it has none that is known."""
    name = PurePosixPath(unquote(urlsplit(address).path)).name or "page"
    kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    return name if suffix_of(name) in SUFFIXES else name + _TYPES.get(kind, "")


def _date(response: http.client.HTTPResponse) -> str:
    try:
        return parsedate_to_datetime(response.getheader("Last-Modified") or "").date().isoformat()
    except (TypeError, ValueError):
        return ""
