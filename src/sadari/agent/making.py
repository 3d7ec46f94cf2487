"""Making a call: in a thread of its own, with a time limit, repeated only where that does no harm."""

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from sadari.agent.teaching import cut_to, say
from sadari.errors import ToolFailedError, ToolRefusedError
from sadari.types import Caller, Outcome, Tool


@dataclass(frozen=True, slots=True)
class Made:
    """How a call ended.

    Args:
        end: "unknown" if it may have changed something and nobody saw its end.
        outcome: What the model is shown, cut to size; its text says why where the call failed.
        reason: For people: what broke, with the error's own words.
    """

    end: Literal["succeeded", "failed", "unknown"]
    outcome: Outcome
    reason: str = ""


class Making:
    """A call under way. It is begun at once; `wait` gives its end.

    A thread cannot be killed: a call that does not end in time goes on in the background and is not listened to any more. Tools
    whose work can hang hold their own limits and kill what they started.
    """

    def __init__(self, tool: Tool, arguments: Mapping[str, Any], caller: Caller) -> None:
        self._tool, self._arguments, self._caller = tool, arguments, caller
        self._left = tool.traits.retries if tool.traits.may_repeat else 0
        self._begin()

    def _begin(self) -> None:
        self._ends_at = time.monotonic() + self._tool.traits.timeout_s
        self._end: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        _in_thread(partial(self._run, self._end))

    def _run(self, end: "queue.SimpleQueue[Outcome | BaseException]") -> None:
        try:
            end.put(self._tool.call(self._arguments, self._caller))
        except BaseException as error:  # whatever it is, the loop has to hear of it
            end.put(error)

    def wait(self) -> Made:
        """The end of the call, or of the last of its repetitions."""
        while True:
            made, may_pass = self._await_end()
            if not (may_pass and self._left):
                return made
            self._left -= 1
            self._begin()

    def _await_end(self) -> tuple[Made, bool]:
        """How this attempt ended, and whether another one may end better."""
        traits, language = self._tool.traits, self._caller.language
        try:
            end = self._end.get(timeout=max(0.0, self._ends_at - time.monotonic()))
        except queue.Empty:
            late = Outcome(say("timeout", language, seconds=traits.timeout_s))
            # Its attempt still runs: what changes something is not begun beside it, and may yet take effect.
            is_read = traits.effect == "read"
            return Made("failed" if is_read else "unknown", late, f"no end within {traits.timeout_s:g} s"), is_read
        if isinstance(end, Outcome) and isinstance(end.text, str):
            return Made("succeeded", replace(end, text=cut_to(end.text, traits.max_chars, language))), False
        if isinstance(end, ToolFailedError):
            return Made("failed", Outcome(cut_to(str(end), traits.max_chars, language))), False
        if isinstance(end, ToolRefusedError):
            return Made("failed", Outcome(say("refused", language, reason=end)), str(end)), False
        broken = Outcome(say("broken", language, kind=type(end).__name__))
        # A write that broke may have taken effect before it did.
        return Made("failed" if traits.effect == "read" else "unknown", broken, f"{type(end).__name__}: {end}"[:500]), True


MOST_FREE = 16
"""Threads that are kept for the next call; to begin one takes as long as a write of the log."""

_Jobs = queue.SimpleQueue[Callable[[], None]]
_free: list[_Jobs] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free.clear)  # threads do not come along


def _in_thread(job: Callable[[], None]) -> None:
    """Do it in a thread that is free, or in a new one."""
    try:
        jobs = _free.pop()
    except IndexError:
        jobs = queue.SimpleQueue()
        threading.Thread(target=_work, args=(jobs,), name="tool", daemon=True).start()
    jobs.put(job)


def _work(jobs: _Jobs) -> None:
    while True:
        jobs.get()()
        if len(_free) >= MOST_FREE:
            return
        _free.append(jobs)
