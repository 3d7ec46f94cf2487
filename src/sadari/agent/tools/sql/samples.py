"""Values that the model is shown with the schema, so that it compares with what is there: 배송중, not shipping.

Only columns of a few short values are shown with them (states, regions, kinds), and the form of dates: a column of names, addresses
or numbers of persons has too many. What reads like an order to the model is left out.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sadari.agent.tools.sql.database import Bounds, Database, QueryError
from sadari.agent.tools.sql.guard import guard
from sadari.agent.tools.sql.schema import Column, Schema, Table, quoted
from sadari.errors import SadariError
from sadari.text.injection import find_injections
from sadari.types import Caller

MOST_CHARS = 24
_ROWS = 300
_MOST_TABLES = 60
_LEAST_ROWS_A_VALUE = 2
"""A column is of a few values if each stands in so many rows; otherwise each row may be a person."""
_DATE = re.compile(r"(19|20)\d\d[-./]?[01]\d([-./]?[0-3]\d)?([ T][0-2]\d:[0-5]\d(:[0-5]\d)?)?\Z")


def with_samples(schema: Schema, database: Database, most: int) -> Schema:
    """The schema with up to `most` values for each column that has few."""
    if not most:
        return schema
    tables = [_sampled(table, schema, database, most) for table in schema.tables[:_MOST_TABLES]]
    return replace(schema, tables=(*tables, *schema.tables[_MOST_TABLES:]))


def _sampled(table: Table, schema: Schema, database: Database, most: int) -> Table:
    title = ".".join(quoted(part, schema.dialect) for part in ((table.name,) if table.is_default else (table.schema, table.name)))
    now = datetime.now(UTC)
    bounds = Bounds(rows=_ROWS, seconds=2.0, result_bytes=1_000_000)
    try:
        query = guard(f"SELECT * FROM {title}", schema, _ROWS, Caller(now=now, language="en"))
        rows = database.run(query, schema, bounds, now).rows
    except (QueryError, SadariError):  # samples are a kindness: a view that is slow or broken goes without
        return table
    columns = zip(table.columns, zip(*rows, strict=True), strict=False) if rows else ()
    return replace(table, columns=tuple(_with_values(column, values, most) for column, values in columns) or table.columns)


def _with_values(column: Column, values: tuple[Any, ...], most: int) -> Column:
    texts = [value for value in values if value is not None and value != ""]
    if not texts or not all(isinstance(value, str) and len(value) <= MOST_CHARS and value.isprintable() for value in texts):
        return column
    distinct = list(dict.fromkeys(texts))
    if all(_DATE.match(text) for text in distinct):
        return replace(column, comment=f"{column.comment} {_form(distinct[0])}".strip())
    is_few = len(distinct) <= most and len(texts) >= _LEAST_ROWS_A_VALUE * len(distinct)
    if not is_few or any(find_injections(text) for text in distinct):
        return column
    return replace(column, samples=tuple(distinct), is_complete=len(values) < _ROWS)


def _form(text: str) -> str:
    """How a date is written, without the date: it may be a birthday."""
    return "".join(
        "YYYYMMDDhhmmss"[sum(c.isdigit() for c in text[:at])] if char.isdigit() else char for at, char in enumerate(text)
    )
