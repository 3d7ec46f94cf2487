"""`sadari index` follows a folder, says what it did, and leaves a store that can be searched."""

from pathlib import Path

import pytest

from command import Sadari
from sadari.bundle import save_bundle
from sadari.retrieve.library import open_library
from sadari.retrieve.store import open_store
from sadari.retrieve.text import search_terms
from sadari.types import Retrieval, System


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
        (("--terms", "words"), "terms 'words' are not known"),
        (("--embed", "bundeld"), "Did you mean `bundled`?"),
        (("--chunk-tokens", "0"), "--chunk-tokens"),
        (("--store", "milvus:///${NOT_SET_ANYWHERE}.db"), "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_a_wrong_flag_is_told(sadari: Sadari, pages: Path, flags: tuple[str, ...], message: str) -> None:
    said = sadari("index", pages, *flags)
    assert (said.code, message in said.err) == (2, True)


def test_a_task_without_documents_is_told(sadari: Sadari, tmp_path: Path) -> None:
    (tmp_path / "sadari.yaml").write_text("goal: 답한다.\nexamples: {train: t.jsonl}\n")
    said = sadari("index", tmp_path)
    assert (said.code, "Add `documents: FOLDER`" in said.err) == (2, True)


@pytest.fixture
def task(pages: Path) -> Path:
    (pages.parent / "sadari.yaml").write_text("goal: 답한다.\nexamples: {train: t.jsonl}\ndocuments: docs/\n")
    return pages.parent


def won(task: Path, run: int, retrieval: Retrieval | None) -> None:
    """The winner of a climb that has ended."""
    save_bundle(System("mini", retrieval=retrieval), task / "runs" / str(run) / "best")


def test_a_task_is_indexed_as_the_winner_of_its_newest_run_wants_it(sadari: Sadari, task: Path) -> None:
    won(task, 9, Retrieval(chunk_tokens=100))
    won(task, 10, Retrieval(chunk_tokens=1, overlap=3, k=5))
    (task / "runs" / "11").mkdir()
    said = sadari("index", task, "--json")
    assert said.json["used"] == "1 tokens, 3 of overlap, as the winner in runs/10/best wants it"
    assert "indexing 1 tokens, 3 of overlap" in said.err
    assert open_library(None, Retrieval(chunk_tokens=1, overlap=3), said.json["store"]).search("제주도", 1)


def test_a_task_without_a_winner_that_looks_things_up_is_indexed_by_default(sadari: Sadari, task: Path) -> None:
    default = f"{Retrieval().chunk_tokens} tokens, 0 of overlap, as sadari does by default"
    assert sadari("index", task, "--json").json["used"] == f"{default} (no climb has ended yet)"
    won(task, 1, Retrieval(source="examples"))
    assert sadari("index", task, "--json").json["used"] == f"{default} (the winner in runs/1/best looks nothing up)"


def test_flags_go_before_what_the_winner_wants(sadari: Sadari, task: Path) -> None:
    won(task, 1, Retrieval(chunk_tokens=100, terms="morphemes", embedder="nowhere"))
    said = sadari("index", task, "--chunk-tokens", "1", "--embed", "none", "--terms", "bigrams", "--json")
    assert said.json["used"] == "1 tokens, 0 of overlap, as the winner in runs/1/best wants it, with flags"
    assert open_library(None, Retrieval(chunk_tokens=1), said.json["store"]).search("제주도", 1)


def test_the_command_that_an_error_names_makes_the_index_that_was_wanted(sadari: Sadari, task: Path) -> None:
    from sadari.retrieve.library import index_command

    wanted, store = Retrieval(chunk_tokens=50, overlap=4), str(task / "other")
    words = index_command(wanted, store).replace("TASK", str(task)).split()
    assert sadari(*words[1:]).code == 0
    assert open_library(None, wanted, store).search("제주도", 1)


def test_a_damaged_bundle_is_told(sadari: Sadari, task: Path) -> None:
    won(task, 1, None)
    (task / "runs" / "1" / "best" / "system.json").write_text("{}")
    said = sadari("index", task)
    assert (said.code, "is damaged" in said.err) == (7, True)


def test_a_list_of_sources_is_indexed_and_followed(sadari: Sadari, task: Path) -> None:
    import sqlite3

    with sqlite3.connect(task / "shop.db") as shop:
        shop.execute("CREATE TABLE products (code TEXT, label TEXT)")
        shop.execute("INSERT INTO products VALUES ('p1', '머그컵'), ('p2', '텀블러')")
    sources = "[docs, {sql: 'sqlite:///shop.db', table: products, key: code}]"
    (task / "sadari.yaml").write_text(f"goal: 답한다.\nexamples: {{train: t.jsonl}}\ndocuments: {sources}\n")
    assert sadari("index", task, "--json").json["added"] == 4
    with sqlite3.connect(task / "shop.db") as shop:
        shop.execute("DELETE FROM products WHERE code = 'p1'")
    assert sadari("index", task, "--json").json["deleted"] == 1
    (task / "shop.db").unlink()  # a database that is away empties nothing
    said = sadari("index", task, "--json").json
    assert (said["deleted"], said["unchanged"], [bad["file"] for bad in said["not_read"]]) == (0, 2, ["products"])
    assert "--watch sees files alone" in sadari("index", task, "--watch").err
    (task / "docs").rename(task / "away")
    said = sadari("index", task)
    assert (said.code, "docs: no such file or folder. Nothing was changed" in said.err) == (3, True)
