"""The tools over a database: `query` runs one SELECT and shows what came, `tables` looks a large schema up.

Covered: see `guard` (what is run), `sqlite`, `duck` and `server` (what a connection can do), and `samples` (what is shown of the
data beforehand). Rows, bytes, cells and the text that the model reads are bounded, and what is cut is said.
Not covered: what a model says about a result. Values were written by whoever filled the database, so results count as untrusted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, model_validator

from sadari.agent.tools.place import Place
from sadari.agent.tools.sql.connect import FILE_SCHEMES, open_database
from sadari.agent.tools.sql.database import Bounds, Database, QueryError, Result
from sadari.agent.tools.sql.guard import MOST_SQL_CHARS, Guarded, guard
from sadari.agent.tools.sql.samples import with_samples
from sadari.agent.tools.sql.schema import Schema, allow
from sadari.agent.tools.sql.words import Language, failed, said
from sadari.errors import ConfigError, ToolFailedError
from sadari.types import Caller, Outcome, Tool, ToolSpec, Traits

MOST_TABLE_CHARS = 6_000
"""Of the rows that the model reads; `Outcome.data` has all that were fetched."""
MOST_CELL_CHARS = 200
_SECONDS_BESIDE = 10.0
"""For connecting, beside the time of a query."""


class QueryOptions(BaseModel, frozen=True, extra="forbid"):
    """What everything that is asked by SQL can be told."""

    name: str = Field(
        "", pattern=r"^[A-Za-z0-9_]{0,40}$", description="The tool is called query_NAME; by default after the file or database."
    )
    hidden: tuple[str, ...] = Field(
        (), description="Columns that nobody sees: `column` or `table.column`, with * for any characters."
    )
    rows: int = Field(100, ge=1, le=10_000, description="Most rows of a result.")
    seconds: float = Field(5.0, gt=0, le=300, description="Longest time of a query.")
    result_bytes: int = Field(100_000, ge=1_000, description="Most bytes of a result.")
    samples: int = Field(8, ge=0, le=50, description="Columns of no more different values are shown with them; 0 shows none.")
    schema_chars: int = Field(
        4_000, ge=500, description="Longest schema in the tool's description; a longer one is looked up by `tables`."
    )
    is_trusted: bool = Field(
        False,
        description="Nobody but the company wrote what is in it: results then hold no orders to the model, and need no distrust.",
    )

    @property
    def bounds(self) -> Bounds:
        """How much one query may take."""
        return Bounds(self.rows, self.seconds, self.result_bytes)


class SqlOptions(QueryOptions, frozen=True, extra="forbid"):
    """A database to ask: `{sql: data/shop.db}`, or with the settings below."""

    url: str = Field(
        min_length=1,
        description="A SQLite or DuckDB file (.duckdb, .ddb), or a URL as SQLAlchemy writes it: postgresql://reader@host/shop.",
    )
    password: str = Field("", description="Name of the secret (environment variable) that holds the password of `url`.")
    tables: tuple[str, ...] = Field(
        (), description="Tables that may be read, `table` or `schema.table`; by default all of the default schema."
    )
    allow_writable_role: bool = Field(False, description="Connect even with a database user that could write. It is warned of.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


def open_sql(options: SqlOptions, place: Place) -> list[Tool]:
    """The tools over one database: `query`, and `tables` if its schema is long.

    Raises:
        ConfigError: If the database cannot be opened or its user could write, or if a named table or column does not exist.
    """
    if re.search(r"://[^/@]*:[^/@]+@", options.url):
        raise ConfigError(
            "sql: `url` holds a password. Take it out, and write `password: NAME` of the environment variable that has it."
        )
    password = place.secret(options.password, "sql: `password`") if options.password else ""
    schemas = tuple(dict.fromkeys(name.rpartition(".")[0] for name in options.tables if "." in name))
    database = open_database(
        options.url, _file_of(options.url, place), password=password, schemas=schemas, allow_writable=options.allow_writable_role
    )
    schema = allow(database.read_schema(), options.tables, options.hidden)
    if not schema.tables:
        raise ConfigError(f"sql: {options.url} has no table that can be read. Check `url`, and what its user may SELECT.")
    return query_tools(database, schema, options, Path(options.url.partition("?")[0]).stem, place)


def query_tools(database: Database, schema: Schema, options: QueryOptions, stem: str, place: Place) -> list[Tool]:
    """`query_NAME` over a database, and `tables_NAME` if its schema is longer than `options.schema_chars`.

    Args:
        schema: What may be read; nothing else can be.
        stem: Of the file or database: the NAME if the options give none, and if it can be part of a tool's name.
    """
    name = options.name or (stem if re.fullmatch(r"[A-Za-z0-9_]{1,40}", stem) else "")
    ending = f"_{name}" if name else ""
    schema = with_samples(schema, database, options.samples)
    described = schema.describe()
    is_long = len(described) > options.schema_chars
    look_up = f"tables{ending}"
    if is_long:
        described = _outline(schema, options.schema_chars, look_up, place.language)
    query = QueryTool(f"query{ending}", database, schema, options, described, place.language)
    return [query, TablesTool(look_up, schema, options.schema_chars, place.language)] if is_long else [query]


@dataclass(frozen=True)
class QueryTool:
    """Runs one SELECT, and shows the rows.

    Args:
        described: The schema as the model is told it.
    """

    name: str
    database: Database
    schema: Schema
    options: QueryOptions
    described: str
    language: Language

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        description = said(
            self.language,
            f"데이터베이스({self.schema.dialect})를 SQL로 조회합니다. 읽기 전용: SELECT 하나, 최대 {self.options.rows}행.\n"
            f"테이블(열 형식):\n{self.described}",
            f"Asks a {self.schema.dialect} database by SQL. It only reads: one SELECT, at most {self.options.rows} rows.\n"
            f"Tables (columns with types):\n{self.described}",
        )
        sql = {
            "type": "string",
            "minLength": 1,
            "maxLength": MOST_SQL_CHARS,
            "description": said(self.language, "SELECT 문 하나", "One SELECT"),
        }
        return ToolSpec(
            self.name,
            description,
            {"type": "object", "properties": {"sql": sql}, "required": ["sql"], "additionalProperties": False},
        )

    @property
    def traits(self) -> Traits:
        """A read, whose values anybody may have written unless the options say otherwise."""
        limit = self.options.seconds + _SECONDS_BESIDE
        return Traits(
            "read", is_idempotent=True, is_trusted=self.options.is_trusted, timeout_s=limit, max_chars=3 * MOST_TABLE_CHARS
        )

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """Run the query.

        Raises:
            ToolFailedError: If the SQL is to be written otherwise.
            ToolRefusedError: If it is no query.
        """
        query = guard(str(arguments["sql"]), self.schema, self.options.rows, caller)
        try:
            result = self.database.run(query, self.schema, self.options.bounds, caller.now)
        except QueryError as error:
            raise self._failure(error, query, caller.language) from error
        rows = [[json_value(value) for value in row] for row in result.rows]
        text = self._told(query, result, rows, caller.language)
        return Outcome(text, {"columns": list(result.columns), "rows": rows, "sql": query.sql, "is_cut": result.is_cut})

    def _failure(self, error: QueryError, query: Guarded, language: Language) -> ToolFailedError:
        if error.is_late:
            return failed(
                language,
                f"{self.options.seconds:g}초 안에 끝나지 않아 중단했습니다. 조인 조건(ON)을 확인하고, WHERE로 범위를 좁히세요.",
                f"Stopped after {self.options.seconds:g} s. Check the join conditions (ON), and narrow it down by WHERE.",
            )
        columns = self.schema.describe(query.tables[:4])
        return failed(
            language,
            f"데이터베이스 오류: {error}. 있는 열:\n{columns}" if columns else f"데이터베이스 오류: {error}.",
            f"The database says: {error}. Its columns:\n{columns}" if columns else f"The database says: {error}.",
        )

    def _told(self, query: Guarded, result: Result, rows: Sequence[Sequence[Any]], language: Language) -> str:
        table, shown = _as_table(result.columns, rows)
        lines = [f"SQL: {query.sql}"]
        if rows:
            lines.append(table)
        lines.append(self._count(result, len(rows), shown, language))
        if not rows and not result.is_cut:
            lines += self._why_empty(query, language)
        return "\n".join(lines)

    def _count(self, result: Result, fetched: int, shown: int, language: Language) -> str:
        if result.is_cut and not fetched:
            return said(
                language,
                f"첫 행이 한도({self.options.result_bytes:,}바이트)를 넘습니다. 필요한 열만 고르세요.",
                f"The first row is longer than {self.options.result_bytes:,} bytes. Select only the columns you need.",
            )
        if result.is_cut:
            return said(
                language,
                f"처음 {shown}행만 표시했습니다. 행이 더 있으니 COUNT, SUM 등으로 집계하거나 조건을 좁히세요.",
                f"Only the first {shown} rows are shown; there are more. Aggregate (COUNT, SUM) or narrow it down.",
            )
        if shown < fetched:
            return said(
                language, f"모두 {fetched}행 중 처음 {shown}행만 표시했습니다.", f"The first {shown} of {fetched} rows are shown."
            )
        return said(language, f"모두 {fetched}행", f"{fetched} row{'' if fetched == 1 else 's'} in all")

    def _why_empty(self, query: Guarded, language: Language) -> list[str]:
        """What the compared columns do hold."""
        lines = []
        for name, text in query.compared:
            for table in query.tables:
                held = next((c.samples for c in table.columns if c.name == name and c.is_complete and len(c.samples) > 1), ())
                if held and text not in held:
                    values = ", ".join(held)
                    lines.append(
                        said(
                            language,
                            f'{name}에 "{text}" 값은 없습니다. 있는 값: {values}',
                            f'{name} never is "{text}"; it is one of: {values}',
                        )
                    )
        return lines


@dataclass(frozen=True)
class TablesTool:
    """Looks up which tables have to do with a question."""

    name: str
    schema: Schema
    most_chars: int
    language: Language

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        text = {
            "type": "string",
            "maxLength": 500,
            "description": said(self.language, "질문 또는 테이블 이름", "A question, or names of tables"),
        }
        return ToolSpec(
            self.name,
            said(self.language, "질문에 맞는 테이블과 열을 찾습니다.", "Finds the tables and columns that a question is about."),
            {"type": "object", "properties": {"question": text}, "required": ["question"], "additionalProperties": False},
        )

    @property
    def traits(self) -> Traits:
        """A read of what the company itself wrote."""
        return Traits(effect="read", is_idempotent=True, is_trusted=True, timeout_s=10.0, max_chars=2 * self.most_chars)

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """The best tables, as many as fit."""
        ranked = self.schema.ranked(str(arguments["question"]))
        lines = _fitting([self.schema.describe([table]) for table in ranked], self.most_chars)
        return Outcome("\n".join(lines), [table.title for table in ranked[: len(lines)]])


def json_value(value: Any) -> Any:
    """A value of a database as one of JSON: decimals as numbers where they are exact, dates as ISO 8601, bytes by their number."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case Decimal():
            if value == value.to_integral_value():
                return int(value)
            return float(value) if Decimal(repr(float(value))) == value else str(value)
        case date() | datetime() | time():
            return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
        case timedelta():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return f"({len(value)} bytes)"
        case list() | tuple() | set():
            return [json_value(each) for each in value]
        case dict():
            return {str(key): json_value(each) for key, each in value.items()}
        case _:
            return str(value)


def _as_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[str, int]:
    """The rows as a Markdown table, and how many of them fitted."""
    head = [_line(columns), "|" + "---|" * len(columns)]
    lines = _fitting([_line([_cell(value) for value in row]) for row in rows], MOST_TABLE_CHARS)
    return "\n".join([*head, *lines]), len(lines)


def _fitting(lines: Sequence[str], most_chars: int) -> list[str]:
    """The first lines that are together no longer than that, and the first one in any case."""
    taken: list[str] = []
    for line in lines:
        most_chars -= len(line) + 1
        if taken and most_chars < 0:
            break
        taken.append(line)
    return taken


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"


def _cell(value: Any) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= MOST_CELL_CHARS else f"{text[:MOST_CELL_CHARS]}… ({len(text):,})"


def _outline(schema: Schema, most_chars: int, look_up: str, language: Language) -> str:
    """As many whole tables as fit in half the room, and the names of the others."""
    described = _fitting([schema.describe([table]) for table in schema.tables], most_chars // 2)
    others = [table.title for table in schema.tables[len(described) :]]
    names = _fitting(others, most_chars // 2)
    more = (
        said(language, f" 외 {len(others) - len(names)}개", f" and {len(others) - len(names)} more")
        if len(names) < len(others)
        else ""
    )
    note = said(language, f"그 밖의 테이블(열은 {look_up}로 확인): ", f"Other tables (look their columns up by {look_up}): ")
    return "\n".join([*described, note + ", ".join(names) + more])


def _file_of(url: str, place: Place) -> Path | None:
    """The file that is meant; None for a server."""
    for scheme in FILE_SCHEMES:
        if url.startswith(scheme):
            return place.path(url.removeprefix(scheme))
    return None if "://" in url else place.path(url)
