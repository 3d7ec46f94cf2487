import socket
from typing import Any

import pytest

from sadari.egress import Ask, Caps, Egress, Reply, parse_address
from sadari.retrieve.load import Limits, Options, load_all
from sadari.retrieve.load import fetch as module
from sadari.retrieve.load.fetch import Page, fetch


def serve(monkeypatch: pytest.MonkeyPatch, status: int, body: bytes = b"", **headers: str) -> None:
    answered = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(ask: Ask, egress: Egress, caps: Caps) -> Reply:
        egress.check(parse_address(ask.address))
        return Reply(status, "x", answered, body, parse_address(ask.address))

    monkeypatch.setattr(module, "send", answer)


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


def test_a_page_becomes_a_document_with_its_address_as_id(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, 200, "<html><title>제목</title><p>글</p></html>".encode(), content_type="text/html; charset=utf-8")
    (document,) = load_all("https://docs.example/a", Options(hosts=("docs.example",))).documents
    assert (document.id, document.title, document.text) == ("https://docs.example/a", "제목", "글")


def test_the_day_of_the_last_change_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, 200, b"text", content_type="text/plain", last_modified="Fri, 01 May 2026 23:59:59 GMT")
    assert fetch("https://docs.example/a", ("docs.example",), Limits()) == Page(b"text", "a.txt", "2026-05-01")


def test_what_a_server_refuses_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, 404)
    assert "the server answered 404" in fault("https://docs.example/a", hosts=("docs.example",))
