"""`sadari index` follows a folder, says what it did, and leaves a store that can be searched."""

from pathlib import Path

import pytest

from command import Sadari
from sadari.retrieve.store import open_store
from sadari.retrieve.text import search_terms


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "배송.md").write_text("# 배송\n\n제주도는 3,000원이 더 듭니다.\n")
    (folder / "환불.md").write_text("# 환불\n\n7일 이내에 신청합니다.\n")
    return folder


def test_a_folder_is_indexed_and_then_only_what_changed(sadari: Sadari, pages: Path) -> None:
    assert "2 added, 0 changed, 0 deleted, 0 unchanged; 2 chunks written" in sadari("index", pages).out
    (pages / "환불.md").unlink()
    (pages / "배송.md").write_text("# 배송\n\n울릉도는 5,000원이 더 듭니다.\n")
    (pages / "교환.md").write_text("# 교환\n\n14일 이내에 신청합니다.\n")
    said = sadari("index", pages, "--json")
    counts = {name: said.json[name] for name in ("added", "changed", "deleted", "unchanged", "chunks")}
    assert counts == {"added": 1, "changed": 1, "deleted": 1, "unchanged": 0, "chunks": 2}
    store = open_store(said.json["store"])
    assert [f.chunk.document for f in store.by_terms(search_terms("울릉도"), 5)] == ["배송.md"]
    assert store.by_terms(search_terms("제주도 환불"), 5) == []


def test_a_file_that_cannot_be_read_just_now_is_told_and_stays_as_it_was(sadari: Sadari, pages: Path) -> None:
    sadari("index", pages)
    (pages / "배송.md").write_bytes(b"")
    said = sadari("index", pages, "--json")
    assert [bad["file"] for bad in said.json["not_read"]] == ["docs/배송.md"]
    assert (said.json["deleted"], said.json["unchanged"]) == (0, 1)
    assert open_store(said.json["store"]).by_terms(search_terms("제주도"), 5)
    (pages / "배송.md").unlink()
    assert sadari("index", pages, "--json").json["deleted"] == 1


def test_a_folder_that_is_gone_does_not_empty_the_index(sadari: Sadari, pages: Path, tmp_path: Path) -> None:
    store = tmp_path / "index"
    sadari("index", pages, "--store", store)
    pages.rename(tmp_path / "away")
    said = sadari("index", pages, "--store", store)
    assert (said.code, "Nothing was changed" in said.err) == (3, True)
    assert open_store(str(store)).by_terms(search_terms("제주도"), 5)


def test_a_task_is_indexed_by_its_documents(sadari: Sadari, pages: Path) -> None:
    task = pages.parent
    (task / "sadari.yaml").write_text("goal: 답한다.\nexamples: {train: t.jsonl}\ndocuments: docs/\n")
    said = sadari("index", task, "--json")
    assert (said.json["added"], said.json["store"]) == (2, str(task / ".sadari-index"))


def test_another_store_is_named_by_its_uri(sadari: Sadari, pages: Path, tmp_path: Path) -> None:
    assert sadari("index", pages, "--store", tmp_path / "elsewhere").code == 0
    assert (tmp_path / "elsewhere" / "manifest.json").is_file()
    said = sadari("index", pages, "--store", "redis://localhost")
    assert (said.code, "redis:// is no store" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--every", "soon"), "`soon` is no time"),
        (("--every", "0"), "1 s or more"),
        (("--watch", "--every", "1m"), "give one of them"),
    ],
)
def test_a_wrong_flag_is_told(sadari: Sadari, pages: Path, flags: tuple[str, ...], message: str) -> None:
    said = sadari("index", pages, *flags)
    assert (said.code, message in said.err) == (2, True)


def test_a_task_without_documents_is_told(sadari: Sadari, tmp_path: Path) -> None:
    (tmp_path / "sadari.yaml").write_text("goal: 답한다.\nexamples: {train: t.jsonl}\n")
    said = sadari("index", tmp_path)
    assert (said.code, "Add `documents: FOLDER`" in said.err) == (2, True)
