"""Rows of a SQL database, through SQLAlchemy: one document a row, or one Markdown table for all.

Covered: one SELECT alone is run, in a read-only transaction where there are such (SQLite is opened read-only), and rolled back.
Not covered: functions with side effects that a SELECT may call; give a user who may only read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.markdown import table
from sadari.retrieve.load.parsed import clean, iso_date
from sadari.types import Document


@dataclass(frozen=True, slots=True)
class Query:
    """A table or a SELECT of a database.

    Args:
        url: As SQLAlchemy writes it: `sqlite:///shop.db`, `postgresql+psycopg://reader@host/shop`.
        select: The name of a table, or one SELECT.
        name: The first part of the documents' ids, and the title of the table.
        key: Column that tells rows apart; each row becomes a document then. "": all rows become one table.
        title: Column with the title of a row.
        date: Column with the day that a row was last changed.
    """

    url: str
    select: str
    name: str
    key: str = ""
    title: str = ""
    date: str = ""


def query_documents(query: Query, limits: Limits) -> Iterator[Document | str]:
    """The documents, or in words why there are none."""
    try:
        import sqlalchemy
    except ImportError:
        yield "a database is read through SQLAlchemy, which is not installed: pip install sqlalchemy."
        return
    reason = _not_a_select(query.select)
    if reason:
        yield reason
        return
    try:
        with ExitStack() as stack:
            rows = _rows(query, stack)
            yield from _by_row(query, rows, limits) if query.key else _as_table(query, rows, limits)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError) as error:
        yield f"the database did not answer ({str(error).splitlines()[0][:300]}). Check its address, and the table or query."


def _not_a_select(select: str) -> str:
    """Why a statement is not run; "" if it is a name or one SELECT."""
    import sqlglot
    from sqlglot import exp

    if " " not in select.strip():
        return ""
    try:
        statements = [statement for statement in sqlglot.parse(select) if statement is not None]
    except sqlglot.errors.SqlglotError as error:
        return f"`select` is not SQL that can be checked ({str(error).splitlines()[0][:200]}). Mend it."
    writes = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Into)
    is_query = len(statements) == 1 and isinstance(statements[0], exp.Query) and statements[0].find(*writes) is None
    return "" if is_query else "`select` must be one SELECT, or the name of a table: documents are read, never written."


def _rows(query: Query, stack: ExitStack) -> Iterator[Mapping[str, Any]]:
    import sqlalchemy

    url = sqlalchemy.make_url(query.url)
    if url.get_backend_name() == "sqlite" and url.database:
        url = sqlalchemy.make_url(f"sqlite:///file:{url.database}?mode=ro&uri=true")
    engine = sqlalchemy.create_engine(url)
    stack.callback(engine.dispose)
    connection = stack.enter_context(engine.connect())
    stack.callback(connection.rollback)
    if engine.dialect.name in ("postgresql", "mysql", "mariadb"):
        connection.execute(sqlalchemy.text("SET TRANSACTION READ ONLY"))
    if " " in query.select.strip():
        statement: Any = sqlalchemy.text(query.select)
    else:
        schema, _, name = query.select.strip().rpartition(".")
        statement = sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(name, schema=schema or None))
    found = connection.execution_options(stream_results=True).execute(statement).mappings()
    return (dict(row) for row in found)


def _by_row(query: Query, rows: Iterator[Mapping[str, Any]], limits: Limits) -> Iterator[Document | str]:
    for row in rows:
        if query.key not in row:
            yield f'the rows have no column "{query.key}"; they have {", ".join(row)}. Mend `key`.'
            return
        text = clean("\n".join(f"{column}: {_said(value)}" for column, value in row.items() if value is not None))
        name = f"{query.name}/{row[query.key]}"
        if len(text) > limits.text_chars:
            yield f"{name} holds more than {limits.text_chars:,} characters (`text_chars`). Leave columns out."
            continue
        title = _said(row.get(query.title)) or name
        yield Document(clean(name), clean(title), text, date=iso_date(row.get(query.date)))


def _as_table(query: Query, rows: Iterator[Mapping[str, Any]], limits: Limits) -> Iterator[Document | str]:
    cells: list[Sequence[str]] = []
    length = 0
    for row in rows:
        if not cells:
            cells.append(list(row))
        cells.append([_said(value) for value in row.values()])
        length += sum(map(len, cells[-1])) + 3 * len(row)
        if length > limits.text_chars:
            yield f"holds more than {limits.text_chars:,} characters (`text_chars`). Name a `key`, so that each row is a document."
            return
    if not cells:
        yield "holds no row. Fill the table in, or mend `select`."
        return
    yield Document(query.name, query.name, clean(f"# {query.name}\n\n{table(cells)}"))


def _said(value: Any) -> str:
    return "" if value is None or isinstance(value, bytes) else str(value)
