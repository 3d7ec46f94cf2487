from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

pytest.importorskip("mcp")

import anyio
from mcp.client import Client

from acting import Plain, Script, call
from sadari.agent.approval import approve, pending
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.agent.tools.mcp.agent_server import agent_server
from sadari.types import Caller, Traits


def loop_of(*says: Any) -> Loop:
    tools = (
        Plain("look", lambda n: f"{n}번", Traits(is_trusted=True)),
        Plain("pay", lambda n: f"{n}원 지불", Traits("irreversible", is_trusted=True)),
    )
    return Loop(Agent(Script(*says), tools), Log(""))


def client_of(loop: Loop, work: Callable[[Client], Awaitable[Any]]) -> Any:
    async def talk() -> Any:
        async with Client(agent_server("shop", loop, "kim")) as client:
            return await work(client)

    return anyio.run(talk)


def ask(loop: Loop, **arguments: Any) -> tuple[str, bool]:
    result = client_of(loop, lambda client: client.call_tool("ask", arguments))
    return result.content[0].text, result.is_error


def test_a_client_sees_one_tool_that_may_do_what_the_agent_may() -> None:
    (tool,) = client_of(loop_of(), lambda client: client.list_tools()).tools
    assert (tool.name, tool.annotations.read_only_hint, tool.annotations.destructive_hint) == ("ask", False, True)
    assert tool.input_schema["required"] == ["question"]


def test_a_question_is_answered_by_the_agent_with_its_tools_and_the_conversation_goes_on() -> None:
    loop = loop_of([call("look", n=7)], "배송 중입니다.", "내일이요.")
    said, is_error = ask(loop, question="7번?")
    (entry,) = loop.log.runs()
    assert (said, is_error, entry.user) == (f"배송 중입니다.\n[{entry.run}]", False, "kim")
    assert ask(loop, question="언제 와요?", run=entry.run)[0].startswith("내일이요.")
    assert len(loop.log.runs()) == 1


def test_what_needs_a_person_waits_under_its_request_and_is_fetched_when_it_is_decided() -> None:
    loop = loop_of([call("pay", n=7)], "지불했습니다.")
    said, is_error = ask(loop, question="7원 내 주세요")
    (one,) = pending(loop.log, datetime.now().astimezone())
    assert not is_error
    assert f"{one.run}/1.1 pay" in said
    assert ask(loop, question="", run=one.run)[0] == said  # asking again approves nothing
    approve(loop.log, one.run, one.call, one.fingerprint, "boss", now=datetime.now().astimezone())
    assert ask(loop, question="", run=one.run)[0].startswith("지불했습니다.")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"question": " "}, "비어 있습니다"),
        ({}, "비어 있습니다"),
        ({"question": 7}, "비어 있습니다"),
        ({"question": "", "run": "x"}, "no such run"),
    ],
)
def test_an_empty_or_wrong_question_is_an_error(arguments: dict[str, Any], told: str) -> None:
    said, is_error = ask(loop_of(), **arguments)
    assert is_error
    assert told in said


@pytest.mark.parametrize("question", ["", "뭐라고 했어요?"])
def test_the_conversation_of_another_user_is_not_told(question: str) -> None:
    loop = loop_of("비밀이에요")
    run = loop.answer("?", Caller("lee")).run
    said, is_error = ask(loop, question=question, run=run)
    assert is_error
    assert "비밀" not in said


def test_a_second_question_has_to_wait_for_the_first() -> None:
    loop = loop_of([call("pay", n=7)])
    ask(loop, question="7원 내 주세요")
    said, is_error = ask(loop, question="다른 것도요", run=loop.log.runs()[0].run)
    assert (is_error, "is waiting" in said) == (True, True)
