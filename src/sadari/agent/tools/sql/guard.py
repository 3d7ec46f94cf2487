"""From the SQL of a model to the SQL that is run: one SELECT, made of nothing but what is known to be harmless.

Covered: the text is parsed in the dialect of the database, and only a tree that consists of allowed nodes, functions, types and
tables is rendered again; the text that the model wrote is never run. Comments, also those that execute, are gone. Every name is
quoted, so it can be nothing but a name. A table with hidden columns is replaced by a subquery without them, so that no `*`, no
record of the whole row, no NATURAL JOIN and no error message can show them. A common table expression cannot take the name of a
table. What is rendered is parsed and checked once more. The number of rows is bounded by LIMIT.
Not covered: what views and functions of the database do in themselves; memory and temporary files of the server, and the time
(the connection bounds that); what can be inferred from allowed columns.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sadari.agent.tools.sql.clock import set_clock
from sadari.agent.tools.sql.dialects import ARGUMENTS, NODES, TYPES, WRITES, Functions, functions_of
from sadari.agent.tools.sql.schema import Schema, Table, fold, nearest
from sadari.agent.tools.sql.words import Language, failed, meant, said
from sadari.errors import SadariError, ToolFailedError, ToolRefusedError
from sadari.types import Caller

MOST_SQL_CHARS = 10_000
MOST_TYPE_WIDTH = 65_535
"""Characters of a type in CAST: CHAR(10000000) pads every value to as many."""

_START = re.compile(r"\s*\(*\s*(\w+)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_BARE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*\Z")
_NUMBER = re.compile(r"[0-9]{0,40}\.?[0-9]{0,40}([eE][+-]?[0-9]{1,3})?\Z")
_HEX = re.compile(r"[0-9A-Fa-f]*\Z")
_PLACE = re.compile(r"%[-+ 0#,!]*[0-9]{0,2}(?:\.[0-9]{0,2})?l{0,2}[A-Za-z%]")
"""One place of a format string, no wider than 99."""
_FENCE = re.compile(r"\A\s*```\w*\s|```\s*\Z")
_SYSTEM = ("pg_", "sqlite_", "duckdb_", "pragma_", "information_schema", "innodb_", "mysql")
_ROW_IDS = frozenset({"rowid", "oid", "_rowid_"})


@dataclass(frozen=True, slots=True)
class Guarded:
    """A query that may be run.

    Args:
        sql: What is run.
        tables: Those it reads.
        asked: Rows that the model itself limited the result to; None if it did not.
        compared: Pairs of a column's name and a text that it is compared with.
    """

    sql: str
    tables: tuple[Table, ...]
    asked: int | None
    compared: tuple[tuple[str, str], ...]


def guard(sql: str, schema: Schema, most_rows: int, caller: Caller) -> Guarded:
    """The query that may be run in place of what a model wrote.

    It returns the same rows in the same order, but for: at most `most_rows` + 1 of them; without the columns that are hidden;
    its texts in NFC; and "now" and "today" are those of the caller, in the time zone of the caller.

    Raises:
        ToolFailedError: If it cannot be run as it stands; the message tells the model what to write.
        ToolRefusedError: If it is no query: it would change something, or is several statements.
    """
    try:
        return _guard(sql, schema, most_rows, caller)
    except RecursionError:
        raise failed(
            caller.language,
            "쿼리가 너무 깊게 중첩되어 있습니다. 괄호와 하위 쿼리를 줄여 주세요.",
            "The query is nested too deeply. Use fewer parentheses and subqueries.",
        ) from None


def _guard(sql: str, schema: Schema, most_rows: int, caller: Caller) -> Guarded:
    inspector = _Inspector(schema, caller.language)
    tree = inspector.parse(_prepared(sql, caller.language))
    inspector.check(tree)
    _quote(tree, schema)
    tables = inspector.bind(tree)
    inspector.name_columns(tree, tables)
    compared = tuple(_compared(tree))
    asked = inspector.limit(tree, most_rows)
    set_clock(tree, schema.dialect, caller.now)
    _keep_meaning(tree, schema)
    rendered = _rendered(tree, schema)
    again = inspector.parse(rendered)
    inspector.check(again)
    inspector.verify(again)
    return Guarded(rendered, tuple(dict.fromkeys(tables)), asked, compared)


def _prepared(sql: str, language: Language) -> str:
    """The text in NFC, without a code fence, if its length and its characters allow to parse it."""
    if len(sql) > MOST_SQL_CHARS:
        raise failed(
            language,
            f"SQL이 너무 깁니다({len(sql):,}자, 최대 {MOST_SQL_CHARS:,}자). 더 짧게 써 주세요.",
            f"The SQL is too long ({len(sql):,} characters, at most {MOST_SQL_CHARS:,}). Write a shorter query.",
        )
    if _CONTROL.search(sql):
        raise failed(
            language, "SQL에 제어 문자가 있습니다. 빼고 다시 써 주세요.", "The SQL holds control characters. Leave them out."
        )
    return unicodedata.normalize("NFC", _FENCE.sub("", sql)).strip().rstrip(";").strip()


class _Inspector:
    """Looks through the tree of one query, and says in one language what is wrong with it."""

    def __init__(self, schema: Schema, language: Language) -> None:
        self._schema, self._language = schema, language
        self._functions: Functions = functions_of(schema.dialect)
        self._spelt = fold if schema.dialect in ("sqlite", "duckdb") else str

    # --- the shape --------------------------------------------------------------------------------------------------------

    def parse(self, sql: str) -> Any:
        """The tree of one SELECT, without parentheses around it."""
        import sqlglot
        from sqlglot import exp

        first = _START.match(sql)
        if first is None or first[1].upper() not in ("SELECT", "WITH"):
            raise self._refused(first[1].upper() if first else "")
        try:
            self._check_tokens(sqlglot.tokenize(sql, read=self._schema.dialect))
            statements = [statement for statement in sqlglot.parse(sql, read=self._schema.dialect) if statement is not None]
        except (RecursionError, SadariError):
            raise
        except Exception as error:  # not only its own errors: some texts trip the parser itself
            raise self._unreadable(error) from error
        if len(statements) != 1:
            raise ToolRefusedError(
                said(self._language, "SELECT 문은 한 번에 하나만 실행합니다.", "Exactly one SELECT statement is run at a time.")
            )
        tree = statements[0]
        while isinstance(tree, exp.Subquery) and not any(value for name, value in tree.args.items() if name != "this"):
            tree = tree.this
        if not isinstance(tree, exp.Select | exp.SetOperation):
            raise self._refused(type(tree).__name__)
        return tree

    def _check_tokens(self, tokens: Sequence[Any]) -> None:
        """Refuse what the tree does not show: comments that MySQL runs; SQLite's mod(), which `sqlglot` takes for %."""
        for token, following in pairwise([*tokens, None]):
            if any(comment.startswith(("!", "M!")) for comment in token.comments):
                raise self._refused("/*! */")
            is_call = following is not None and following.text == "("
            if is_call and self._schema.dialect == "sqlite" and token.text.lower() == "mod":
                raise self._unknown_function("mod")

    def check(self, tree: Any) -> None:
        """Refuse everything that is not known to be harmless."""
        from sqlglot import exp

        for node in tree.walk():
            kind = type(node).__name__
            if kind in WRITES:
                raise self._refused(kind)
            if isinstance(node, exp.Anonymous):
                self._check_name_of(node)
            elif kind not in NODES and kind not in self._functions.classes:
                raise self._unknown_function(kind) if isinstance(node, exp.Func) else self._unknown_form(kind)
            extra = {name for name, value in node.args.items() if value} - ARGUMENTS.get(kind, node.args.keys())
            if extra:
                raise self._unknown_form(sorted(extra)[0].rstrip("_"))
            self._check_leaf(node, kind)

    def _check_name_of(self, call: Any) -> None:
        name = call.this
        if not isinstance(name, str) or name.lower() not in self._functions.names:
            raise self._unknown_function(call.name)
        if name.lower() in ("printf", "format"):
            self._check_format(call.expressions[0] if call.expressions else None)

    def _check_format(self, form: Any) -> None:
        """Widths make gigabytes of one number."""
        from sqlglot import exp

        text = form.name if isinstance(form, exp.Literal) else "%"
        if "%" in _PLACE.sub("", text):
            raise self._unknown_form("format")

    def _check_leaf(self, node: Any, kind: str) -> None:
        """What is rendered as it stands must be what it seems to be."""
        match kind:
            case "Var":
                sound = bool(_BARE_WORD.match(node.name))
            case "Literal":
                sound = node.is_string or bool(_NUMBER.match(node.name))
            case "DataTypeParam":
                sound = not node.name.isdecimal() or (len(node.name) < 9 and int(node.name) <= MOST_TYPE_WIDTH)
            case "HexString":
                sound = bool(_HEX.match(node.name))
            case "DataType":
                sound = node.this.name in TYPES if hasattr(node.this, "name") else False
            case "Format":
                return self._check_format(node.this)
            case "Table":
                return self._check_table(node)
            case "Column":
                sound = not node.args.get("db") and not node.args.get("catalog")
            case _:
                return None
        if not sound:
            raise self._unknown_form(node.sql(self._schema.dialect)[:60])
        return None

    def _check_table(self, node: Any) -> None:
        from sqlglot import exp

        if isinstance(node.this, exp.Func):
            raise self._unknown_function(node.this.name or type(node.this).__name__)
        if not isinstance(node.this, exp.Identifier):
            raise self._unknown_form(node.sql(self._schema.dialect)[:60])

    # --- the names --------------------------------------------------------------------------------------------------------

    def bind(self, tree: Any) -> list[Table]:
        """Tie every name of a table to one that may be read, and cut its hidden columns off; the tables, as they occur."""
        from sqlglot import exp

        for cte in tree.find_all(exp.CTE):
            self._check_new(cte.alias)
        found = []
        for node in list(_sources(tree, frozenset(), self._spelt)):
            is_main = self._schema.dialect == "sqlite" and fold(node.db) == "main"
            table = self._schema.find(node.name, "" if is_main else node.db)
            if table is None:
                raise self._unknown_table(f"{node.db}.{node.name}" if node.db else node.name)
            found.append(table)
            _tie(node, table, self._schema)
        return found

    def verify(self, rendered: Any) -> None:
        """Refuse what reads another table, or one with hidden columns as a whole: a fault of the renderer, never of the model."""
        for node in _sources(rendered, frozenset(), self._spelt):
            table = self._schema.find(node.name, node.db)
            if table is None or (table.hides and not _is_cut_off(node, table)):
                raise self._unknown_table(node.name)

    def _check_new(self, name: str) -> None:
        taken = {fold(each) for each in self._schema.others} | {fold(table.name) for table in self._schema.tables}
        if fold(name) in taken or unicodedata.normalize("NFKC", name).casefold().startswith(_SYSTEM):
            raise failed(
                self._language,
                f'WITH의 이름 "{name}"은(는) 쓸 수 없습니다. 다른 이름을 쓰세요.',
                f'The name "{name}" cannot be used in WITH. Use another name.',
            )

    def name_columns(self, tree: Any, tables: list[Table]) -> None:
        """Refuse names that no table of the query has; SQLite takes them for texts when they are in double quotes, as here."""
        from sqlglot import exp

        columns = {column.name for table in tables for column in table.columns}
        known = columns | set(_aliases(tree))
        folded = {fold(name): name for name in sorted(known)}
        shared = [each for join in tree.find_all(exp.Join) for each in join.args.get("using") or ()]
        for name in (each.name for each in shared if not isinstance(each, exp.Column)):
            if fold(name) not in folded:
                raise self._unknown_column(name, columns, tables)
        for node in list(tree.find_all(exp.Column)):
            name = node.name
            if isinstance(node.this, exp.Star) or isinstance(node.parent, exp.Collate) or name in known:
                continue
            if fold(name) in folded:
                if self._schema.dialect == "postgres":  # where names differ by case, and models forget the quotes
                    node.this.set("this", folded[fold(name)])
                continue
            if self._schema.dialect == "sqlite" and fold(name) in _ROW_IDS:
                continue
            is_condition = not isinstance(node.parent, exp.Select | exp.Alias | exp.Ordered | exp.Group)
            if self._schema.dialect == "sqlite" and node.meta.get("is_text") and is_condition:
                node.replace(exp.Literal.string(name))
                continue
            raise self._unknown_column(name, columns, tables)

    # --- the bounds -------------------------------------------------------------------------------------------------------

    def limit(self, tree: Any, most_rows: int) -> int | None:
        """Let the query return one row more than may be shown, so that it is known whether there are more."""
        from sqlglot import exp

        limit = tree.args.get("limit")
        asked = None
        if limit is not None:
            count = limit.args.get("count" if isinstance(limit, exp.Fetch) else "expression")
            options = limit.args.get("limit_options")
            is_plain = isinstance(count, exp.Literal) and count.name.isdecimal()
            if not is_plain or (options and (options.args.get("percent") or options.args.get("with_ties"))):
                raise failed(
                    self._language,
                    "LIMIT에는 0 이상의 정수만 쓸 수 있습니다. 예: LIMIT 10",
                    "LIMIT takes a whole number. Example: LIMIT 10",
                )
            asked = int(count.name)
        most = most_rows + 1 if asked is None else min(asked, most_rows + 1)
        tree.set("limit", exp.Limit(expression=exp.Literal.number(most)))
        return asked

    # --- what is said -----------------------------------------------------------------------------------------------------

    def _refused(self, what: str) -> ToolRefusedError:
        return ToolRefusedError(
            said(
                self._language,
                f"읽기 전용 도구입니다. SELECT 문 하나만 실행하며 {what or '그 밖의 문장'}은(는) 실행하지 않습니다.",
                f"This tool only reads: it runs one SELECT, and no {what or 'other statement'}.",
            )
        )

    def _unreadable(self, error: Exception) -> ToolFailedError:
        details = getattr(error, "errors", None) or [{}]
        near = "".join(str(details[0].get(part) or "") for part in ("start_context", "highlight"))[-40:]
        where = said(self._language, f' "{near}" 근처', f' near "{near}"') if near else ""
        return failed(
            self._language,
            f"SQL 문법 오류입니다{where} ({self._schema.dialect}). 고쳐서 다시 써 주세요.",
            f"This is not valid {self._schema.dialect} SQL{where}. Mend it and try again.",
        )

    def _unknown_form(self, what: str) -> ToolFailedError:
        return failed(
            self._language,
            f"쿼리에 쓸 수 없는 형태입니다: {what}. 일반적인 SELECT로 다시 써 주세요.",
            f"This form cannot be used in a query: {what}. Write it as a plain SELECT.",
        )

    def _unknown_function(self, name: str) -> ToolFailedError:
        names = nearest(name, sorted(self._functions.names))
        return failed(
            self._language,
            f"쓸 수 없는 함수입니다: {name} ({self._schema.dialect}).{meant('ko', names)}",
            f"This function cannot be used in {self._schema.dialect}: {name}.{meant('en', names)}",
        )

    def _unknown_table(self, name: str) -> ToolFailedError:
        names = self._schema.nearest(name) or [table.title for table in self._schema.tables[:10]]
        return failed(
            self._language,
            f'"{name}" 테이블은 없습니다.{meant("ko", names)}',
            f'There is no table "{name}".{meant("en", names)}',
        )

    def _unknown_column(self, name: str, columns: set[str], tables: list[Table]) -> ToolFailedError:
        listed = "; ".join(f"{t.title}({', '.join(column.name for column in t.columns[:40])})" for t in dict.fromkeys(tables[:4]))
        names = nearest(name, sorted(columns))
        return failed(
            self._language,
            f'"{name}" 열은 없습니다.{meant("ko", names)} 있는 열: {listed}',
            f'There is no column "{name}".{meant("en", names)} Columns: {listed}',
        )


def _sources(node: Any, names: frozenset[str], spelt: Callable[[str], str]) -> Iterator[Any]:
    """The tables that are none of the common table expressions in scope.

    Args:
        names: Of the common table expressions, as `spelt` makes them: names that the database takes for one are equal then.
    """
    from sqlglot import exp

    within = node.args.get("with_")
    for cte in within.expressions if within else ():
        own = names | {spelt(cte.alias)}
        sees_itself = within.args.get("recursive") and isinstance(cte.this, exp.SetOperation)
        yield from _sources(cte.this, own if sees_itself else names, spelt)
        names = own
    if isinstance(node, exp.Table) and (node.db or spelt(node.name) not in names):
        yield node
    for child in node.iter_expressions():
        if child is not within:
            yield from _sources(child, names, spelt)


def _tie(node: Any, table: Table, schema: Schema) -> None:
    """Name the table as the database does, and let it show the columns that may be read."""
    from sqlglot import exp

    written = node.name
    node.set("this", exp.to_identifier(table.name, quoted=True))
    node.set("db", exp.to_identifier(table.schema, quoted=True) if table.schema else None)
    if not node.alias and written != table.name:
        node.set("alias", exp.TableAlias(this=exp.to_identifier(written, quoted=True)))
    if not table.hides or _is_cut_off(node, table):
        return
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name, quoted=True))
    inner = exp.Table(this=node.this.copy(), db=node.args["db"].copy() if node.args.get("db") else None)
    shown = exp.Select(expressions=[exp.column(exp.to_identifier(column.name, quoted=True)) for column in table.columns])
    subquery = exp.Subquery(this=shown.from_(inner, copy=False), alias=alias.copy(), joins=node.args.get("joins"))
    node.replace(subquery)


def _is_cut_off(node: Any, table: Table) -> bool:
    """Whether this is already the inside of such a subquery: FROM the table alone, each column by its name."""
    from sqlglot import exp

    select = node.parent.parent if isinstance(node.parent, exp.From) else None
    if not isinstance(select, exp.Select) or {name for name, value in select.args.items() if value} != {"expressions", "from_"}:
        return False
    shown = [each.name for each in select.expressions if isinstance(each, exp.Column) and isinstance(each.this, exp.Identifier)]
    return shown == [column.name for column in table.columns] and len(shown) == len(select.expressions)


def _quote(tree: Any, schema: Schema) -> None:
    """Make every name a quoted one, as the database would read it without quotes."""
    from sqlglot import exp

    for node in tree.find_all(exp.Identifier):
        if not node.quoted:
            if schema.dialect == "postgres":
                node.set("this", fold(node.name))
            node.set("quoted", True)
        elif schema.dialect == "sqlite" and isinstance(node.parent, exp.Column) and not node.parent.table:
            node.parent.meta["is_text"] = True


def _aliases(tree: Any) -> Iterator[str]:
    """Names that the query itself gives to columns."""
    from sqlglot import exp

    for node in tree.find_all(exp.Alias, exp.TableAlias):
        if isinstance(node, exp.Alias):
            yield node.alias
        yield from (column.name for column in node.args.get("columns") or ())


def _compared(tree: Any) -> Iterator[tuple[str, str]]:
    from sqlglot import exp

    for node in tree.find_all(exp.EQ):
        sides = {type(side): side for side in (node.left, node.right)}
        if exp.Column in sides and exp.Literal in sides and sides[exp.Literal].is_string:
            yield sides[exp.Column].name, sides[exp.Literal].name


_AFFINITY = {"INT": "INTEGER", "TEXT": "TEXT", "CHAR": "TEXT", "BLOB": "BLOB", "BINARY": "BLOB", "FLOAT": "REAL", "DOUBLE": "REAL"}


def _keep_meaning(tree: Any, schema: Schema) -> None:
    """Say what `sqlglot` would say otherwise to SQLite, so that it means the same.

    It writes CAST(x AS DECIMAL) as a cast to REAL, CAST(x AS DATE) as a call of a function, and a comma as CROSS JOIN, which fixes
    the order of the loops. SQLite knows five types, found by parts of their names.

    Source:
        "Determination of column affinity", sqlite.org/datatype3.html.
    """
    from sqlglot import exp

    if schema.dialect != "sqlite":
        return
    for node in tree.find_all(exp.Cast):
        name = node.to.this.name
        node.set(
            "to",
            exp.DataType(this=exp.DataType.Type.USERDEFINED, kind=next((_AFFINITY[p] for p in _AFFINITY if p in name), "NUMERIC")),
        )
    for node in tree.find_all(exp.Join):
        if node.kind in ("", "CROSS") and not any(node.args.get(part) for part in ("on", "using", "side", "method")):
            node.set("kind", "INNER")


def _rendered(tree: Any, schema: Schema) -> str:
    """The text that is run: every name in quotes, no comment. SQLite takes "x" for a text if there is no such column, never `x`."""
    from sqlglot.dialects.dialect import Dialect

    dialect = Dialect.get_or_raise(schema.dialect)
    if schema.dialect == "sqlite":
        dialect.IDENTIFIER_START = dialect.IDENTIFIER_END = "`"
    return str(dialect.generate(tree, identify=True, comments=False))
