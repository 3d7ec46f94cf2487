"""The review queue holds what tells most, and the share of good answers is not that of the queue."""

import random
from datetime import UTC, datetime
from statistics import fmean

import numpy as np
import pytest

from acting import Plain, Script, call
from sadari.agent.approval import deny, pending
from sadari.agent.guard import Ruling
from sadari.agent.log import Draft, Log
from sadari.agent.log.database import open_database
from sadari.agent.loop import Agent, Loop
from sadari.agent.rows import Review
from sadari.errors import RunError
from sadari.serve.review import (
    ReviewTable,
    chance_of,
    clusters_of,
    estimate_good,
    marks_of,
    read_conversations,
    record_of_signals,
    review_queue,
)
from sadari.types import Answer, Caller, Traits


def say(log: Log, question: str, answer: str | Answer = "네", rating: str = "", user: str = "kim") -> tuple[str, int]:
    """A conversation, and where its question stands."""
    run = Loop(Agent(Script(answer), ()), log).answer(question, Caller(user)).run
    asked = next(event.seq for event in log.events(run) if event.kind == "run.asked")
    if rating:
        body = {"by": user, "question": asked, "rating": rating, "reason": "", "corrected": ""}
        log.append(run, [Draft("answer.rated", body)])
    return run, asked


def talks(log: Log) -> list:  # type: ignore[type-arg]
    return read_conversations(log, datetime.now(UTC))


def test_the_biggest_cluster_of_trouble_sends_one_question_first() -> None:
    log = Log("")
    for user in "abcd":
        say(log, "환불 기한이 며칠인가요?", rating="down", user=user)
    say(log, "비밀번호를 잊어버렸어요", rating="down", user="e")
    for n in range(30):
        say(log, f"{n}번 상품의 색상이 무엇인가요?", user=f"u{n}")
    queue = review_queue(talks(log), (), 10)
    trouble = [one for one in queue if one.why == "trouble"]
    drawn = {one.turn.user for one in queue[:2]}
    assert trouble[0].turn.text == "환불 기한이 며칠인가요?"
    assert trouble[0].alike == 4 - len(drawn & set("abcd"))
    assert [one.turn.text for one in trouble].count("환불 기한이 며칠인가요?") == 1


def test_a_fifth_is_drawn_by_chance_whatever_is_known_of_it() -> None:
    log = Log("")
    places = [say(log, f"{n}번 질문입니다", rating="down", user=f"u{n}") for n in range(30)]
    queue = review_queue(talks(log), (), 10)
    assert [(one.turn.place, one.why) for one in queue[:2]] == [(place, "random") for place in sorted(places, key=chance_of)[:2]]
    assert queue[2].why == "trouble"


def test_what_was_reviewed_does_not_come_again() -> None:
    log = Log("")
    places = [say(log, "환불 기한이 며칠인가요?", rating="down", user=f"u{n}") for n in range(3)]
    assert review_queue(talks(log), places, 10) == []


def test_who_disagrees_is_picked_for_it() -> None:
    class Lenient:
        version = "lenient"

        def before(self, proposal: object) -> Ruling:
            return Ruling("allow", "judge")

        def after(self, proposal: object, outcome: object) -> None:
            return None

    log = Log("")
    pay = Plain("pay", lambda n: "", Traits("irreversible", is_trusted=True))
    loop = Loop(Agent(Script([call("pay", n=9)], "안 냈습니다."), (pay,), guards=(Lenient(),)), log)
    run = loop.answer("내 주세요", Caller("kim")).run
    (one,) = pending(log, datetime.now().astimezone())
    deny(log, run, one.call, one.fingerprint, "boss", now=datetime.now().astimezone())
    list(loop.advance(run))
    (talk,) = talks(log)
    assert "judge_against_person" in marks_of(talk.turns[0], talk.signals)


@pytest.mark.parametrize(
    ("answer", "rating", "mark"),
    [
        (Answer("모릅니다", abstained=True), "", "abstained"),
        (Answer("", error="broken"), "", "failed"),
        ("네", "down", "rated_down"),
    ],
)
def test_what_is_known_of_an_answer_is_told(answer: str | Answer, rating: str, mark: str) -> None:
    log = Log("")
    say(log, "되나요?", answer, rating)
    (talk,) = talks(log)
    assert set(marks_of(talk.turns[0], talk.signals)) == {mark}


def test_questions_join_the_cluster_whose_leader_is_nearest() -> None:
    vectors = np.array([[1, 0], [0.9, 0.436], [0, 1], [0.6, 0.8]], dtype=np.float32)
    assert clusters_of(vectors, 0.8) == [[0, 1], [2, 3]]


def test_the_estimate_is_right_on_average_where_the_share_of_the_queue_is_not() -> None:
    draw = random.Random(3)
    places = [(f"run-{n}", 2) for n in range(400)]
    bad = {place for place in places if draw.random() < 0.1}
    found = []
    for _ in range(300):
        picked = draw.sample(sorted(bad), 25) + draw.sample([p for p in places if p not in bad], 5)
        drawn = draw.sample([p for p in places if p not in picked], 40)
        why = dict.fromkeys(picked, "trouble") | dict.fromkeys(drawn, "random")
        reviews = [Review(*p, "boss", "discard" if p in bad else "good", picked=w) for p, w in why.items()]
        estimate = estimate_good(places, reviews)
        assert estimate is not None
        found.append(estimate)
    truth = 1 - len(bad) / len(places)
    assert fmean(one.good for one in found) == pytest.approx(truth, abs=0.01)
    assert fmean(one.plain for one in found) < truth - 0.2
    assert fmean(one.low <= truth <= one.high for one in found) >= 0.93


def test_when_everything_was_reviewed_the_share_is_known() -> None:
    places = [(f"run-{n}", 2) for n in range(4)]
    reviews = [Review(*place, "boss", "good" if n else "discard", picked="random") for n, place in enumerate(places)]
    estimate = estimate_good(places, reviews)
    assert estimate is not None
    assert (estimate.good, estimate.low, estimate.high) == (0.75, 0.75, 0.75)


def test_signals_are_held_against_what_people_say() -> None:
    log = Log("")
    for rating in ("down", "up", ""):
        loop = Loop(Agent(Script("7일입니다.", "14일입니다."), ()), log)
        run = loop.answer("교환 기한이 며칠인가요?", Caller(f"kim{rating}")).run
        loop.answer("아니, 그게 아니라 환불이요", Caller(f"kim{rating}"), run)
        asked = next(event.seq for event in log.events(run) if event.kind == "run.asked")
        if rating:
            body = {"by": "kim", "question": asked, "rating": rating, "reason": "", "corrected": ""}
            log.append(run, [Draft("answer.rated", body)])
    assert record_of_signals(talks(log), {}) == {"objected": (1, 2)}
    assert record_of_signals(talks(log), {(run, asked): Review(run, asked, "boss", "discard")}) == {"objected": (2, 3)}


def test_without_one_that_was_drawn_by_chance_nothing_is_estimated() -> None:
    assert estimate_good([("run", 2)], [Review("run", 2, "boss", "good", picked="trouble")]) is None


def test_a_decision_is_kept_with_why_the_answer_was_picked_first_and_ends_with_its_run(place: str) -> None:
    log = Log(place)
    run, question = say(log, "되나요?")
    table = ReviewTable(open_database(place))
    table.keep(Review(run, question, "boss", "discard", picked="random"))
    table.keep(Review(run, question, "chief", "corrected", "아니요", picked="trouble"))
    (kept,) = table.all().values()
    assert (kept.who, kept.decision, kept.text, kept.picked) == ("chief", "corrected", "아니요", "random")
    log.erase("kim", "kim")
    assert table.all() == {}
    with pytest.raises(RunError, match="no such run any more"):
        table.keep(Review(run, question, "boss", "good"))
