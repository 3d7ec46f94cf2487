from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pydantic_ai")

from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ImageUrl, NativeOutput, ToolApproved
from pydantic_ai.settings import ToolOrOutput

from sadari.adapters.pydantic_ai import model_for
from sadari.errors import ConfigError, DataError, ModelError
from sadari.model import ScriptedModel
from sadari.types import Delta, Generation, JsonSchema, Message, Request, ToolCall, Usage


class Order(BaseModel):
    """주문 하나."""

    number: str
    amount: int


class Writer(ScriptedModel):
    """A model that streams what it is given."""

    def __init__(self, *pieces: Delta) -> None:
        super().__init__()
        self._pieces = pieces

    def stream(self, request: Request) -> Iterator[Delta]:
        yield from self._pieces


def script(*says: Any) -> ScriptedModel:
    left = list(says)
    return ScriptedModel(lambda request: left.pop(0))


def order_status(order: str) -> str:
    """주문 상태를 알려 준다."""
    return f"{order}: 배송 중"


def test_an_agent_calls_its_tool_and_answers() -> None:
    model = script([ToolCall("order_status", {"order": "A-1"}, "call_0")], Generation("배송 중입니다.", usage=Usage(3, 4)))
    result = Agent(model_for(model), instructions="친절히", tools=[order_status]).run_sync("A-1?")
    assert result.output == "배송 중입니다."
    first, second = model.requests
    assert first.messages == (Message("system", "친절히"), Message("user", "A-1?"))
    assert (first.tools[0].name, first.tools[0].description) == ("order_status", "주문 상태를 알려 준다.")
    assert second.messages[-1].content == "A-1: 배송 중"
    assert second.messages[-1].tool_call_id == second.messages[-2].tool_calls[0].id
    assert result.usage.output_tokens >= 4


def test_an_output_with_a_schema_is_a_call_that_has_to_be_made() -> None:
    model = script([ToolCall("final_result", {"number": "A-1", "amount": 3000})])
    assert Agent(model_for(model), output_type=Order).run_sync("A-1은 3천 원").output == Order(number="A-1", amount=3000)
    assert model.requests[0].tool_choice == "required"


def test_a_native_output_is_written_under_its_schema() -> None:
    model = script('{"number": "A-1", "amount": 3000}')
    result = Agent(model_for(model), output_type=NativeOutput(Order)).run_sync("A-1은 3천 원")
    assert result.output == Order(number="A-1", amount=3000)
    held = model.requests[0].constraint
    assert isinstance(held, JsonSchema)
    assert held.schema["properties"].keys() == {"number", "amount"}


def test_a_tool_that_needs_approval_waits_for_it() -> None:
    paid: list[int] = []
    model = script([ToolCall("pay", {"amount": 100})], "지불했습니다.")
    agent = Agent(model_for(model), output_type=[str, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def pay(amount: int) -> str:
        paid.append(amount)
        return "지불"

    asked = agent.run_sync("내 주세요")
    assert isinstance(asked.output, DeferredToolRequests)
    assert paid == []
    results = DeferredToolResults(approvals={c.tool_call_id: ToolApproved() for c in asked.output.approvals})
    done = agent.run_sync(message_history=asked.all_messages(), deferred_tool_results=results)
    assert (done.output, paid) == ("지불했습니다.", [100])


def test_wrong_arguments_come_back_to_the_model() -> None:
    model = script([ToolCall("order_status", {"order": 7})], [ToolCall("order_status", {"order": "A-1"})], "배송 중입니다.")
    assert Agent(model_for(model), tools=[order_status]).run_sync("A-1?").output == "배송 중입니다."
    assert model.requests[1].messages[-1].role == "tool"


def test_settings_of_the_agent_reach_the_request() -> None:
    model = script("네.")
    Agent(model_for(model)).run_sync("?", model_settings={"temperature": 0.5, "max_tokens": 7, "seed": 3, "stop_sequences": ["\n"]})
    (request,) = model.requests
    assert (request.temperature, request.max_new_tokens, request.seed, request.stop) == (0.5, 7, 3, ("\n",))


def test_a_choice_that_a_request_cannot_hold_is_refused() -> None:
    model = script("네.")
    with pytest.raises(ConfigError, match="one name"):
        Agent(model_for(model), tools=[order_status]).run_sync("?", model_settings={"tool_choice": ToolOrOutput(["order_status"])})


def test_a_picture_is_refused() -> None:
    with pytest.raises(DataError, match="ImageUrl"):
        Agent(model_for(script("네."))).run_sync(["이건?", ImageUrl("https://example.com/a.png")])


def test_a_model_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(ModelError, match="the endpoint is gone"):
        Agent(model_for(script(Generation("", finish="error", error="the endpoint is gone")))).run_sync("?")


async def _streamed(agent: Agent[None, str]) -> list[str]:
    async with agent.run_stream("?") as result:
        return [text async for text in result.stream_text(delta=True, debounce_by=None)]


def test_text_comes_as_it_is_written() -> None:
    import anyio

    model = Writer(Delta("잠"), Delta("깐"), Delta(done=Generation("잠깐")))
    assert anyio.run(_streamed, Agent(model_for(model))) == ["잠", "깐"]
