"""The server under the store goes away and comes back; a writer dies; a reader asks with awkward values."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from retrieve.store.made import ask, chunk, fill, names, shop, unit
from sadari.errors import ConfigError, RunError
from sadari.retrieve.store import MemoryStore, Store, open_store, pg_postings, pgvector
from sadari.retrieve.text import search_terms
from sadari.types import Chunk, Reader


@pytest.fixture
def running(postgres: Any) -> Iterator[Any]:
    """The server, which runs again after the test."""
    yield postgres
    postgres.start()


def fall(server: Any) -> None:
    """Stop the server as a power cut would."""
    process = server.get_postmaster_info().process
    process.send_signal(signal.SIGQUIT)
    process.wait(20)


def test_a_server_that_restarts_between_two_searches_is_not_noticed(running: Any, schema: str) -> None:
    store = open_store(schema)
    fill(store, shop())
    fall(running)
    running.start()
    assert ask(store, "제주도") == ["배송.md"]


def test_a_server_that_is_gone_is_told_and_found_again(running: Any, schema: str) -> None:
    store = open_store(schema)
    fill(store, shop())
    fall(running)
    with pytest.raises(RunError, match=r"does not answer.*Start the server"):
        ask(store, "제주도")
    running.start()
    assert ask(store, "제주도") == ["배송.md"]


def test_a_server_that_falls_in_mid_search_gives_whole_answers_or_errors(running: Any, schema: str) -> None:
    store = open_store(schema)
    fill(store, shop())
    store.close()
    wrong: list[object] = []
    ended = threading.Event()

    def search() -> None:
        reader = open_store(schema)
        while not ended.is_set():
            try:
                found = ask(reader, "제주도")
                if found != ["배송.md"]:
                    wrong.append(found)
            except RunError:
                time.sleep(0.01)
            except BaseException as error:
                wrong.append(error)
        reader.close()

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    fall(running)
    running.start()
    time.sleep(0.5)
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_server_that_falls_before_the_commit_leaves_the_commit_before(running: Any, schema: str) -> None:
    store = open_store(schema)
    fill(store, shop())
    store.remove(["배송.md"])
    store.put([chunk("새.md", "새로운 글")])
    fall(running)
    with pytest.raises(RunError, match="What was committed is kept"):
        store.commit({"새.md": "1"})
    running.start()
    assert (ask(store, "제주도"), ask(store, "새로운")) == (["배송.md"], [])
    store.remove(["배송.md"])
    fill(store, [chunk("새.md", "새로운 글")])
    assert (ask(store, "제주도"), ask(store, "새로운")) == ([], ["새.md"])


def test_a_second_writer_is_told_who_the_first_is(schema: str) -> None:
    first, second = open_store(schema), open_store(schema)
    first.put(shop())
    with pytest.raises(RunError, match="is being written by sadari, process"):
        second.put(shop())
    first.close()
    fill(second, shop())
    second.close()


def test_a_graph_finds_as_many_as_a_reader_may_see(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgvector, "GRAPH_FROM", 100)
    rows = unit(np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32))
    store = open_store(schema, 8)
    fill(store, [Chunk(f"d{i}", "", 0, 1, "글", access=("hr",) if i % 100 else ()) for i in range(2000)], rows)
    right = [f"d{i * 100}" for i in np.argsort(-(rows[::100] @ rows[7]))[:10]]
    assert names(store.by_vector(rows[7], 10)) == right
    inside = names(store.by_vector(rows[7], 10, Reader(frozenset({"hr"}))))
    assert len({*inside} & {f"d{i}" for i in np.argsort(-(rows @ rows[7]))[:10]}) >= 9


WRITER = """
import sys
from sadari.retrieve.store import open_store
from sadari.types import Chunk
store = open_store(sys.argv[1])
while True:  # each commit replaces version n of all documents by version n + 1
    number = max([int(n) for n in store.state().values()], default=0) + 1
    store.remove(list(store.state()))
    store.put([Chunk(f"d{i}", "", 0, 9, f"판본{number} 공통") for i in range(10)])
    store.commit({f"d{i}": str(number) for i in range(10)})
"""


def test_a_writer_killed_at_any_moment_leaves_whole_commits(schema: str) -> None:
    store = open_store(schema)
    fill(store, [])
    store.close()
    before = 0
    for pause in (0.0, 0.004, 0.011):
        with subprocess.Popen([sys.executable, "-c", WRITER, schema]) as writer:
            while version_of(store) == before:
                assert writer.poll() is None
                time.sleep(0.001)
            time.sleep(pause)
            writer.send_signal(signal.SIGKILL)
        before = version_of(store)
        assert set(store.state().values()) == {str(before)}
        assert [f.chunk.text for f in store.by_terms(["공통"], 99)] == [f"판본{before} 공통"] * 10
    fill(store, [chunk("새.md", "새로운 글")])
    assert ask(store, "새로운") == ["새.md"]


def version_of(store: Store) -> int:
    return max((int(number) for number in store.state().values()), default=0)


def test_a_full_disk_is_told_and_leaves_the_last_commit(schema: str) -> None:
    import psycopg

    store = open_store(schema)
    fill(store, shop())
    with psycopg.connect(schema, autocommit=True) as server:
        server.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        for table in ("sadari_chunks", "sadari_blocks", "sadari_postings", "sadari_documents"):
            server.execute(f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION full_disk()")
            with pytest.raises(RunError, match=r"could not be written: No space left on device.*What was committed is kept"):
                fill(store, [chunk("새.md", "새로운 글")])
            server.execute(f"DROP TRIGGER full_disk ON {table}")
            assert ask(store, "새로운 제주도") == ["배송.md"]
    fill(store, [chunk("새.md", "새로운 글")])
    assert ask(store, "새로운") == ["새.md"]


def test_many_small_commits_and_deletions_change_no_result_and_leave_few_blocks(schema: str) -> None:
    words = ["배송 조회", "환불 신청 방법", "교환 배송비", "적립금 유효 기간", "배송 배송 배송"]
    chunks = [Chunk(f"d{i}", f"{i}번", 0, 9, words[i % 5], access=("hr",) if i % 7 == 0 else ()) for i in range(60)]
    rows = unit(np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32))
    store, right = open_store(schema, 4), MemoryStore(4)
    for n, i in enumerate(range(0, 60, 3)):
        fill(store, chunks[i : i + 3], rows[i : i + 3])
        store.remove([f"d{i}", *([f"d{i - 1}"] if n % 2 else [])])  # of every second block one chunk of three is left
        store.commit({})
    gone = {i + j for n, i in enumerate(range(0, 60, 3)) for j in ((0, -1) if n % 2 else (0,))}
    kept = [i for i in range(60) if i not in gone]
    fill(right, [chunks[i] for i in kept], rows[kept])
    for reader in (Reader(), Reader(frozenset({"hr"}))):
        for question in words:
            found, wanted = (
                {f.chunk.document: (f.score, f.coverage) for f in held.by_terms(search_terms(question), 50, reader)}
                for held in (store, right)
            )
            assert found.keys() == wanted.keys()
            assert all(found[name] == pytest.approx(wanted[name], rel=1e-5) for name in found)
        assert names(store.by_vector(rows[1], 30, reader)) == names(right.by_vector(rows[1], 30, reader))
    assert store._read(lambda c: c.execute("SELECT count(*) < 16 FROM sadari_blocks").fetchone()[0])
    store.close()


def test_the_newest_blocks_are_merged_when_there_are_enough_of_them() -> None:
    assert pg_postings.merged_from([5] * 7) is None
    assert pg_postings.merged_from([900, *[5] * 8]) == 1
    assert pg_postings.merged_from([40, *[5] * 8]) == 1
    assert pg_postings.merged_from([40, *[5] * 7]) is None  # 40 would be written again for 35
    assert pg_postings.merged_from([35, *[5] * 7]) == 0
    assert pg_postings.merged_from([pg_postings.LARGEST_MERGED // 4] * 9) is None


def test_a_reader_who_sees_little_is_searched_for_until_enough_is_found(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgvector, "CANDIDATES", 2)
    monkeypatch.setattr(pgvector, "MORE", 2)
    store = open_store(schema)
    hidden = [Chunk(f"h{i}", "", 0, 2, "배송", access=("hr",)) for i in range(30)]
    fill(store, [*hidden, *(Chunk(f"d{i}", "", 0, 2, "배송 안내 글") for i in range(3))])
    assert names(store.by_terms(["배송"], 2)) == ["d0", "d1"]
    assert names(store.by_terms(["배송"], 9)) == ["d0", "d1", "d2"]


def test_what_another_version_wrote_is_refused(schema: str) -> None:
    import psycopg

    store = open_store(schema)
    fill(store, shop())
    store.close()
    with psycopg.connect(schema) as server:
        server.execute("UPDATE sadari_about SET value = '1' WHERE name = 'format'")
    with pytest.raises(RunError, match="another version of sadari"):
        open_store(schema)


def test_what_another_dimension_or_word_rule_made_is_refused(schema: str) -> None:
    store = open_store(schema)
    fill(store, shop())
    store.close()
    with pytest.raises(ConfigError, match="holds vectors of 0 dimensions, not 4"):
        open_store(schema, 4)
    with pytest.raises(ConfigError, match="was indexed by indexed_terms, not by search_terms"):
        open_store(schema, terms_of=search_terms)  # type: ignore[arg-type]


def test_a_password_is_not_told() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(RunError) as caught:
        open_store("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
    assert "postgresql://127.0.0.1:1/none does not answer" in str(caught.value)
