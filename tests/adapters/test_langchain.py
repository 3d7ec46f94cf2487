from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from sadari.adapters.langchain import ChatSadari
from sadari.errors import ConfigError, DataError, ModelError
from sadari.model import ScriptedModel
from sadari.types import Delta, Generation, Message, Request, ToolCall, Usage


def order_status(order: str) -> str:
    """주문 상태를 알려 준다."""
    return f"{order}: 배송 중"


class Order(BaseModel):
    """주문 하나."""

    number: str
    amount: int


class Writer(ScriptedModel):
    """A model that streams: the pieces it is given, then their sum."""

    def __init__(self, *pieces: Delta) -> None:
        super().__init__()
        self._pieces = pieces

    def stream(self, request: Request) -> Iterator[Delta]:
        yield from self._pieces


def chat(*says: Any) -> tuple[ChatSadari, ScriptedModel]:
    left = list(says)
    model = ScriptedModel(lambda request: left.pop(0))
    return ChatSadari(model=model), model


def test_messages_of_all_kinds_reach_the_model_as_turns() -> None:
    model, scripted = chat("배송 중입니다.")
    call = {"name": "order_status", "args": {"order": "A-1"}, "id": "c1"}
    said = model.invoke(
        [SystemMessage("친절히"), HumanMessage("A-1?"), AIMessage("", tool_calls=[call]), ToolMessage("배송 중", tool_call_id="c1")]
    )
    assert said.text == "배송 중입니다."
    assert scripted.requests[0].messages == (
        Message("system", "친절히"),
        Message("user", "A-1?"),
        Message("assistant", "", tool_calls=(ToolCall("order_status", {"order": "A-1"}, "c1"),)),
        Message("tool", "배송 중", tool_call_id="c1"),
    )


def test_tools_are_bound_with_their_schema_and_calls_come_back() -> None:
    model, scripted = chat([ToolCall("order_status", {"order": "A-1"}, "call_0")])
    said = model.bind_tools([order_status], tool_choice="any").invoke("A-1?")
    (spec,) = scripted.requests[0].tools
    assert (spec.name, spec.description, spec.parameters["required"]) == ("order_status", "주문 상태를 알려 준다.", ["order"])
    assert scripted.requests[0].tool_choice == "required"
    assert [(c["name"], c["args"]) for c in said.tool_calls] == [("order_status", {"order": "A-1"})]


def test_calls_of_two_answers_have_different_ids_though_the_model_numbers_them_alike() -> None:
    made = [ToolCall("order_status", {"order": "A-1"}, "call_0")]
    model, _ = chat(made, made)
    ids = {model.invoke("A-1?").tool_calls[0]["id"] for _ in range(2)}
    assert len(ids) == 2


def test_structured_output_is_a_call_that_has_to_be_made() -> None:
    model, scripted = chat([ToolCall("Order", {"number": "A-1", "amount": 3000})])
    assert model.with_structured_output(Order).invoke("A-1은 3천 원") == Order(number="A-1", amount=3000)
    assert scripted.requests[0].tool_choice == "required"


def test_settings_of_the_model_and_of_a_call_reach_the_request() -> None:
    model, scripted = chat("a", "b")
    model = model.model_copy(update={"temperature": 0.5, "max_tokens": 7})
    model.invoke("?", stop=["\n"])
    model.invoke("?", temperature=0.9)
    first, second = scripted.requests
    assert (first.temperature, first.max_new_tokens, first.stop) == (0.5, 7, ("\n",))
    assert second.temperature == 0.9


def test_an_unknown_setting_is_refused_and_not_ignored() -> None:
    model, _ = chat("a")
    with pytest.raises(ConfigError, match="response_format"):
        model.invoke("?", response_format={"type": "json_object"})


def test_a_picture_is_refused() -> None:
    model, _ = chat("a")
    with pytest.raises(DataError, match="image_url"):
        model.invoke([HumanMessage([{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "x"}}])])


def test_a_model_that_does_not_answer_is_an_error() -> None:
    model, _ = chat(Generation("", finish="error", error="the endpoint is gone"))
    with pytest.raises(ModelError, match="the endpoint is gone"):
        model.invoke("?")


def test_usage_and_a_cut_answer_are_told() -> None:
    model, _ = chat(Generation("반", usage=Usage(3, 4), finish="length"))
    said = model.invoke("?")
    assert said.usage_metadata == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert said.response_metadata["finish_reason"] == "length"


def test_a_stream_brings_text_calls_and_usage() -> None:
    call = ToolCall("order_status", {"order": "A-1"}, "call_0")
    done = Generation("잠깐", (call,), Usage(3, 4))
    model = ChatSadari(model=Writer(Delta("잠"), Delta("깐"), Delta(tool_call=call), Delta(done=done)))
    pieces = list(model.stream("?"))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert [piece.text for piece in pieces][:2] == ["잠", "깐"]
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [("order_status", {"order": "A-1"})]
    assert whole.usage_metadata == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def test_a_model_that_does_not_stream_answers_in_one_piece() -> None:
    model, _ = chat("네.")
    assert "".join(piece.text for piece in model.stream("?")) == "네."


@pytest.mark.filterwarnings("ignore:create_react_agent")  # where it moved to is one more library
def test_langgraphs_own_agent_runs_on_it() -> None:
    agents = pytest.importorskip("langgraph.prebuilt")
    call = [ToolCall("order_status", {"order": "A-1"}, "call_0")]
    model, scripted = chat(call, [ToolCall("order_status", {"order": "A-2"}, "call_0")], "둘 다 배송 중입니다.")
    agent = agents.create_react_agent(model, [order_status])
    result = agent.invoke({"messages": [("user", "A-1과 A-2?")]})
    assert result["messages"][-1].text == "둘 다 배송 중입니다."
    assert scripted.requests[2].messages[-1].content == "A-2: 배송 중"
