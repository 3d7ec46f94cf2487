"""Gold SQL of Spider through the guard of the SQL tool: how much of it passes, and whether its results stay what they were.

    python benchmarks/safety/spider.py [--data FOLDER] [--most N]

Every distinct gold query of `text2sql-spiderman` is taken for the output of a model: the guard rewrites it, the rewritten text runs
through the tool's own read-only connection, and its rows are compared with those of the raw text through plain `sqlite3`: all of
them, in their order if the outermost query has an ORDER BY, else as a multiset. Prints JSON: `spider_gold`, `spider_gold_passed`
and `spider_same_result` (shares of all), `spider_admitted_by_grammar` (share that `sql_grammar` of its database admits, written in
its spelling), the queries that were refused or changed, and the milliseconds of the guard at the median and the 95th percentile.
"""

import argparse
import json
import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sadari.agent.tools.sql import Schema, guard, sql_grammar
from sadari.agent.tools.sql.database import Bounds, QueryError
from sadari.agent.tools.sql.schema import quoted
from sadari.agent.tools.sql.sqlite import SqliteFile
from sadari.errors import SadariError
from sadari.types import Caller

MOST_ROWS = 1_000_000
BOUNDS = Bounds(rows=MOST_ROWS, seconds=60.0, result_bytes=1 << 30)
CALLER = Caller(now=datetime(2026, 1, 1, tzinfo=UTC), language="en")
FILES = ("train.jsonl", "test_seen_db.jsonl", "test_unseen_db.jsonl")


def measure(data: Path, most: int | None = None, *, with_grammar: bool = True) -> dict[str, Any]:
    """The figures over the distinct gold queries; over `most` of them, evenly spread, if given."""
    golds = list(dict.fromkeys(_golds(data)))
    if most is not None:
        golds = golds[:: max(1, len(golds) // most)][:most]
    databases = {name: SqliteFile(data / "databases" / f"{name}.sqlite") for name in dict.fromkeys(name for name, _ in golds)}
    schemas = {name: database.read_schema() for name, database in databases.items()}
    refused, changed, times = [], [], []
    admitted = 0
    for name, sql in golds:
        start = time.perf_counter()
        try:
            query = guard(sql, schemas[name], MOST_ROWS, CALLER)
        except SadariError as error:
            refused.append({"db": name, "sql": sql, "why": str(error)})
            continue
        finally:
            times.append(1000 * (time.perf_counter() - start))
        try:
            rows: Sequence[Any] = databases[name].run(query, schemas[name], BOUNDS, CALLER.now).rows
        except QueryError as error:
            rows = [str(error)]
        if not _is_same(_raw(databases[name].path, sql), rows, in_order=_orders(sql)):
            changed.append({"db": name, "sql": sql, "ran": query.sql})
    if with_grammar:
        admitted = sum(_admitted(schemas, golds))
    passed = len(golds) - len(refused)
    times.sort()
    return {
        "spider_gold": len(golds),
        "spider_gold_passed": round(passed / len(golds), 4),
        "spider_same_result": round((passed - len(changed)) / len(golds), 4),
        "spider_admitted_by_grammar": round(admitted / len(golds), 4) if with_grammar else None,
        "guard_ms_median": round(times[len(times) // 2], 2),
        "guard_ms_p95": round(times[int(len(times) * 0.95)], 2),
        "refused": refused,
        "changed": changed,
    }


def _golds(data: Path) -> Iterator[tuple[str, str]]:
    for file in FILES:
        for line in (data / file).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield row["db_id"], row["sql"]


def _raw(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return connection.execute(sql).fetchall()


def _is_same(raw: Sequence[Any], guarded: Sequence[Any], *, in_order: bool) -> bool:
    """Whether the rows are the same, types of their values included: 3 is not 3.0."""
    first, second = [repr(row) for row in raw], [repr(row) for row in guarded]
    return first == second if in_order else Counter(first) == Counter(second)


def _orders(sql: str) -> bool:
    import sqlglot

    return bool(sqlglot.parse_one(sql, read="sqlite").args.get("order"))


def _admitted(schemas: dict[str, Schema], golds: Sequence[tuple[str, str]]) -> Iterator[bool]:
    """For each query whether the grammar of its database admits it, token by token of one byte."""
    from llguidance import LLMatcher, LLTokenizer

    bytewise = LLTokenizer("byte")
    grammars = {name: LLMatcher.grammar_from_lark(sql_grammar(schema)) for name, schema in schemas.items()}
    for name, sql in golds:
        matcher = LLMatcher(bytewise, grammars[name])
        data = list(_spelt(sql, schemas[name]).encode())
        yield matcher.try_consume_tokens(data) == len(data) and bool(matcher.is_accepting())


def _spelt(sql: str, schema: Schema) -> str:
    """The query as the grammar writes it: words in capitals, single blanks, names as the schema spells them."""
    import sqlglot
    from sqlglot import exp

    tables = {table.name.lower(): table.name for table in schema.tables}
    columns = {column.name.lower(): column.name for table in schema.tables for column in table.columns}
    tree = sqlglot.parse_one(sql, read="sqlite")
    aliases = list(dict.fromkeys(node.alias.lower() for node in tree.find_all(exp.Table) if node.alias))
    for node in list(tree.find_all(exp.Identifier)):
        name = node.name.lower()
        is_place = isinstance(node.parent, exp.TableAlias | exp.Table) or node.arg_key == "table"
        is_alias = name in aliases and not isinstance(node.parent, exp.Table)
        known = (tables if is_place else columns).get(name, name)
        spelt = f"T{aliases.index(name) + 1}" if is_place and is_alias else quoted(known, "sqlite")
        node.replace(exp.Identifier(this=spelt.strip('"'), quoted=spelt.startswith('"')))
    return tree.sql("sqlite")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = Path(os.environ.get("SADARI_DATA", Path(__file__).parents[3] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=shared / "text2sql-spiderman", help="folder of the data set")
    parser.add_argument("--most", type=int, help="so many queries, evenly spread; by default all")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"no data at {arguments.data}: set SADARI_DATA to the folder that holds text2sql-spiderman, or give --data.")
    print(json.dumps(measure(arguments.data, arguments.most), ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
