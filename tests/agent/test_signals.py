"""Signals are read from the events alone, and what only looks like one is none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from acting import Plain, Script, call
from sadari.agent.approval import deny, edit, pending
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.agent.signals import Signal, alike, signals_between, signals_of, turns_of
from sadari.errors import ToolFailedError
from sadari.types import Answer, Caller, Traits

KIM = Caller("kim")
PAY = Plain("pay", lambda n: f"{n}원 지불", Traits("irreversible", is_trusted=True))


def now() -> datetime:
    return datetime.now(UTC)


def talk(*turns: str, log: Log | None = None, user: str = "kim") -> tuple[Log, str]:
    """A run of questions and answers, in turn."""
    loop = Loop(Agent(Script(*turns[1::2]), ()), log or Log(""))
    run = ""
    for question in turns[::2]:
        run = loop.answer(question, Caller(user), run).run
    return loop.log, run


def signals(log: Log, run: str, at: datetime | None = None) -> list[Signal]:
    return signals_of(turns_of(log.events(run)), at or now())


def kinds(*turns: str) -> list[str]:
    return [one.kind for one in signals(*talk(*turns))]


@pytest.mark.parametrize(
    "reply",
    [
        "아니, 그게 아니라 교환이요",
        "그게 아니라 배송비요",
        "제 말은 교환이요",
        "틀렸어요. 3월입니다",
        "아니요, 교환 말이에요",
        "No, I meant the exchange",
        "That's not what I asked",
        "That is wrong.",
        "nope, the other one",
    ],
)
def test_a_correction_in_words_is_an_objection_to_the_answer_before(reply: str) -> None:
    log, run = talk("환불 기한이 언제까지인가요", "7일입니다.", reply, "네")
    (found,) = signals(log, run)
    asked = [event for event in log.events(run) if event.kind == "run.asked"]
    answered = next(event for event in log.events(run) if event.kind == "run.answered")
    assert (found.kind, found.question, found.events) == ("objected", asked[0].seq, (answered.id, asked[1].id))


@pytest.mark.parametrize(
    "reply",
    [
        "아니면 교환도 되나요",
        "아니요, 괜찮습니다",
        "아니 됐어요 감사합니다",
        "No problem, thanks",
        "Nothing else",
        "네 알겠습니다",
        "그럼 이건 어떻게 하나요",
        "Now the other order",
    ],
)
def test_what_only_begins_like_a_no_is_no_objection(reply: str) -> None:
    assert kinds("환불 기한이 언제까지인가요", "7일입니다.", reply, "네") == []


def test_a_no_to_a_question_of_the_agent_is_an_answer() -> None:
    assert kinds("취소해 주세요", "전체를 취소할까요?", "아니요, 하나만요", "네") == []
    assert kinds("취소해 주세요", "전체를 취소할까요?", "그게 아니라 하나만요", "네") == ["objected"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("배송비 얼마예요?", "배송비가 얼마인가요?", True),
        ("how much is shipping", "How much is the shipping?", True),
        ("주문 1003 상태 알려줘", "주문 1004 상태 알려줘", False),
        ("배송비 얼마예요?", "영업 시간이 언제인가요?", False),
        ("네", "네", False),
    ],
)
def test_questions_read_alike_if_they_share_most_pieces_and_all_numbers(one: str, other: str, expected: bool) -> None:
    assert alike(one, other) is expected


def test_a_question_put_in_other_words_is_less_sure_than_the_same_again() -> None:
    (other,) = signals(*talk("배송비 얼마예요?", "글쎄요.", "배송비가 얼마인가요?", "3천 원입니다."))
    (same,) = signals(*talk("배송비 얼마예요?", "글쎄요.", "배송비 얼마예요??", "3천 원입니다."))
    assert (other.kind, same.kind) == ("rephrased", "rephrased")
    assert other.sure < same.sure


def test_a_question_that_comes_again_in_another_run_of_the_same_user_is_told_of_the_first() -> None:
    log, first = talk("배송비 얼마예요?", "글쎄요.")
    talk("배송비가 얼마인가요?", "3천 원입니다.", log=log)
    talk("배송비가 얼마인가요?", "3천 원입니다.", log=log, user="lee")
    runs = [turns_of(log.events(entry.run)) for entry in log.runs()]
    (found,) = signals_between(runs)
    assert (found.kind, found.run) == ("rephrased", first)


def test_what_a_person_did_to_a_call_is_a_signal_that_names_its_event() -> None:
    loop = Loop(Agent(Script([call("pay", n=9)], [call("pay", n=7)], "네"), (PAY,)), Log(""))
    run = loop.answer("내 주세요", KIM).run
    (one,) = pending(loop.log, now())
    edit(loop.log, run, one.call, one.fingerprint, "boss", {"n": 8}, now=now())
    list(loop.advance(run))
    (one,) = pending(loop.log, now())
    deny(loop.log, run, one.call, one.fingerprint, "boss", now=now(), reason="안 됩니다")
    list(loop.advance(run))
    found = signals(loop.log, run)
    by_id = {event.id: event.kind for event in loop.log.events(run)}
    assert [(s.kind, [by_id[i] for i in s.events]) for s in found] == [
        ("edited", ["call.proposed"]),
        ("denied", ["call.denied"]),
    ]


def test_a_stop_is_a_signal_and_the_call_that_it_ends_was_not_denied() -> None:
    loop = Loop(Agent(Script([call("pay", n=9)]), (PAY,)), Log(""))
    run = loop.answer("내 주세요", KIM).run
    loop.cancel(run, "kim")
    assert [s.kind for s in signals(loop.log, run)] == ["stopped"]


def test_an_error_of_one_tool_counts_when_it_is_repeated() -> None:
    def fail(n: int) -> str:
        raise ToolFailedError("없는 주문입니다")

    def run_of(*calls: Any) -> list[str]:
        loop = Loop(Agent(Script(*calls, "안 됐습니다."), (Plain("look", fail),)), Log(""))
        return [s.kind for s in signals(loop.log, loop.answer("찾아 주세요", KIM).run)]

    assert run_of([call("look", n=1)], [call("look", n=2)]) == ["repeated_error"]
    assert run_of([call("look", n=1)]) == []


def test_a_chat_that_waits_a_day_for_its_user_is_abandoned() -> None:
    tomorrow = now() + timedelta(days=1, minutes=1)
    loop = Loop(Agent(Script([call("pay", n=9)]), (PAY,)), Log(""))
    run = loop.answer("내 주세요", KIM).run
    assert signals(loop.log, run) == []
    assert [s.kind for s in signals(loop.log, run, tomorrow)] == ["abandoned"]
    assert [s.kind for s in signals(*talk("취소해 주세요", "어느 주문인가요?"), tomorrow)] == ["abandoned"]
    assert signals(*talk("취소해 주세요", "했습니다. 더 도와드릴까요?"), tomorrow) == []


def test_an_erased_run_tells_nothing() -> None:
    log, run = talk("배송비 얼마예요?", "글쎄요.", "틀렸어요", "네")
    log.erase("kim", "kim")
    assert turns_of(log.events(run)) == []


def test_ratings_belong_to_the_question_that_they_name() -> None:
    from sadari.agent.log import Draft

    log, run = talk("하나", "1", "둘", "2")
    first = next(event.seq for event in log.events(run) if event.kind == "run.asked")
    log.append(run, [Draft("answer.rated", {"by": "kim", "question": first, "rating": "down", "reason": "", "corrected": "하나"})])
    turns = turns_of(log.events(run))
    assert [turn.rating and turn.rating["corrected"] for turn in turns] == ["하나", None]
    assert [turn.answer for turn in turns] == ["1", "2"]


def test_a_failed_answer_ends_its_turn() -> None:
    loop = Loop(Agent(Script(Answer("", error="broken")), ()), Log(""))
    (turn,) = turns_of(loop.log.events(loop.answer("되나요?", KIM).run))
    assert turn.end == "run.failed"
