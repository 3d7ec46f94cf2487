import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest

from acting import call
from sadari.agent.loop import Reply
from sadari.types import Answer, Caller, Delta, Generation, Request

ROLES = {"kim": "user", "boss": "approver", "ops": "operator"}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def ask(live: Any, who: str = "kim", text: str = "내 줘", **more: Any) -> Any:
    return live.client(who).chat.completions.create(model="sadari", messages=user(text), **more)


def test_a_call_that_waits_is_approved_over_http_and_made_once(start: Any, till: Any) -> None:
    live = start([call("pay", n=5)], "냈습니다.", tools=(till.tool(),), users=ROLES)
    said = ask(live)
    assert said.sadari["status"] == "waiting"
    assert '승인을 기다리고 있습니다: pay({"n":5})' in said.choices[0].message.content
    run = said.sadari["run"]
    with live.http("boss") as boss, live.http("kim") as kim:
        (one,) = boss.get("/sadari/approvals").json()["approvals"]
        assert kim.get("/sadari/approvals").json()["approvals"] == [one]
        decision = {"decision": "approve", "fingerprint": one["fingerprint"]}
        place = f"/sadari/approvals/{run}/{one['call']}"
        assert kim.post(place, json=decision).status_code == 403
        assert boss.post(place, json=decision | {"fingerprint": "0" * 64}).status_code == 409
        assert till.done == []
        assert boss.post(place, json=decision).status_code == 200
        assert boss.post(place, json=decision).status_code in (404, 409)
        live.wait_for(lambda: kim.get(f"/sadari/runs/{run}").json()["status"] == "idle")
        assert kim.get(f"/sadari/runs/{run}").json()["answer"] == "냈습니다."
    assert till.done == [5]
    assert [e.body["by"] for e in live.service.log.events(run) if e.kind == "call.approved"] == ["boss"]


def test_a_denied_call_is_not_made_and_an_edited_one_waits_anew(start: Any, till: Any) -> None:
    live = start([call("pay", n=5)], [call("pay", n=6)], "안 냈습니다.", tools=(till.tool(),), users=ROLES)
    run = ask(live).sadari["run"]
    with live.http("boss") as boss:
        waiting = lambda: boss.get("/sadari/approvals").json()["approvals"]  # noqa: E731
        (one,) = waiting()
        edit = {"decision": "edit", "fingerprint": one["fingerprint"], "arguments": {"n": 4}}
        assert boss.post(f"/sadari/approvals/{run}/{one['call']}", json=edit).json()["call"] == "1.1e"
        (anew,) = live.wait_for(waiting)
        assert anew["arguments"] == {"n": 4}
        deny = {"decision": "deny", "fingerprint": anew["fingerprint"], "reason": "안 됩니다"}
        assert boss.post(f"/sadari/approvals/{run}/{anew['call']}", json=deny).status_code == 200
        (third,) = live.wait_for(waiting)
        assert third["arguments"] == {"n": 6}
    assert till.done == []


def test_who_asked_does_not_approve_where_four_eyes_are_needed(start: Any, till: Any) -> None:
    live = start([call("pay", n=5)], tools=(till.tool(),), users=ROLES)
    live.service.desk.loop.agent = replace(live.service.desk.loop.agent, four_eyes=True)
    said = ask(live, "boss")
    (one,) = said.sadari["pending"]
    with live.http("boss") as boss:
        told = boss.post(
            f"/sadari/approvals/{one['run']}/{one['call']}", json={"decision": "approve", "fingerprint": one["fingerprint"]}
        )
    assert told.status_code == 409
    assert "somebody else has to decide" in told.json()["error"]["message"]
    assert till.done == []


def test_a_waiting_run_takes_no_question_until_it_is_cancelled(start: Any, till: Any) -> None:
    live = start([call("pay", n=5)], "네.", tools=(till.tool(),), users=ROLES)
    run = ask(live).sadari["run"]
    with pytest.raises(openai.ConflictError, match="waiting"):
        ask(live, extra_body={"sadari": {"run": run}})
    with live.http("kim") as kim:
        assert kim.post(f"/sadari/runs/{run}/cancel").json()["status"] == "cancelled"
    assert ask(live, text="그럼?", extra_body={"sadari": {"run": run}}).choices[0].message.content == "네."


def test_a_rating_is_kept_in_the_log(start: Any) -> None:
    live = start("네.", users=ROLES)
    run = ask(live).sadari["run"]
    with live.http("kim") as kim:
        rated = kim.post(f"/sadari/runs/{run}/rating", json={"rating": "down", "reason": "틀림", "corrected": "아니요."})
        assert kim.post(f"/sadari/runs/{run}/rating", json={"rating": "up", "question": 99}).status_code == 400
        assert kim.post(f"/sadari/runs/{run}/rating", json={"rating": "sideways"}).status_code == 400
    event = live.service.log.events(run)[-1]
    assert (rated.json()["event"], event.kind) == (event.seq, "answer.rated")
    assert event.body == {"by": "kim", "question": 2, "rating": "down", "reason": "틀림", "corrected": "아니요."}
    assert live.service.log.verify().faults == ()


def test_the_same_key_gives_the_same_answer_and_no_second_effect(start: Any, till: Any) -> None:
    live = start([call("pay", n=5)], "냈습니다.", "또?", tools=(till.tool(needs_approval=False),), users=ROLES)
    key = {"extra_headers": {"Idempotency-Key": "한번".encode().hex()}}
    first, second = ask(live, **key), ask(live, **key)
    assert (first.id, first.choices, first.sadari) == (second.id, second.choices, second.sadari)
    streamed = "".join(c.choices[0].delta.content or "" for c in ask(live, stream=True, **key) if c.choices)
    assert streamed == "냈습니다."
    assert till.done == [5]
    assert len(live.service.log.runs()) == 1
    with pytest.raises(openai.UnprocessableEntityError, match="another request"):
        ask(live, text="다른 말", **key)
    assert ask(live, "boss", **key).choices[0].message.content == "또?"


def test_the_same_key_goes_on_with_the_same_run(start: Any) -> None:
    live = start("하나.", "둘.", "셋.", users=ROLES)
    run = ask(live).sadari["run"]
    more = {"extra_headers": {"Idempotency-Key": "k"}, "extra_body": {"sadari": {"run": run}}}
    assert [ask(live, **more).choices[0].message.content for _ in range(2)] == ["둘.", "둘."]
    assert [e.kind for e in live.service.log.events(run)].count("run.asked") == 2


class Slow:
    """Writes a word at a time, for as long as it is listened to."""

    version = "slow"

    def __init__(self, words: int = 10_000) -> None:
        self.words, self.ended, self.going = words, threading.Event(), threading.Event()

    def reply(self, messages: Any, tools: Any, caller: Any) -> Iterator[Delta | Reply]:
        try:
            for _ in range(self.words):
                self.going.set()
                yield Delta("말 ")
                time.sleep(0.002)
            yield Reply(Answer("말 " * self.words))
        finally:
            self.ended.set()

    name = "slow"

    def generate(self, requests: Any) -> list[Generation]:
        return [Generation("말") for _ in requests]

    def count_tokens(self, messages: Any, tools: Any = ()) -> int:
        return 1

    def stream(self, request: Request) -> Iterator[Delta]:
        for piece in self.reply((), (), None):
            yield piece if isinstance(piece, Delta) else Delta(done=Generation(piece.answer.text))


@pytest.mark.parametrize("model", ["sadari", "sadari-raw"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_place(start: Any, model: str, stream: bool) -> None:
    slow = Slow()
    live = start(responder=slow, model=slow, users=ROLES, at_once=1)
    body = {"model": model, "messages": user("?"), "stream": stream}
    with live.http("kim") as http:
        http.timeout = httpx.Timeout(0.5)
        if stream:
            with http.stream("POST", "/v1/chat/completions", json=body) as told:
                lines = told.iter_lines()  # held: httpx hangs up when the iterator is dropped
                next(lines)
                assert slow.going.wait(30)  # one that leaves before the model begins has nothing to end
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.post("/v1/chat/completions", json=body)
            assert slow.going.wait(30)
    assert slow.ended.wait(30)
    live.wait_for(lambda: live.service.workers.running == 0)
    if model == "sadari":
        live.wait_for(lambda: live.service.log.runs()[0].status == "cancelled")


def test_a_run_whose_client_left_with_a_key_waits_for_it(start: Any) -> None:
    slow = Slow(300)
    live = start(responder=slow, users=ROLES)
    key = {"extra_headers": {"Idempotency-Key": "k"}}
    stream = ask(live, stream=True, **key)
    next(iter(stream))
    assert slow.going.wait(30)
    stream.close()
    assert slow.ended.wait(30)
    live.wait_for(lambda: live.service.workers.running == 0)
    with live.http("ops") as ops:
        (cut_off,) = ops.get("/sadari/runs?status=running").json()["runs"]
    assert cut_off["user"] == "kim"
    assert ask(live, **key).choices[0].message.content == "말 " * 300
    assert [e.kind for e in live.service.log.events(cut_off["run"])].count("run.asked") == 1


def test_a_run_that_was_cut_off_is_resumed_by_who_operates(start: Any) -> None:
    live = start("네.", users=ROLES)
    run = live.service.desk.loop.ask("되나요?", Caller("kim"))
    assert [entry.run for entry in live.service.unfinished] == [run]
    with live.http("ops") as ops:
        assert ops.post(f"/sadari/runs/{run}/resume").status_code == 200
        live.wait_for(lambda: ops.get(f"/sadari/runs/{run}").json()["status"] == "idle")
        assert ops.get(f"/sadari/runs/{run}").json()["answer"] == "네."
        assert ops.post(f"/sadari/runs/{run}/resume").status_code == 409


def test_a_run_that_a_stopped_server_cuts_off_is_kept_to_be_resumed(start: Any) -> None:
    slow = Slow()
    live = start(responder=slow, users=ROLES, drain_s=1)
    stream = ask(live, stream=True)
    next(iter(stream))
    assert slow.going.wait(30)
    live.service.workers.refuse()
    with pytest.raises(openai.InternalServerError) as told:
        ask(live)
    assert told.value.response.headers["retry-after"] == "5"
    live.server.should_exit = True
    assert slow.ended.wait(10)
    assert [run.status for run in live.service.log.runs()] == ["running"]


def test_too_many_at_once_are_told_when_to_come_again(start: Any) -> None:
    slow = Slow()
    live = start(responder=slow, users=ROLES, at_once=1, waiting=0)
    stream = ask(live, stream=True)
    next(iter(stream))
    assert slow.going.wait(30)
    with pytest.raises(openai.InternalServerError) as told:
        ask(live)
    assert (told.value.status_code, told.value.response.headers["retry-after"]) == (503, "1")
    stream.close()
    assert slow.ended.wait(30)
    live.wait_for(lambda: live.service.workers.running == 0)
    slow.words = 1
    assert ask(live).choices[0].message.content == "말 "


def test_a_slow_reader_holds_up_nobody(start: Any) -> None:
    slow = Slow(1_000)
    slow_reader = start(responder=slow, users=ROLES, at_once=1)
    began = time.monotonic()
    stream = ask(slow_reader, stream=True)
    next(iter(stream))
    assert slow.ended.wait(30)
    slow_reader.wait_for(lambda: slow_reader.service.workers.running == 0)
    slow.words = 1
    assert ask(slow_reader).choices[0].message.content == "말 "
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices).count("말") == 1_000
    assert time.monotonic() - began < 40


def test_counters_and_health_are_told(start: Any) -> None:
    live = start("네.", users=ROLES)
    ask(live)
    with live.http("ops") as ops:
        text = ops.get("/metrics").text
        assert 'sadari_tokens_total{kind="completion",model="sadari"} 5.0' in text
        assert 'sadari_requests_total{route="/v1/chat/completions",status="200"} 1.0' in text
        assert "sadari_waiting_approvals 0.0" in text
        assert ops.get("/readyz").json() == {"status": "ready", "log": True, "room": True, "open": True}
        assert ops.get("/healthz").json() == {"status": "ok"}
