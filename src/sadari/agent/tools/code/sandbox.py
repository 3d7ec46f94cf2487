"""The seam of sandboxes: code in, what it printed or how it failed out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Trouble = Literal["error", "time", "memory", "output", "died"]
"""An exception of the code; a limit of time, memory or output; or the end of the sandbox itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use.

    Args:
        seconds: Of the clock and of the processor.
        memory: Bytes.
        output: Characters printed.
        disk: Bytes of files, where there are any.
    """

    seconds: float
    memory: int
    output: int
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why code did not end well.

    Args:
        kind: The name of the exception, for an "error": "ZeroDivisionError".
        message: What the exception says.
        line: Of the model's code, from 1; 0 if nobody knows.
    """

    trouble: Trouble
    kind: str = ""
    message: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of code gave: all that it printed, the value of its last expression included."""

    printed: str
    failure: Failure | None = None


class Sandbox(Protocol):
    """Where model's code runs, away from everything. It may be used by several threads at once."""

    def run(self, code: str, now: datetime) -> Ran:
        """Run `code` in a fresh interpreter, whose clock stands at `now` or runs in its zone.

        Raises:
            ConfigError: If the sandbox is not there (any more).
        """
        ...
