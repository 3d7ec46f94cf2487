"""Which question an `Idempotency-Key` stands for, so that a client that asks again is told the same and nothing is done twice.

Covered: a key belongs to its user; the same key with another request is refused; where its question stands in the log is
kept before the question is, so that after a crash at any point it is there once.
Not covered: the raw model, which keeps and changes nothing: it is asked again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sadari.agent.log.database import Database
from sadari.serve.faults import ApiError

LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question stands: behind event `after` of its run. `run` is "" while it has none."""

    run: str = ""
    after: int = 0


class Questions:
    """Places of questions by user and key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, user: str, key: str, digest: str) -> Place:
        """The place of the question with this key, an empty one if it is new.

        Args:
            digest: Of the request.

        Raises:
            ApiError: If the key is none, or was used for another request.
        """
        if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
            raise ApiError(400, f"Idempotency-Key: write 1 to {LONGEST_KEY} printable characters.", code="idempotency_error")
        values = {"user_id": user, "key": key, "digest": digest, "created": datetime.now(UTC).isoformat()}
        with self._database.writing(sync=True) as connection:
            connection.execute(_CLAIM, values)
            row = connection.execute(_FIND, values).fetchone()
        if row["digest"] != digest:
            told = "Idempotency-Key: this key was used for another request. Take a new one for each request."
            raise ApiError(422, told, code="idempotency_error")
        return Place(row["run"], row["after_event"])

    def keep(self, user: str, key: str, place: Place) -> None:
        """Note where the question is going to stand."""
        values = {"user_id": user, "key": key, "run": place.run, "after_event": place.after}
        with self._database.writing(sync=True) as connection:
            connection.execute(_KEEP, values)

    def forget(self, user: str) -> int:
        """Drop the keys of a user; how many it were."""
        with self._database.writing(sync=True) as connection:
            count: int = connection.execute("DELETE FROM serve_questions WHERE user_id = :user_id", {"user_id": user}).rowcount
        return count


_CLAIM = (
    "INSERT INTO serve_questions (user_id, key, digest, run, after_event, created) "
    "VALUES (:user_id, :key, :digest, '', 0, :created) ON CONFLICT (user_id, key) DO NOTHING"
)
_FIND = "SELECT digest, run, after_event FROM serve_questions WHERE user_id = :user_id AND key = :key"
_KEEP = "UPDATE serve_questions SET run = :run, after_event = :after_event WHERE user_id = :user_id AND key = :key"
