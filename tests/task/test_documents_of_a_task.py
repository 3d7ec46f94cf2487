"""A task says what happens to documents that cannot be read, and who may see those that can."""

import socket
import sqlite3
from pathlib import Path

import pytest
import yaml

from sadari.errors import ConfigError, DataError
from sadari.retrieve.load import Fault
from sadari.task import load_config, load_task
from sadari.task.clean import CleanOptions, clean_task
from sadari.task.documents import sources_of

ROWS = "".join(f'{{"input": "질문 {word}", "output": "답 {word}"}}\n' for word in ("가", "나", "다", "라", "마", "바", "사", "아"))


def project(folder: Path, **documents: object) -> Path:
    (folder / "docs" / "hr").mkdir(parents=True)
    (folder / "docs" / "a.md").write_text("# 안내\n\n배송은 2일 걸립니다.\n", encoding="utf-8")
    (folder / "docs" / "hr" / "pay.md").write_text("# 급여\n\n급여일은 25일입니다.\n", encoding="utf-8")
    (folder / "docs" / "b.pdf").write_bytes(b"%PDF-1.7 cut off")
    (folder / "rows.jsonl").write_text(ROWS, encoding="utf-8")
    options = {"goal": "묻는 말에 답한다.", "examples": "rows.jsonl", "documents": {"path": "docs", **documents}}
    (folder / "sadari.yaml").write_text(yaml.safe_dump(options, allow_unicode=True), encoding="utf-8")
    return folder


def test_a_file_that_cannot_be_read_stops_the_task(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"docs/b\.pdf"):
        load_task(project(tmp_path))


def test_a_task_may_go_on_without_it_and_says_so(tmp_path: Path) -> None:
    task = load_task(project(tmp_path, bad_files="skip"))
    assert [d.id for d in task.documents] == ["a.md", "hr/pay.md"]
    assert any(note.startswith("left out: docs/b.pdf") for note in task.notes)


def test_labels_of_documents_survive_cleaning(tmp_path: Path) -> None:
    folder = project(tmp_path / "raw", bad_files="skip", access={"hr/*": ["hr"]})
    clean_task(folder, tmp_path / "clean", CleanOptions())
    assert {d.id: d.access for d in load_task(tmp_path / "clean").documents} == {"a.md": (), "hr/pay.md": ("hr",)}


def options(folder: Path, documents: object) -> Path:
    """A task with a folder, a file and a database beside it, that names its documents so."""
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.md").write_text("# 안내\n\n배송은 2일 걸립니다.\n", encoding="utf-8")
    (folder / "faq.md").write_text("# 질문\n\n환불은 7일입니다.\n", encoding="utf-8")
    (folder / "rows.jsonl").write_text(ROWS, encoding="utf-8")
    with sqlite3.connect(folder / "shop.db") as shop:
        shop.execute("CREATE TABLE products (code TEXT, label TEXT, changed TEXT)")
        shop.execute("INSERT INTO products VALUES ('p1', '머그컵', '2026-11-01'), ('p2', '텀블러', '2026-11-02')")
    task = {"goal": "묻는 말에 답한다.", "examples": "rows.jsonl", "documents": documents}
    (folder / "sadari.yaml").write_text(yaml.safe_dump(task, allow_unicode=True), encoding="utf-8")
    return folder


def test_a_task_with_several_sources_is_cleaned_into_one_file(tmp_path: Path) -> None:
    clean_task(options(tmp_path / "raw", ["docs", TABLE]), tmp_path / "clean", CleanOptions())
    assert [d.id for d in load_task(tmp_path / "clean").documents] == ["docs/a.md", "products/p1", "products/p2"]


TABLE = {"sql": "sqlite:///shop.db", "table": "products", "key": "code", "title": "label", "date": "changed"}


def test_documents_come_from_a_list_of_sources(tmp_path: Path) -> None:
    documents = load_task(options(tmp_path, ["docs", "faq.md", TABLE])).documents
    assert [d.id for d in documents] == ["docs/a.md", "faq.md", "products/p1", "products/p2"]
    assert (documents[2].title, documents[2].date) == ("머그컵", "2026-11-01")


def test_a_query_is_one_table_unless_it_has_a_key(tmp_path: Path) -> None:
    query = {"sql": "sqlite:///shop.db", "query": "SELECT label FROM products", "name": "상품"}
    [document] = load_task(options(tmp_path, query)).documents
    assert (document.id, "| 텀블러 |" in document.text) == ("상품", True)


def test_labels_hold_for_every_source(tmp_path: Path) -> None:
    documents = load_task(options(tmp_path, {"sources": ["docs", TABLE], "access": {"products/*": ["shop"]}})).documents
    assert {d.id: d.access for d in documents} == {"docs/a.md": (), "products/p1": ("shop",), "products/p2": ("shop",)}


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ({**TABLE, "table": "produkts"}, r"produkts: the database did not answer .*no such table: produkts"),
        ({**TABLE, "sql": "sqlite:///none.db"}, r"products: the database did not answer .*unable to open"),
        ({**TABLE, "key": "id"}, r'no column "id"; they have code, label, changed'),
        ({**TABLE, "table": None, "query": "DROP TABLE products", "name": "x"}, r"must be one SELECT"),
        (["docs", "dcos"], r"dcos: no such folder"),
    ],
)
def test_a_source_that_cannot_be_read_stops_the_task(tmp_path: Path, documents: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_task(options(tmp_path, documents))
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        assert shop.execute("SELECT count(*) FROM products").fetchone() == (2,)


def test_a_page_that_cannot_be_reached_stops_the_task_or_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*asked: object, **named: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    page = {"url": "https://docs.example.com/faq.html"}
    with pytest.raises(DataError, match=r"https://docs\.example\.com/faq\.html: .*Check the address"):
        load_task(options(tmp_path / "one", page))
    task = load_task(options(tmp_path / "two", {"sources": [page, "docs"], "bad_files": "skip"}))
    assert ([d.id for d in task.documents], len(task.notes) > 0) == (["docs/a.md"], True)
    assert any(note.startswith("left out: https://docs.example.com/faq.html") for note in task.notes)


def test_pages_are_asked_of_the_hosts_that_are_named_and_of_no_other(tmp_path: Path) -> None:
    page = {"url": "https://docs.example.com/faq.html", "hosts": ["docs.example.com", "cdn.example.com"]}
    sources = sources_of(load_config(options(tmp_path, [page, {"url": "https://shop.example.kr/"}])).documents, tmp_path)
    assert sources.options.hosts == ("docs.example.com", "cdn.example.com", "shop.example.kr")


def test_a_password_comes_from_the_environment_and_is_never_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2@")
    documents = {"sql": "postgresql+psycopg://reader:${SHOP_PASSWORD}@127.0.0.1:1/shop", "table": "products"}
    with pytest.raises(DataError, match="products: the database did not answer") as caught:
        load_task(options(tmp_path, documents))
    assert "hunter2" not in str(caught.value)
    monkeypatch.delenv("SHOP_PASSWORD")
    with pytest.raises(ConfigError, match="SHOP_PASSWORD is not set"):
        load_task(tmp_path)


def test_what_could_not_be_read_is_found_again_among_what_was_read_before(tmp_path: Path) -> None:
    folder = options(tmp_path, ["docs", "faq.md", "more/*.md", TABLE])
    sources = sources_of(load_config(folder).documents, folder)
    held = ["docs/a.md", "docs/b.zip/c.md", "docs/b.zipped.md", "faq.md", "a.md", "products/p1"]

    def kept(*places: str) -> list[str]:
        return sources.unread([Fault(place, "is gone.") for place in places], held)

    assert kept("docs/a.md") == ["docs/a.md"]
    assert kept("docs/b.zip", "faq.md page 2") == ["docs/b.zip/c.md", "faq.md"]
    assert kept("more/a.md") == ["a.md"]
    assert kept("products") == ["products/p1"]
    assert sources.missing == ("more/*.md",)
    assert sources.roots == (folder / "docs", folder / "faq.md", folder / "more")
