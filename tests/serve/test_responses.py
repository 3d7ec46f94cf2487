from typing import Any

import openai
import pytest

from acting import Plain, call
from sadari.model.scripted import ScriptedModel
from sadari.types import JsonSchema, Message, ToolCall, Traits

LOOK = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
    "strict": False,
}


def test_a_conversation_goes_on_by_the_response_before(start: Any) -> None:
    live = start("안녕하세요.", "네.")
    client = live.client()
    first = client.responses.create(model="sadari", input="안녕")
    second = client.responses.create(model="sadari", input="있나요?", previous_response_id=first.id)
    assert (first.output_text, second.output_text) == ("안녕하세요.", "네.")
    assert first.sadari["run"] == second.sadari["run"]
    assert client.responses.retrieve(second.id).output_text == "네."


def test_a_conversation_that_went_on_already_branches(start: Any) -> None:
    live = start("하나.", "둘.", "셋.")
    client = live.client()
    first = client.responses.create(model="sadari", input="1?")
    client.responses.create(model="sadari", input="2?", previous_response_id=first.id)
    branch = client.responses.create(model="sadari", input="3?", previous_response_id=first.id)
    assert branch.sadari["run"] != first.sadari["run"]
    assert [m.content for m in live.service.desk.loop.agent.responder.heard[2]] == ["1?", "하나.", "3?"]


def test_the_agent_streams_a_response(start: Any) -> None:
    live = start([call("look", n=7)], "배송 중입니다.", tools=(Plain("look", lambda n: "배송 중", Traits(is_trusted=True)),))
    with live.client().responses.stream(model="sadari", input="7번?") as stream:
        kinds = [event.type for event in stream]
        said = stream.get_final_response()
    assert said.output_text == "배송 중입니다."
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert said.sadari["steps"][0]["tool"] == "look"


def test_the_raw_model_returns_and_reads_function_calls(start: Any) -> None:
    model = ScriptedModel(lambda r: "배송 중입니다." if r.messages[-1].role == "tool" else [ToolCall("look", {"n": 7}, "call_1")])
    client = start(model=model).client()
    asked = client.responses.create(model="sadari-raw", input="7번?", instructions="짧게.", tools=[LOOK])
    made = asked.output[0]
    assert (made.type, made.call_id, made.name, made.arguments) == ("function_call", "call_1", "look", '{"n": 7}')
    given: list[Any] = [
        {"role": "user", "content": "7번?"},
        made.model_dump(),
        {"type": "function_call_output", "call_id": "call_1", "output": "배송 중"},
    ]
    assert client.responses.create(model="sadari-raw", input=given, tools=[LOOK]).output_text == "배송 중입니다."
    assert model.requests[0].messages[0] == Message("system", "짧게.")
    assert model.requests[1].messages[1].tool_calls == (ToolCall("look", {"n": 7}, "call_1"),)


def test_the_raw_model_streams_text_and_calls(start: Any) -> None:
    client = start(model=ScriptedModel(lambda r: [ToolCall("look", {"n": 7})] if r.tools else "안녕")).client()
    with client.responses.stream(model="sadari-raw", input="?") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    assert text == "안녕"
    with client.responses.stream(model="sadari-raw", input="?", tools=[LOOK]) as stream:
        assert stream.get_final_response().output[0].arguments == '{"n": 7}'


def test_a_form_of_the_text_is_held(start: Any) -> None:
    model = ScriptedModel([{"say": "{}"}])
    form: Any = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    start(model=model).client().responses.create(model="sadari-raw", input="?", text=form)
    assert model.requests[0].constraint == JsonSchema({"type": "object"})


def test_the_raw_model_keeps_nothing(start: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        start().client().responses.create(model="sadari-raw", input="?", previous_response_id="resp_0123456789abcdef_1")


@pytest.mark.parametrize("name", ["resp_x", "resp_0123456789abcdef_1", "../runs"])
def test_a_response_that_is_not_there_is_not_found(start: Any, name: str) -> None:
    with pytest.raises(openai.NotFoundError):
        start("네.").client().responses.create(model="sadari", input="?", previous_response_id=name)
