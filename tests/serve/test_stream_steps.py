from typing import Any

import pytest

from acting import Plain, call
from sadari.agent.approval import approve, pending
from sadari.agent.log import Event
from sadari.serve.openai.chat import STEPS, step_json
from sadari.types import Answer, ToolCall

LOOK = Plain("look", lambda n: f"{n}번은 배송 중입니다.")


def stream(live: Any, text: str = "7번?", who: str = "none", **more: Any) -> list[Any]:
    said = [{"role": "user", "content": text}]
    return list(live.client(who).chat.completions.create(model="sadari", messages=said, stream=True, **more))


def steps_of(chunks: list[Any]) -> list[dict[str, Any]]:
    told = [getattr(chunk, "sadari", None) or {} for chunk in chunks]
    return [one["step"] for one in told if "step" in one]


def test_a_stream_tells_each_step_with_its_tool_its_arguments_and_its_result(start: Any) -> None:
    chunks = stream(start([call("look", n=7)], "배송 중입니다.", tools=(LOOK,)))
    proposed, started, succeeded = steps_of(chunks)
    assert proposed == {"kind": "call.proposed", "calls": [{"id": "1.1", "name": "look", "arguments": {"n": 7}}]}
    assert started == {"kind": "call.started", "call": "1.1", "text": ""}
    assert succeeded == {"kind": "call.succeeded", "call": "1.1", "text": "7번은 배송 중입니다."}


def test_a_refusal_is_told_with_its_reason(start: Any) -> None:
    _, refused = steps_of(stream(start([ToolCall("find", {})], "없습니다.", tools=(LOOK,))))
    assert (refused["kind"], refused["reason"]) == ("call.refused", "names")
    assert "find" in refused["text"]


def test_a_client_of_openai_reads_the_text_and_the_end_of_a_stream_with_steps(start: Any) -> None:
    chunks = stream(start([call("look", n=7)], "배송 중입니다.", tools=(LOOK,)), stream_options={"include_usage": True})
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "배송 중입니다."
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert all(c.choices[0].delta.tool_calls is None for c in chunks if c.choices)
    assert chunks[-1].usage.total_tokens > 0


def test_a_call_that_waits_and_one_that_is_approved_are_told(start: Any, till: Any) -> None:
    live = start([call("pay", n=5)], "냈습니다.", tools=(till.tool(),))
    chunks = stream(live, "내 줘")
    assert [step["kind"] for step in steps_of(chunks)] == ["call.proposed", "call.waiting"]
    end = next(c.sadari for c in chunks if c.choices and c.choices[0].finish_reason)
    assert end["status"] == "waiting"
    (one,) = pending(live.service.log, live.service.desk.loop._clock())
    approve(live.service.log, one.run, one.call, one.fingerprint, "boss", now=live.service.desk.loop._clock())
    again = live.client().chat.completions.create(model="sadari", messages=[], stream=True, extra_body={"sadari": {"run": one.run}})
    assert [step["kind"] for step in steps_of(list(again))] == ["call.started", "call.succeeded"]


def test_the_last_chunk_tells_the_citations_and_whether_it_abstained(start: Any) -> None:
    chunks = stream(start(Answer("문서에서 확인할 수 없습니다.", abstained=True)))
    end = next(c.sadari for c in chunks if c.choices and c.choices[0].finish_reason)
    assert (end["abstained"], end["citations"], end["steps"]) == (True, [], [])


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_every_event_of_a_call_is_told_by_its_call_and_nothing_that_it_is_bound_to(kind: str) -> None:
    event = Event(1, "run-1", 1, "", kind, {"id": "1.1", "by": "boss", "fingerprint": "secret"}, "", "")
    assert step_json(event) == {"kind": kind, "call": "1.1", "text": ""}


def test_a_call_that_a_person_changed_is_told_with_its_new_arguments() -> None:
    body = {"id": "1.1e", "name": "pay", "arguments": {"n": 4}, "in_place_of": "1.1", "by": "boss"}
    told = step_json(Event(1, "run-1", 1, "", "call.proposed", body, "", ""))
    assert told == {"kind": "call.proposed", "calls": [{"id": "1.1e", "name": "pay", "arguments": {"n": 4}}]}
