import socket
from typing import Any

import pytest

from sadari.retrieve.load import Limits, Options, load_all
from sadari.retrieve.load import fetch as module
from sadari.retrieve.load.fetch import FetchError, fetch, is_public


class Reply:
    """What a server sends, as `http.client` gives it."""

    reason = "x"

    def __init__(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.status, self._body = status, body
        self._headers = {name.replace("_", "-").lower(): value for name, value in headers.items()}

    def getheader(self, name: str) -> str | None:
        return self._headers.get(name.lower())

    def read1(self, size: int) -> bytes:
        piece, self._body = self._body[:size], self._body[size:]
        return piece


class Connection:
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *error: object) -> None: ...

    def request(self, *args: Any, **kwargs: Any) -> None: ...

    def getresponse(self) -> Reply:
        return self._reply


def serve(monkeypatch: pytest.MonkeyPatch, *replies: Reply) -> None:
    left = iter(replies)
    monkeypatch.setattr(module, "_connect", lambda host, deadline: Connection(next(left)))


def fault(address: str, **options: Any) -> str:
    loaded = load_all(address, Options(**options))
    assert not loaded.documents
    return loaded.faults[0].reason


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("https://evil.example/a", "is not allowed"),
        ("http://docs.example/a", "not a plain https address"),
        ("https://docs.example:8443/a", "not a plain https address"),
        ("https://docs.example@evil.example/", "not a plain https address"),
        ("file:///etc/passwd", "not a plain https address"),
    ],
)
def test_only_https_of_allowed_hosts_is_fetched(address: str, why: str) -> None:
    assert why in fault(address, hosts=("docs.example",))


def test_an_allowed_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("93.184.216.34", "10.0.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    assert "has the address 10.0.0.7, which is not public" in fault("https://docs.example/a", hosts=("docs.example",))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "224.0.0.1",
    ],
)
def test_addresses_that_are_not_public_are_known(address: str) -> None:
    assert not is_public(address)
    assert is_public("93.184.216.34")


def test_redirects_are_checked_as_the_first_address_is(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Reply(302, location="https://169.254.169.254/latest"))
    assert 'the host "169.254.169.254" is not allowed' in fault("https://docs.example/a", hosts=("docs.example",))
    serve(monkeypatch, *[Reply(302, location="/again")] * 6)
    assert "redirects more than 5 times" in fault("https://docs.example/a", hosts=("docs.example",))


def test_a_page_becomes_a_document_with_its_address_as_id(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Reply(200, "<html><title>제목</title><p>글</p></html>".encode(), content_type="text/html; charset=utf-8")
    serve(monkeypatch, Reply(301, location="/b"), reply)
    (document,) = load_all("https://docs.example/a", Options(hosts=("docs.example",))).documents
    assert (document.id, document.title, document.text) == ("https://docs.example/a", "제목", "글")


def test_a_page_that_is_too_large_is_not_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Reply(200, b"x" * 200_000))
    with pytest.raises(FetchError, match="larger than 0"):
        fetch("https://docs.example/a", ("docs.example",), Limits(file_bytes=100_000))
