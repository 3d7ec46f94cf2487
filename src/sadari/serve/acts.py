"""What administrators did: kept beside the log, added to and never changed.

Covered: every change that an administrator makes over HTTP is kept with who, when, what and on whom; what is secret of it (a key, a
password) is not; nothing here changes or deletes an entry, and erasing a user leaves the entry that says so.
Not covered: who may write the database may change the table; what is done on the command line.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sadari.agent.log.database import Database


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that an administrator did.

    Args:
        time: UTC, ISO 8601.
        by: Who did it.
        act: What, as `key.make`.
        on: On whom or what.
        detail: Plain JSON without secrets.
    """

    time: str
    by: str
    act: str
    on: str
    detail: dict[str, Any]


class Acts:
    """The acts in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, by: str, act: str, on: str = "", **detail: Any) -> None:
        """Keep what was done; it is on the disk when this returns."""
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        told = json.dumps(detail, ensure_ascii=False, sort_keys=True)
        values = {"id": f"{time}-{secrets.token_hex(4)}", "time": time, "done_by": by, "act": act, "done_on": on, "detail": told}
        with self._database.writing(sync=True) as connection:
            connection.execute(_INSERT, values)

    def all(self, most: int = 200) -> list[Act]:
        """What was done, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM serve_acts ORDER BY id DESC LIMIT :most", {"most": most}).fetchall()
        return [Act(row["time"], row["done_by"], row["act"], row["done_on"], json.loads(row["detail"])) for row in rows]


_INSERT = "INSERT INTO serve_acts (id, time, done_by, act, done_on, detail) VALUES (:id, :time, :done_by, :act, :done_on, :detail)"
