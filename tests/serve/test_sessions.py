from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sadari.agent.log.database import open_database
from sadari.serve.people import People
from sadari.serve.sessions import Sessions

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
IDLE, LONGEST = timedelta(hours=1), timedelta(hours=8)


@pytest.fixture
def people(place: str) -> People:
    kept = People(open_database(place))
    kept.add("kim", "approver", ("인사",))
    return kept


@pytest.fixture
def sessions(place: str, people: People) -> Sessions:
    return Sessions(open_database(place), IDLE.total_seconds(), LONGEST.total_seconds())


def test_a_session_tells_who_it_is_and_is_kept_as_a_hash(sessions: Sessions, place: str) -> None:
    secret = sessions.begin("kim", NOW)
    found = sessions.find(secret, NOW)
    assert found is not None
    assert (found.identity.user, found.identity.role, found.identity.labels) == ("kim", "approver", ("인사",))
    assert len(secret) == 43  # 256 bits in base64
    with open_database(place).reading() as connection:
        (kept,) = [dict(row) for row in connection.execute("SELECT * FROM serve_sessions").fetchall()]
    assert not {secret, found.csrf} & set(kept.values())
    assert secret not in str(kept)


@pytest.mark.parametrize("change", [lambda s: "", lambda s: s[:-1], lambda s: s + "A", lambda s: s.swapcase(), lambda s: "\ud800"])
def test_a_cookie_that_is_not_quite_right_is_none(sessions: Sessions, change: Any) -> None:
    assert sessions.find(change(sessions.begin("kim", NOW)), NOW) is None


def test_each_session_has_its_own_token(sessions: Sessions) -> None:
    one, other = (sessions.find(sessions.begin("kim", NOW), NOW) for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.csrf != other.csrf


def test_a_session_that_is_not_used_ends(sessions: Sessions) -> None:
    secret = sessions.begin("kim", NOW)
    assert sessions.find(secret, NOW + IDLE - timedelta(seconds=1)) is not None
    assert sessions.find(secret, NOW + IDLE * 2 - timedelta(seconds=2)) is not None  # it was used meanwhile
    assert sessions.find(secret, NOW + IDLE * 3) is None


def test_a_session_that_is_used_all_the_time_ends_as_well(sessions: Sessions) -> None:
    secret, now = sessions.begin("kim", NOW), NOW
    while sessions.find(secret, now) is not None:
        now += IDLE / 2
    assert now == NOW + LONGEST


def test_a_session_that_was_ended_is_over(sessions: Sessions) -> None:
    secret, other = sessions.begin("kim", NOW), sessions.begin("kim", NOW)
    sessions.end(secret)
    assert sessions.find(secret, NOW) is None
    assert sessions.find(other, NOW) is not None


@pytest.mark.parametrize(
    "change", [{"role": "user"}, {"password": "말 배터리 스테이플"}, {"disabled": True}], ids=["role", "password", "disabled"]
)
def test_what_changes_who_may_do_what_ends_all_sessions_of_the_person(sessions: Sessions, people: People, change: Any) -> None:
    people.add("lee")
    secrets = [sessions.begin("kim", NOW), sessions.begin("kim", NOW)]
    lee = sessions.begin("lee", NOW)
    people.change("kim", **change)
    assert [sessions.find(secret, NOW) for secret in secrets] == [None, None]
    assert sessions.find(lee, NOW) is not None
    people.change("kim", disabled=False, role="approver")
    assert sessions.find(secrets[0], NOW) is None  # nor does it come back


def test_labels_count_from_the_next_request_on(sessions: Sessions, people: People) -> None:
    secret = sessions.begin("kim", NOW)
    people.change("kim", labels=("총무",))
    found = sessions.find(secret, NOW)
    assert found is not None
    assert found.identity.labels == ("총무",)


@pytest.mark.parametrize("user", ["nobody", "lee"])
def test_nobody_else_has_a_session(sessions: Sessions, people: People, user: str) -> None:
    people.add("lee")
    people.change("lee", disabled=True)
    assert sessions.find(sessions.begin(user, NOW), NOW) is None


def test_sessions_that_are_over_are_removed(sessions: Sessions, place: str) -> None:
    for _ in range(3):
        sessions.begin("kim", NOW)
    sessions.begin("kim", NOW + LONGEST)
    with open_database(place).reading() as connection:
        assert len(connection.execute("SELECT hash FROM serve_sessions").fetchall()) == 1
