import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sadari.agent.log import Draft, Log, Spent
from sadari.agent.log.database import open_database
from sadari.agent.memory import Memory
from sadari.serve.questions import Place, Questions
from sadari.serve.retention import Erased, Retention

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def log(place: str, monkeypatch: pytest.MonkeyPatch) -> Log:
    """Conversations of 100, 20 and 1 days ago; the first has one with a specialist, and the last an old one."""
    log = Log(place)
    talks = {"old": (100, ""), "old/1.1": (100, "old"), "newer": (20, ""), "live": (1, ""), "live/1.1": (90, "live")}
    for run, (days, parent) in talks.items():
        monkeypatch.setattr("sadari.agent.log.log._now", lambda days=days: NOW - timedelta(days=days))
        log.start("kim", "v1", {"user": "kim"}, run=run, parent=parent)
        log.append(run, [Draft("run.asked", {"text": f"비밀 {run}"}), Draft("run.answered", {"text": "네"})], spent=Spent(1, 1, 1))
    monkeypatch.undo()
    return log


def held(place: str, table: str) -> list[Any]:
    with open_database(place).reading() as connection:
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}").fetchall()]


def test_what_has_rested_too_long_is_erased_with_its_specialists_and_the_chain_stays_whole(log: Log) -> None:
    retention = Retention(log, open_database(log.url), 30)
    assert sorted(retention.due(NOW)) == ["old", "old/1.1"]
    head = log.verify().head
    assert retention.apply(NOW) == 2
    assert {run.run for run in log.runs(status="erased")} == {"old", "old/1.1"}
    assert [e.body for e in log.events("old")] == [None, None, None, {"by": "retention"}]
    assert [e.body for e in log.events("live/1.1")][1] == {"text": "비밀 live/1.1"}
    assert log.verify(head).faults == ()
    assert retention.apply(NOW) == 0
    assert {row["day"] for row in held(log.url, "spending")} == {"2026-06-10", "2026-06-29"}


def test_what_stands_beside_the_log_goes_with_it(log: Log) -> None:
    database, memory = open_database(log.url), Memory(log.url)
    for run in ("old", "live"):
        memory.keep("kim", f"fact of {run}", source=(run, "1.1"), now=NOW, is_trusted=True)
        Questions(database).claim("kim", f"key of {run}", "digest")
        Questions(database).keep("kim", f"key of {run}", Place(run, 1))
        with database.writing() as connection:
            values = {"run": run, "text": f"right of {run}"}
            connection.execute("INSERT INTO serve_reviews VALUES (:run, 1, 'boss', 'corrected', :text, 'random', '2026')", values)
    Retention(log, database, 30).apply(NOW)
    assert [row["text"] for row in held(log.url, "facts")] == ["fact of live"]
    assert [row["text"] for row in held(log.url, "serve_reviews")] == ["right of live"]
    assert [row["run"] for row in held(log.url, "serve_questions")] == ["live"]


def test_erasing_a_user_leaves_nothing_of_him_and_all_of_others(log: Log) -> None:
    database, memory = open_database(log.url), Memory(log.url)
    log.append(log.start("lee", "v1", {"user": "lee"}), [Draft("run.asked", {"text": "남습니다"})])
    for user in ("kim", "lee"):
        memory.keep(user, "좋아하는 색은 파랑", source=(f"run of {user}", "1.1"), now=NOW, is_trusted=True)
        memory.keep_summary(user, "key", "비밀 요약", NOW)
        Questions(database).claim(user, "key", "digest")
        with database.writing() as connection:
            values = {"user": user, "hash": f"hash of {user}"}
            connection.execute("INSERT INTO serve_sessions VALUES (:hash, :user, 's', '2026', '2027')", values)
            connection.execute(
                "INSERT INTO serve_blind_ratings VALUES ('c', 1, :user, 'first', '', '', '비밀 메모', '2026')", values
            )
    retention = Retention(log, database)
    assert retention.erase_user("kim", "admin") == Erased(5, 1)
    assert {run.user for run in log.runs()} == {"", "lee"}
    for table in ("facts", "summaries", "serve_questions", "serve_sessions"):
        assert {row["user_id"] for row in held(log.url, table)} == {"lee"}, table
    notes = {row["rater"]: row["note"] for row in held(log.url, "serve_blind_ratings")}
    assert notes == {"kim": "", "lee": "비밀 메모"}
    assert log.verify().faults == ()
    assert retention.erase_user("kim", "admin") == Erased(0, 0)


def test_what_was_erased_is_gone_from_the_disk(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.sqlite")
    log.append(log.start("kim", "v1", {}), [Draft("run.asked", {"text": "주민번호"})])
    Retention(log, open_database(log.url)).erase_user("kim", "admin")
    with sqlite3.connect(log.url) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert "주민번호".encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_without_days_everything_is_kept_and_with_them_the_state_tells_what_would_go(log: Log) -> None:
    database = open_database(log.url)
    assert Retention(log, database).state() == {"days": None, "last": "", "erased": 0, "due": 0}
    retention = Retention(log, database, 30)
    due = len(retention.due(datetime.now(UTC)))
    assert retention.state() == {"days": 30, "last": "", "erased": 0, "due": due}
    retention.apply(NOW)
    assert (retention.state()["last"], retention.state()["erased"]) == ("2026-06-30T12:00:00.000000Z", 2)


def test_a_server_with_days_erases_by_itself(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sadari.serve.retention.FIRST_S", 0.05)
    monkeypatch.setattr("sadari.serve.retention.DAY_S", 0.05)
    live = start(retention_days=30)
    monkeypatch.setattr("sadari.agent.log.log._now", lambda: datetime.now(UTC) - timedelta(days=31))
    run = live.service.log.start("kim", "v1", {"user": "kim"})
    monkeypatch.undo()
    live.wait_for(lambda: live.service.log.runs(status="erased"))
    assert [entry.run for entry in live.service.log.runs(status="erased")] == [run]


def test_the_command_erases_what_is_older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sadari.cli.log

    place = str(tmp_path / "log.sqlite")
    log = Log(place)
    monkeypatch.setattr("sadari.agent.log.log._now", lambda: datetime.now(UTC) - timedelta(days=91))
    log.start("kim", "v1", {"user": "kim"})
    monkeypatch.undo()
    log.start("lee", "v1", {"user": "lee"})
    said = CliRunner().invoke(sadari.cli.log.log, ["erase", "--older-than", "90d", place, "--yes"])
    assert said.output == "1 runs erased\n"
    assert [run.user for run in log.runs(status="idle")] == ["lee"]
    for words in (["erase"], ["erase", "--older-than", "3 months", place]):
        assert CliRunner().invoke(sadari.cli.log.log, words).exit_code != 0
