"""Databases, spreadsheets and CSV files that a model asks by SQL, and cannot change."""

from sadari.agent.tools.sql.grammar import sql_grammar
from sadari.agent.tools.sql.guard import Guarded, guard
from sadari.agent.tools.sql.schema import Column, Schema, Table
from sadari.agent.tools.sql.tables import TableOptions, open_table
from sadari.agent.tools.sql.tool import QueryTool, SqlOptions, TablesTool, open_sql

__all__ = [
    "Column",
    "Guarded",
    "QueryTool",
    "Schema",
    "SqlOptions",
    "Table",
    "TableOptions",
    "TablesTool",
    "guard",
    "open_sql",
    "open_table",
    "sql_grammar",
]
