import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from sadari import migrations
from sadari.agent.log import Draft, Log
from sadari.agent.log.database import database_at, open_database
from sadari.errors import RunError
from sadari.migrations import HEAD, bring_up, revision_of

AS_OF_0_1 = (
    "CREATE TABLE events (id {number} PRIMARY KEY, run TEXT NOT NULL, seq INTEGER NOT NULL, time TEXT NOT NULL, "
    "kind TEXT NOT NULL, body TEXT, salt TEXT NOT NULL, content TEXT NOT NULL, hash TEXT NOT NULL, UNIQUE (run, seq))",
    "CREATE TABLE runs (run TEXT PRIMARY KEY, user_id TEXT NOT NULL, agent TEXT NOT NULL, parent TEXT NOT NULL, "
    "status TEXT NOT NULL, started TEXT NOT NULL, updated TEXT NOT NULL, events INTEGER NOT NULL, owner TEXT NOT NULL, "
    "until TEXT NOT NULL)",
    "CREATE INDEX runs_by_user ON runs (user_id, started)",
    "CREATE TABLE head (one INTEGER PRIMARY KEY, id {number} NOT NULL, hash TEXT NOT NULL, writes {number} NOT NULL)",
    "CREATE TABLE serve_keys (key TEXT PRIMARY KEY, hash TEXT NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL, "
    "labels TEXT NOT NULL, created TEXT NOT NULL, expires TEXT NOT NULL, revoked TEXT NOT NULL, per_minute INTEGER, "
    "concurrent INTEGER)",
    "INSERT INTO serve_keys VALUES ('k1', 'h', 'kim', 'user', '', '2026', '', '', 5, NULL)",
)


def make_as_of_0_1(place: str, source: Path) -> str:
    """A database as sadari 0.1 left it, with the log in `source`; the head of that log."""
    log = Log(source)
    run = log.start("kim", "v1", {"user": "kim"})
    log.append(run, [Draft("run.asked", {"text": "안녕"})])
    database = database_at(place)
    with database.writing() as old:
        for statement in AS_OF_0_1:
            old.execute(statement.format(number="INTEGER" if database.dialect == "sqlite" else "BIGINT"))
        with database_at(str(source)).reading() as connection:
            for table in ("events", "runs", "head"):
                for row in connection.execute(f"SELECT * FROM {table}").fetchall():
                    columns = row.keys()
                    into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(':' + c for c in columns)})"
                    old.execute(into, dict(row))
    database.close()
    return log.verify().head


def columns_of(place: str) -> dict[str, Any]:
    """Every table with its columns, as (name, whether it may be null), its key and its indexes."""
    database = database_at(place)
    engine = create_engine(f"{database.dialect}://", creator=database.connect)
    found, told = inspect(engine), {}
    for table in found.get_table_names():
        key = found.get_pk_constraint(table)["constrained_columns"]
        columns = {(c["name"], c["nullable"] and c["name"] not in key) for c in found.get_columns(table)}
        told[table] = columns, key, {tuple(i["column_names"]) for i in found.get_indexes(table) if not i["unique"]}
    engine.dispose()
    return told


def test_the_head_is_the_newest_revision_and_there_is_one_line_of_them() -> None:
    script = ScriptDirectory.from_config(migrations._config())
    assert script.get_heads() == [HEAD]
    assert [r.revision for r in script.walk_revisions()] == sorted((r.revision for r in script.walk_revisions()), reverse=True)


def test_sqlite_and_postgresql_get_the_same_tables(tmp_path: Path, postgres_url: str) -> None:
    for place in (str(tmp_path / "new.sqlite"), postgres_url):
        open_database(place).close()
    assert columns_of(str(tmp_path / "new.sqlite")) == columns_of(postgres_url)


def test_a_log_of_before_there_were_migrations_is_taken_over_without_loss(place: str, tmp_path: Path) -> None:
    head = make_as_of_0_1(place, tmp_path / "source.sqlite")
    log = Log(place)
    assert (log.verify().head, log.verify().faults) == (head, ())
    assert [e.body for e in log.events(log.runs()[0].run)] == [{"user": "kim"}, {"text": "안녕"}]
    with open_database(place).reading() as connection:
        key = connection.execute("SELECT * FROM serve_keys").fetchone()
    assert (key["key"], key["per_minute"], key["tokens_per_day"], key["scope"]) == ("k1", 5, None, "")
    assert revision_of(database_at(place)) == HEAD
    log.append(log.runs()[0].run, [Draft("run.answered", {"text": "네"})])
    assert log.verify().faults == ()


def test_tables_taken_over_are_those_that_are_made_anew(tmp_path: Path) -> None:
    make_as_of_0_1(str(tmp_path / "old.sqlite"), tmp_path / "source.sqlite")
    open_database(str(tmp_path / "old.sqlite"))
    open_database(str(tmp_path / "new.sqlite"))
    old, new = columns_of(str(tmp_path / "old.sqlite")), columns_of(str(tmp_path / "new.sqlite"))
    assert {table for table in new if old[table] != new[table]} == set()


PROGRAM = """
import sys
from sadari.agent.log import Draft, Log
print("ready", flush=True)
sys.stdin.readline()
log = Log(sys.argv[1])
log.append(log.start("kim", "v1", {}), [Draft("run.asked", {"text": "?"})])
"""


def test_four_processes_that_start_at_once_make_one_log(place: str) -> None:
    words = [sys.executable, "-c", PROGRAM, place]
    begun = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    for process in begun:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in begun:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    ends = [(process.communicate(timeout=30)[1], process.returncode) for process in begun]
    assert [(said.decode()[-300:], code) for said, code in ends if code] == []
    assert (Log(place).verify().events, Log(place).verify().faults) == (8, ())


def test_a_log_of_a_newer_sadari_is_refused_and_left_as_it_is(place: str) -> None:
    database = open_database(place)
    with database.writing() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RunError, match=f"revision 9999, made by a newer sadari; this one knows up to {HEAD}"):
        Log(place)
    assert revision_of(database) == "9999"


def test_a_migration_that_fails_changes_nothing(place: str) -> None:
    database = database_at(place)
    bring_up(database, "0001")
    with database.writing() as connection:
        connection.execute("CREATE TABLE serve_people (mine TEXT)")  # in the way of the second migration, behind its first steps
    before = columns_of(place)
    with pytest.raises(RunError, match=r"brought up to date: .*serve_people.*Nothing was changed"):
        Log(place)
    assert (columns_of(place), revision_of(database)) == (before, "0001")
    with database.writing() as connection:
        connection.execute("DROP TABLE serve_people")
    assert Log(place).verify().faults == ()


def test_a_log_that_is_up_to_date_opens_at_once_and_loads_no_migrations(tmp_path: Path) -> None:
    place = str(tmp_path / "log.sqlite")
    Log(place).close()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        Log(place).close()
        took.append(time.perf_counter() - began)
    assert min(took) < 0.010
    program = f"import sys; from sadari.agent.log import Log; Log({place!r}); print({{'alembic', 'sqlalchemy'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_tables_are_made_by_migrations_alone() -> None:
    rooms = [Path(migrations.__file__).parents[1] / room for room in ("serve", "agent/log", "agent/memory")]
    made = [path.name for room in rooms for path in room.rglob("*.py") if "CREATE TABLE" in path.read_text()]
    assert made == []
