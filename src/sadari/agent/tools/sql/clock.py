"""What time it is in a query: that of the request, in the time zone of who asks.

Not covered: clocks that are read without being named in the query, such as PostgreSQL's age(x) and CAST('today' AS DATE).
"""

from datetime import UTC, datetime
from typing import Any

from sadari.agent.tools.sql.schema import Dialect


def set_clock(tree: Any, dialect: Dialect, now: datetime) -> None:
    """Let "now" be the time of the request: the server may stand in another zone, and tests have their own day."""
    from sqlglot import exp

    day, moment = now.strftime("%Y-%m-%d"), now.strftime("%Y-%m-%d %H:%M:%S")
    if dialect == "sqlite":
        _set_sqlite_clock(tree, now)
    is_zoned = dialect == "postgres"
    stamp = (now.isoformat(sep=" ", timespec="seconds"), "TIMESTAMPTZ") if is_zoned else (moment, "TIMESTAMP")
    for node in list(tree.walk()):
        kind = node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__
        plain: tuple[str, str] | None = None
        if kind in ("CurrentDate", "today"):
            plain = (day, "DATE")
        elif kind in ("CurrentTimestamp", "now"):
            plain = stamp
        elif kind in ("Localtimestamp", "LocalTimestamp"):
            plain = (moment, "TIMESTAMP")
        elif kind in ("CurrentTime", "curtime"):
            plain = (now.strftime("%H:%M:%S"), "TIME")
        if plain is None:
            continue
        literal = exp.Literal.string(plain[0])
        node.replace(literal if dialect == "sqlite" else exp.cast(literal, plain[1], dialect=dialect))


def _set_sqlite_clock(tree: Any, now: datetime) -> None:
    """Put the caller's time for 'now' in SQLite's functions of time; seconds since 1970 are counted in UTC."""
    from sqlglot import exp

    moment, universal = now.strftime("%Y-%m-%d %H:%M:%S"), now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    names = ("date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff")
    calls = [n for n in tree.find_all(exp.Func) if type(n).__name__ in ("Date", "TimeToStr") or n.name.lower() in names]
    for call in calls:
        texts = [text for text in call.find_all(exp.Literal) if text.is_string]
        counts = call.name.lower() == "unixepoch" or any("%s" in text.name for text in texts)
        meant_now = [text for text in texts if text.name.strip().lower() == "now"]
        for text in meant_now:
            text.set("this", universal if counts else moment)
        if meant_now:  # what stands there is local already
            for text in texts:
                if text.name.strip().lower() == "localtime":
                    text.pop()
        is_bare = not call.expressions if isinstance(call, exp.Anonymous) else not any(call.args.values())
        if is_bare:  # date() is date('now')
            literal = exp.Literal.string(universal if counts else moment)
            call.set(
                "expressions" if isinstance(call, exp.Anonymous) else "this",
                [literal] if isinstance(call, exp.Anonymous) else literal,
            )
