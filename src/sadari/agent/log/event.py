"""One entry of the log, and the chain of hashes that shows when an entry was changed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "run.started",
    "run.asked",
    "run.waiting",
    "run.answered",
    "run.stopped",
    "run.failed",
    "run.cancelled",
    "run.erased",
    "agent.changed",
    "model.answered",
    "call.proposed",
    "call.ruled",
    "call.refused",
    "call.waiting",
    "call.approved",
    "call.denied",
    "call.expired",
    "call.started",
    "call.handed",
    "call.succeeded",
    "call.failed",
    "call.unknown",
    "call.settled",
    "answer.rated",
]
"""What may happen in a run."""

STATUS = {
    "run.started": "idle",
    "run.asked": "running",
    "run.waiting": "waiting",
    "run.answered": "idle",
    "run.stopped": "idle",
    "run.failed": "idle",
    "run.cancelled": "cancelled",
    "run.erased": "erased",
}
"""What a run is after each of its own events; events of calls change nothing."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Something that is to be logged; `body` is plain JSON."""

    kind: Kind
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Args:
        id: Place in the whole log, from 1, without gaps.
        run, seq: The run, and the place in it, from 1.
        time: UTC, ISO 8601.
        body: Plain JSON; None where it was erased.
        salt: Random, so that nobody finds an erased body by trying.
        content: Hash of salt and body.
        hash: Of all of it and of the hash of the event before in the whole log.
    """

    id: int
    run: str
    seq: int
    time: str
    kind: str
    body: Mapping[str, Any] | None
    salt: str
    content: str
    hash: str = ""

    def chained(self, previous: str) -> str:
        """What `hash` has to be behind an event with the hash `previous`; "" is before the first.

        SHA-256 of everything but the body itself, for which its own hash stands: an erased body breaks no chain.
        """
        parts = (str(self.id), self.run, str(self.seq), self.time, self.kind, self.content, previous)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same value is always the same text. Halves of a character pair become `?`."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="replace").decode()


def content_hash(salt: str, body: str) -> str:
    """SHA-256 of a body in canonical form."""
    return hashlib.sha256(f"{salt}\n{body}".encode()).hexdigest()
