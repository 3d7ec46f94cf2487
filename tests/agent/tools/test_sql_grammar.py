"""The grammar of queries admits what a model should write over a schema, and no other names."""

import pytest

from sadari.agent.tools.sql import Column, Schema, Table, sql_grammar

SCHEMA = Schema(
    "sqlite",
    (
        Table("orders", (Column("id"), Column("status"), Column("customer_id"))),
        Table("고객", (Column("id"), Column("이름"), Column("order"))),
    ),
)


def admits(text: str, schema: Schema = SCHEMA) -> bool:
    from llguidance import LLMatcher, LLTokenizer

    matcher = LLMatcher(LLTokenizer("byte"), LLMatcher.grammar_from_lark(sql_grammar(schema)))
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and bool(matcher.is_accepting())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM orders",
        "SELECT COUNT(*) FROM orders WHERE status = '배송중'",
        "SELECT COUNT(DISTINCT status), MAX(id) + 1 FROM orders WHERE id >= 10 AND NOT status LIKE 'a%' OR id BETWEEN 1 AND 2",
        'SELECT 이름, "order" FROM 고객 ORDER BY 이름 DESC LIMIT 5',
        "SELECT T2.이름, COUNT(*) AS n FROM orders AS T1 JOIN 고객 AS T2 ON T1.id = T2.id GROUP BY T2.이름 HAVING COUNT(*) > 3",
        "SELECT id FROM orders WHERE customer_id IN (SELECT id FROM 고객 WHERE 이름 = '김')",
        "SELECT id FROM orders EXCEPT SELECT id FROM 고객",
        "SELECT CASE WHEN id > 3 THEN 'a' ELSE 'b' END FROM orders",
        "SELECT STRFTIME('%Y', status) FROM orders",
    ],
)
def test_useful_queries_are_admitted(sql: str) -> None:
    assert admits(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT password FROM orders",
        "SELECT id FROM secrets",
        "SELECT 이름 FROM orders",
        "SELECT orders.이름 FROM orders",
        "SELECT LOAD_EXTENSION('x') FROM orders",
        "DELETE FROM orders",
        "SELECT id FROM orders; DELETE FROM orders",
        "SELECT id FROM orders WHERE",
    ],
)
def test_other_names_and_other_statements_are_not(sql: str) -> None:
    assert not admits(sql)


def test_a_column_goes_with_any_table_where_tables_are_many() -> None:
    many = Schema("sqlite", tuple(Table(f"t{at}", (Column(f"c{at}"),)) for at in range(60)))
    assert admits("SELECT c3 FROM t3", many)
    assert not admits("SELECT c99 FROM t3", many)


def test_a_schema_without_tables_has_no_grammar() -> None:
    with pytest.raises(ValueError, match="no table"):
        sql_grammar(Schema("sqlite", ()))
