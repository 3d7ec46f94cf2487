"""What a query may be made of: kinds of nodes for all databases, functions for each.

Functions are listed as they are spelt; the classes under which `sqlglot` knows them are found by asking its parser. Nothing is
listed that reads files, the network, the settings or other sessions, that waits, writes, runs SQL given as text, or makes much out
of little (repeat, lpad, generate_series, randomblob).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sadari.agent.tools.sql.schema import Dialect


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_QUERY = """
    Select From Join Where Group Having Order Ordered Limit Fetch LimitOptions Offset Distinct Subquery Union Except Intersect
    With CTE Table TableAlias Values Lateral Qualify Rollup Cube GroupingSets
"""
_VALUES = """
    Alias Column Identifier Star Literal Null Boolean HexString Var Tuple Paren Array Bracket Slice Interval DataType
    DataTypeParam
"""
_OPERATORS = """
    And Or Xor Not EQ NEQ NullSafeEQ NullSafeNEQ GT GTE LT LTE Is In Between Like ILike Escape Glob RegexpLike RegexpILike
    SimilarTo Exists Any All Add Sub Mul Div IntDiv Mod Neg DPipe BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitwiseLeftShift
    BitwiseRightShift Collate AtTimeZone Case If Cast TryCast
"""
_WINDOWS_AND_JSON = """
    Window WindowSpec Filter WithinGroup IgnoreNulls RespectNulls
    Extract JSONExtract JSONExtractScalar JSONBExtract JSONBExtractScalar JSONPath JSONPathRoot JSONPathKey JSONPathSubscript
    JSONKeyValue ArrayContainsAll ArrayContainedBy
"""
NODES = _words(_QUERY + _VALUES + _OPERATORS + _WINDOWS_AND_JSON)

_SET_OPERATION = _words("with_ this expression distinct order limit offset")
ARGUMENTS: dict[str, frozenset[str]] = {
    "Select": _words("with_ expressions distinct from_ joins where group having windows qualify order limit offset"),
    "Union": _SET_OPERATION,
    "Except": _SET_OPERATION,
    "Intersect": _SET_OPERATION,
    "Subquery": _words("this alias joins with_"),
    "Table": _words("this db alias joins"),
    "Join": _words("this on side kind using method"),
    "Lateral": _words("this alias"),
    "Limit": _words("expression"),
    "Cast": _words("to this"),
    "TryCast": _words("to this safe"),
}
"""What may stand in the nodes that can hold more than they show; in others, whatever is made of allowed nodes."""

WRITES = _words(
    """
    Insert Update Delete Merge Create Drop Alter TruncateTable Command Into Copy Attach Detach Pragma Set Use Commit Rollback
    Transaction Kill Grant Revoke LoadData Install Analyze Describe Show Summarize Refresh Cache Comment Execute Lock
    """
)
"""What no rewording makes a query of."""

TYPES = _words(
    """
    BOOLEAN BIT TINYINT UTINYINT SMALLINT USMALLINT MEDIUMINT UMEDIUMINT INT UINT BIGINT UBIGINT INT128 UINT128 FLOAT DOUBLE
    DECIMAL UDECIMAL MONEY CHAR NCHAR VARCHAR NVARCHAR TEXT TINYTEXT MEDIUMTEXT LONGTEXT DATE DATETIME DATETIME2 TIME TIMETZ
    TIMESTAMP TIMESTAMPTZ TIMESTAMPLTZ TIMESTAMPNTZ INTERVAL YEAR JSON JSONB UUID BLOB BINARY VARBINARY ARRAY
    """
)
"""Types of CAST: those whose reading of a text looks at nothing but the text."""

_COMMON = """
    abs avg ceil ceiling coalesce count exp floor ln log lower ltrim max min nullif power pow replace round rtrim
    sign sqrt substr substring sum trim upper length row_number rank dense_rank percent_rank cume_dist ntile lag lead
    first_value last_value nth_value concat concat_ws acos asin atan atan2 cos sin tan cot degrees radians pi log10 log2 trunc
    octet_length
    """
_STATISTICS = """
    stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp regr_slope regr_intercept regr_r2
    bit_and bit_or
    """
_FUNCTIONS: dict[Dialect, str] = {
    "sqlite": _COMMON
    + """
    char current_date current_time current_timestamp date datetime format glob group_concat hex if ifnull iif instr
    json json_array json_array_length json_extract json_group_array json_group_object json_object json_quote json_type
    json_valid julianday like likely printf quote random strftime string_agg time timediff total typeof unicode unixepoch
    unlikely
    """,
    "postgres": _COMMON
    + _STATISTICS
    + """
    age any_value array_agg array_length array_position array_to_string ascii bool_and bool_or btrim cardinality cbrt
    char_length character_length chr current_date current_timestamp date_bin date_part date_trunc div every extract gcd
    greatest grouping initcap isfinite json_agg json_array_length json_build_object json_extract_path_text json_object_agg
    json_typeof jsonb_agg jsonb_array_length jsonb_build_object jsonb_extract_path_text jsonb_object_agg jsonb_typeof
    justify_days justify_hours lcm least left localtimestamp make_date make_interval make_timestamp md5 mod mode now num_nonnulls
    num_nulls overlay percentile_cont percentile_disc position random regexp_count regexp_match regexp_replace regexp_substr
    reverse right scale split_part starts_with string_agg strpos to_char to_date to_number to_timestamp translate width_bucket
    """,
    "mysql": _COMMON
    + """
    adddate addtime any_value ascii bit_and bit_or char_length character_length conv crc32 curdate current_date current_time
    current_timestamp curtime date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear elt
    extract field find_in_set format from_days from_unixtime get_format greatest group_concat grouping hex hour if ifnull
    instr interval isnull json_array json_arrayagg json_contains json_extract json_length json_object json_objectagg json_type
    json_unquote json_valid last_day lcase least left locate makedate maketime md5 microsecond mid minute mod month monthname now
    oct ord period_add period_diff position quarter rand regexp_instr regexp_like regexp_replace regexp_substr reverse right
    sec_to_time second sha1 sha2 std stddev stddev_pop stddev_samp str_to_date strcmp subdate substring_index subtime time
    time_format time_to_sec timediff timestamp timestampadd timestampdiff to_days truncate ucase unix_timestamp var_pop
    var_samp variance week weekday weekofyear year yearweek
    """,
    "duckdb": _COMMON
    + _STATISTICS
    + """
    age any_value arg_max arg_min array_agg array_length array_to_string ascii bool_and bool_or chr contains current_date
    current_timestamp date_add date_diff date_part date_sub date_trunc datediff datepart datetrunc day dayname dayofmonth
    dayofweek dayofyear ends_with epoch extract favg first format_bytes fsum geomean greatest group_concat grouping hash hour
    if ifnull instr isfinite isinf isnan isoyear jaccard jaro_similarity json_array_length json_extract
    json_extract_string json_type json_valid kurtosis last last_day least left len levenshtein list list_aggregate
    list_contains list_distinct list_sort list_sum listagg mad make_date make_timestamp max_by md5 median min_by minute mod mode
    month monthname now position prefix product quantile quantile_cont quantile_disc quarter random regexp_extract
    regexp_full_match regexp_matches regexp_replace reverse right second sem skewness split_part starts_with strftime
    string_agg string_split strip_accents strlen strpos strptime suffix to_timestamp today translate try_strptime
    typeof unicode week weekday weekofyear year yearweek
    """,
}


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions that may be called in one dialect.

    Args:
        names: As they are spelt, in small letters.
        classes: Names of the classes of `sqlglot` for those it knows.
    """

    names: frozenset[str]
    classes: frozenset[str]


@cache
def functions_of(dialect: Dialect) -> Functions:
    """The functions that may be called in a dialect; found once, in less than half a second."""
    names = _words(_FUNCTIONS[dialect])
    return Functions(names, frozenset(found for name in names for form in _FORMS for found in _classes(f"{name}{form}", dialect)))


_FORMS = ("", "()", "(a)", "(a, b)", "(a, b, c)", "('a', b)", "(a, INTERVAL 1 DAY)")


def _classes(call: str, dialect: Dialect) -> Iterator[str]:
    """The classes of what the parser makes of a call; none if it is none."""
    import sqlglot
    from sqlglot import exp

    try:
        tree: Any = sqlglot.parse_one(f"SELECT {call}", read=dialect)
    except Exception:  # the parser itself stumbles over some, not only with its own errors
        return
    for node in tree.walk():
        if isinstance(node, exp.Func) and not isinstance(node, exp.Anonymous):
            yield type(node).__name__
