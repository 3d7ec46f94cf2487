import unicodedata
from pathlib import Path

import pytest

from sadari.errors import DataError
from sadari.task import load_documents
from sadari.task.documents import load_all


def test_documents_are_sorted_titled_and_composed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_text("줄글")
    (tmp_path / unicodedata.normalize("NFD", "가.md")).write_text(
        unicodedata.normalize("NFD", "```\n# 주석\n```\n# 배송 안내 {#ship}\n본문")
    )
    (tmp_path / ".hidden.md").write_text("x")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    documents = load_documents(tmp_path)
    assert [(d.id, d.title) for d in documents] == [("sub/b.txt", "b"), ("가.md", "배송 안내")]
    assert documents[1].text.endswith("# 배송 안내 {#ship}\n본문")


def test_documents_may_stand_in_one_jsonl_file(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"doc_id": "d1", "title": "제목", "text": "글"}\n{"id": "d2", "text": "글 둘"}\n')
    assert [(d.id, d.title, d.text) for d in load_documents(path)] == [("d1", "제목", "글"), ("d2", "d2", "글 둘")]


def test_every_bad_line_of_a_jsonl_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "a", "text": "글"}\n{"id": \n{"id": "b"}\n\n{"id": "a", "text": "글"}\n')
    with pytest.raises(DataError) as caught:
        load_documents(path, folder=tmp_path)
    broken, missing, twice = caught.value.problems
    assert "corpus.jsonl line 2: broken JSON" in broken
    assert "corpus.jsonl line 3: needs `id`" in missing
    assert 'corpus.jsonl line 5: id: "a" stands twice' in twice


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    with pytest.raises(DataError, match=r"docs: holds no document\. Put \.md"):
        load_documents(tmp_path / "docs", folder=tmp_path)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="docs: no such folder"):
        load_documents(tmp_path / "docs", folder=tmp_path)


def test_a_single_file_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# 배송\n이틀")
    assert [(d.id, d.title) for d in load_documents(tmp_path / "a.md")] == [("a.md", "배송")]


def test_every_bad_document_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("Füße".encode("cp1252"))
    (tmp_path / "b.md").write_text(" \n")
    with pytest.raises(DataError) as caught:
        load_documents(tmp_path, folder=tmp_path.parent)
    first, second = caught.value.problems
    assert "a.md line 1: not UTF-8 at byte 1" in first
    assert "b.md: is empty" in second


def test_bad_documents_may_be_left_out_and_listed(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("글")
    (tmp_path / "b.md").write_bytes(b"")
    loaded = load_all(tmp_path, folder=tmp_path.parent)
    assert [document.id for document in loaded.documents] == ["a.md"]
    assert [str(fault) for fault in loaded.faults] == [f"{tmp_path.name}/b.md: is empty (0 bytes). Fill it in or delete it."]
