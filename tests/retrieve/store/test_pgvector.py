"""The server under the store goes away and comes back; a writer dies; a reader asks with awkward values."""

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from retrieve.store.made import ask, chunk, fill, names, shop, unit
from sadari.errors import ConfigError, RunError
from sadari.retrieve.store import open_store
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
    from sadari.retrieve.store import pgvector

    monkeypatch.setattr(pgvector, "GRAPH_FROM", 100)
    rows = unit(np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32))
    store = open_store(schema, 8)
    fill(store, [Chunk(f"d{i}", "", 0, 1, "글", access=("hr",) if i % 100 else ()) for i in range(2000)], rows)
    right = [f"d{i * 100}" for i in np.argsort(-(rows[::100] @ rows[7]))[:10]]
    assert names(store.by_vector(rows[7], 10)) == right
    inside = names(store.by_vector(rows[7], 10, Reader(frozenset({"hr"}))))
    assert len({*inside} & {f"d{i}" for i in np.argsort(-(rows @ rows[7]))[:10]}) >= 9


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
