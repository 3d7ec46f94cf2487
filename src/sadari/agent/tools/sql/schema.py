"""What tables a model may ask: their names, columns, comments and sample values, and how that is written for it."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

from sadari.errors import ConfigError

Dialect = Literal["sqlite", "postgres", "mysql", "duckdb"]

_PLAIN_NAME = re.compile(r"[a-z_가-힣][a-z0-9_가-힣]*\Z")
_RESERVED_WORDS = """
    all alter analyze and any as asc at begin between both by case cast check collate column commit constraint create cross
    current_date current_time current_timestamp default delete desc distinct do drop else end escape except exists explain
    fetch for foreign from full glob grant group grouping having in index inner insert intersect interval into is isnull join
    key keys lateral leading left like limit natural not notnull null of offset on or order outer over partition pivot primary
    qualify rank read references release replace returning right row rows select set show some sum table then to transaction
    trigger union unique update usage user using values view when where window with
    """
"""Words that one database or another takes for no name unless they are quoted."""
_LOOSE_NAME = re.compile(r"[A-Za-z_가-힣][A-Za-z0-9_가-힣]*\Z")


@dataclass(frozen=True, slots=True)
class Column:
    """One column that may be read.

    Args:
        refers: `table.column` that it is a foreign key to; "" for none.
        samples: Values that it holds, as texts.
        is_complete: Whether `samples` seem to be all there are.
    """

    name: str
    type: str = ""
    is_key: bool = False
    refers: str = ""
    comment: str = ""
    samples: tuple[str, ...] = ()
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table or view that may be read.

    Args:
        columns: Those that may be read, in their order.
        schema: Where it stands in the database; "" where there is one place only.
        hides: Whether it has columns that may not be read.
        is_default: Whether its name alone is enough to find it.
    """

    name: str
    columns: tuple[Column, ...]
    schema: str = ""
    comment: str = ""
    hides: bool = False
    is_view: bool = False
    is_default: bool = True

    @property
    def title(self) -> str:
        """The name to write in a query."""
        return self.name if self.is_default else f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Schema:
    """All that may be read of one database.

    Args:
        others: Names of tables that may not be read: nothing in a query may take their place.
    """

    dialect: Dialect
    tables: tuple[Table, ...]
    others: frozenset[str] = frozenset()

    def find(self, name: str, schema: str = "") -> Table | None:
        """The table of that name: spelt exactly, else the only one spelt so but for case."""
        near = [
            t for t in self.tables if fold(t.name) == fold(name) and (fold(t.schema) == fold(schema) if schema else t.is_default)
        ]
        exact = [table for table in near if table.name == name]
        return exact[0] if len(exact) == 1 else near[0] if len(near) == 1 else None

    def nearest(self, name: str) -> list[str]:
        """Titles of the tables whose names look most like `name`, best first."""
        return nearest(name, [table.title for table in self.tables])

    def describe(self, tables: Sequence[Table] | None = None) -> str:
        """One line a table: name, comment, columns with types, keys, comments and samples."""
        return "\n".join(_table_line(table, self.dialect) for table in (self.tables if tables is None else tables))

    def ranked(self, question: str) -> list[Table]:
        """The tables in the order in which they have to do with a question; ties as they stand.

        Compared by pairs of characters, so that Korean words are found under their endings; rare pairs count more. A table that a
        table found refers to comes up with it, for the join.
        """
        asked = _pairs(question)
        held = {table.title: _pairs(_table_line(table, self.dialect)) for table in self.tables}
        spread = Counter(pair for pairs in held.values() for pair in pairs)
        weights = {pair: math.log(1 + len(self.tables) / count) for pair, count in spread.items()}
        scores = {title: sum(weights[pair] for pair in asked & pairs) / math.sqrt(1 + len(pairs)) for title, pairs in held.items()}
        joined = dict(scores)
        for table in self.tables:
            for column in table.columns:
                target = column.refers.rpartition(".")[0]
                if target in joined:
                    joined[target] = max(joined[target], scores[table.title] / 2)
        return sorted(self.tables, key=lambda table: -joined[table.title])


def fold(name: str) -> str:
    """A name without the difference of case, as databases see it: ASCII letters alone are alike."""
    return "".join(char.lower() if char.isascii() else char for char in name)


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that look most like `name`, best first."""
    by_fold = {fold(each): each for each in known}
    return [by_fold[found] for found in get_close_matches(fold(name), by_fold, n=most, cutoff=0.5)]


def quoted(name: str, dialect: Dialect) -> str:
    """A name as it is to be written: quoted only where it must be."""
    plain = _PLAIN_NAME if dialect == "postgres" else _LOOSE_NAME
    if plain.match(name) and name.lower() not in _RESERVED_WORDS.split():
        return name
    mark = "`" if dialect == "mysql" else '"'
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


def allow(schema: Schema, tables: Sequence[str], hidden: Sequence[str]) -> Schema:
    """The part of a schema that `tables` names, without the columns that `hidden` names.

    Args:
        tables: Names; () for all.
        hidden: `column`, `table.column`, with `*` for any run of characters.

    Raises:
        ConfigError: If a name fits nothing.
    """
    chosen = [_named(schema, name) for name in tables] if tables else list(schema.tables)
    unused = set(hidden)
    kept = []
    for table in dict.fromkeys(chosen):
        gone = {(pattern, c.name) for c in table.columns for pattern in hidden if _fits(pattern, table, c)}
        unused -= {pattern for pattern, _ in gone}
        columns = tuple(column for column in table.columns if column.name not in {name for _, name in gone})
        if not columns:
            raise ConfigError(f"hidden: every column of {table.title} is hidden. Leave the table out of `tables` instead.")
        kept.append(replace(table, columns=columns, hides=len(columns) < len(table.columns)))
    for pattern in sorted(unused):
        names = nearest(pattern.rpartition(".")[2], (column.name for table in chosen for column in table.columns))
        raise ConfigError(f'hidden: "{pattern}" fits no column{_meant(names)}. Write `column` or `table.column`.')
    titles = {table.title for table in kept}
    others = schema.others | {table.name for table in schema.tables if table.title not in titles}
    shown = {f"{table.title}.{column.name}" for table in kept for column in table.columns}
    return replace(schema, tables=tuple(_without_links(table, shown) for table in kept), others=frozenset(others))


def _named(schema: Schema, name: str) -> Table:
    place, _, last = name.rpartition(".")
    table = schema.find(name) or schema.find(last, place)
    if table is None:
        raise ConfigError(f'tables: the database has no table "{name}"{_meant(schema.nearest(name))}.')
    return table


def _fits(pattern: str, table: Table, column: Column) -> bool:
    names = (column.name, f"{table.name}.{column.name}", f"{table.title}.{column.name}")
    return any(fnmatchcase(fold(name), fold(pattern)) for name in names)


def _without_links(table: Table, shown: set[str]) -> Table:
    """The table without mention of what may not be read."""
    columns = tuple(column if column.refers in shown else replace(column, refers="") for column in table.columns)
    return replace(table, columns=columns)


def _meant(names: Sequence[str]) -> str:
    return f" (did you mean {', '.join(names)}?)" if names else ""


def _pairs(text: str) -> set[str]:
    words = re.findall(r"\w+", fold(text).replace("_", " "))
    return {word[at : at + 2] for word in words for at in range(max(1, len(word) - 1))}


def _table_line(table: Table, dialect: Dialect) -> str:
    name = quoted(table.name, dialect)
    title = name if table.is_default else f"{quoted(table.schema, dialect)}.{name}"
    comment = f" -- {table.comment}" if table.comment else ""
    return f"{title}({', '.join(_column_words(column, dialect) for column in table.columns)}){comment}"


def _column_words(column: Column, dialect: Dialect) -> str:
    words = [quoted(column.name, dialect), column.type, "key" if column.is_key else ""]
    words.append(f"-> {column.refers}" if column.refers else "")
    words.append(f"'{column.comment}'" if column.comment else "")
    if column.samples:
        words.append("{" + ", ".join(column.samples) + ("" if column.is_complete else ", ...") + "}")
    return " ".join(word for word in words if word)
