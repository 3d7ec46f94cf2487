"""What a conversation came to, who answers it, and what becomes of a canary."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sadari.serve.following as following
from sadari.agent.log import Draft, Log
from sadari.agent.signals import turns_of
from sadari.errors import ConfigError
from sadari.serve import Identity, ServeOptions
from sadari.serve.asking import Asked, Told
from sadari.serve.canary import Sides, Tally, outcome
from sadari.serve.following import Follower, open_task
from sadari.serve.promotion import Wanted, promote, roll_back
from sadari.serve.served import Choice, Trial, read_served
from sadari.serve.serving import draw
from sadari.types import Message
from small_bundles import write_run

LATER = datetime(2100, 1, 1, tzinfo=UTC)
SIDES = Sides("old", "new", "")


def converse(log: Log, version: str, *said: tuple[str, dict[str, Any]], rating: str = "", user: str = "kim") -> str:
    """A conversation: its questions, each with the kind of event in which it ended, and a rating of the last answer."""
    run = log.start(user, version, {"user": user, "agent": version, "messages": []})
    for i, (kind, body) in enumerate(said):
        text = {"text": f"질문 {i}번 {run}"}
        log.append(run, [Draft("run.asked", text), Draft(kind, {"text": "답", **body})])  # type: ignore[arg-type]
    if rating:
        seq = next(event.seq for event in reversed(log.events(run)) if event.kind == "run.asked")
        log.append(run, [Draft("answer.rated", {"by": user, "question": seq, "rating": rating})])
    return run


ANSWERED: tuple[str, dict[str, Any]] = ("run.answered", {})


@pytest.mark.parametrize(
    ("said", "rating", "came_to"),
    [
        ([ANSWERED], "", 1.0),
        ([ANSWERED], "up", 1.0),
        ([ANSWERED], "down", 0.0),
        ([("run.failed", {})], "", 0.0),
        ([("run.stopped", {})], "", 0.0),
        ([("run.answered", {"abstained": True})], "", 0.5),
        ([("run.answered", {"abstained": True})], "up", 1.0),
        ([("run.cancelled", {})], "", 0.5),  # who stops it may have been content: the sign is half sure
        ([ANSWERED, ("run.failed", {})], "", 0.5),
        ([ANSWERED, ANSWERED], "down", 0.5),
    ],
)
def test_a_conversation_comes_to_the_mean_over_its_questions(said: list[Any], rating: str, came_to: float) -> None:
    log = Log("")
    run = converse(log, "old", *said, rating=rating)
    assert outcome(turns_of(log.events(run)), datetime.now(UTC)) == pytest.approx(came_to)


def test_each_side_counts_its_own_conversations_once_they_are_over_and_others_count_for_none() -> None:
    log = Log("")
    for rating in ("up", "down", ""):
        converse(log, "old", ANSWERED, rating=rating)
    converse(log, "new", ANSWERED, rating="down")
    converse(log, "older", ANSWERED, rating="down")
    both = converse(log, "new", ANSWERED, rating="down")
    log.append(both, [Draft("agent.changed", {"from": "new", "to": "old"})])
    asked = log.start("kim", "new", {"user": "kim", "agent": "new", "messages": []})
    log.append(asked, [Draft("run.asked", {"text": "아직"})])
    tally = Tally(log, SIDES, 60.0, 0.02)
    assert tally.look(datetime.now(UTC)).incumbent == 0
    standing = tally.look(LATER)
    assert (standing.candidate, standing.incumbent) == (1, 3)
    assert (standing.candidate_mean, standing.incumbent_mean) == (0.0, pytest.approx(2 / 3))
    assert Tally(log, SIDES, 60.0, 0.02).look(LATER) == standing  # as after a restart


def test_what_is_rated_after_a_conversation_counted_moves_nothing() -> None:
    log = Log("")
    run = converse(log, "old", ANSWERED)
    tally = Tally(log, SIDES, 0.0, 0.02)
    now = datetime.now(UTC) + timedelta(seconds=1)
    assert tally.look(now).incumbent_mean == 1.0
    log.append(run, [Draft("answer.rated", {"by": "kim", "question": 2, "rating": "down"})])
    assert tally.look(LATER).incumbent_mean == 1.0
    assert Tally(log, SIDES, 0.0, 0.02).look(LATER).incumbent_mean == 1.0


def test_a_user_stays_on_one_side_and_the_share_is_kept() -> None:
    draws = draw(0.1, "digest", "user")
    drawn = {f"user-{i}": draws(f"user-{i}") for i in range(5_000)}
    assert all(draws(name) == side for name, side in drawn.items())
    assert 400 < sum(drawn.values()) < 600
    other = draw(0.1, "another", "user")
    assert sum(drawn[name] and other(name) for name in drawn) < 150  # another canary tries others


def test_conversations_are_drawn_one_by_one_where_nobody_is_told_apart() -> None:
    for draws, name in ((draw(0.3, "digest", "conversation"), "kim"), (draw(0.3, "digest", "user"), "local")):
        assert 200 < sum(draws(name) for _ in range(1_000)) < 400


@pytest.mark.parametrize(("share", "margin"), [(0.0, 0.02), (1.0, 0.02), (0.1, 1.0), (0.1, -0.1)])
def test_a_share_or_a_margin_that_is_none_is_refused(share: float, margin: float) -> None:
    with pytest.raises(ConfigError, match="canary"):
        Trial(Choice("b", "d"), share, margin)


# --- in a server ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A service of a task whose first climb says good things; who follows looks only when the test does."""
    monkeypatch.setattr(following, "LOOKS_S", 3_600.0)
    write_run(tmp_path, 1, "좋은 답")
    promote(tmp_path, Wanted(tmp_path / "runs" / "1"))
    monkeypatch.setattr(Follower, "clock", staticmethod(lambda: LATER))  # every conversation is over
    made = open_task(tmp_path, ServeOptions(log=str(tmp_path / "log.sqlite")))
    yield made
    made.close()


def try_out(service: Any, says: Any, **more: Any) -> Follower:
    follower: Follower = service.follower
    bundle = write_run(follower.task, 2, says)
    promote(follower.task, Wanted(bundle, share=0.5, **more))
    follower.look()
    return follower


def ask(service: Any, user: str, run: str = "") -> Told:
    asked = Asked((Message("user", f"질문 {user}"),), run)
    told = list(service.desk.ask(Identity(user), asked))[-1]
    assert isinstance(told, Told)
    return told


def rate(service: Any, told: Told, rating: str) -> None:
    body = {"by": told.state.user, "question": told.place.after + 1, "rating": rating}
    service.log.append(told.place.run, [Draft("answer.rated", body)])


def test_new_conversations_are_shared_and_one_goes_on_where_it_began(service: Any) -> None:
    before = ask(service, "old")
    try_out(service, "새 답")
    said = Counter(ask(service, f"user-{i}").text for i in range(60))
    assert set(said) == {"좋은 답", "새 답"}
    assert min(said.values()) > 15
    assert ask(service, "old", before.place.run).text == "좋은 답"
    new = next(told for i in range(60) if (told := ask(service, f"user-{i}")).text == "새 답")
    assert ask(service, new.state.user, new.place.run).text == "새 답"
    roll_back(service.follower.task, "kim")
    service.follower.look()
    assert {ask(service, f"user-{i}").text for i in range(60)} == {"좋은 답"}
    moved = ask(service, new.state.user, new.place.run)
    assert moved.text == "좋은 답"
    assert "agent.changed" in [event.kind for event in service.log.events(new.place.run)]


def test_a_canary_that_does_harm_is_ended_by_itself_and_everybody_is_told(service: Any, caplog: Any) -> None:
    follower = try_out(service, "나쁜 답")
    asked = 0
    while read_served(follower.task).canary is not None and asked < 400:
        told = ask(service, f"user-{asked}")
        rate(service, told, "down" if told.text == "나쁜 답" else "up")
        asked += 1
        if asked % 10 == 0:
            follower.look()
    assert asked < 100  # of two that differ by everything
    last = read_served(follower.task).history[-1]
    assert (last.what, last.bundle, last.by) == ("canary harmful", "runs/2/best", "sadari")
    assert "does harm" in caplog.text
    assert {ask(service, f"user-{i}").text for i in range(20)} == {"좋은 답"}
    now = read_served(follower.task).now
    assert now is not None
    assert now.bundle == "runs/1/best"


@pytest.mark.parametrize("auto", [True, False])
def test_a_canary_that_is_not_worse_is_told_and_promoted_only_where_that_was_asked_for(service: Any, auto: bool) -> None:
    follower = try_out(service, "같은 답", margin=0.3, is_auto=auto)
    for i in range(150):
        ask(service, f"user-{i}")
    follower.look()
    served = read_served(follower.task)
    assert served.now is not None
    if auto:
        assert (served.now.bundle, served.canary) == ("runs/2/best", None)
        assert "difference" in served.now.check
        assert ask(service, "anybody").text == "같은 답"
    else:
        assert served.now.bundle == "runs/1/best"
        assert served.canary is not None
        assert (served.canary.finding, served.history[-1].what) == ("safe", "canary safe")
        assert b"sadari_canary_conversations" in service.metrics.text()


def test_a_canary_goes_on_after_a_restart_with_what_it_had(service: Any, tmp_path: Path) -> None:
    follower = try_out(service, "새 답")
    for i in range(30):
        ask(service, f"user-{i}")
    follower.look()
    before = follower.standing
    again = open_task(tmp_path, ServeOptions(log=str(tmp_path / "log.sqlite")))
    assert isinstance(again.follower, Follower)
    again.follower.look()
    assert again.follower.standing == before
    assert before is not None
    assert before.candidate + before.incumbent == 30
    again.close()


def test_a_candidate_that_cannot_be_loaded_ends_its_canary(service: Any) -> None:
    write_run(service.follower.task, 2, "둘")
    (service.follower.task / "rules-2.json").write_text("{")
    promote(service.follower.task, Wanted(service.follower.task / "runs" / "2", share=0.5))
    service.follower.look()
    served = read_served(service.follower.task)
    assert served.canary is None
    assert served.history[-1].what == "not loaded"
    assert service.stage.candidate is None
