"""Spreadsheets and CSV files as tables that are asked by SQL: one table for each sheet, in a SQLite database in memory.

A column becomes a number only if every value in it is one: 1,200원, ₩1,200, (1,200) and 10만 원 are numbers of won, 12.5% is 12.5;
2024.3.1 and 2024년 3월 1일 are dates, as 2024-03-01. What begins with a zero (0102, 010-1234-5678) stays a text. A dash or N/A
among numbers or dates is NULL. The unit that was taken off is told as the comment of the column.

Covered: the file is read once, when the tool is opened, and never written; CSV in UTF-8, UTF-16 or CP949; formulas by their last
values; size, number of cells and what a workbook unpacks to are bounded.
Not covered: several tables on one sheet, merged cells, headers of two rows.
"""

import csv
import io
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from sadari.agent.tools.place import Place
from sadari.agent.tools.sql.schema import Schema, allow
from sadari.agent.tools.sql.sqlite import SqliteImage, in_quotes
from sadari.agent.tools.sql.tool import QueryOptions, query_tools
from sadari.errors import ConfigError, DataError
from sadari.retrieve.load.encoding import decode
from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.package import open_package
from sadari.retrieve.load.parsed import UnreadableError
from sadari.types import Tool

MOST_CELLS = 5_000_000
MOST_COLUMNS = 500
_HEADER_ROWS = 20
"""Rows in which the header is looked for."""

Cell = str | int | float | None


class TableOptions(QueryOptions, frozen=True, extra="forbid"):
    """A spreadsheet or CSV file to ask: `{table: sales.xlsx}`, or with the settings below."""

    path: str = Field(min_length=1, description="An .xlsx, .csv or .tsv file.")
    sheets: tuple[str, ...] = Field((), description="Sheets that may be read; by default all.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


def open_table(options: TableOptions, place: Place) -> list[Tool]:
    """The tool that asks a spreadsheet or CSV file by SQL.

    Raises:
        ConfigError: If there is no such file, sheet or column.
        DataError: If the file cannot be read as a table.
    """
    path = place.path(options.path)
    if not path.is_file():
        raise ConfigError(f"table: there is no file {path}. A path is meant from the folder of sadari.yaml.")
    sheets = [typed(sheet) for sheet in read_sheets(path)]
    if not sheets:
        raise DataError(f"{path.name}: holds no table. A table needs a row of headers and a row below it.")
    database = SqliteImage(_image(sheets))
    comments = {sheet.name: sheet.units for sheet in sheets}
    schema = allow(_commented(database.read_schema(), comments), options.sheets, options.hidden)
    return query_tools(database, schema, options, path.stem, place)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a file.

    Args:
        types: SQLite's, one for each column.
        units: What was taken off the numbers of a column (원, %), by its name.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    types: tuple[str, ...] = ()
    units: tuple[tuple[str, str], ...] = ()


# --- reading -------------------------------------------------------------------------------------------------------------


def read_sheets(path: Path) -> list[Sheet]:
    """The tables of a file, their cells as they stand.

    Raises:
        DataError: If it cannot be read.
    """
    limits = Limits()
    try:
        if path.stat().st_size > limits.file_bytes:
            raise UnreadableError(f"is larger than {limits.file_bytes >> 20} MB. Load it into a database, and use `sql:`.")
        data = path.read_bytes()
        grids = (
            _workbook(data, limits) if path.suffix.lower() in (".xlsx", ".xlsm") else [(path.stem, _separated(data, path.suffix))]
        )
        sheets = [sheet for title, grid in grids if (sheet := _sheet(title, grid)) is not None]
    except UnreadableError as error:
        raise DataError(f"{path.name}{error.where}: {error.reason}") from error
    return _apart(sheets)


def _separated(data: bytes, suffix: str) -> Iterator[Sequence[Any]]:
    text = decode(data).replace("\0", "")
    head = text[:20_000]
    try:
        mark = "\t" if suffix.lower() == ".tsv" else csv.Sniffer().sniff(head, ",;\t|").delimiter
    except csv.Error:
        mark = ","
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    except csv.Error as error:
        raise UnreadableError(f"is no table ({error}). Quote cells that hold line breaks or quotes.") from error


def _workbook(data: bytes, limits: Limits) -> Iterator[tuple[str, Iterable[Sequence[Any]]]]:
    import openpyxl

    with open_package(data, limits):
        pass
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # a file may claim a million columns that are not there
            yield sheet.title, sheet.iter_rows(values_only=True)
    except (UnreadableError, MemoryError, RecursionError):
        raise
    except Exception as error:  # whatever the library makes of a damaged file
        raise UnreadableError(f"is damaged ({' '.join(str(error).split())[:200]}). Save it again in its program.") from error


def _sheet(title: str, grid: Iterable[Sequence[Any]]) -> Sheet | None:
    """The rows below the header, which is the first row whose cells are as many as those of any row near it."""
    rows: list[list[Any]] = []
    cells = 0
    for row in grid:
        values = [_plain(value) for value in row]
        while values and values[-1] is None:
            values.pop()
        cells += len(values)
        if cells > MOST_CELLS or len(values) > MOST_COLUMNS:
            raise UnreadableError(
                f"holds more than {MOST_CELLS:,} cells or {MOST_COLUMNS} columns. Load it into a database, and use `sql:`."
            )
        if values:
            rows.append(values)
    if len(rows) < 2:
        return None
    filled = [sum(value is not None for value in row) for row in rows[:_HEADER_ROWS]]
    at = filled.index(max(filled)) if max(filled) > 1 else 0
    width = max(len(row) for row in rows[at:])
    body = tuple(tuple((row + [None] * width)[:width]) for row in rows[at + 1 :])
    return Sheet(title, tuple(_headers(rows[at], width)), body) if body else None


def _plain(value: Any) -> Cell:
    """A cell as a number, an ISO date or a text in NFC; None if it is empty."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else str(value)
    if isinstance(value, float):
        return value
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d" if value.time() == time.min else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, date | time):
        return value.isoformat()
    text = unicodedata.normalize("NFC", str(value)).strip() if value is not None else ""
    return text or None


def _headers(row: Sequence[Any], width: int) -> Iterator[str]:
    used: set[str] = set()
    for at in range(width):
        value = row[at] if at < len(row) else None
        name = " ".join(str(value).split())[:60] if value is not None else f"column_{at + 1}"
        yield _unused(name, used)


def _unused(name: str, used: set[str]) -> str:
    """The name, or the name with the first number that makes it new; `used` takes it in."""
    chosen, count = name, 1
    while chosen.lower() in used:
        count += 1
        chosen = f"{name}_{count}"
    used.add(chosen.lower())
    return chosen


def _apart(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The sheets, each with a name of its own that SQLite keeps for no other use."""
    used: set[str] = set()
    named = (" ".join(sheet.name.split()) or "sheet" for sheet in sheets)
    plain = [f"t_{name}" if name.lower().startswith("sqlite_") else name for name in named]
    return [replace(sheet, name=_unused(name, used)) for sheet, name in zip(sheets, plain, strict=True)]


# --- types ---------------------------------------------------------------------------------------------------------------

_NOTHING = frozenset({"-", "–", "—", "n/a", "na", "#n/a", "null", "none", "없음", "해당없음"})
_SCALES = {"": 1, "천": 1_000, "만": 10_000, "백만": 1_000_000, "억": 100_000_000}
_AMOUNT = re.compile(
    r"(?P<minus>[-+−(]?)\s*(?P<before>[₩￦$€¥£]?)\s*(?P<digits>0|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,17})(?P<part>\.\d{1,9})?\)?"
    r"\s*(?P<scale>천|만|백만|억|)\s*(?P<after>원|KRW|USD|달러|%|개|명|건|)\)?\Z"
)
_DAY = re.compile(
    r"(?P<y>(?:19|20)\d\d)\s*[-./년]\s*(?P<m>\d{1,2})\s*[-./월]\s*(?P<d>\d{1,2})\s*[일.]?"
    r"(?:[ T](?P<clock>\d{1,2}:\d\d(?::\d\d)?))?\Z"
)
_WON = "₩￦"


def typed(sheet: Sheet) -> Sheet:
    """The sheet with the columns that hold nothing but numbers or dates as such."""
    columns = [_typed_column(values) for values in zip(*sheet.rows, strict=True)]
    units = tuple((name, unit) for name, (_, _, unit) in zip(sheet.columns, columns, strict=True) if unit)
    rows = tuple(zip(*(values for values, _, _ in columns), strict=True))
    return replace(sheet, rows=rows, types=tuple(kind for _, kind, _ in columns), units=units)


def _typed_column(values: Sequence[Cell]) -> tuple[list[Any], str, str]:
    """The values, their type, and the unit that was taken off."""
    for read in (_amount, _day):
        found = _read_all(values, read)
        if found is None:
            continue
        units = {unit for _, unit in found if unit}
        if len(units) > 1:
            continue  # 원 and $ in one column are no numbers to be added
        plain = [value for value, _ in found]
        numbers = [value for value in plain if value is not None]
        kind = "TEXT" if isinstance(numbers[0], str) else "INTEGER" if all(isinstance(n, int) for n in numbers) else "REAL"
        return plain, kind, next(iter(units), "")
    return [value if value is None or isinstance(value, str) else str(value) for value in values], "TEXT", ""


def _read_all(values: Sequence[Cell], read: Callable[[Cell], tuple[Any, str] | None]) -> list[tuple[Any, str]] | None:
    """Every value as it is read; None if one cannot be, or there is none."""
    found: list[tuple[Any, str]] = []
    for value in values:
        if value is None or (isinstance(value, str) and value.lower() in _NOTHING):
            found.append((None, ""))
        elif (one := read(value)) is not None:
            found.append(one)
        else:
            return None
    return found if any(value is not None for value, _ in found) else None


def _amount(value: Cell) -> tuple[int | float, str] | None:
    if not isinstance(value, str):
        return (value, "") if value is not None else None
    match = _AMOUNT.match(value)
    if match is None or (match["minus"] == "(") != value.rstrip().endswith(")"):
        return None
    digits = int(match["digits"].replace(",", "")) * _SCALES[match["scale"]]
    number: int | float = (
        float(match["digits"].replace(",", "") + match["part"]) * _SCALES[match["scale"]] if match["part"] else digits
    )
    if isinstance(number, float) and match["scale"] and number.is_integer():
        number = int(number)
    unit = "원" if match["before"] in _WON and match["before"] else match["before"] or match["after"]
    return (-number if match["minus"] in ("-", "−", "(") else number), {"KRW": "원", "USD": "$", "달러": "$"}.get(unit, unit)


def _day(value: Cell) -> tuple[str, str] | None:
    match = _DAY.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        day = date(int(match["y"]), int(match["m"]), int(match["d"])).isoformat()
    except ValueError:
        return None
    return (f"{day} {match['clock'].zfill(5)}" if match["clock"] else day), ""


# --- the database --------------------------------------------------------------------------------------------------------


def _image(sheets: Sequence[Sheet]) -> bytes:
    """The sheets as the bytes of a SQLite database."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for sheet in sheets:
            columns = ", ".join(f"{in_quotes(column)} {kind}" for column, kind in zip(sheet.columns, sheet.types, strict=True))
            connection.execute(f"CREATE TABLE {in_quotes(sheet.name)} ({columns})")
            places = ", ".join("?" * len(sheet.columns))
            connection.executemany(f"INSERT INTO {in_quotes(sheet.name)} VALUES ({places})", sheet.rows)
        connection.commit()
        return connection.serialize()


def _commented(schema: Schema, units: dict[str, tuple[tuple[str, str], ...]]) -> Schema:
    """The schema with the units as comments."""
    tables = []
    for table in schema.tables:
        named = dict(units.get(table.name, ()))
        tables.append(replace(table, columns=tuple(replace(c, comment=named.get(c.name, "")) for c in table.columns)))
    return replace(schema, tables=tuple(tables))
