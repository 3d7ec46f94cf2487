"""An index follows its documents, and a killed update goes on where it stopped."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sadari.errors import DataError, RunError
from sadari.retrieve import living
from sadari.retrieve.living import Changes, Preparation, prepared_as, repeat, update_index
from sadari.retrieve.store import FolderStore, MemoryStore, Store
from sadari.retrieve.text import search_terms
from sadari.types import Chunk, Document


def document(name: str, text: str) -> Document:
    return Document(name, name, text)


def whole(documents: Sequence[Document]) -> list[Chunk]:
    """Each document is one chunk; an empty one has none."""
    return [Chunk(d.id, d.title, 0, len(d.text), d.text, access=d.access) for d in documents if d.text]


FIRST = [document("가", "배송 안내"), document("나", "환불 안내"), document("다", "교환 안내")]


def found(store: Store, question: str) -> list[str]:
    return sorted(f.chunk.document for f in store.by_terms(search_terms(question), 99))


@pytest.fixture
def batch_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(living, "BATCH_DOCUMENTS", 1)


def test_documents_are_added_changed_and_deleted() -> None:
    store = MemoryStore()
    assert update_index(FIRST, store, Preparation(whole)) == Changes(added=3, chunks=3)
    second = [FIRST[0], document("나", "환급 규정"), document("라", "적립 안내"), document("빈", "")]
    changes = update_index(second, store, Preparation(whole))
    assert changes == Changes(added=2, changed=1, deleted=1, unchanged=1, chunks=2)
    assert (found(store, "안내"), found(store, "환불 교환")) == (["가", "라"], [])
    assert update_index(second, store, Preparation(whole)) == Changes(unchanged=4)


@pytest.mark.parametrize("change", [{"access": ("hr",)}, {"date": "2026-11-21"}, {"title": "새 제목"}, {"metadata": {"a": "b"}}])
def test_a_document_changes_with_anything_that_an_index_holds_of_it(change: dict[str, object]) -> None:
    store = MemoryStore()
    update_index(FIRST, store, Preparation(whole))
    assert update_index([replace(FIRST[0], **change), *FIRST[1:]], store, Preparation(whole)).changed == 1


def test_another_way_of_preparing_prepares_everything_again() -> None:
    store = MemoryStore()
    update_index(FIRST, store, Preparation(whole, name="400"))
    assert update_index(FIRST, store, Preparation(whole, name="200")).changed == 3


def test_what_could_not_be_read_just_now_stays() -> None:
    store = MemoryStore()
    update_index(FIRST, store, Preparation(whole))
    assert update_index(FIRST[:1], store, Preparation(whole), keep=["나"]).deleted == 1
    assert found(store, "안내") == ["가", "나"]


def test_deletions_are_seen_before_anything_is_embedded() -> None:
    store, seen = MemoryStore(2), []

    def embed(chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        seen.append(found(store, "안내"))
        return np.ones((len(chunks), 2), dtype=np.float32)

    update_index(FIRST, store, Preparation(whole, embed))
    update_index([*FIRST[1:], document("라", "적립 안내")], store, Preparation(whole, embed))
    assert seen == [[], ["나", "다"]]


@pytest.mark.usefixtures("batch_of_one")
def test_what_was_embedded_before_a_failure_is_not_embedded_again(tmp_path: Path) -> None:
    embedded: list[str] = []

    def embed(chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        if len(embedded) == 2:
            raise RunError("The endpoint is gone.")
        embedded.extend(c.document for c in chunks)
        return np.ones((len(chunks), 2), dtype=np.float32)

    store = FolderStore(tmp_path, 2)
    with pytest.raises(RunError, match="endpoint"):
        update_index(FIRST, store, Preparation(whole, embed))
    store.close()
    embedded.append("")
    told: list[str] = []
    assert update_index(FIRST, FolderStore(tmp_path, 2), Preparation(whole, embed), tell=told.append).unchanged == 2
    assert embedded == ["가", "나", "", "다"]
    assert told == ["indexed 1 of 1 documents, 1 chunks"]


KILLED = """
import os, sys
from pathlib import Path
from sadari.retrieve import living
from sadari.retrieve.store import FolderStore, folder
from sadari.types import Chunk, Document
living.BATCH_DOCUMENTS = 2
left = int(sys.argv[2])
def step(real):
    def call(*given):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return real(*given)
    return call
os.fsync, os.replace, os.rename = step(os.fsync), step(os.replace), step(os.rename)
documents = [Document(f"d{i}", "", f"글 {i} 공통") for i in range(6)]
whole = lambda ds: [Chunk(d.id, "", 0, len(d.text), d.text) for d in ds]
living.update_index(documents, FolderStore(Path(sys.argv[1])), living.Preparation(whole))
"""


def test_an_update_killed_at_every_step_ends_with_the_index_of_an_undisturbed_one(tmp_path: Path) -> None:
    documents = [document(f"d{i}", f"글 {i} 공통") for i in range(6)]
    documents = [replace(d, title="") for d in documents]
    survived: set[int] = set()
    for steps in range(0, 60, 3):
        folder = tmp_path / str(steps)
        ended = subprocess.run([sys.executable, "-c", KILLED, folder, str(steps)], check=False, timeout=60)
        store = FolderStore(folder)
        half = found(store, "공통")
        assert half == sorted(store.state())  # what is listed is found, and nothing else
        survived.add(len(half))
        if ended.returncode:
            assert update_index(documents, store, Preparation(whole)).unchanged == len(half)
        assert found(store, "공통") == [f"d{i}" for i in range(6)]
        store.close()
    assert survived == {0, 2, 4, 6}


def test_an_index_has_the_name_of_its_preparation_only_while_all_of_it_is_prepared_so() -> None:
    store, seen = MemoryStore(2), []

    def embed(chunks: Sequence[Chunk]) -> NDArray[np.float32]:
        seen.append(prepared_as(store))
        return np.ones((len(chunks), 2), dtype=np.float32)

    one, other = (Preparation(whole, embed, name) for name in ("one", "other"))
    update_index(FIRST, store, one)
    update_index([*FIRST[1:], document("라", "적립 안내")], store, one)
    assert (prepared_as(store), seen) == ("one", [None, "one"])
    update_index(FIRST[1:], store, other)
    assert prepared_as(store) == "other"
    assert update_index(FIRST[1:], store, other) == Changes(unchanged=2)


@pytest.mark.usefixtures("batch_of_one")
def test_an_index_that_is_half_prepared_anew_says_nothing(tmp_path: Path) -> None:
    def one_only(documents: Sequence[Document]) -> list[Chunk]:
        if documents[0].id == "나":
            raise RunError("The machine is switched off.")
        return whole(documents)

    store = FolderStore(tmp_path)
    update_index(FIRST, store, Preparation(whole, name="old"))
    with pytest.raises(RunError, match="switched off"):
        update_index(FIRST, store, Preparation(one_only, name="new"))
    assert prepared_as(FolderStore(tmp_path)) is None


def test_a_document_that_could_not_be_prepared_anew_is_told() -> None:
    store, told = MemoryStore(), []
    update_index(FIRST, store, Preparation(whole, name="old"))
    update_index(FIRST[:1], store, Preparation(whole, name="new"), keep=["나", "다"], tell=told.append)
    assert prepared_as(store) is None
    assert told[-1].startswith("2 documents could not be read")


class Rounds:
    """A clock that does something at each wait, and then ends."""

    def __init__(self, *between: Callable[[], object]) -> None:
        self._between = [*between]

    def wait(self, timeout: float) -> bool:
        if not self._between:
            return True
        self._between.pop(0)()
        return False


def test_a_watched_folder_is_indexed_when_a_file_changes_and_only_then(tmp_path: Path) -> None:
    note, runs = tmp_path / "a.md", []
    note.write_text("하나")
    hidden = tmp_path / ".index"
    hidden.mkdir()
    clock = Rounds(
        lambda: None,
        lambda: note.write_text("둘둘"),
        lambda: (hidden / "manifest.json").write_text("{}"),
        lambda: (tmp_path / "b.md").write_text("셋"),
        note.unlink,
    )
    repeat(lambda: runs.append(sorted(p.name for p in tmp_path.glob("*.md"))), 2, watched=[tmp_path], clock=clock)
    assert runs == [["a.md"], ["a.md"], ["a.md", "b.md"], ["b.md"]]


def test_a_schedule_runs_every_time_and_survives_a_bad_round() -> None:
    runs, told = [], []

    def update() -> None:
        runs.append(1)
        if len(runs) == 2:
            raise DataError("a.md: is empty.")

    repeat(update, 600, clock=Rounds(lambda: None, lambda: None), tell=told.append)
    assert (len(runs), told) == (3, ["a.md: is empty. The next try is in 600 s."])


def test_an_event_ends_the_repeating() -> None:
    ended = threading.Event()
    repeat(ended.set, 60, clock=ended)
    assert ended.is_set()
