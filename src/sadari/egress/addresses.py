"""What a web address names, read strictly, and which IP addresses are public.

Covered: addresses that two programs would read differently (user names, backslashes, blanks, control characters, percent signs in
hosts, a number that spells an IPv4 address otherwise than as four decimal parts); hosts in other scripts, in full-width letters and
with a dot at the end, which are brought to one spelling; labels that mix look-alike scripts; IP addresses that are private, local,
shared by carriers, multicast or reserved, also where IPv6 carries them (mapped, compatible, NAT64, 6to4, Teredo).

Not covered: a whole name in a look-alike script (it is shown in ASCII, `xn--…`, so that it does not read like another); public
addresses behind which a company keeps what is its own.
"""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

Fault = Literal["address", "host", "private", "redirect", "size", "type", "slow", "network"]

LONGEST = 4096
"""Characters of an address."""

PORTS = {"http": 80, "https": 443}


class EgressError(Exception):
    """A request was not made, or not answered as it may be; the message says why and what to do.

    Args:
        fault: What kind: "address" it cannot be read; "host" not allowed; "private" not public; "redirect", "size", "type", "slow"
            of the answer; "network" anything else.
        about: The host, the type or the limit that it is about, fit to be shown to anybody.
        was_sent: Whether the server may have got the request, and acted on it.
    """

    def __init__(self, fault: Fault, message: str, *, about: str = "", was_sent: bool = False) -> None:
        super().__init__(message)
        self.fault, self.about, self.was_sent = fault, about, was_sent


@dataclass(frozen=True, slots=True)
class Address:
    """A web address taken apart.

    Args:
        scheme: In lower case.
        host: In ASCII and lower case, without a dot at its end; an IPv6 address without brackets.
        target: Path and query, percent-encoded; never empty.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Scheme, host and port: `https://docs.example:443`."""
        return f"{self.scheme}://{self._bracketed}:{self.port}"

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address."""
        return ":" in self.host or self.host.rpartition(".")[2].isdigit()

    def __str__(self) -> str:
        port = "" if PORTS.get(self.scheme) == self.port else f":{self.port}"
        return f"{self.scheme}://{self._bracketed}{port}{self.target}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


_PARTS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_NEVER = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ALIKE = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"}


def parse_address(written: str) -> Address:
    """The parts of an `http` or `https` address; what stands behind `#` is dropped.

    Raises:
        EgressError: If it is no such address, or could be read in two ways.
    """
    written = written.strip(" \t\r\n")
    parts = _PARTS.fullmatch(written) if len(written) <= LONGEST and not _NEVER.search(written) else None
    if parts is None or parts[1].lower() not in PORTS:
        raise _unreadable(written, "Only a whole address is taken, `https://host/path`, without blanks or backslashes.")
    scheme, authority = parts[1].lower(), _AUTHORITY.fullmatch(parts[2])
    if "@" in parts[2]:
        raise _unreadable(written, "Leave out the user name before the @.")
    if authority is None or (authority[2] and not 0 < int(authority[2]) < 65536):
        raise _unreadable(written, "Its port is a number from 1 to 65535.")
    host = _host(authority[1], written)
    path = quote(parts[3] or "/", safe="/%:@!$&'()*+,;=-._~")
    query = quote(parts[4] or "", safe="/%:@!$&'()*+,;=-._~?")
    return Address(scheme, host, int(authority[2] or PORTS[scheme]), path + query)


def _unreadable(written: str, remedy: str) -> EgressError:
    shown = _NEVER.sub(" ", written[:200])
    return EgressError("address", f"{shown} is not a plain https address. {remedy}", about=shown)


def _host(written: str, address: str) -> str:
    """The one spelling of a host."""
    if written.startswith("["):
        try:
            return str(ipaddress.IPv6Address(written[1:-1] if "%" not in written else ""))
        except ValueError:
            raise _unreadable(address, "What stands in brackets is no IPv6 address without a zone.") from None
    try:
        name = written.lower() if written.isascii() else written.encode("idna").decode("ascii").lower()
        name = name.removesuffix(".")
        labels = name.split(".")
        shown = [label.encode("ascii").decode("idna") for label in labels]
    except UnicodeError:
        raise _unreadable(address, "Its host is no name that can be looked up.") from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _unreadable(address, "Its host is no name that can be looked up.")
    if any(_mixes_scripts(label) for label in shown):
        raise _unreadable(address, "Its host mixes letters of scripts that look alike.")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise _unreadable(address, "Write an IPv4 address as four decimal numbers.") from None
    return name


def _mixes_scripts(label: str) -> bool:
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in label if letter.isalpha()}
    return len(scripts & _ALIKE) > 1


# --- which addresses are public -----------------------------------------------------------------------------------------

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(written)
    for written in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; metadata of a cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # the platform behind every machine of a cloud
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")


def is_public(address: str) -> bool:
    """Whether anybody on the internet may have this IP address.

    False for what IPv6 carries of IPv4: of IPv6 only 2000::/3 is given out, and of it not the ranges that tunnel.

    Source:
        IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and what updates it).
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6 and ip not in _GLOBAL_V6:
        return False
    return not any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)
