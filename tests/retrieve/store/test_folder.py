"""The embedded store survives kills, full disks and second writers."""

import errno
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from retrieve.store.made import ask, chunk, fill, names, shop, unit
from sadari.errors import ConfigError, RunError
from sadari.retrieve import LexicalIndex
from sadari.retrieve.store import FolderStore, MemoryStore, folder
from sadari.retrieve.text import search_terms
from sadari.types import Chunk, Reader


def test_a_second_writer_is_told_who_the_first_is_while_readers_read_on(tmp_path: Path) -> None:
    first, second = FolderStore(tmp_path), FolderStore(tmp_path)
    fill(first, shop())
    with pytest.raises(RunError, match=f"being written by process {os.getpid()}"):
        second.put([chunk("새.md", "글")])
    assert ask(second, "제주도") == ["배송.md"]
    first.close()
    fill(second, [chunk("새.md", "새로운 글")])
    assert ask(first, "새로운") == ["새.md"]


def test_a_full_disk_is_told_and_leaves_the_last_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    fill(store, shop())
    before = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    real = os.fsync
    for writes in range(14):  # the disk fills up at the first write, at the second, ...
        left = iter(range(writes))

        def full(handle: int, left=left) -> None:
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="No space left on device"):
            fill(store, [chunk("새.md", "새로운 글")])
        monkeypatch.setattr(os, "fsync", real)
        assert ask(FolderStore(tmp_path), "새로운 제주도") == ["배송.md"]
        assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == before
    fill(store, [chunk("새.md", "새로운 글")])
    assert ask(store, "새로운") == ["새.md"]


def test_a_write_cut_off_in_mid_file_is_told_and_leaves_the_last_commit(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    fill(store, shop())
    longer = [chunk(f"새{i}.md", f"새로운 글 {i} " * 50) for i in range(40)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for longest in (100, 5_000, 20_000):  # bytes that the system lets any file have: some are whole, one is not
        resource.setrlimit(resource.RLIMIT_FSIZE, (longest, hard))
        try:
            with pytest.raises(RunError, match=r"cannot be written: .*What was committed is kept"):
                fill(store, longer)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert ask(FolderStore(tmp_path), "새로운 제주도") == ["배송.md"]
    fill(store, longer)
    assert len(ask(store, "새로운", k=99)) == 40


WRITER = """
import sys
from pathlib import Path
from sadari.retrieve.store import FolderStore, folder
from sadari.types import Chunk
folder.CHUNKS_HELD = 4
store = FolderStore(Path(sys.argv[1]))
while True:  # each commit replaces version n of all documents by version n + 1
    number = max([int(n) for n in store.state().values()], default=0) + 1
    store.remove(list(store.state()))
    store.put([Chunk(f"d{i}", "", 0, 9, f"판본{number} 공통") for i in range(10)])
    store.commit({f"d{i}": str(number) for i in range(10)})
"""


def version_of(store: FolderStore) -> int:
    return max((int(number) for number in store.state().values()), default=0)


def test_a_writer_killed_at_any_moment_leaves_whole_commits(tmp_path: Path) -> None:
    pauses = random.Random(7)
    store, before = FolderStore(tmp_path), 0
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path]) as writer:
            while version_of(store) == before:  # so that it is killed while it writes, however slow the machine
                assert writer.poll() is None
                time.sleep(0.001)
            time.sleep(pauses.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
        before = version_of(store)
        assert set(store.state().values()) == {str(before)}
        found = FolderStore(tmp_path).by_terms(["공통"], 99)
        assert [f.chunk.text for f in found] == [f"판본{before} 공통"] * 10
    fill(store, shop())  # and the next writer sweeps up
    assert {p.name for p in (tmp_path / "segments").iterdir()} == {e.name for e in store._manifest.entries}


def test_readers_never_see_half_a_commit(tmp_path: Path) -> None:
    store, seen = FolderStore(tmp_path), set()
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path]) as writer:
        try:
            while len(seen) < 12:
                assert writer.poll() is None
                found = store.by_terms(["공통"], 99)
                versions = {f.chunk.text for f in found}
                assert (len(found), len(versions)) in {(0, 0), (10, 1)}
                seen |= versions
        finally:
            writer.kill()


def test_small_segments_are_merged_and_nothing_changes_for_readers(tmp_path: Path) -> None:
    whole, pieces = FolderStore(tmp_path / "whole", 4), FolderStore(tmp_path / "pieces", 4)
    drawn = np.random.default_rng(0)
    words = ["배송 조회", "환불 신청 방법", "교환 배송비", "적립금 유효 기간", "배송 배송 배송"]
    chunks = [
        Chunk(f"d{i}", f"{i}번", 0, 9, words[i % 5], access=("hr",) if i % 7 == 0 else (), metadata={"n": str(i % 3)})
        for i in range(60)
    ]
    rows = unit(drawn.normal(size=(60, 4)).astype(np.float32))
    for i in range(60):
        fill(pieces, [chunks[i]], rows[i : i + 1])
    pieces.remove([f"d{i}" for i in range(0, 60, 4)])
    pieces.commit({})
    kept = [i for i in range(60) if i % 4]
    fill(whole, [chunks[i] for i in kept], rows[kept])
    assert len(pieces._manifest.entries) < 16
    for reader in (Reader(), Reader(frozenset({"hr"}), {"n": ("1", "2")})):
        for question in words:
            found = [store.by_terms(search_terms(question), 50, reader) for store in (whole, pieces)]
            key = lambda f: (-round(f.score, 5), f.chunk.document)  # noqa: E731
            assert [(f.chunk, pytest.approx(f.score), f.coverage) for f in sorted(found[0], key=key)] == [
                (f.chunk, f.score, pytest.approx(f.coverage)) for f in sorted(found[1], key=key)
            ]
        assert names(whole.by_vector(rows[1], 30, reader)) == names(pieces.by_vector(rows[1], 30, reader))


def test_a_graph_finds_nearly_what_an_exact_search_finds_and_only_what_may_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("usearch")
    drawn = np.random.default_rng(1)
    centres = drawn.normal(size=(40, 32))
    rows = unit((centres[drawn.integers(40, size=3000)] + 0.5 * drawn.normal(size=(3000, 32))).astype(np.float32))
    chunks = [Chunk(f"d{i}", "", 0, 1, "글", access=("hr",) if i % 2 else ()) for i in range(3000)]
    exact, near = FolderStore(tmp_path / "exact", 32), FolderStore(tmp_path / "near", 32)
    fill(exact, chunks, rows)
    monkeypatch.setattr(folder, "GRAPH_FROM", 100)
    monkeypatch.setattr(folder, "EXACT_UP_TO", 100)
    fill(near, chunks, rows)
    assert near._manifest.entries[0].has_graph
    for reader in (Reader(), Reader(frozenset({"hr"}))):
        pairs = [(names(exact.by_vector(q, 10, reader)), names(near.by_vector(q, 10, reader))) for q in rows[::60]]
        assert all(len(found) == 10 for _, found in pairs)
        assert sum(len({*a} & {*b}) for a, b in pairs) / (10 * len(pairs)) > 0.95
    assert all(int(name[1:]) % 2 == 0 for name in names(near.by_vector(rows[0], 50)))


def test_other_dimensions_or_terms_than_the_folder_holds_are_refused(tmp_path: Path) -> None:
    fill(FolderStore(tmp_path), shop())
    with pytest.raises(ConfigError, match="holds vectors of 0 dimensions, not 3"):
        FolderStore(tmp_path, 3)
    with pytest.raises(ConfigError, match="was indexed by indexed_terms, not by words"):
        FolderStore(tmp_path, terms_of=words)
    with pytest.raises(ConfigError, match=r"was indexed by indexed_terms, not by words\(3\)"):
        FolderStore(tmp_path, terms_of=partial(words, most=3))


def words(chunk: Chunk, most: int = 9) -> list[str]:
    return chunk.text.split()[:most]


def test_a_damaged_folder_says_what_to_do(tmp_path: Path) -> None:
    fill(FolderStore(tmp_path), shop())
    next((tmp_path / "segments").rglob("terms.npy")).write_bytes(b"broken")
    with pytest.raises(RunError, match="Delete it and index again"):
        FolderStore(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RunError, match=r"manifest.json is damaged"):
        FolderStore(tmp_path)


def test_many_threads_may_search_while_one_writes(tmp_path: Path) -> None:
    store, failed = FolderStore(tmp_path), []
    fill(store, shop())

    def search() -> None:
        try:
            for _ in range(50):
                assert ask(store, "제주도") == ["배송.md"]
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(10):
        fill(store, [chunk(f"새{i}.md", "다른 글")])
    for thread in threads:
        thread.join()
    assert failed == []


def test_passing_over_chunks_that_common_terms_cannot_lift_changes_no_result() -> None:
    drawn = np.random.default_rng(3)
    vocabulary = [f"{a}{b}" for a in "가나다라마바사" for b in "아자차카타파하"]
    ranks = np.minimum(np.exp(drawn.random((2000, 12)) * np.log(49)), 48).astype(int)  # the first words stand nearly everywhere
    texts = [" ".join(vocabulary[i] for i in row[: 4 + n % 8]) for n, row in enumerate(ranks)]
    store, index = MemoryStore(), LexicalIndex([f"  {text}" for text in texts])
    fill(store, [Chunk(f"d{n}", "", 0, 9, text) for n, text in enumerate(texts)])
    for n in range(0, 49, 4):
        for common in (0, 2, 8):  # many common ones lift what holds none of the rare
            question = " ".join((*vocabulary[:common], vocabulary[n], vocabulary[-1 - n]))
            right = index.search(question, 10)
            found = store.by_terms(search_terms(question), 10)
            assert [f.score for f in found] == pytest.approx([h.score for h in right], rel=1e-5)
            assert [f.coverage for f in found] == pytest.approx([h.coverage for h in right])
