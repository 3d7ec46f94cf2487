import sqlite3
from pathlib import Path

import pytest

from sadari.retrieve.load import Loaded, Query, load_all

pytest.importorskip("sqlalchemy")


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table faq (id integer, question text, answer text, changed text)")
        database.execute("insert into faq values (1, '배송비는?', '3,000원', '2026-05-01'), (2, '환불은?', null, null)")
    return f"sqlite:///{tmp_path / 'shop.db'}"


def texts(loaded: Loaded) -> dict[str, str]:
    assert not loaded.faults
    return {document.id: document.text for document in loaded.documents}


def test_rows_become_documents(shop: str) -> None:
    loaded = load_all(Query(shop, "faq", "faq", key="id", title="question", date="changed"))
    assert texts(loaded) == {
        "faq/1": "id: 1\nquestion: 배송비는?\nanswer: 3,000원\nchanged: 2026-05-01",
        "faq/2": "id: 2\nquestion: 환불은?",
    }
    assert [(d.title, d.date) for d in loaded.documents] == [("배송비는?", "2026-05-01"), ("환불은?", "")]


def test_a_query_becomes_a_table(shop: str) -> None:
    loaded = load_all(Query(shop, "select question, answer from faq where id = 1", "질문"))
    assert texts(loaded) == {"질문": "# 질문\n\n| question | answer |\n|---|---|\n| 배송비는? | 3,000원 |"}


@pytest.mark.parametrize(
    "select", ["delete from faq", "select 1; drop table faq", "with x as (select 1) delete from faq", "drop  table faq"]
)
def test_what_would_write_is_not_run(shop: str, select: str) -> None:
    assert "must be one SELECT" in load_all(Query(shop, select, "x")).faults[0].reason
    assert len(load_all(Query(shop, "faq", "faq", key="id")).documents) == 2


def test_a_database_that_does_not_answer_is_a_fault(tmp_path: Path) -> None:
    reason = load_all(Query(f"sqlite:///{tmp_path / 'none.db'}", "faq", "faq")).faults[0].reason
    assert "the database did not answer" in reason
    assert not (tmp_path / "none.db").exists()
