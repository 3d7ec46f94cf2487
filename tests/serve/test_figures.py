"""What Monitor shows, against a log that was filled by hand."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sadari.agent.log import Draft, Log
from sadari.serve.figures import Prices, figures_of, share
from sadari.serve.journal import Journal

NOW = datetime.fromisoformat("2026-03-02T12:00:30+00:00")


class Written:
    """A log whose events happen when they are said to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log, self.now = Log(""), NOW - timedelta(minutes=10)
        monkeypatch.setattr("sadari.agent.log.log._now", lambda: self.now)
        self.journal = Journal(self.log, lambda: NOW)

    def run(self, parent: str = "", said: tuple[Any, ...] = (), user: str = "kim") -> str:
        body = {"user": user, "agent": "a", "messages": list(said)} | ({"call": f"{parent}/1.1"} if parent else {})
        return self.log.start(user, "a", body, parent=parent)

    def then(self, run: str, later_s: float, kind: Any, /, **body: Any) -> None:
        self.now += timedelta(seconds=later_s)
        self.log.append(run, [Draft(kind, body)])

    def asks(self, run: str, text: str = "배송지를 바꿔 주세요.") -> None:
        self.then(run, 0, "run.asked", text=text)

    def speaks(self, run: str, seconds: float, *calls: str, **more: Any) -> None:
        named = [{"id": f"1.{i}", "name": name, "arguments": {}} for i, name in enumerate(calls, 1)]
        self.then(run, seconds, "model.answered", calls=named, usage=[100, 20], money=0.0, **more)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    return Written(monkeypatch)


def test_an_answer_counts_with_its_time_tokens_and_citations(written: Written) -> None:
    run = written.run()
    written.asks(run)
    written.speaks(run, 2)
    written.then(run, 1, "run.answered", text="네.", citations=[{"document": "a.md"}], abstained=False)

    figures = figures_of(written.journal.look("hour"), Prices())

    assert figures.asked == {"open": 0, "answered": 1, "stopped": 0, "failed": 0, "cancelled": 0}
    assert (figures.first.p50, figures.first_bounds, figures.end.p50) == (pytest.approx(2), 1, pytest.approx(3))
    assert (figures.read, figures.written, figures.citation.count, figures.abstention.count) == (100, 20, 1, 0)
    assert figures.cost is None


def test_the_first_piece_is_exact_where_the_loop_tells_it(written: Written) -> None:
    run = written.run()
    written.asks(run)
    written.speaks(run, 2, first_s=0.25)

    figures = figures_of(written.journal.look("hour"), Prices())

    assert (figures.first.p50, figures.first_bounds) == (0.25, 0)


def test_waiting_for_a_person_is_no_time_of_the_answer(written: Written) -> None:
    run = written.run()
    written.asks(run)
    written.speaks(run, 1, "pay")
    written.then(run, 0, "call.waiting", id="1.1")
    written.then(run, 0, "run.waiting", calls=["1.1"], seconds=1)
    written.then(run, 60, "call.approved", id="1.1", by="lee")
    written.then(run, 0, "call.started", id="1.1", attempt=1)
    written.then(run, 2, "call.succeeded", id="1.1", text="됐습니다.")
    written.then(run, 1, "run.answered", text="네.")

    figures = figures_of(written.journal.look("hour"), Prices("KRW", hour=3600.0))

    assert figures.end.p50 == pytest.approx(4)
    assert (figures.approvals.approved, figures.approvals.took.p50) == (1, pytest.approx(60))
    assert (figures.cost, figures.cost_by) == (pytest.approx(4), "machine")
    (tool,) = figures.tools
    assert (tool.tool, tool.proposed, tool.made, tool.succeeded) == ("pay", 1, 1, 1)


def test_a_machine_that_answers_two_at_once_is_paid_once(written: Written) -> None:
    first, second = written.run(), written.run()
    written.asks(first)
    written.asks(second)
    written.then(first, 10, "run.answered", text="네.")
    written.then(second, 5, "run.answered", text="네.")

    assert figures_of(written.journal.look("hour"), Prices("KRW", hour=3600.0)).cost == pytest.approx(15)


def test_tokens_have_their_prices(written: Written) -> None:
    run = written.run()
    written.asks(run)
    written.speaks(run, 1)

    figures = figures_of(written.journal.look("hour"), Prices("KRW", None, 10.0, 50.0))

    assert (figures.cost, figures.cost_by) == (pytest.approx(100 * 0.010 + 20 * 0.050), "tokens")


def test_what_a_specialist_uses_counts_for_the_question_it_works_on(written: Written) -> None:
    run = written.run()
    written.asks(run)
    written.speaks(run, 1, "ask_expert")
    child = written.run(parent=run)
    written.asks(child)
    written.speaks(child, 1, "search")
    written.then(child, 1, "run.answered", text="네.")
    written.then(run, 1, "run.answered", text="네.")

    figures = figures_of(written.journal.look("hour"), Prices())

    assert (sum(figures.asked.values()), figures.read) == (1, 200)
    assert [tool.tool for tool in figures.tools] == ["ask_expert", "search"]


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ({"kind": "call.denied", "by": "lee", "reason": ""}, (0, 1, 0)),
        ({"kind": "call.denied", "by": "kim"}, (0, 0, 0)),  # with its question
        ({"kind": "call.expired"}, (0, 0, 1)),
    ],
    ids=["denied", "cancelled", "expired"],
)
def test_the_end_of_a_request_for_approval_is_told_apart(
    written: Written, ended: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    run = written.run()
    written.asks(run)
    written.speaks(run, 1, "pay")
    written.then(run, 0, "call.waiting", id="1.1")
    written.then(run, 5, ended["kind"], **{name: ended[name] for name in ended if name != "kind"}, id="1.1", text="")

    decided = figures_of(written.journal.look("hour"), Prices()).approvals

    assert (decided.approved, decided.denied, decided.expired) == expected


def test_the_last_rating_of_an_answer_counts(written: Written) -> None:
    run = written.run()
    written.asks(run)
    written.then(run, 1, "run.answered", text="네.")
    written.then(run, 1, "answer.rated", question=2, rating="up")
    written.then(run, 1, "answer.rated", question=2, rating="down")

    satisfaction = figures_of(written.journal.look("hour"), Prices()).satisfaction

    assert (satisfaction.count, satisfaction.of) == (0, 1)


def test_errors_are_counted_by_kind_without_what_was_said(written: Written) -> None:
    failed, stopped = written.run(), written.run()
    written.asks(failed)
    written.then(failed, 1, "run.failed", text="", reason="홍길동 010-1234-5678")
    written.asks(stopped)
    written.then(stopped, 1, "run.stopped", text="", limit="steps")

    assert dict(figures_of(written.journal.look("hour"), Prices()).errors) == {"model": 1, "limit:steps": 1}


def test_only_what_is_new_is_taken_in_and_what_was_asked_before_the_range_is_left_out(written: Written) -> None:
    old = written.run()
    written.now = NOW - timedelta(hours=3)
    written.asks(old)
    assert sum(figures_of(written.journal.look("hour"), Prices()).asked.values()) == 0
    written.now = NOW - timedelta(minutes=1)
    written.asks(written.run())

    assert sum(figures_of(written.journal.look("hour"), Prices()).asked.values()) == 1
    assert sum(figures_of(written.journal.look("day"), Prices()).asked.values()) == 2
    assert [step.asked for step in figures_of(written.journal.look("hour"), Prices()).steps][-2:] == [1, 0]


def test_what_is_erased_is_gone_at_the_next_look(written: Written) -> None:
    written.asks(written.run(user="kim"), "제 번호는 010-1234-5678입니다.")
    written.asks(written.run(user="lee"))
    assert len(written.journal.look("hour").openings) == 2

    written.log.erase("kim", "admin")
    period = written.journal.look("hour")

    assert [len(period.openings), len(period.asked)] == [1, 1]


def test_only_what_opens_a_conversation_is_an_opening_question(written: Written) -> None:
    run = written.run()
    written.asks(run, "첫 질문")
    written.then(run, 1, "run.answered", text="네.")
    written.asks(run, "이어지는 질문")
    written.asks(written.run(said=({"role": "user", "content": "앞선 질문"},)), "그 다음 질문")

    assert [one.text for one in written.journal.look("hour").openings] == ["첫 질문"]


def test_a_share_has_the_interval_of_wilson() -> None:
    found = share(8, 10)
    assert (round(found.low, 3), round(found.high, 3)) == (0.490, 0.943)  # Wilson (1927), by hand
