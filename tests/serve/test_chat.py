from typing import Any

import openai
import pytest

from acting import Plain, call
from sadari.model.scripted import ScriptedModel
from sadari.types import Generation, JsonSchema, Message, Request, TokenScore, ToolCall, Traits, Usage

LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look.",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
    },
}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_the_agent_answers_with_its_run_and_its_steps(start: Any) -> None:
    live = start([call("look", n=7)], "7번은 배송 중입니다.", tools=(Plain("look", lambda n: "배송 중", Traits(is_trusted=True)),))
    said = live.client().chat.completions.create(model="sadari", messages=user("7번?"))
    assert said.choices[0].message.content == "7번은 배송 중입니다."
    assert said.choices[0].finish_reason == "stop"
    assert [(s["tool"], s["arguments"], s["status"]) for s in said.sadari["steps"]] == [("look", {"n": 7}, "succeeded")]
    assert [e.kind for e in live.service.log.events(said.sadari["run"])][-1] == "run.answered"


def test_the_agent_streams_its_steps_and_its_answer_with_usage_last(start: Any) -> None:
    live = start([call("look", n=7)], "배송 중입니다.", tools=(Plain("look", lambda n: "배송 중", Traits(is_trusted=True)),))
    stream = live.client().chat.completions.create(
        model="sadari", messages=user("7번?"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "배송 중입니다."
    steps = [c.sadari["step"]["kind"] for c in chunks if (getattr(c, "sadari", None) or {}).get("step")]
    assert steps == ["call.proposed", "call.started", "call.succeeded"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 15


def test_a_conversation_goes_on_by_its_run(start: Any) -> None:
    live = start("안녕하세요.", "네.")
    client = live.client()
    first = client.chat.completions.create(model="sadari", messages=user("안녕"))
    second = client.chat.completions.create(
        model="sadari", messages=user("있나요?"), extra_body={"sadari": {"run": first.sadari["run"]}}
    )
    assert second.sadari["run"] == first.sadari["run"]
    heard = live.service.desk.loop.agent.responder.heard[1]
    assert [m.content for m in heard] == ["안녕", "안녕하세요.", "있나요?"]


def test_a_conversation_goes_on_by_the_messages_that_are_sent(start: Any) -> None:
    live = start("네.")
    sent = [*user("안녕"), {"role": "assistant", "content": "안녕하세요."}, *user("있나요?")]
    live.client().chat.completions.create(model="sadari", messages=sent)
    heard = live.service.desk.loop.agent.responder.heard[0]
    assert [(m.role, m.content) for m in heard] == [("user", "안녕"), ("assistant", "안녕하세요."), ("user", "있나요?")]


def test_the_raw_model_returns_tool_calls_to_the_caller(start: Any) -> None:
    seen: list[Request] = []

    def say(request: Request) -> list[ToolCall]:
        seen.append(request)
        return [ToolCall("look", {"n": 7}, "call_1")]

    live = start(model=ScriptedModel(say))
    said = live.client().chat.completions.create(
        model="sadari-raw", messages=user("7번?"), tools=[LOOK], tool_choice="required", parallel_tool_calls=False
    )
    made = said.choices[0].message.tool_calls[0]
    assert (made.id, made.function.name, made.function.arguments) == ("call_1", "look", '{"n": 7}')
    assert said.choices[0].finish_reason == "tool_calls"
    assert (seen[0].tool_choice, seen[0].parallel_tool_calls, seen[0].tools[0].name) == ("required", False, "look")


def test_the_raw_model_reads_the_results_of_its_calls(start: Any) -> None:
    model = ScriptedModel([{"when": "배송 중", "say": "배송 중입니다."}])
    live = start(model=model)
    made = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"n": 7}'}}
    sent = [*user("7번?"), {"role": "assistant", "content": None, "tool_calls": [made]}]
    sent.append({"role": "tool", "tool_call_id": "call_1", "content": "배송 중"})
    said = live.client().chat.completions.create(model="sadari-raw", messages=sent, tools=[LOOK])
    assert said.choices[0].message.content == "배송 중입니다."
    assert model.requests[0].messages[1:] == (
        Message("assistant", "", tool_calls=(ToolCall("look", {"n": 7}, "call_1"),)),
        Message("tool", "배송 중", tool_call_id="call_1"),
    )


def test_the_raw_model_streams_calls_and_text(start: Any) -> None:
    live = start(model=ScriptedModel(lambda r: [ToolCall("look", {"n": 7})] if r.tools else "안녕하세요"))
    client = live.client()
    text = list(client.chat.completions.create(model="sadari-raw", messages=user("안녕"), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in text) == "안녕하세요"
    assert text[-1].choices[0].finish_reason == "stop"
    calls = list(client.chat.completions.create(model="sadari-raw", messages=user("7번?"), tools=[LOOK], stream=True))
    assert [t.function.name for c in calls for t in c.choices[0].delta.tool_calls or []] == ["look"]
    assert calls[-1].choices[0].finish_reason == "tool_calls"


def test_what_is_asked_of_the_raw_model_reaches_it(start: Any) -> None:
    one = Generation("가", usage=Usage(3, 1), logprobs=(TokenScore("가", -0.5, (("가", -0.5), ("나", -1.5))),))
    model = ScriptedModel(lambda request: Generation("가", usage=Usage(3, 1), logprobs=one.logprobs, others=(one,)))
    live = start(model=model)
    said = live.client().chat.completions.create(
        model="sadari-raw",
        messages=user("?"),
        n=2,
        seed=5,
        temperature=0.7,
        top_p=0.9,
        stop=["끝"],
        max_completion_tokens=9,
        logprobs=True,
        top_logprobs=2,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}},
    )
    asked = model.requests[0]
    assert (asked.n, asked.seed, asked.temperature, asked.top_p, asked.stop) == (2, 5, 0.7, 0.9, ("끝",))
    assert (asked.max_new_tokens, asked.logprobs, asked.constraint) == (9, 2, JsonSchema({"type": "array"}))
    assert [c.index for c in said.choices] == [0, 1]
    assert said.usage.completion_tokens == 2
    score = said.choices[0].logprobs.content[0]
    assert (score.token, score.logprob, score.bytes) == ("가", -0.5, [0xEA, 0xB0, 0x80])
    assert [(t.token, t.logprob) for t in score.top_logprobs] == [("가", -0.5), ("나", -1.5)]


@pytest.mark.parametrize(
    ("model", "wrong", "param"),
    [
        ("sadari", {"tools": [LOOK]}, "tools"),
        ("sadari", {"n": 2}, "n"),
        ("sadari", {"messages": []}, "messages"),
        ("sadari", {"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ("sadari-raw", {"messages": []}, "messages"),
        ("sadari-raw", {"temperature": -1}, "temperature"),
        ("sadari-raw", {"temperatur": 1}, "temperatur"),
        ("sadari-raw", {"tool_choice": "required"}, "tool_choice"),
        ("sadari-raw", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ("sadari-raw", {"messages": [{"role": "user"}]}, "messages[0].content"),
        ("sadari-raw", {"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        (
            "sadari-raw",
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}},
            "json_schema.schema",
        ),
        (
            "sadari-raw",
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "http://x"}}}]},
            "tools[0]",
        ),
        ("sadari-raw", {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ],
)
def test_a_wrong_field_is_named(start: Any, model: str, wrong: dict[str, Any], param: str) -> None:
    live = start("네.")
    with live.http() as http:
        told = http.post("/v1/chat/completions", json={"model": model, "messages": user("?")} | wrong)
    assert told.status_code == 400
    assert told.json()["error"]["type"] == "invalid_request_error"
    assert param in f"{told.json()['error']['param']} {told.json()['error']['message']}"


def test_a_model_that_is_not_there_is_not_found(start: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="sadari-raw"):
        start().client().chat.completions.create(model="gpt-9", messages=user("?"))


def test_a_model_that_breaks_tells_the_client_nothing_of_it(start: Any) -> None:
    def broken(request: Request) -> str:
        raise ValueError("/etc/secret of the server")

    with pytest.raises(openai.InternalServerError) as told:
        start(model=ScriptedModel(broken)).client().chat.completions.create(model="sadari-raw", messages=user("?"))
    assert "secret" not in str(told.value)
    assert told.value.response.headers["x-request-id"].startswith("req-")


def test_what_the_agent_decides_itself_is_left_and_said(start: Any) -> None:
    said = start("네.").client().chat.completions.create(model="sadari", messages=user("?"), temperature=0.3)
    assert said.sadari["ignored"] == ["temperature"]


def test_models_are_listed(start: Any) -> None:
    client = start().client()
    assert [m.id for m in client.models.list()] == ["sadari", "sadari-raw"]
    assert client.models.retrieve("sadari").sadari["kind"] == "agent"


def test_completions_follow_a_prompt(start: Any) -> None:
    client = start("네.").client()
    assert client.completions.create(model="sadari", prompt="되나요?").choices[0].text == "네."
    assert client.completions.create(model="sadari-raw", prompt="하나 둘 셋", max_tokens=2).choices[0].text == "하나 둘"
    chunks = client.completions.create(model="sadari-raw", prompt="하나", stream=True)
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "하나"


def test_embeddings_are_unit_vectors_in_either_encoding(start: Any) -> None:
    client = start().client()
    packed = client.embeddings.create(model="sadari", input=["배송 조회", "환불"])
    plain = client.embeddings.create(model="sadari", input="배송 조회", encoding_format="float")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert sum(v * v for v in packed.data[1].embedding) == pytest.approx(1, abs=1e-4)
