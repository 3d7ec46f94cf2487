"""The remote model against a local double of an OpenAI-compatible endpoint."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sadari.errors import BudgetError, ConfigError, ModelError
from sadari.model.remote import RemoteModel, TokenPrices
from sadari.types import Message, OneOf, Request, ToolCall, ToolSpec, Usage

KEY = "sk-secret-0123456789"
ASK = Request((Message("user", "환불 되나요?"),), max_new_tokens=16)


def completion(content="네", *, tool_calls=None, finish="stop", usage=(7, 3)) -> dict:
    message = {"role": "assistant", "content": content} | ({"tool_calls": tool_calls} if tool_calls else {})
    counted = {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}} if usage else {}
    return {"choices": [{"message": message, "finish_reason": finish}]} | counted


class Double:
    """Plays back answers: a dict is 200 and JSON, a (status, headers, body) triple is sent as it is, a number is slept first."""

    def __init__(self) -> None:
        self.script: list = []
        self.seen: list[dict] = []
        self.headers: list[dict] = []
        self.paths: list[str] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                double.seen.append(body)
                double.headers.append(dict(self.headers))
                double.paths.append(self.path)
                answer = double.script.pop(0) if double.script else completion(body["messages"][-1]["content"])
                if isinstance(answer, float):
                    time.sleep(answer)
                    answer = completion()
                status, headers, data = answer if isinstance(answer, tuple) else (200, {}, json.dumps(answer))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data.encode())

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def double(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    double = Double()
    yield double
    double.server.shutdown()
    double.server.server_close()


def remote(double: Double, **settings) -> tuple[RemoteModel, list[float]]:
    """A model whose pauses are noted instead of slept."""
    model, pauses = RemoteModel("tiny", double.url, **settings), []
    model._sleep = pauses.append
    return model, pauses


def test_a_request_is_sent_and_read(double):
    model, _ = remote(double)
    tools = (ToolSpec("lookup", "Find.", {"type": "object"}),)

    generation = model.generate([Request(ASK.messages, tools, 16, 0.5, 0.9, 3, ("\n",))])[0]

    assert (generation.text, generation.usage, generation.finish) == ("환불 되나요?", Usage(7, 3), "stop")
    assert generation.latency_s > 0
    sent = double.seen[0]
    assert sent["messages"] == [{"role": "user", "content": "환불 되나요?"}]
    assert (sent["model"], sent["max_tokens"], sent["temperature"], sent["top_p"], sent["seed"], sent["stop"]) == (
        "tiny",
        16,
        0.5,
        0.9,
        3,
        ["\n"],
    )
    assert sent["tools"][0]["function"]["name"] == "lookup"
    assert double.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_answers_come_in_the_order_of_the_requests(double):
    model, _ = remote(double, max_concurrency=8)
    asked = [Request((Message("user", f"q{i}"),)) for i in range(30)]
    assert [g.text for g in model.generate(asked)] == [f"q{i}" for i in range(30)]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_passing_failures_are_retried_with_growing_pauses(double, status):
    model, pauses = remote(double)
    double.script = [(status, {}, "{}"), (status, {}, "{}"), (status, {}, "{}"), completion("결국")]

    assert model.generate([ASK])[0].text == "결국"
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0 <= pauses[2] <= 2.0


def test_retry_after_is_honoured(double):
    model, pauses = remote(double)
    double.script = [(429, {"Retry-After": "7"}, "{}"), completion()]
    model.generate([ASK])
    assert pauses == [7.0]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(double):
    model, pauses = remote(double)
    double.script = [(429, {"Retry-After": "3600"}, "{}")]
    assert "429" in model.generate([ASK])[0].error
    assert pauses == []


def test_after_all_retries_there_is_an_error_and_the_others_go_on(double):
    model, _ = remote(double, retries=1, max_concurrency=1)
    double.script = [(500, {}, "oops"), (500, {}, "oops"), completion("나")]
    first, second = model.generate([ASK, ASK])
    assert first.finish == "error"
    assert "HTTP 500" in first.error
    assert "after 2 attempts" in first.error
    assert second.text == "나"


def test_a_bad_request_is_not_retried(double):
    model, pauses = remote(double)
    double.script = [(400, {}, json.dumps({"error": {"message": "too long"}}))]
    assert "HTTP 400: the request was refused (too long)" in model.generate([ASK])[0].error
    assert (len(double.seen), pauses) == (1, [])


def test_a_refused_key_is_named_by_its_variable_and_never_shown(double):
    model, _ = remote(double)
    double.script = [(401, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}))]
    with pytest.raises(ModelError, match=r"HTTP 401: the key in OPENAI_API_KEY was refused") as caught:
        model.generate([ASK])
    assert KEY not in str(caught.value)
    assert KEY not in repr(model)
    assert KEY not in repr(vars(model))


def test_a_missing_key_of_openai_is_named(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        RemoteModel("gpt").generate([ASK])


def test_an_endpoint_that_does_not_answer_in_time_is_an_error(double):
    model, _ = remote(double, timeout_s=0.1, retries=1)
    double.script = [0.5, 0.5]
    generation = model.generate([ASK])[0]
    assert generation.finish == "error"
    assert "no answer within 0.1 s, after 2 attempts" in generation.error


def test_an_endpoint_that_is_not_there_is_an_error(double):
    model = RemoteModel("tiny", "http://127.0.0.1:9/v1", retries=0)
    assert "the connection failed (ConnectError)" in model.generate([ASK])[0].error


@pytest.mark.parametrize("body", ["<html>", "{}", '{"choices": []}', '{"choices": [{"message": null}]}', "[]"])
def test_an_answer_in_another_form_is_an_error(double, body):
    model, _ = remote(double)
    double.script = [(200, {}, body)]
    generation = model.generate([ASK])[0]
    assert generation.finish == "error"
    assert "not a chat completion" in generation.error


def test_tool_calls_are_read_and_sent_back(double):
    model, _ = remote(double)
    double.script = [completion(None, tool_calls=[{"id": "c9", "function": {"name": "lookup", "arguments": '{"order": 1}'}}])]
    call = model.generate([ASK])[0].tool_calls
    assert call == (ToolCall("lookup", {"order": 1}, "c9"),)

    model.generate([Request((*ASK.messages, Message("assistant", "", tool_calls=call), Message("tool", "배송 중")))])

    sent = double.seen[1]["messages"]
    assert sent[1]["tool_calls"][0] == {"type": "function", "id": "c9", "function": {"name": "lookup", "arguments": '{"order": 1}'}}
    assert sent[2]["tool_call_id"] == "c9"


def test_malformed_arguments_are_an_error(double):
    model, _ = remote(double)
    double.script = [completion(None, tool_calls=[{"id": "c", "function": {"name": "lookup", "arguments": "{"}}])]
    assert "not a chat completion" in model.generate([ASK])[0].error


def test_a_length_finish_is_told(double):
    model, _ = remote(double)
    double.script = [completion(finish="length")]
    assert model.generate([ASK])[0].finish == "length"


def test_labels_are_sent_as_a_schema_only_if_asked(double):
    request = Request(ASK.messages, constraint=OneOf(("환불", "교환")))
    plain, _ = remote(double)
    plain.generate([request])
    assert "response_format" not in double.seen[0]

    structured, _ = remote(double, structured=True)
    double.script = [completion('{"answer": "환불"}')]
    assert structured.generate([request])[0].text == "환불"
    assert double.seen[1]["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"] == ["환불", "교환"]


def test_the_money_cap_stops_before_it_is_exceeded(double):
    """A request is about 150 bytes, so at 10 per token it could cost about 1,660 and does cost 100."""
    model, _ = remote(double, money_cap=2500.0, prices=TokenPrices(10e6, 10e6), max_concurrency=1)
    with pytest.raises(BudgetError, match=r"Raise money_cap"):
        model.generate([ASK] * 50)
    assert 0 < model.spent <= 2500.0
    assert model.spent == 100.0 * len(double.seen)


def test_an_answer_without_usage_counts_as_the_dearest(double):
    model, _ = remote(double, prices=TokenPrices(0.0, 1e6))
    double.script = [completion(usage=None)]
    model.generate([ASK])
    assert model.spent == pytest.approx(16.0)


def test_a_cap_needs_prices():
    with pytest.raises(ConfigError, match="money_cap needs prices"):
        RemoteModel("tiny", "http://localhost", money_cap=1.0)


def test_the_pace_is_kept(double):
    model, pauses = remote(double, requests_per_minute=60, max_concurrency=1)
    model.generate([ASK] * 3)
    assert 0 < pauses[0] <= 1.0 < pauses[1] <= 2.0


@pytest.mark.parametrize("url", ["ftp://host/v1", "host/v1", "file:///etc/passwd", "https://user:pw@host/v1", "http://"])
def test_a_base_url_has_to_be_http_without_credentials(url):
    with pytest.raises(ConfigError) as caught:
        RemoteModel("tiny", url)
    assert "pw" not in str(caught.value).replace("/etc/passwd", "")


def test_a_query_of_the_base_url_is_sent_and_not_shown(double):
    model = RemoteModel("tiny", double.url + "?api-version=1&token=abc", retries=0)
    double.script = [(400, {}, "{}")]
    error = model.generate([ASK])[0].error
    assert double.paths[0] == "/v1/chat/completions?api-version=1&token=abc"
    assert "abc" not in error
