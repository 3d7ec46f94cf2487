import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from sadari.agent.log import Draft, Log
from sadari.agent.log.database import open_database
from sadari.errors import ConfigError, DataError, RunError
from sadari.serve import Identity, Keys, backup
from sadari.serve.backup import back_up, read_manifest, restore


def fill(place: str, runs: int = 3) -> Log:
    log = Log(place)
    for n in range(runs):
        run = log.start(f"user{n}", "v1", {"user": f"user{n}"})
        log.append(run, [Draft("run.asked", {"text": f"주문 {n} '\\t\n\x00"}), Draft("run.answered", {"text": "네 🙂"})])
    Keys(open_database(place)).add(Identity("kim", "approver", ("인사", "법무")))
    return log


def inside(place: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of what a log and its keys are."""
    with open_database(place).reading() as connection:
        tables = ("events", "runs", "head", "serve_keys")
        return {t: sorted(tuple(dict(row).values()) for row in connection.execute(f"SELECT * FROM {t}").fetchall()) for t in tables}


@pytest.fixture
def backed_up(tmp_path: Path) -> Path:
    log = fill(str(tmp_path / "log.sqlite"))
    back_up(log.url, tmp_path / "log.backup")
    return tmp_path / "log.backup"


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_what_is_restored_is_what_was_backed_up_on_either_database(
    place: str, target: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    log = fill(place)
    made = back_up(place, tmp_path / "b")
    onto = str(tmp_path / "new" / "log.sqlite")
    if target == "postgresql":
        if "://" in place:
            pytest.skip("one database of a server is enough")
        onto = str(request.getfixturevalue("postgres_url"))
    assert restore(tmp_path / "b", onto, made.head) == made == read_manifest(tmp_path / "b")
    assert (made.events, made.head) == (9, log.verify().head)
    assert inside(onto) == inside(place)
    again = Log(onto)
    again.append(again.runs()[0].run, [Draft("answer.rated", {})])
    assert again.verify(made.head).faults == ()


PROGRAM = """
import sys
from sadari.agent.log import Draft, Log
log = Log(sys.argv[1])
run = log.start("kim", "v1", {})
while True:
    (event,) = log.append(run, [Draft("run.asked", {"text": "?" * 2000})], sync=True)
    print(event.id, event.hash, flush=True)
"""


def test_a_backup_under_load_holds_every_event_that_was_acknowledged_before_it(place: str, tmp_path: Path) -> None:
    fill(place)
    told = (tmp_path / "told").open("w")
    writers = [subprocess.Popen([sys.executable, "-c", PROGRAM, place], stdout=told) for _ in range(2)]
    try:
        acknowledged = lambda: (tmp_path / "told").read_text().split("\n")[:-1]  # noqa: E731
        until = time.monotonic() + 20
        while len(acknowledged()) < 30 and time.monotonic() < until:
            time.sleep(0.01)
        before = acknowledged()
        made = back_up(place, tmp_path / "b")
        while len(acknowledged()) < len(before) + 30 and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    after = acknowledged()
    restored = str(tmp_path / "restored.sqlite")
    restore(tmp_path / "b", restored)
    there = {f"{event.id} {event.hash}" for event in Log(restored).happened()}
    assert len(before) >= 30
    assert len(after) >= len(before) + 30  # they wrote on meanwhile
    assert set(before) <= there
    assert {line for line in after if int(line.split()[0]) <= made.events} <= there


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.9, -1])
def test_a_file_that_was_cut_short_is_refused_and_leaves_nothing(kept: float, backed_up: Path, tmp_path: Path) -> None:
    whole = backed_up.read_bytes()
    cut = whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)]
    backed_up.write_bytes(cut)
    with pytest.raises(DataError, match="no whole backup"):
        restore(backed_up, str(tmp_path / "new" / "log.sqlite"))
    assert list((tmp_path / "new").iterdir()) == []


def test_wherever_a_byte_is_changed_it_is_refused_or_the_log_is_the_same(backed_up: Path, tmp_path: Path) -> None:
    whole, rng, refused = backed_up.read_bytes(), random.Random(8), 0
    restore(backed_up, str(tmp_path / "right.sqlite"))
    right = inside(str(tmp_path / "right.sqlite"))
    for n in range(150):
        at = rng.randrange(len(whole))
        backed_up.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        place = tmp_path / "new" / f"{n}.sqlite"
        try:
            restore(backed_up, str(place))
        except DataError:
            refused += 1
            assert not place.exists()
        else:  # a date or an attribute in the archive
            assert inside(str(place)) == right
    assert refused > 120


def test_a_log_that_was_changed_before_it_was_backed_up_is_refused(tmp_path: Path) -> None:
    log = fill(str(tmp_path / "log.sqlite"))
    with sqlite3.connect(log.url) as connection:
        connection.execute("UPDATE events SET body = '{}' WHERE id = 2")
    back_up(log.url, tmp_path / "b")
    with pytest.raises(DataError, match=r"event 2 .* content was changed"):
        restore(tmp_path / "b", str(tmp_path / "new.sqlite"))
    assert not (tmp_path / "new.sqlite").exists()


def test_a_whole_new_log_is_told_from_the_old_one_by_the_head_that_was_kept(backed_up: Path, tmp_path: Path) -> None:
    fill(str(tmp_path / "other.sqlite"))
    other = back_up(str(tmp_path / "other.sqlite"), tmp_path / "other")
    with pytest.raises(DataError, match="kept elsewhere is not in the log"):
        restore(backed_up, str(tmp_path / "new.sqlite"), other.head)


def test_an_archive_that_unpacks_to_more_than_it_names_is_given_up(backed_up: Path, tmp_path: Path) -> None:
    named = json.loads(zipfile.ZipFile(backed_up).read("manifest.json"))
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("manifest.json", json.dumps(named | {"size": 1000}))
        bomb.writestr("log.sqlite", bytes(50_000_000))
    with pytest.raises(DataError, match="not the one that its manifest names"):
        restore(tmp_path / "bomb", str(tmp_path / "new.sqlite"))


def test_nothing_is_overwritten(place: str, backed_up: Path, tmp_path: Path) -> None:
    head = fill(place).verify().head
    with pytest.raises(ConfigError, match="already"):
        restore(backed_up, place)
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        back_up(place, backed_up)
    assert Log(place).verify().head == head
    (tmp_path / "free.sqlite-wal").touch()
    with pytest.raises(ConfigError, match=r"free.sqlite-wal is there already"):
        restore(backed_up, str(tmp_path / "free.sqlite"))


def test_a_full_disk_leaves_nothing_and_says_so(backed_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(backup, "_pack", full)
    with pytest.raises(RunError, match=r"No space left on device. Nothing is left of it"):
        back_up(str(tmp_path / "log.sqlite"), tmp_path / "out" / "b")
    monkeypatch.setattr(backup, "_write", full)
    with pytest.raises(RunError, match="No space left on device"):
        restore(backed_up, str(tmp_path / "out" / "log.sqlite"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_a_limit_on_files_that_the_system_sets_is_told_too(backed_up: Path, tmp_path: Path) -> None:
    program = (
        "from sadari.serve.backup import back_up; import sys; from pathlib import Path; back_up(sys.argv[1], Path(sys.argv[2]))"
    )
    words = ["prlimit", "--fsize=20000", sys.executable, "-c", program, str(tmp_path / "log.sqlite"), str(tmp_path / "out" / "b")]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode != 0
    assert list((tmp_path / "out").iterdir()) == []


def test_only_its_owner_may_read_a_backup(backed_up: Path) -> None:
    assert backed_up.stat().st_mode & 0o777 == 0o600


def test_what_is_no_log_is_not_backed_up(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    with pytest.raises(RunError, match="this is no log"):
        back_up(str(tmp_path / "shop.db"), tmp_path / "b")
    with pytest.raises(RunError, match="nothing to back up"):
        back_up(str(tmp_path / "none.sqlite"), tmp_path / "b")
    assert not (tmp_path / "b").exists()
