"""What becomes of answers in the shapes that servers send, however a connection cuts them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from replay import Recorded, Replay, all_recorded, replaying
from sadari.model.remote import Endpoint, RemoteModel
from sadari.types import Generation, Message, Request, ToolCall, ToolSpec, Usage

ASK = Request((Message("user", "환불 되나요?"),), (ToolSpec("find_order", "", {"type": "object"}),))
RECORDED = all_recorded()
STREAMED = [r for r in RECORDED if r.exchange.events]
WHOLE = [r for r in RECORDED if not r.exchange.events]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Recorded) else str(value)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with replaying(Replay()) as replay:
        yield replay


def model_of(server: Replay, exchange: Recorded) -> RemoteModel:
    return RemoteModel("tiny", Endpoint(server.url, kind=exchange.kind, retries=0, timeout_s=5.0))


def check(made: Generation, expect: dict) -> None:
    if "error" in expect:
        assert made.finish == "error"
        assert expect["error"] in made.error
        return
    assert made.error is None
    assert made.text == expect["text"]
    assert made.tool_calls == tuple(ToolCall(*call) for call in expect.get("calls", ()))
    assert made.usage == Usage(*expect["usage"])
    assert made.finish == expect["finish"]


@pytest.mark.parametrize("cut", [0, 1, 7, 64])
@pytest.mark.parametrize("exchange", STREAMED, ids=name_of)
def test_a_stream_is_read_however_it_is_cut(server: Replay, exchange: Recorded, cut: int) -> None:
    server.script = [replace(exchange.exchange, cut=cut)]
    *pieces, last = model_of(server, exchange).stream(ASK)
    assert last.done is not None
    check(last.done, exchange.expect)
    if last.done.error is None:
        assert "".join(piece.text for piece in pieces) == last.done.text
        assert tuple(piece.tool_call for piece in pieces if piece.tool_call) == last.done.tool_calls


@pytest.mark.parametrize("exchange", WHOLE, ids=name_of)
def test_a_whole_answer_is_read(server: Replay, exchange: Recorded) -> None:
    server.script = [exchange.exchange]
    check(model_of(server, exchange).generate([ASK])[0], exchange.expect)


@pytest.mark.parametrize("exchange", WHOLE, ids=name_of)
def test_a_whole_answer_to_a_stream_is_read(server: Replay, exchange: Recorded) -> None:
    server.script = [exchange.exchange]
    check(list(model_of(server, exchange).stream(ASK))[-1].done, exchange.expect)


@pytest.mark.parametrize("exchange", RECORDED, ids=name_of)
def test_every_exchange_says_where_its_shape_is_documented(exchange: Recorded) -> None:
    assert exchange.source.startswith(("Written from", "Invented", "Captured", "The fragments of"))
