"""Addresses that a model, a page or a name server would lead inside with: the server inside must see no connection."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sadari.agent.tools.openapi import OpenApiOptions, open_openapi
from sadari.agent.tools.place import Place
from sadari.agent.tools.web.fetch import WebFetch
from sadari.agent.tools.web.pages import LivePages
from sadari.egress import Caps, Egress, client
from sadari.errors import ToolFailedError, ToolRefusedError
from sadari.types import Caller
from web_servers import Listener, listening, response

ATTACKS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "urls.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def inside() -> Iterator[Listener]:
    with listening(response(b"inside", content_type="text/plain")) as server:
        yield server


def resolve(host: str, port: int) -> Sequence[str]:
    if host not in ATTACKS["names"]:
        raise OSError(f"no such name: {host}")
    found: Sequence[str] = ATTACKS["names"][host]
    return found


def fetch(url: str, egress: Egress) -> str:
    return WebFetch(LivePages(egress, Caps(2)), 1000, 5, "en").call({"url": url}, Caller(language="en")).text


def attack(written: str, port: int) -> str:
    return written.replace("{port}", str(port))


@pytest.mark.parametrize("written", ATTACKS["direct"])
def test_an_address_that_leads_inside_is_not_connected_to(written: str, inside: Listener) -> None:
    egress = Egress(ports=(443, 80, inside.port), resolve=resolve)  # the port alone must not be what saves it
    with pytest.raises((ToolFailedError, ToolRefusedError)):
        fetch(attack(written, inside.port), egress)
    assert inside.connections == 0


@pytest.mark.parametrize("written", ATTACKS["redirects"])
def test_a_redirect_that_leads_inside_is_not_followed(written: str, inside: Listener) -> None:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + attack(written, inside.port).encode() + b"\r\n\r\n"
    with listening(head) as start:
        egress = Egress(None, (f"http://start.example:{start.port}",), ports=(443, 80, inside.port), resolve=resolve)
        with pytest.raises((ToolFailedError, ToolRefusedError)):
            fetch(f"http://start.example:{start.port}/", egress)
    assert start.connections == 1
    assert inside.connections == 0


def test_a_name_that_changes_its_address_is_held_to_the_first(inside: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter((["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]))
    tried: list[str] = []

    def unreachable(found: Sequence[str], port: int, clock: Any) -> Any:
        tried.extend(found)
        raise ConnectionRefusedError("no network in a test")

    monkeypatch.setattr(client, "_opened", unreachable)
    with pytest.raises(ToolFailedError):
        fetch(f"http://evil.example:{inside.port}/", Egress(ports=(inside.port,), resolve=lambda host, port: next(said)))
    assert tried == ["93.184.216.34"]
    assert inside.connections == 0


def test_the_model_is_told_nothing_of_what_is_inside(inside: Listener) -> None:
    with pytest.raises(ToolRefusedError) as caught:
        fetch(f"http://inside.example:{inside.port}/", Egress(ports=(inside.port,), resolve=resolve))
    assert "127.0.0.1" not in str(caught.value)
    assert "inside.example" in str(caught.value)


# --- arguments of an API -----------------------------------------------------------------------------------------------

DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/orders/{order_id}": {
            "get": {
                "operationId": "order",
                "parameters": [
                    {"name": "order_id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "note", "in": "query", "schema": {"type": "string"}},
                    {"name": "X-Note", "in": "header", "schema": {"type": "string"}},
                ],
            }
        }
    },
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Listener]]:
    folder = tmp_path_factory.mktemp("api")
    (folder / "api.json").write_text(json.dumps(DOCUMENT))
    with listening(response(b"{}", content_type="application/json")) as server:
        options = OpenApiOptions(file="api.json", base_url=f"http://127.0.0.1:{server.port}/shop", private=True)
        (tool,) = open_openapi(options, Place(folder))
        yield tool, server


@pytest.mark.parametrize("value", ATTACKS["path_values"])
def test_an_argument_that_would_leave_its_part_of_the_path_is_refused(value: str, service: tuple[Any, Listener]) -> None:
    tool, server = service
    before = server.connections
    with pytest.raises(ToolFailedError, match="order_id"):
        tool.call({"order_id": value}, Caller())
    assert server.connections == before


@pytest.mark.parametrize("value", ATTACKS["kept_values"])
def test_an_argument_stays_in_its_part_of_the_path(value: str, service: tuple[Any, Listener]) -> None:
    tool, server = service
    tool.call({"order_id": value, "note": value}, Caller())
    line = server.requests[-1].split(b"\r\n")[0].decode()
    encoded = quote(value, safe="")
    assert line == f"GET /shop/orders/{encoded}?note={encoded} HTTP/1.1"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00"])
def test_an_argument_cannot_begin_another_header(value: str, service: tuple[Any, Listener]) -> None:
    tool, server = service
    before = server.connections
    with pytest.raises(ToolFailedError, match="X-Note"):
        tool.call({"order_id": "1", "X-Note": value}, Caller())
    assert server.connections == before


def test_no_attack_is_written_down_twice() -> None:
    direct = ATTACKS["direct"]
    assert len(set(direct)) == len(direct) >= 40
    assert all(re.fullmatch(r"[^{}]*(\{port\}[^{}]*)*", written) for written in direct)
