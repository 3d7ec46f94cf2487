"""Streams: as they come, ended early, broken, and without end."""

import time
from collections.abc import Iterator

import pytest

from replay import Exchange, Replay, recorded, replaying
from sadari.errors import BudgetError, ModelError
from sadari.model.remote import Endpoint, RemoteModel, TokenPrices, wire
from sadari.types import Delta, Message, OneOf, Request, StreamingModel

KEY = "sk-secret-0123456789"
ASK = Request((Message("user", "환불 되나요?"),), max_new_tokens=16)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with replaying(Replay()) as replay:
        yield replay


def piece(text: str) -> dict:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def remote(server: Replay, **settings) -> RemoteModel:
    return RemoteModel("tiny", Endpoint(server.url, **{"kind": "other", "timeout_s": 5.0} | settings))


def test_it_is_a_streaming_model(server: Replay) -> None:
    assert isinstance(remote(server), StreamingModel)


def test_text_comes_before_the_answer_is_whole(server: Replay) -> None:
    server.script = [Exchange(events=(piece("하나"), piece("둘")), is_endless=True, pause_s=0.05)]
    stream = remote(server).stream(ASK)
    assert next(stream) == Delta("하나")
    stream.close()


def test_what_is_asked_for_says_so(server: Replay) -> None:
    server.script = [Exchange(events=(END, "[DONE]"))]
    list(remote(server).stream(ASK))
    assert server.seen[0]["stream"] is True
    assert server.seen[0]["stream_options"] == {"include_usage": True}
    assert server.headers[0]["Accept"] == "text/event-stream"


def test_closing_the_stream_closes_the_connection(server: Replay) -> None:
    server.script = [Exchange(events=(piece("네"),), is_endless=True)]
    stream = remote(server).stream(ASK)
    assert next(stream).text == "네"
    stream.close()
    assert server.gone.wait(5.0)


def test_a_stream_without_end_is_ended(server: Replay) -> None:
    server.script = [Exchange(events=(piece("네"), ": ping\n\n"), is_endless=True, cut=1, pause_s=0.001)]
    began = time.perf_counter()
    last = list(remote(server, longest_s=0.5).stream(ASK))[-1].done
    assert time.perf_counter() - began < 4.0
    assert "no whole answer within 0.5 s. It had said: 네" in last.error
    assert server.gone.wait(5.0)


def test_a_stream_that_pauses_too_long_is_ended(server: Replay) -> None:
    server.script = [Exchange(events=(piece("네"),), cut=40, pause_s=0.6)]
    last = list(remote(server, timeout_s=0.2, retries=0).stream(ASK))[-1].done
    assert "no answer within 0.2 s" in last.error


def test_a_stream_that_says_too_much_is_ended(server: Replay) -> None:
    server.script = [Exchange(events=(piece("가" * 100_000),), is_endless=True)]
    last = list(remote(server).stream(ASK))[-1].done
    assert "the answer is longer than 8 MiB" in last.error
    assert len(last.error) < 1000


def test_a_line_that_does_not_end_is_not_kept(server: Replay) -> None:
    server.script = [Exchange(events=("data: " + "x" * (wire.MOST_BYTES - 10),))]
    last = list(remote(server).stream(ASK))[-1].done
    assert "a line of the answer is longer than 1 MiB" in last.error


def test_passing_failures_are_retried_before_the_first_piece(server: Replay) -> None:
    model, pauses = remote(server), []
    model._channel.sleep = pauses.append
    server.script = [
        Exchange(429, {"Retry-After": "3"}, {"error": {"message": "slow down"}}),
        recorded("openai_text_stream").exchange,
    ]
    assert list(model.stream(ASK))[-1].done.text == "환불은 7일 안에 됩니다 ☕."
    assert pauses == [3.0]


def test_a_broken_stream_is_not_asked_for_again(server: Replay) -> None:
    server.script = [recorded("breaks_off_stream").exchange]
    *_, last = remote(server).stream(ASK)
    assert last.done.finish == "error"
    assert len(server.seen) == 1


def test_a_refused_key_is_raised_and_never_shown(server: Replay) -> None:
    server.script = [Exchange(401, body={"error": {"message": f"Incorrect API key provided: {KEY}"}})]
    with pytest.raises(ModelError, match="the key in OPENAI_API_KEY was refused") as caught:
        list(remote(server).stream(ASK))
    assert KEY not in str(caught.value)


def test_a_key_in_what_a_stream_says_is_never_shown(server: Replay) -> None:
    server.script = [Exchange(events=(piece(f"the key is {KEY}"),))]
    *_, last = remote(server).stream(ASK)
    assert "It had said: the key is ***" in last.done.error


def test_an_answer_wrapped_in_json_comes_in_one_piece(server: Replay) -> None:
    server.script = [Exchange(events=(piece('{"ans'), piece('wer": "환불"}'), END, "[DONE]"))]
    request = Request(ASK.messages, constraint=OneOf(("환불", "교환")))
    *pieces, last = remote(server, structured=True).stream(request)
    assert pieces == [Delta("환불")]
    assert last.done.text == "환불"


def test_a_stream_that_was_closed_counts_as_the_dearest(server: Replay) -> None:
    server.script = [Exchange(events=(piece("네"),), is_endless=True)]
    model = RemoteModel("tiny", Endpoint(server.url, kind="other"), prices=TokenPrices(0.0, 1e6))
    stream = model.stream(ASK)
    next(stream)
    stream.close()
    assert model.spent == 16.0


def test_a_stream_costs_what_its_last_chunk_counts(server: Replay) -> None:
    server.script = [recorded("openai_text_stream").exchange]
    model = RemoteModel("tiny", Endpoint(server.url, kind="openai"), prices=TokenPrices(1e6, 1e6), money_cap=1e4)
    list(model.stream(ASK))
    assert model.spent == 23 + 11


def test_the_money_cap_stops_a_stream_before_it_leaves(server: Replay) -> None:
    model = RemoteModel("tiny", Endpoint(server.url, kind="other"), prices=TokenPrices(1e6, 1e6), money_cap=10.0)
    with pytest.raises(BudgetError, match="Raise money_cap"):
        list(model.stream(ASK))
    assert server.seen == []


def test_one_who_reads_a_stream_does_not_keep_others_waiting_for_ever(server: Replay) -> None:
    server.script = [Exchange(events=(piece("네"),), is_endless=True, pause_s=0.02)]
    model = remote(server, max_concurrency=1, longest_s=0.3)
    stream = model.stream(ASK)
    next(stream)
    with pytest.raises(ModelError, match="1 requests are in flight"):
        model.generate([ASK])
    stream.close()
    assert model.generate([ASK])[0].text == "네"
