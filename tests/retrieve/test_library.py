"""A library answers from a file or from an index that others keep up to date, and never from an index of another kind."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sadari.errors import ConfigError, DataError, RunError
from sadari.files import write_lines
from sadari.retrieve.library import Library, open_library
from sadari.retrieve.living import preparation_of, prepared_as, update_index
from sadari.retrieve.store import FolderStore, open_store
from sadari.types import Document, Retrieval

SENTENCES = Retrieval(chunk_tokens=1)
PAGES = [
    Document("배송.md", "배송", "# 배송\n\n제주도는 3,000원이 더 듭니다. 이틀 걸립니다.\n"),
    Document("환불.md", "환불", "# 환불\n\n칠 일 이내에 신청합니다.\n"),
]


def indexed(folder: Path, documents: Sequence[Document] = PAGES, retrieval: Retrieval = SENTENCES) -> str:
    """The URI of an index of these documents, made or brought up to date."""
    preparation = preparation_of(retrieval)
    store = open_store(str(folder), 0, preparation.terms_of)
    update_index(documents, store, preparation)
    store.close()
    return str(folder)


def cited(library: Library, question: str) -> list[str]:
    return [found.chunk.document for found in library.search(question, 3)]


def test_a_deleted_document_is_not_citable_at_once_and_a_changed_one_is_found_at_once(tmp_path: Path) -> None:
    library = open_library(None, SENTENCES, indexed(tmp_path))
    assert (cited(library, "제주도"), cited(library, "환불")) == (["배송.md"], ["환불.md"])
    indexed(tmp_path, [replace(PAGES[0], text="# 배송\n\n울릉도는 5,000원이 더 듭니다.\n")])
    assert (cited(library, "제주도"), cited(library, "환불"), cited(library, "울릉도")) == ([], [], ["배송.md"])


def test_an_index_and_a_file_of_the_same_documents_find_the_same(tmp_path: Path) -> None:
    write_lines(tmp_path / "documents.jsonl", PAGES, Document)
    held = open_library(tmp_path / "documents.jsonl", SENTENCES)
    living = open_library(None, SENTENCES, indexed(tmp_path / "index"))
    assert held.search("제주도 배송은 이틀", 3) == living.search("제주도 배송은 이틀", 3)


def test_what_stands_around_a_sentence_is_shown_with_it(tmp_path: Path) -> None:
    write_lines(tmp_path / "documents.jsonl", PAGES, Document)
    library = open_library(tmp_path / "documents.jsonl", SENTENCES)
    chunk = library.search("제주도", 1)[0].chunk
    assert library.around(chunk, 0) is chunk
    assert library.around(chunk, 100).text.split() == ["제주도는", "3,000원이", "더", "듭니다.", "이틀", "걸립니다."]


def test_what_stands_around_a_sentence_comes_from_the_index_as_it_is_by_now(tmp_path: Path) -> None:
    library = open_library(None, SENTENCES, indexed(tmp_path))
    chunk = library.search("제주도", 1)[0].chunk
    assert library.around(chunk, 100).text.split()[-2:] == ["이틀", "걸립니다."]
    indexed(tmp_path, PAGES[1:])
    assert library.around(chunk, 100) == chunk


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Retrieval(), r"indexed as 1 tokens, 0 of overlap, but the system wants 200 tokens, .*--chunk-tokens 200 --overlap 0"),
        (replace(SENTENCES, overlap=9), r"wants 1 tokens, 9 of overlap\. .*--overlap 9"),
        (replace(SENTENCES, terms="morphemes"), r"indexed by indexed_terms, not by .* --terms morphemes"),
        (replace(SENTENCES, embedder="bundled"), r"holds vectors of 0 dimensions.* --embed bundled"),
    ],
)
def test_an_index_of_another_kind_is_refused_with_the_command_that_makes_the_right_one(
    tmp_path: Path, wanted: Retrieval, message: str
) -> None:
    uri = indexed(tmp_path)
    with pytest.raises(ConfigError, match=rf"{message}") as caught:
        open_library(None, wanted, uri)
    assert f"sadari index TASK --store {uri}" in str(caught.value)


def test_an_index_that_is_not_there_or_not_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no finished index"):
        open_library(None, SENTENCES, str(tmp_path / "none"))
    uri = indexed(tmp_path / "half")
    store = FolderStore(uri)
    store.commit({name: value for name, value in store.state().items() if name})
    store.close()
    with pytest.raises(ConfigError, match="holds no finished index"):
        open_library(None, SENTENCES, uri)


def test_a_password_is_taken_from_the_environment_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    with pytest.raises(ConfigError, match="redis:// is no store") as caught:
        open_library(None, SENTENCES, "redis://reader:${SHOP_PASSWORD}@localhost/0")
    assert "--store redis://localhost/0" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    monkeypatch.delenv("SHOP_PASSWORD")
    with pytest.raises(ConfigError, match="SHOP_PASSWORD is not set"):
        open_library(None, SENTENCES, "redis://reader:${SHOP_PASSWORD}@localhost/0")


def test_a_system_without_documents_and_without_an_index_is_told() -> None:
    with pytest.raises(DataError, match="give `documents:` a folder"):
        open_library(None, SENTENCES)


def test_an_index_says_how_it_was_prepared_once_all_of_it_was(tmp_path: Path) -> None:
    assert prepared_as(FolderStore(indexed(tmp_path))) == "1 tokens, 0 of overlap"
    assert prepared_as(FolderStore(tmp_path / "new")) is None


def test_a_server_that_does_not_answer_is_told_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    with pytest.raises(RunError, match="does not answer") as caught:
        open_library(None, SENTENCES, "postgresql://reader:${SHOP_PASSWORD}@127.0.0.1:1/shop")
    assert "hunter2" not in str(caught.value)
