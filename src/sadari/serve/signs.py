"""What the servers of a task say of themselves, to whoever changes what is served.

Covered: what a server that died left behind is seen as such, since the lock on its file ends with it.
Not covered: servers on machines that share the folder without locks.
"""

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sadari.serve.served import Choice

FOLDER = ".serving"
"""Where servers of a task say what they serve, in its folder."""

SIGN_BYTES, LONGEST_WHY = 4_096, 300
"""Of what a server says; a character of the reason takes up to 12 bytes in it."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What a server says of itself.

    Args:
        digest, version: Of the system that answers, and of its agent.
        candidate: Digest of the canary; "" for none.
        loading: Digest of the system that is being loaded; "" for none.
        failed: The last choice that could not be loaded, by its `key`, and `why`.
    """

    server: str
    digest: str
    version: str
    candidate: str = ""
    loading: str = ""
    failed: str = ""
    why: str = ""

    def has_answered(self, choice: Choice) -> bool:
        """Whether it serves or tries a system that was chosen, or could not load it."""
        return choice.digest in (self.digest, self.candidate) or self.failed == choice.key


class Signpost:
    """The file in which a server says what it serves; it is locked while the server lives."""

    def __init__(self, task: Path) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self._path = task / FOLDER / f"{self.name}.json"
        self._file: Any = None
        with suppress(OSError):  # a folder that cannot be written: it serves, and nobody is told
            self._path.parent.mkdir(exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, sign: Sign) -> None:
        """Say something else."""
        if self._file is not None:
            told = json.dumps(asdict(replace(sign, why=sign.why[:LONGEST_WHY])))
            os.pwrite(self._file.fileno(), told.ljust(SIGN_BYTES).encode(), 0)  # at once: nobody reads half of it

    def close(self) -> None:
        """Say nothing more."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def servers_of(task: Path) -> list[Sign]:
    """The servers that serve a task now; what those that died left behind is removed."""
    found = []
    for path in sorted((task / FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, TypeError), path.open("r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            except BlockingIOError:
                found.append(Sign(**json.loads(file.read())))
    return found


def wait_for(task: Path, choice: Choice, seconds: float) -> list[Sign]:
    """The servers of a task once each has taken over a system or said that it cannot, or when the time is over."""
    until = time.monotonic() + seconds
    while True:
        signs = servers_of(task)
        if all(sign.has_answered(choice) for sign in signs) or time.monotonic() > until:
            return signs
        time.sleep(0.1)
