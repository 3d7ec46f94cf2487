"""A grammar of the queries over one schema, to which a local model's answer can be held."""

import json
from collections.abc import Sequence

from sadari.agent.tools.sql.schema import Schema, Table, quoted

MOST_SINGLE = 40
"""Tables that have rules of their own. Beyond that, only the general rules, under which any column goes with any table."""

_HEAD = r"""
start: query (SETS query)*
SETS: " UNION " | " UNION ALL " | " EXCEPT " | " INTERSECT "
ALIAS: /T[1-9]/
NAME: /[a-z_가-힣][a-z0-9_가-힣]{0,30}/
STRING: /'([^'\n]|''){0,80}'/
NUMBER: /-?[0-9]{1,15}(\.[0-9]{1,6})?/
COUNT: /[0-9]{1,6}/
COMPARE: " = " | " <> " | " != " | " < " | " <= " | " > " | " >= "
MATH: " + " | " - " | " * " | " / " | " % "
sums: "COUNT" | "SUM" | "AVG" | "MIN" | "MAX"
literal: STRING | NUMBER
"""

_FAMILY = r"""
query_{s}: "SELECT " "DISTINCT "? item_{s} (", " item_{s})* " FROM " from_{s} rest_{s}
rest_{s}: (" WHERE " where_{s})? group_{s}? order_{s}? (" LIMIT " COUNT)?
group_{s}: " GROUP BY " value_{s} (", " value_{s})* (" HAVING " where_{s})?
order_{s}: " ORDER BY " key_{s} (", " key_{s})*
key_{s}: (value_{s} | NAME) (" ASC" | " DESC")?
item_{s}: star_{s} | value_{s} (" AS " NAME)?
value_{s}: term_{s} (MATH term_{s})*
term_{s}: column_{s} | literal | "COUNT" "(" "*" ")" | sums "(" "DISTINCT "? value_{s} ")" | call_{s} | "(" value_{s} ")" | case_{s}
call_{s}: FUNCTION "(" value_{s} (", " value_{s})* ")"
case_{s}: "CASE" (" WHEN " where_{s} " THEN " value_{s})+ (" ELSE " value_{s})? " END"
where_{s}: test_{s} ((" AND " | " OR ") test_{s})*
test_{s}: "NOT "? (value_{s} COMPARE (value_{s} | inner) | value_{s} " NOT"? likes_{s} | value_{s} " IS" " NOT"? " NULL")
        | "NOT "? "EXISTS" inner | "NOT "? "(" where_{s} ")"
likes_{s}: " LIKE " STRING | " BETWEEN " value_{s} " AND " value_{s} | " IN " (inner | "(" literal (", " literal)* ")")
"""

_FUNCTIONS = {
    "sqlite": "ROUND ABS LENGTH LOWER UPPER SUBSTR COALESCE IFNULL DATE STRFTIME",
    "postgres": "ROUND ABS LENGTH LOWER UPPER SUBSTR COALESCE DATE_TRUNC DATE_PART TO_CHAR",
    "mysql": "ROUND ABS CHAR_LENGTH LOWER UPPER SUBSTR COALESCE IFNULL DATE DATE_FORMAT YEAR MONTH",
    "duckdb": "ROUND ABS LENGTH LOWER UPPER SUBSTR COALESCE DATE_TRUNC DATE_PART STRFTIME YEAR MONTH",
}


def sql_grammar(schema: Schema) -> str:
    """A grammar in Lark's notation (for `types.Grammar`) of SELECTs over exactly these tables and columns.

    A query of one table has the columns of that table only; one that joins tables, under their names or T1 to T9, has those of all.
    Words are in capitals with single blanks between them. Set operations, subqueries in conditions, CASE and common functions are
    in; common table expressions, windows and subqueries in FROM are not. It keeps a model from names that are not there; what is
    run is still what the guard lets through.

    Raises:
        ValueError: If the schema has no table.
    """
    if not schema.tables:
        raise ValueError("the schema has no table: there is no query to write over it.")
    named = {table.title: _written(table, schema) for table in schema.tables}
    single = schema.tables if len(schema.tables) <= MOST_SINGLE else ()
    families = [f"{at}" for at in range(len(single))] + ["any"]
    rules = [_HEAD.strip("\n"), "FUNCTION: " + " | ".join(f'"{name}"' for name in _FUNCTIONS[schema.dialect].split())]
    rules += ["query: " + " | ".join(f"query_{family}" for family in families), 'inner: "(" query (SETS query)* ")"']
    for at, table in enumerate(single):
        own = named[table.title]
        rules += [_FAMILY.format(s=at).strip("\n"), f'from_{at}: {_either([own])} (" AS " ALIAS)?', f'star_{at}: "*"']
        rules.append(f'column_{at}: (({_either([own])} | ALIAS) ".")? ({_columns([table], schema)})')
    tables = _either(list(named.values()))
    rules += [
        _FAMILY.format(s="any").strip("\n"),
        f"table: {tables}",
        f'from_any: table (" AS " ALIAS)? joined_any{"+" if single else "*"}',
        'joined_any: (" JOIN " | " LEFT JOIN ") table (" AS " ALIAS)? " ON " same_any (" AND " same_any)*',
        'same_any: column_any " = " column_any',
        'star_any: ((ALIAS | table) ".")? "*"',
        f'column_any: ((ALIAS | table) ".")? ({_columns(schema.tables, schema)})',
    ]
    return "\n".join(rules) + "\n"


def _written(table: Table, schema: Schema) -> str:
    parts = (table.name,) if table.is_default else (table.schema, table.name)
    return ".".join(quoted(part, schema.dialect) for part in parts)


def _columns(tables: Sequence[Table], schema: Schema) -> str:
    return _either(list(dict.fromkeys(quoted(column.name, schema.dialect) for table in tables for column in table.columns)))


def _either(names: Sequence[str]) -> str:
    return " | ".join(json.dumps(name, ensure_ascii=False) for name in names)
