"""The default sandbox: Monty, an interpreter of a part of Python, in a worker process that is ended after each run.

Covered:
- The interpreter has no files, network, environment, processes, threads or foreign functions to reach: they do not exist in it.
- Time, memory, depth of calls and output are limited inside the worker; a worker that does not answer is killed, by its own limit
  of processor time if this process is gone.
- It is tried when the tool is opened: a worker that has modules or files to give is an error.
- No value comes back into this process, only printed text. Values are rebuilt here without a limit, so a list that holds itself
  twice, forty times over, would fill all memory; hence the code is run by `exec` inside, and nothing it returns is looked at.

Not covered:
- Errors of Monty itself. The worker runs as this user; where that is too much, `bubblewrap` has the operating system's walls.
"""

import re
import resource
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sadari.agent.tools.code.sandbox import Failure, Limits, Ran, Trouble
from sadari.errors import ConfigError

_DRIVER = "exec(source)\nNone"
_DEPTH = 400
_PROBE = """
refused = 0
try:
    import socket
except ImportError:
    refused += 1
try:
    open("/probe")
except PermissionError:
    refused += 1
print(refused)
"""
_TROUBLES: dict[str, Trouble] = {"TimeoutError": "time", "MemoryError": "memory"}


@dataclass(frozen=True, slots=True)
class MontySandbox:
    """Code in pydantic-monty. Made by `open_monty`, which tries it."""

    limits: Limits

    def run(self, code: str, now: datetime) -> Ran:
        """A syntax error is found before anything runs; the code is then tried as it was written."""
        shown = self._feed(_showing_last(code), now)
        if shown.failure and shown.failure.kind == "SyntaxError":
            return self._feed(code, now)
        return shown

    def _feed(self, code: str, now: datetime) -> Ran:
        monty = _imported()
        printed = monty.CollectString(max_bytes=4 * self.limits.output)
        try:
            with (
                monty.Monty(min_processes=1, max_processes=1) as pool,
                pool.checkout(limits=self._limits(), os_policy={"sleep": "zero", "datetime": now}) as session,
            ):
                _cap_processor(session.worker_pid, self.limits.seconds)
                session.feed_run(_DRIVER, inputs={"source": code}, print_callback=printed)
        except monty.MontyCrashedError as error:
            return Ran(printed.output, Failure("time" if error.timed_out else "died", message=str(error)))
        except monty.MontyError as error:
            return Ran(printed.output, self._failure(error))
        except OSError as error:
            raise ConfigError(f"tools: code: monty cannot start: {error}. Install pydantic-monty again.") from error
        if len(printed.output) > self.limits.output:
            return Ran(printed.output, Failure("output"))
        return Ran(printed.output)

    def _limits(self) -> dict[str, float]:
        return {
            "max_feed_duration_secs": self.limits.seconds,
            "max_memory": self.limits.memory,
            "max_recursion_depth": _DEPTH,
            "max_suspensions": 100,
        }

    def _failure(self, error: Any) -> Failure:
        kind, _, message = error.display("type-msg").partition(": ")
        line = next((frame.line for frame in reversed(error.traceback()) if frame.filename == "<string>"), 0)
        if found := re.search(r" ?\(?<string>, line (\d+)\)?$", message):
            line, message = int(found[1]), message[: found.start()]
        if kind == "MemoryError" and message.endswith(f"> {4 * self.limits.output} bytes"):
            return Failure("output")
        limit = re.match(r"feed time limit|memory limit|the worker exceeded", message)
        trouble = _TROUBLES.get(kind, "error") if limit else "error"
        return Failure(trouble, kind.rsplit(".", 1)[-1], message, line)


def open_monty(limits: Limits) -> MontySandbox:
    """The sandbox, after it has run a few lines and refused a module and a file.

    A worker can also be an embedded CPython, by the environment variable MONTY_BIN: that one is no sandbox.

    Raises:
        ConfigError: If it is not there, or lets through what it must not.
    """
    sandbox = MontySandbox(limits)
    tried = sandbox.run(_PROBE, datetime.now().astimezone())
    if tried.printed.strip() != "2":
        why = tried.failure.message if tried.failure else f"its probe printed {tried.printed[:200]!r}"
        raise ConfigError(f"tools: code: monty does not work here: {why}. Install pydantic-monty again, and unset MONTY_BIN.")
    return sandbox


def _cap_processor(worker: int | None, seconds: float) -> None:
    """A worker stuck in one long operation ends even if this process was killed and nobody waits for it."""
    if worker is not None and hasattr(resource, "prlimit"):  # Linux
        most = int(seconds) + 2
        with suppress(ProcessLookupError):
            resource.prlimit(worker, resource.RLIMIT_CPU, (most, most))


def _imported() -> Any:
    try:
        import pydantic_monty
    except ImportError as error:
        raise ConfigError("tools: code: monty needs the package pydantic-monty: pip install pydantic-monty") from error
    return pydantic_monty


def _showing_last(code: str) -> str:
    """The code with its last expression printed, as a notebook does; what this breaks is no expression.

    The last statement begins at the last line that begins at the margin with no bracket that closes. Lines keep their numbers.
    """
    lines = code.rstrip().split("\n")
    starts = [number for number, line in enumerate(lines) if line[:1].strip() and line[0] not in "#)]}"]
    if not starts:
        return code
    head, tail = lines[: starts[-1]], "\n".join(lines[starts[-1] :])
    return "\n".join([*head, f"__last = ({tail}", ")", "if __last is not None:", "    print(__last)"])
