"""Milvus has no transactions: what becomes of a commit that was cut short, and of a second writer."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retrieve.store.made import ask, chunk, fill, shop
from sadari.errors import RunError
from sadari.retrieve.store import milvus, open_store
from sadari.retrieve.store.milvus import NOTES, MilvusStore
from sadari.types import Reader

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")


class CutShortError(Exception):
    """The writer's end."""


def opened(path: Path) -> MilvusStore:
    store = open_store(f"milvus://{path}/index.db", 0)
    assert isinstance(store, MilvusStore)
    return store


def cut_short(store: MilvusStore, monkeypatch: pytest.MonkeyPatch, step: int) -> bool:
    """Replace a document, and end at the step-th time that the server is asked for a change; whether it came to that."""
    left = iter(range(step))
    with monkeypatch.context() as patch:
        for name in ("insert", "upsert", "delete", "flush"):
            real = getattr(store._client, name)

            def ends(*given: object, real=real, **named: object) -> object:
                if next(left, None) is None:
                    raise CutShortError
                return real(*given, **named)

            patch.setattr(store._client, name, ends)
        try:
            store.remove(["배송.md"])
            store.put([chunk("새.md", "새로운 배송")])
            store.commit({"환불.md": "1", "교환.md": "1", "새.md": "1"})
        except CutShortError:
            return True
    return False


def test_a_commit_cut_short_at_any_step_is_there_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = ({"배송.md", "교환.md"}, {"새.md", "교환.md"})
    seen = []
    for step in range(30):
        (tmp_path / str(step)).mkdir()
        store = opened(tmp_path / str(step))
        fill(store, shop())
        expected = {f.chunk.document: f.score for f in store.by_terms(["배송"], 9)}
        was_cut = cut_short(store, monkeypatch, step)
        found = set(ask(store, "배송"))
        assert found in (before, after)
        assert (found == after) == ("새.md" in store.state())
        seen.append(found == after)
        # The next writer takes away what was left, and counts what was half counted.
        store.remove(["새.md", "배송.md"])
        store.put(shop()[:1])
        store.commit(dict.fromkeys(("배송.md", "환불.md", "교환.md"), "1"))
        assert {f.chunk.document: f.score for f in store.by_terms(["배송"], 9)} == pytest.approx(expected)
        store.close()
        if not was_cut:
            break
    assert seen == sorted(seen)
    assert (seen[0], seen[-1], was_cut) == (False, True, False)


def test_what_was_committed_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    fill(store, shop())
    store.close()
    again = opened(tmp_path)
    assert (ask(again, "제주도"), again.state().keys()) == (["배송.md"], {c.document for c in shop()})
    again.close()


def test_more_documents_than_one_note_holds_are_removed_in_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "_ROWS", 2)
    store = opened(tmp_path)
    fill(store, [*shop(), *(chunk(f"d{i}.md", "배송") for i in range(5))])
    store.remove([f"d{i}.md" for i in range(5)])
    with monkeypatch.context() as patch:  # as a reader sees it before the rows are taken away
        patch.setattr(store, "_finish", lambda head: None)
        store.commit(dict.fromkeys((c.document for c in shop()), "1"))
    assert set(ask(store, "배송")) == {"배송.md", "교환.md"}
    assert store._need_head().going_pieces == 3
    store.close()


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    first = opened(tmp_path)
    fill(first, shop())
    second = object.__new__(MilvusStore)
    second.__dict__.update(first.__dict__, _is_writer=False, _name="process 2, store 1", _added={}, _removed=set())
    with pytest.raises(RunError, match="is being written by process"):
        second.put([chunk("새.md", "글")])
    first._client.delete(NOTES, ids=["writer"])
    second.put([chunk("새.md", "글")])
    first.close()


@pytest.mark.parametrize("listed", [milvus.KINDS_LISTED, 0])
def test_labels_and_metadata_hold_whether_their_combinations_can_be_listed_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: int
) -> None:
    monkeypatch.setattr(milvus, "KINDS_LISTED", listed)
    store = opened(tmp_path)
    fill(store, [chunk("열린.md", "배송"), chunk("인사.md", "배송", access=("hr",)), chunk("판본.md", "배송", metadata={"v": "2"})])
    fill(store, [chunk("둘.md", "배송", access=("hr", "it"), metadata={"v": "2"})])
    assert (store._need_head().kinds is None) == (listed == 0)

    def seen(reader: Reader) -> set[str]:
        return {f.chunk.document for f in store.by_terms(["배송"], 9, reader)}

    assert seen(Reader()) == {"열린.md", "판본.md"}
    assert seen(Reader(frozenset({"it"}))) == {"열린.md", "판본.md", "둘.md"}
    assert seen(Reader(frozenset({"hr"}), {"v": ("2", "3")})) == {"판본.md", "둘.md"}
    assert seen(Reader(within={"v": ("9",)})) == set()
    store.close()


WRITER = """
import sys
from pathlib import Path
from sadari.retrieve.store import open_store
from sadari.types import Chunk
store = open_store(sys.argv[1], 0)
while True:  # each commit replaces version n of all documents by version n + 1
    number = max([int(n) for n in store.state().values()], default=0) + 1
    store.remove(list(store.state()))
    store.put([Chunk(f"d{i}", "", 0, 9, f"판본{number} 공통") for i in range(10)])
    store.commit({f"d{i}": str(number) for i in range(10)})
    Path(sys.argv[2]).write_text(str(number))
"""


def test_a_writer_killed_at_any_moment_leaves_whole_commits_and_the_next_begins_at_once(tmp_path: Path) -> None:
    for pause in (0.0, 0.05):
        folder = tmp_path / str(pause)
        told = folder / "told"
        with subprocess.Popen([sys.executable, "-c", WRITER, f"milvus://{folder}/index.db", told]) as writer:
            while not told.exists():
                assert writer.poll() is None
                time.sleep(0.01)
            time.sleep(pause)
            writer.send_signal(signal.SIGKILL)
        store = opened(folder)
        [version] = set(store.state().values())
        assert [f.chunk.text for f in store.by_terms(["공통"], 99)] == [f"판본{version} 공통"] * 10
        fill(store, [])
        store.close()
