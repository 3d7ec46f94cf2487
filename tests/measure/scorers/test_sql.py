"""SQL by what it returns, on a database that nothing can change."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from sadari.errors import ConfigError, DataError
from sadari.measure.scorers import SqlScorer, score_answer
from sadari.types import Answer, Example, Message, Reference, Score

ALL = "SELECT name, price FROM goods"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE goods (name TEXT, price REAL, stock INTEGER)")
        rows = [("사과", 3000, 1), ("배", 4500.5, 1), ("귤", None, 2), ("귤", None, 2), ("감", 0.1 + 0.2, 0)]
        database.executemany("INSERT INTO goods VALUES (?, ?, ?)", rows)
    return path


def score(database: Path, said: str, *references: str, group: str = "", time_s: float = 5.0) -> Score:
    example = Example("test-7", (Message("user", "질문"),), Reference(references or (ALL,)), group=group)
    return score_answer(SqlScorer(database, time_s), example, Answer(said))


def test_rows_are_compared_as_a_multiset_with_columns_in_any_order(shop: Path) -> None:
    assert score(shop, "SELECT name, price FROM goods ORDER BY price DESC") == Score(1.0)
    assert score(shop, "여기 있습니다.\n```sql\nSELECT price AS p, name FROM goods;\n```") == Score(1.0)
    assert score(shop, "SELECT DISTINCT name, price FROM goods") == Score(0.0, "4 rows instead of 5")
    assert score(shop, "SELECT name FROM goods") == Score(0.0, "1 columns instead of 2")
    assert score(shop, "SELECT name, stock FROM goods") == Score(0.0, "the rows differ")
    # each column holds what it should, but the rows are joined wrongly
    crossed = "SELECT a.name, b.price FROM goods a JOIN goods b ON (a.rowid % 5) + 1 = b.rowid"
    assert score(shop, crossed) == Score(0.0, "the rows differ")


def test_order_counts_only_where_the_reference_orders_its_outermost_query(shop: Path) -> None:
    by_name, by_price = "SELECT name FROM goods ORDER BY name", "SELECT name FROM goods ORDER BY price"
    assert score(shop, by_name, by_name).value == 1
    assert score(shop, by_price, by_name) == Score(0.0, "the rows stand in another order")
    assert score(shop, by_price, "SELECT name FROM goods WHERE stock IN (SELECT stock FROM goods ORDER BY stock)").value == 1
    assert score(shop, by_price, f"SELECT name FROM goods UNION ALL {by_name} LIMIT 0").reason == "5 rows instead of 0"
    in_order = "SELECT name FROM goods WHERE stock < 2 UNION ALL SELECT name FROM goods WHERE stock > 1 ORDER BY name"
    assert score(shop, by_price, in_order).reason == "the rows stand in another order"


def test_numbers_agree_to_ten_digits_and_kinds_stay_apart(shop: Path) -> None:
    assert score(shop, "SELECT 0.3", "SELECT price FROM goods WHERE name = '감'").value == 1
    assert score(shop, "SELECT 0.3000001", "SELECT price FROM goods WHERE name = '감'").value == 0
    assert score(shop, "SELECT 3000", "SELECT price FROM goods WHERE name = '사과'").value == 1
    assert score(shop, "SELECT '3000'", "SELECT price FROM goods WHERE name = '사과'").value == 0
    assert score(shop, "SELECT 1234567890123", "SELECT 1234567890124").value == 0
    assert score(shop, "SELECT NULL", "SELECT price FROM goods WHERE name = '귤' LIMIT 1").value == 1
    assert score(shop, "SELECT 0", "SELECT NULL").value == 0
    assert score(shop, "SELECT '\u1109\u1161'", "SELECT '사'").value == 1  # decomposed
    assert score(shop, "SELECT 1 WHERE 0", "SELECT name FROM goods WHERE 0") == Score(1.0, "both results are empty")


def test_columns_that_are_alike_are_told_apart_by_their_rows(shop: Path) -> None:
    pairs = "WITH t(a, b, c) AS (VALUES (1, 2, 1), (2, 1, 1), (2, 1, 2), (1, 2, 2)) SELECT {} FROM t"
    assert score(shop, pairs.format("b, c, a"), pairs.format("a, b, c")).value == 1
    assert score(shop, pairs.format("a, a, c"), pairs.format("a, b, c")).value == 0
    wide = ", ".join("1" for _ in range(30))
    assert score(shop, f"SELECT {wide}", f"SELECT {wide}").value == 1
    assert score(shop, f"SELECT {wide}, 2", f"SELECT 2, {wide}") == Score(0.0, "the rows differ")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM goods",
        "UPDATE goods SET price = 0",
        "CREATE TEMP TABLE t (x)",
        "WITH t AS (SELECT 1) INSERT INTO goods SELECT 1, 2, 3",
        "PRAGMA writable_schema = 1",
        "SELECT * FROM pragma_table_info('goods')",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "BEGIN",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
    ],
)
def test_everything_but_reading_is_refused(shop: Path, sql: str) -> None:
    before = shop.read_bytes()
    scored = score(shop, sql)
    assert scored.value == 0
    assert "not authorized" in scored.reason or "authorization denied" in scored.reason or "no such function" in scored.reason
    assert shop.read_bytes() == before
    assert [path.name for path in shop.parent.iterdir()] == ["shop.db"]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("", "no SQL in the answer"),
        ("SELEC name", 'near "SELEC": syntax error'),
        ("모르겠습니다", "syntax error"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("-- nothing", "no query"),
        ("SELECT cost FROM goods", "no such column: cost"),
        ("SELECT '\ud800'", "surrogates not allowed"),
        ("SELECT 1 \x00", "null character"),
        ("SELECT " * 100_000, "longer than 20,000 characters"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "overflow"),
    ],
)
def test_sql_that_does_not_run_scores_zero_and_says_why(shop: Path, sql: str, reason: str) -> None:
    scored = score(shop, sql)
    assert scored.value == 0
    assert reason in scored.reason


COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
LONG = "hex(zeroblob(24000)) || hex(zeroblob(24000))"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (f"{COUNT} SELECT count(*) FROM c", "still running after 0.2 s"),
        (f"{COUNT} SELECT x FROM c ORDER BY x DESC", "still running after 0.2 s"),
        (f"{COUNT} SELECT x, x FROM c LIMIT 1000000", "returns more than 100,000 rows"),
        (f"{COUNT} SELECT zeroblob(90000) FROM c LIMIT 1000", "50 MB"),
        (f"{COUNT} SELECT group_concat(x) FROM (SELECT x FROM c LIMIT 50000)", "too big"),
        ("SELECT randomblob(1000000000)", "too big"),
        ("SELECT printf('%.*c', 1000000000, 'x')", "raised exception"),
        ("SELECT format('%1000000000d', 1)", "raised exception"),
        (f"{COUNT} SELECT count(instr({LONG}, {LONG} || x)) FROM c", "still running after 0.2 s"),
        (f"{COUNT} SELECT count({LONG} LIKE '{'%0' * 450}1') FROM c", "still running after 0.2 s"),
        (f"SELECT 'a' LIKE '{'%a' * 5000}'", "too complex"),
    ],
)
def test_sql_that_never_ends_or_returns_too_much_scores_zero_in_time(shop: Path, sql: str, reason: str) -> None:
    start = time.process_time()
    scored = score(shop, sql, time_s=0.2 if "0.2 s" in reason else 10)
    assert time.process_time() - start < 1.5
    assert scored.value == 0
    assert reason in scored.reason


def test_printf_is_sqlites_own_where_it_ends(shop: Path) -> None:
    assert (
        score(shop, "SELECT printf('%.2f원 %s', 1234.5, '한글'), format('%05d', 7)", "SELECT '1234.50원 한글', '00007'").value == 1
    )


def test_a_reference_that_fails_is_named(shop: Path) -> None:
    with pytest.raises(DataError, match=r"^example test-7: its reference does not run: no such column: cost\. Mend the reference"):
        score(shop, ALL, "SELECT cost FROM goods")
    with pytest.raises(DataError, match="example test-7: its reference does not run: still running after"):
        score(shop, ALL, f"{COUNT} SELECT count(*) FROM c", time_s=0.1)
    assert score(shop, "SELECT 1", "SELECT 2", "SELECT 1").value == 1


def test_the_group_of_a_row_names_its_database(shop: Path) -> None:
    pattern = shop.parent / "{group}.db"
    assert score(pattern, ALL, group="shop").value == 1
    with pytest.raises(DataError, match=r"example test-7: there is no database .*other\.db"):
        score(pattern, ALL, group="other")
    for group in ("", "../shop", "..", "a/b"):
        with pytest.raises(DataError, match=r"example test-7: its group .* names no database"):
            score(pattern, ALL, group=group)


def test_a_missing_database_is_found_before_anything_is_scored(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"score.database: .*shop.db does not exist"):
        SqlScorer(tmp_path / "shop.db")
    with pytest.raises(ConfigError, match=r"score.database: .*databases does not exist"):
        SqlScorer(tmp_path / "databases" / "{group}.db")


def test_gold_queries_on_real_databases_score_one_and_those_of_other_questions_zero(shared_data: Path) -> None:
    folder = shared_data / "text2sql-spiderman"
    rows = [json.loads(line) for line in (folder / "test_seen_db.jsonl").read_text(encoding="utf-8").splitlines()]
    scorer = SqlScorer(folder / "databases" / "{group}.sqlite")
    right = {row["sql"]: row for row in rows if row["gold_rows"] and row["db_id"] < "b"}
    examples = [
        Example(row["id"], (Message("user", row["question"]),), Reference((row["sql"],)), group=row["db_id"])
        for row in right.values()
    ]
    assert len(examples) > 10
    for example in examples:
        assert score_answer(scorer, example, Answer(example.reference.texts[0])) == Score(1.0)
        assert score_answer(scorer, example, Answer("SELECT 'something else', 1.5, NULL, 'x', 'y', 'z', 1, 2")).value == 0
