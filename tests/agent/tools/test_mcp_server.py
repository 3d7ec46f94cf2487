import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

import anyio
from mcp.client import Client

from sadari.agent.tools import Place, close_tools, open_tools
from sadari.agent.tools.functions import tool
from sadari.agent.tools.mcp import McpOptions, mcp_server, pin, review
from sadari.errors import ToolFailedError, ToolRefusedError
from sadari.types import Caller, Outcome


@tool
def find(query: str) -> str:
    """주문을 찾는다.

    Args:
        query: 찾을 말.
    """
    return f"{query}: 두 건"


@tool(effect="irreversible")
def cancel(order: str) -> str:
    """주문을 취소한다."""
    raise AssertionError(f"{order} was cancelled, though nobody approved it")


def host(name: str, arguments: Mapping[str, Any]) -> Outcome:
    """Approves reads, and breaks on one order."""
    if name == "cancel" and arguments["order"] == "broken":
        raise RuntimeError("secret of the host")
    if name == "cancel":
        raise ToolRefusedError("사람이 승인하지 않았습니다.")
    if not arguments.get("query"):
        raise ToolFailedError("query is empty")
    return find.call(arguments, Caller())


def asked(work: Callable[[Client], Awaitable[Any]]) -> Any:
    async def ask() -> Any:
        async with Client(mcp_server("sadari", [find, cancel], host)) as client:
            return await work(client)

    return anyio.run(ask)


def test_a_client_sees_the_tools_with_their_schemas_and_effects() -> None:
    tools = asked(lambda client: client.list_tools()).tools
    assert [one.name for one in tools] == ["find", "cancel"]
    assert tools[0].description == "주문을 찾는다."
    assert tools[0].input_schema == find.spec.parameters
    assert (tools[0].annotations.read_only_hint, tools[0].annotations.destructive_hint) == (True, False)
    assert (tools[1].annotations.read_only_hint, tools[1].annotations.destructive_hint) == (False, True)


@pytest.mark.parametrize(
    ("name", "arguments", "said", "is_error"),
    [
        ("find", {"query": "책"}, "책: 두 건", False),
        ("find", {}, "query is empty", True),
        ("cancel", {"order": "A-1"}, "사람이 승인하지 않았습니다.", True),
        ("cancel", {"order": "broken"}, "cancel did not work (RuntimeError).", True),
        ("delete", {}, "There is no tool 'delete'. Tools: find, cancel.", True),
    ],
)
def test_a_call_goes_the_way_of_the_host(name: str, arguments: dict[str, Any], said: str, is_error: bool) -> None:
    result = asked(lambda client: client.call_tool(name, arguments))
    assert (result.content[0].text, result.is_error) == (said, is_error)


def test_our_own_server_serves_our_own_client_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text(
        "from sadari.agent.tools.functions import tool\n"
        "from sadari.agent.tools.mcp import mcp_server, serve_stdio\n"
        "from sadari.types import Caller\n"
        "@tool\n"
        "def twice(n: int) -> int:\n"
        "    print('printed by a tool')\n"
        "    return 2 * n\n"
        "serve_stdio(mcp_server('own', [twice], lambda name, arguments: twice.call(arguments, Caller())))\n"
    )
    declared = {"own": {"command": sys.executable, "args": ["serve.py"]}}
    pin(review(McpOptions.model_validate(declared), Place(tmp_path)), Place(tmp_path))
    tools = open_tools([("mcp", declared)], Place(tmp_path))
    assert tools[0].call({"n": 21}, Caller()).text == "42"
    close_tools(tools)


@pytest.fixture
def address() -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """Where the tools are served over HTTP, and the headers of the requests there."""
    uvicorn = pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seen: list[Mapping[str, str]] = []
    serve = mcp_server("sadari", [find, cancel], host).streamable_http_app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await serve(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{port}/mcp", seen
    server.should_exit = True
    thread.join(10)


def test_tools_are_reviewed_pinned_and_called_over_http(address: tuple[str, list[Mapping[str, str]]], tmp_path: Path) -> None:
    url, seen = address
    declared = {"mcpServers": {"shop": {"url": url, "headers": {"X-Key": "${KEY}"}}}, "effects": {"shop_find": "read"}}
    place = Place(tmp_path, {"KEY": "k-1"})
    pin(review(McpOptions.model_validate(declared), place), place)
    found, cancelled = tools = open_tools([("mcp", declared)], place)
    assert found.call({"query": "책"}, Caller()).text == "책: 두 건"
    with pytest.raises(ToolFailedError, match="사람이 승인하지"):
        cancelled.call({"order": "A-1"}, Caller())
    close_tools(tools)
    assert {headers["x-key"] for headers in seen} == {"k-1"}


def test_an_answer_without_end_is_hung_up_on(
    address: tuple[str, list[Mapping[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {"shop": {"url": address[0]}}
    place = Place(tmp_path)
    pin(review(McpOptions.model_validate(declared), place), place)
    found, _ = tools = open_tools([("mcp", declared)], place)
    monkeypatch.setattr("sadari.agent.tools.mcp.connection.MOST_BYTES", 20_000)
    assert found.call({"query": "가"}, Caller()).text == "가: 두 건"
    with pytest.raises(TimeoutError, match="more than 20,000 bytes"):
        found.call({"query": "가" * 20_000}, Caller())
    close_tools(tools)
