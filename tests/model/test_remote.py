"""The remote model against a local double of an OpenAI-compatible endpoint."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from replay import Exchange, Replay, replaying
from sadari.errors import BudgetError, ConfigError, ModelError
from sadari.model.remote import Endpoint, RemoteModel, TokenPrices
from sadari.types import Generation, Message, OneOf, Request, TokenScore, ToolCall, ToolSpec, Usage

KEY = "sk-secret-0123456789"
ASK = Request((Message("user", "환불 되나요?"),), max_new_tokens=16)


def completion(content: Any = "네", *, tool_calls: Any = None, finish: str = "stop", usage: Any = (7, 3)) -> dict[str, Any]:
    message = {"role": "assistant", "content": content} | ({"tool_calls": tool_calls} if tool_calls else {})
    counted = {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}} if usage else {}
    return {"choices": [{"message": message, "finish_reason": finish}]} | counted


def said(*answers: Any) -> list[Exchange]:
    """A script: an answer is a completion, or a status with headers and a body."""
    return [Exchange(*answer) if isinstance(answer, tuple) else Exchange(body=answer) for answer in answers]


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with replaying(Replay(usual=Exchange(body=completion()))) as replay:
        yield replay


def remote(double: Replay, **settings: Any) -> tuple[RemoteModel, list[float]]:
    """A model whose pauses are noted instead of slept."""
    money = {name: settings.pop(name) for name in ("prices", "money_cap") if name in settings}
    model, pauses = RemoteModel("tiny", Endpoint(double.url, **{"kind": "other"} | settings), **money), []
    model._channel.sleep = pauses.append
    return model, pauses


def test_a_request_is_sent_and_read(double: Replay) -> None:
    model, _ = remote(double)
    tools = (ToolSpec("lookup", "Find.", {"type": "object"}),)

    made = model.generate([Request(ASK.messages, tools, 16, 0.5, 0.9, seed=3, stop=("\n",))])[0]

    assert (made.text, made.usage, made.finish) == ("네", Usage(7, 3), "stop")
    assert made.latency_s > 0
    sent = double.seen[0]
    assert sent.pop("tools")[0]["function"]["name"] == "lookup"
    assert sent == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "환불 되나요?"}],
        "max_tokens": 16,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["\n"],
    }
    assert double.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_answers_come_in_the_order_of_the_requests(double: Replay) -> None:
    model, _ = remote(double, max_concurrency=8)
    double.answer = lambda: Exchange(body=completion(double.seen[-1]["messages"][-1]["content"]))  # type: ignore[method-assign]
    assert [model.generate([Request((Message("user", f"q{i}"),))])[0].text for i in range(3)] == ["q0", "q1", "q2"]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_passing_failures_are_retried_with_growing_pauses(double: Replay, status: int) -> None:
    model, pauses = remote(double)
    double.script = said((status, {}, {}), (status, {}, {}), (status, {}, {}), completion("결국"))

    assert model.generate([ASK])[0].text == "결국"
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0 <= pauses[2] <= 2.0


def test_retry_after_is_honoured(double: Replay) -> None:
    model, pauses = remote(double)
    double.script = said((429, {"Retry-After": "7"}, {}), completion())
    model.generate([ASK])
    assert pauses == [7.0]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(double: Replay) -> None:
    model, pauses = remote(double)
    double.script = said((429, {"Retry-After": "3600"}, {}))
    assert "429" in model.generate([ASK])[0].error
    assert pauses == []


def test_after_all_retries_there_is_an_error_and_the_others_go_on(double: Replay) -> None:
    model, _ = remote(double, retries=1, max_concurrency=1)
    double.script = said((500, {}, "oops"), (500, {}, "oops"), completion("나"))
    first, second = model.generate([ASK, ASK])
    assert first.finish == "error"
    assert "HTTP 500" in first.error
    assert "after 2 attempts" in first.error
    assert second.text == "나"


def test_a_bad_request_is_not_retried(double: Replay) -> None:
    model, pauses = remote(double)
    double.script = said((400, {}, {"error": {"message": "too long"}}))
    assert "HTTP 400: the request was refused (too long)" in model.generate([ASK])[0].error
    assert (len(double.seen), pauses) == (1, [])


def test_a_redirect_is_not_followed(double: Replay) -> None:
    model, _ = remote(double)
    double.script = said((307, {"Location": double.url + "/chat/completions"}, {}))
    assert "HTTP 307" in model.generate([ASK])[0].error
    assert len(double.seen) == 1


def test_a_refused_key_is_named_by_its_variable_and_never_shown(double: Replay) -> None:
    model, _ = remote(double)
    double.script = said((401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}"}}))
    with pytest.raises(ModelError, match=r"HTTP 401: the key in OPENAI_API_KEY was refused") as caught:
        model.generate([ASK])
    assert KEY not in str(caught.value)
    assert KEY not in repr(model)
    assert KEY not in repr(vars(model))


def test_a_missing_key_of_openai_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        RemoteModel("gpt").generate([ASK])


def test_a_key_with_a_line_break_is_named(double: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "abc\n")
    with pytest.raises(ModelError, match="the key in OPENAI_API_KEY holds characters that no key has"):
        remote(double)[0].generate([ASK])


def test_an_endpoint_that_does_not_answer_in_time_is_an_error(double: Replay) -> None:
    model, _ = remote(double, timeout_s=0.1, retries=1)
    double.script = [Exchange(body=completion(), pause_s=0.5)] * 2
    made = model.generate([ASK])[0]
    assert made.finish == "error"
    assert "no answer within 0.1 s, after 2 attempts" in made.error


def test_an_endpoint_that_is_not_there_is_an_error() -> None:
    model = RemoteModel("tiny", Endpoint("http://127.0.0.1:9/v1", retries=0))
    assert "the connection failed (ConnectError)" in model.generate([ASK])[0].error


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "{}",
        "[]",
        "[" * 100_000,
        {"choices": []},
        {"choices": [{"message": None}]},
        {"choices": {"message": {"content": "x"}}},
        {"choices": [{"message": {"content": ["x"]}}]},
        {"choices": [{"message": {"tool_calls": {"function": {}}}}]},
        {"choices": [{"message": {"tool_calls": [{"function": {"arguments": "{}"}}]}}]},
        {"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}}]},
        {"choices": [{"message": {"tool_calls": [{"index": i, "function": {"name": "f"}} for i in range(300)]}}]},
    ],
)
def test_an_answer_in_another_form_is_an_error(double: Replay, body: Any) -> None:
    model, _ = remote(double)
    double.script = said(body)
    made = model.generate([ASK])[0]
    assert made.finish == "error"
    assert "not a chat completion" in made.error


@pytest.mark.parametrize("counted", [{"prompt_tokens": -5}, {"prompt_tokens": 10**400}, {"prompt_tokens": "many"}, [], None])
def test_a_count_that_is_none_counts_as_the_dearest(double: Replay, counted: Any) -> None:
    model, _ = remote(double, prices=TokenPrices(0.0, 1e6))
    double.script = said(completion() | {"usage": counted})
    assert model.generate([ASK])[0].usage == Usage()
    assert model.spent == 16.0


def test_an_answer_longer_than_may_be_is_an_error(double: Replay) -> None:
    model, _ = remote(double)
    double.script = said(completion("가" * 3_000_000))
    assert "the answer is longer than 8 MiB" in model.generate([ASK])[0].error


def test_tool_calls_are_read_and_sent_back(double: Replay) -> None:
    model, _ = remote(double)
    double.script = said(completion(None, tool_calls=[{"id": "c9", "function": {"name": "lookup", "arguments": '{"order": 1}'}}]))
    call = model.generate([ASK])[0].tool_calls
    assert call == (ToolCall("lookup", {"order": 1}, "c9"),)

    model.generate([Request((*ASK.messages, Message("assistant", "", tool_calls=call), Message("tool", "배송 중")))])

    sent = double.seen[1]["messages"]
    assert sent[1]["tool_calls"][0] == {"type": "function", "id": "c9", "function": {"name": "lookup", "arguments": '{"order": 1}'}}
    assert sent[2]["tool_call_id"] == "c9"


def test_one_call_is_kept_where_one_at_a_time_was_asked_for(double: Replay) -> None:
    model, _ = remote(double)
    calls = [{"id": f"c{i}", "function": {"name": "lookup", "arguments": "{}"}} for i in range(3)]
    double.script = said(completion(None, tool_calls=calls))
    made = model.generate([Request(ASK.messages, parallel_tool_calls=False)])[0]
    assert [call.id for call in made.tool_calls] == ["c0"]
    assert made.repairs == ("2 further tool calls left out: one at a time was asked for",)


@pytest.mark.parametrize("arguments", ['{"order": 1', ""])
def test_a_call_that_was_cut_is_left_out_and_told(double: Replay, arguments: str) -> None:
    model, _ = remote(double)
    calls = [
        {"id": "c1", "function": {"name": "lookup", "arguments": "{}"}},
        {"id": "c2", "function": {"name": "lookup", "arguments": arguments}},
    ]
    double.script = said(completion(None, tool_calls=calls, finish="length"))
    made = model.generate([ASK])[0]
    assert made.tool_calls == (ToolCall("lookup", {}, "c1"),)
    assert made.finish == "truncated"


def test_what_a_failed_answer_cost_is_told(double: Replay) -> None:
    model, _ = remote(double, structured=True)
    double.script = said(completion("글쎄요"))
    made = model.generate([Request(ASK.messages, constraint=OneOf(("환불", "교환")))])[0]
    assert (made.finish, made.usage) == ("error", Usage(7, 3))


def test_a_length_finish_is_told(double: Replay) -> None:
    model, _ = remote(double)
    double.script = said(completion(finish="length"))
    assert model.generate([ASK])[0].finish == "length"


def test_log_probabilities_are_read(double: Replay) -> None:
    model, _ = remote(double)
    listed = [
        {"token": "네", "logprob": -0.5, "top_logprobs": [{"token": "네", "logprob": -0.5}, {"token": "아", "logprob": None}]}
    ]
    answer = completion()
    answer["choices"][0]["logprobs"] = {"content": listed}
    double.script = said(answer)
    made = model.generate([Request(ASK.messages, logprobs=2)])[0]
    assert made.logprobs == (TokenScore("네", -0.5, (("네", -0.5), ("아", float("-inf")))),)
    assert (double.seen[0]["logprobs"], double.seen[0]["top_logprobs"]) == (True, 2)


def test_several_answers_come_in_the_order_of_their_numbers(double: Replay) -> None:
    model, _ = remote(double, kind="vllm", prices=TokenPrices(0.0, 1e6))
    choices = [{"index": i, "message": {"content": f"{i}번"}, "finish_reason": "stop"} for i in (2, 0, 1)]
    double.script = said({"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 9}})
    made = model.generate([Request(ASK.messages, temperature=1.0, n=3)])[0]
    assert [g.text for g in (made, *made.others)] == ["0번", "1번", "2번"]
    assert [g.usage for g in (made, *made.others)] == [Usage(5, 9), Usage(), Usage()]
    assert (len(double.seen), double.seen[0]["n"], model.spent) == (1, 3, 9.0)


def test_servers_that_give_one_answer_are_asked_again_with_the_next_seeds(double: Replay) -> None:
    model, _ = remote(double, kind="ollama")
    double.script = said(completion("가"), completion("나"), completion("다"))
    made = model.generate([Request(ASK.messages, temperature=1.0, n=3, seed=5)])[0]
    assert [g.text for g in (made, *made.others)] == ["가", "나", "다"]
    assert [(sent["seed"], "n" in sent) for sent in double.seen] == [(5, False), (6, False), (7, False)]


def test_greedy_answers_are_asked_for_once(double: Replay) -> None:
    model, _ = remote(double, kind="vllm")
    made = model.generate([Request(ASK.messages, n=3)])[0]
    assert [g.text for g in (made, *made.others)] == ["네"] * 3
    assert len(double.seen) == 1


def test_the_money_cap_stops_before_it_is_exceeded(double: Replay) -> None:
    """A request is about 150 bytes, so at 10 per token it could cost about 1,660 and does cost 100."""
    model, _ = remote(double, money_cap=2500.0, prices=TokenPrices(10e6, 10e6), max_concurrency=1)
    with pytest.raises(BudgetError, match=r"Raise money_cap"):
        model.generate([ASK] * 50)
    assert 0 < model.spent <= 2500.0
    assert model.spent == 100.0 * len(double.seen)


def test_an_answer_without_usage_counts_as_the_dearest(double: Replay) -> None:
    model, _ = remote(double, prices=TokenPrices(0.0, 1e6))
    double.script = said(completion(usage=None))
    model.generate([ASK])
    assert model.spent == pytest.approx(16.0)


def test_what_is_refused_costs_nothing(double: Replay) -> None:
    model, _ = remote(double, prices=TokenPrices(1e6, 1e6))
    double.script = said((400, {}, {}))
    model.generate([ASK])
    double.script = said((404, {}, {}))
    with pytest.raises(ModelError):
        model.generate([ASK])
    assert model.spent == 0.0


def test_a_cap_needs_prices() -> None:
    with pytest.raises(ConfigError, match="money_cap needs prices"):
        RemoteModel("tiny", Endpoint("http://localhost"), money_cap=1.0)


def test_the_pace_is_kept(double: Replay) -> None:
    model, pauses = remote(double, requests_per_minute=60, max_concurrency=1)
    model.generate([ASK] * 3)
    assert 0 < pauses[0] <= 1.0 < pauses[1] <= 2.0


def test_an_error_that_is_nested_too_deep_is_told(double: Replay) -> None:
    model, _ = remote(double)
    double.script = said((400, {}, '{"error": {"message": ' + "[" * 900 + "]" * 900 + "}}"))
    assert "HTTP 400" in model.generate([ASK])[0].error


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "host/v1",
        "file:///etc/passwd",
        "https://user:pw@host/v1",
        "http://",
        "http://host:99999/v1",
        "http://[::1/v1",
        "http://host/\n",
    ],
)
def test_a_base_url_has_to_be_http_without_credentials(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Endpoint(url)
    assert "pw" not in str(caught.value).replace("/etc/passwd", "")


@pytest.mark.parametrize("setting", [{"kind": "vlm"}, {"timeout_s": 0}, {"max_concurrency": 0}])
def test_a_setting_that_cannot_be_is_named(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        Endpoint("http://localhost", **setting)


def test_a_query_of_the_base_url_is_sent_and_not_shown(double: Replay) -> None:
    model = RemoteModel("tiny", Endpoint(double.url + "?api-version=1&token=abc", retries=0))
    double.script = said((400, {}, {}))
    error = model.generate([ASK])[0].error
    assert double.paths[0] == "/v1/chat/completions?api-version=1&token=abc"
    assert "abc" not in error
    assert "abc" not in repr(model.endpoint)


def test_text_that_cannot_be_sent_is_an_error_and_the_others_go_on(double: Replay) -> None:
    model, _ = remote(double)
    broken, fine = model.generate([Request((Message("user", "\ud800"),)), ASK])
    assert "cannot be written as JSON" in broken.error
    assert fine.text == "네"


def test_a_constraint_that_was_not_sent_leaves_the_text_as_it_is(double: Replay) -> None:
    model, _ = remote(double)
    double.script = said(completion("글쎄요"))
    made = model.generate([Request(ASK.messages, constraint=OneOf(("환불", "교환")))])[0]
    assert made == Generation("글쎄요", usage=Usage(7, 3), latency_s=made.latency_s)
    assert "response_format" not in json.dumps(double.seen)
