"""One request over http, and what came back: to hosts that are allowed, at addresses that were checked.

Covered: a name is looked up once, all its addresses are checked, and the connection goes to one of them, so that a name cannot
change its address in between (DNS rebinding); every redirect is checked as the first address is, none leads from https to http, and
none is followed with a body; headers of the caller stay with the origin they were meant for; answers that are too large, packed to
become too large, of another type, or slow in any part; no cookies, no proxies and no credentials of the environment.

Not covered: what an allowed server says; what the address itself tells a server that was asked; networks in which a program gets
out only through a proxy.
"""

import http.client
import io
import queue
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urljoin

from sadari.egress.addresses import Address, EgressError, is_public, parse_address

REDIRECTS = (301, 302, 303, 307, 308)
MOST_TRIED = 3
"""Addresses of one host that are tried."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_OWN_HEADERS = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "cookie", "te", "upgrade"}


def addresses_of(host: str, port: int) -> Sequence[str]:
    """The IP addresses that the system finds for a name."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class Egress:
    """Where requests may go.

    Args:
        hosts: Names that may be asked, `*.docs.example` for all below one; None for every host. Their addresses are public.
        inside: Origins, such as `http://10.0.0.7:8080`, that may be asked though they are not public.
        schemes, ports: Of hosts that are not `inside`.
        resolve: Finds the IP addresses of a name; tests give another.
        authority: File of certificates (PEM) that vouch for servers; None for those of the system.
    """

    hosts: tuple[str, ...] | None = None
    inside: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ("https", "http")
    ports: tuple[int, ...] = (443, 80)
    resolve: Callable[[str, int], Sequence[str]] = addresses_of
    authority: str | None = None

    def check(self, address: Address) -> None:
        """Refuse what may not be asked, before its name is looked up.

        Raises:
            EgressError: If it may not.
        """
        if self.is_inside(address):
            return
        if address.scheme not in self.schemes or address.port not in self.ports:
            allowed = f"{' or '.join(self.schemes)}, port {' or '.join(map(str, self.ports))}"
            message = f"{address} is not a plain {self.schemes[0]} address. Allowed is {allowed}."
            raise EgressError("host", message, about=address.host)
        if self.hosts is not None and not any(_is_named(address.host, name) for name in self.hosts):
            remedy = "Add it to the allowed hosts if you trust it."
            raise EgressError("host", f'the host "{address.host}" is not allowed. {remedy}', about=address.host)

    def is_inside(self, address: Address) -> bool:
        """Whether its origin is one of `inside`."""
        return any(parse_address(origin).origin == address.origin for origin in self.inside)


@dataclass(frozen=True, slots=True)
class Caps:
    """What an answer may cost.

    Args:
        seconds: From the look-up to the last byte, redirects included.
        size: Bytes of the body, unpacked.
        redirects: Followed for GET and HEAD; a further one is an error.
        types: Beginnings of content types that are taken of an answer that succeeds; () takes all.
    """

    seconds: float = 20.0
    size: int = 5_000_000
    redirects: int = 5
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A request.

    Args:
        headers: Sent to the origin of `address`, and to no other that it redirects to. They may hold secrets, and are not shown.
    """

    address: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Args:
        headers: Names in lower case.
        address: The last one, after redirects.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    address: Address

    @property
    def type(self) -> str:
        """Its content type, in lower case, without parameters; "" if it states none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_named(host: str, name: str) -> bool:
    """Whether a host is the one of that name, or lies below `*.name`."""
    below = name.startswith("*.")
    named = parse_address(f"https://{name.removeprefix('*.')}").host
    return host.endswith(f".{named}") if below else host == named


def send(ask: Ask, egress: Egress, caps: Caps = Caps()) -> Reply:
    """What the server answers, whatever its status.

    Raises:
        EgressError: If it may not be asked, cannot be reached, or answers beyond the caps.
    """
    clock = _Clock(caps.seconds)
    address, headers = parse_address(ask.address), _checked(ask.headers)
    for _ in range(caps.redirects + 1):
        egress.check(address)
        reply = _exchange(address, ask, headers, (egress, caps, clock))
        if reply.status not in REDIRECTS or ask.method not in ("GET", "HEAD"):
            return reply
        onward = _onward(reply)
        if onward.origin != address.origin:
            headers = {}
        address = onward
    raise EgressError("redirect", f"redirects more than {caps.redirects} times. Name the last address itself.")


def _checked(headers: Mapping[str, str]) -> dict[str, bytes]:
    """The caller's headers as bytes. A fault names the header, never what is in it."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS or _UNSENDABLE.search(value):
            raise EgressError("address", f"the header {name[:60]!r} cannot be sent: one line of text, under a name of its own.")
    return {name: value.strip().encode() for name, value in headers.items()}


def _onward(reply: Reply) -> Address:
    """Where a redirect leads."""
    told = reply.headers.get("location", "").encode("latin-1", "replace").decode("utf-8", "replace")
    if not told:
        raise EgressError("redirect", f"the server answered {reply.status} without saying where to. Open the address in a browser.")
    onward = parse_address(urljoin(str(reply.address), told))
    if (reply.address.scheme, onward.scheme) == ("https", "http"):
        raise EgressError("redirect", f"redirects from https to http ({onward.host}), which is not followed.", about=onward.host)
    return onward


def _exchange(address: Address, ask: Ask, headers: Mapping[str, bytes], terms: "tuple[Egress, Caps, _Clock]") -> Reply:
    """One request and its answer, without following it."""
    egress, caps, clock = terms
    was_sent = False
    try:
        with closing(_connected(address, egress, clock)) as line:
            connection = http.client.HTTPConnection(address.host, address.port)
            connection.default_port = 443 if address.scheme == "https" else 80  # which is left out of Host
            connection.sock = _Line(line, clock)
            was_sent = True
            own = {"User-Agent": "sadari", "Accept-Encoding": "gzip", "Connection": "close"}
            connection.request(ask.method, address.target, ask.body, {**own, **headers})
            return _reply(connection.getresponse(), address, caps)
    except EgressError as error:
        error.was_sent = was_sent
        raise
    except TimeoutError as error:
        message = f"took longer than {caps.seconds:g} seconds (`seconds`). Try again, or raise the limit."
        raise EgressError("slow", message, about=f"{caps.seconds:g}", was_sent=was_sent) from error
    except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
        why = str(error)[:120] or type(error).__name__
        message = f"cannot be fetched ({why}). Check the address and the network."
        raise EgressError("network", message, about=address.host, was_sent=was_sent) from error


# --- the answer ---------------------------------------------------------------------------------------------------------


def _reply(response: http.client.HTTPResponse, address: Address, caps: Caps) -> Reply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    reply = Reply(response.status, response.reason, headers, b"", address)
    if response.status in REDIRECTS:
        return reply
    if caps.types and 200 <= response.status < 300 and reply.type and not reply.type.startswith(caps.types):
        raise EgressError("type", f"is of the type {reply.type[:60]}, which is not read. Name another page.", about=reply.type[:60])
    if response.length is not None and response.length > caps.size:
        raise _too_large(caps)
    return Reply(response.status, response.reason, headers, _body(response, caps), address)


def _body(response: http.client.HTTPResponse, caps: Caps) -> bytes:
    packing = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if packing not in ("identity", "gzip"):
        raise EgressError(
            "type", f"is packed by {packing[:30]}, though it was not asked for. Name another page.", about=packing[:30]
        )
    unpack = zlib.decompressobj(31) if packing == "gzip" else None
    data = bytearray()
    while piece := response.read(1 << 16):
        data += unpack.decompress(piece, caps.size + 1 - len(data)) if unpack else piece
        if len(data) > caps.size:
            raise _too_large(caps)
    if response.length or (unpack and data and not unpack.eof):
        raise EgressError("network", "the connection ended before the answer did. Try again.")
    return bytes(data)


def _too_large(caps: Caps) -> EgressError:
    most = f"{caps.size / 1_000_000:,.1f} MB"
    return EgressError("size", f"is larger than {most} (`file_bytes`). Name a smaller page.", about=most)


# --- the connection -----------------------------------------------------------------------------------------------------


class _Clock:
    """The time that is left of one request."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is over")
        return left


def _connected(address: Address, egress: Egress, clock: _Clock) -> socket.socket:
    """A connection to an address of the host that was checked; with https the server has proved its name."""
    found = [address.host] if address.is_literal else _resolved(address, egress, clock)
    if not found:
        raise EgressError("network", f'the host "{address.host}" has no address. Check how it is written.', about=address.host)
    hidden = [] if egress.is_inside(address) else [ip for ip in found if not is_public(ip)]
    if hidden:
        message = f'the host "{address.host}" has the address {", ".join(hidden)}, which is not public. It is not fetched.'
        raise EgressError("private", message, about=address.host)
    line = _opened(found[:MOST_TRIED], address.port, clock)
    if address.scheme == "http":
        return line
    line.settimeout(clock.left())
    try:
        return _trust(egress.authority).wrap_socket(line, server_hostname=address.host)
    except BaseException:
        line.close()
        raise


def _opened(found: Sequence[str], port: int, clock: _Clock) -> socket.socket:
    for tried, ip in enumerate(found, start=1):
        line = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
        try:
            line.settimeout(clock.left() / (len(found) - tried + 1))
            line.connect((ip, port))
            return line
        except OSError:
            line.close()
            if tried == len(found):
                raise
    raise AssertionError("there was an address")


def _resolved(address: Address, egress: Egress, clock: _Clock) -> list[str]:
    """All addresses of a name, IPv4 first; in a thread, because the system's look-up cannot be told when to stop."""
    answer: queue.Queue[Sequence[str] | Exception] = queue.Queue(1)

    def look() -> None:
        try:
            answer.put(egress.resolve(address.host, address.port))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=look, daemon=True).start()
    try:
        found = answer.get(timeout=clock.left())
    except queue.Empty:
        raise TimeoutError("the name was not found in time") from None
    if isinstance(found, Exception):
        raise found if isinstance(found, OSError) else OSError(f"the name cannot be looked up ({type(found).__name__})")
    return sorted(dict.fromkeys(found), key=lambda ip: ":" in ip)


@cache
def _trust(authority: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


class _Line:
    """A socket as `http.client` uses one, of which no single byte comes or goes after the time is over."""

    def __init__(self, line: socket.socket, clock: _Clock) -> None:
        self._line, self._clock = line, clock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._line, self._clock))

    def sendall(self, data: Any) -> None:
        left = memoryview(data)
        while left:
            self._line.settimeout(self._clock.left())
            left = left[self._line.send(left) :]

    def close(self) -> None:
        """Whoever opened the socket closes it: `http.client` would do so before the answer is read."""


class _Timed(io.RawIOBase):
    def __init__(self, line: socket.socket, clock: _Clock) -> None:
        self._line, self._clock = line, clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._line.settimeout(self._clock.left())
        return self._line.recv_into(buffer)
