"""The process killed at random lines of the agent's code, before, during and after effects: what is found afterwards is right.

A forked child runs the agent and kills itself at the n-th line it executes in `sadari/agent` or in a tool; another process goes on
from the log. The world is a file to which each effect adds a line.
"""

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import sadari.agent
from acting import Plain, Script, call
from sadari.agent.approval import approve, pending, settle
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.types import Caller, Traits

CODE = (str(Path(sadari.agent.__file__).parent), __file__)


class World:
    """What calls change: one line for each effect."""

    def __init__(self, folder: Path) -> None:
        self.file, self.log_file = folder / "world", folder / "log.sqlite"
        self.file.touch()

    def effect(self, name: str) -> Callable[..., str]:
        def change(n: int) -> str:
            before = "nothing has happened yet"
            with self.file.open("a") as world:
                world.write(f"{name}\n")
                world.flush()
                os.fsync(world.fileno())
            after = "it has happened, and nobody was told"
            return f"{name} 됨" if before and after else ""

        return change

    def happened(self) -> Counter[str]:
        return Counter(self.file.read_text().split())

    def loop(self) -> Loop:
        """The agent in a new process: its model says what follows from what it is shown."""
        tools = (
            Plain("look", self.effect("look"), Traits(is_trusted=True)),
            Plain("note", self.effect("note"), Traits("write", is_idempotent=True, needs_approval=False, is_trusted=True)),
            Plain("mail", self.effect("mail"), Traits("write", needs_approval=False, is_trusted=True)),
            Plain("pay", self.effect("pay"), Traits("irreversible", is_trusted=True)),
        )
        return Loop(Agent(Talks(), tools), Log(self.log_file))


class Talks(Script):
    """Looks and notes, then mails, then pays, then answers, by what stands in the conversation."""

    def reply(self, messages: Any, tools: Any, caller: Any) -> Any:
        asked = sum(bool(m.tool_calls) for m in messages)
        says = [[call("look", n=1), call("note", n=1)], [call("mail", n=1)], [call("pay", n=1)], "다 됐습니다."]
        self._says = [says[asked]]
        yield from super().reply(messages, tools, caller)


def act(world: World) -> None:
    """What a service does: go on with what is there, or begin; approve what waits; until there is an answer."""
    loop = world.loop()
    entries = loop.log.runs()
    run = entries[0].run if entries and entries[0].events > 1 else loop.ask("해 주세요", Caller("kim"))
    for _ in range(3):
        list(loop.advance(run))
        for asked in pending(loop.log, datetime.now().astimezone()):
            if asked.kind == "approval":
                approve(loop.log, run, asked.call, asked.fingerprint, "boss", now=datetime.now().astimezone())
            else:  # a person looks at the world
                settle(loop.log, run, asked.call, "boss", happened=world.happened()[asked.tool] > 0)


def die_at_line(n: int) -> Callable[[FrameType, str, Any], Any]:
    left = [n]

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(CODE):
            return None
        if event == "line":
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def in_child(work: Callable[[], None], n: int) -> bool:
    """Whether a child lived through `work` when it was to die at its n-th line."""
    import threading

    child = os.fork()
    if child == 0:
        trace = die_at_line(n)
        threading.settrace(trace)  # calls are made in threads of their own
        sys.settrace(trace)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def lines_of(tmp_path: Path) -> int:
    """How many lines a run that nobody disturbs executes, to within a tenth."""
    low, high = 100, 200_000
    while high - low > low // 10:
        middle = (low + high) // 2
        (tmp_path / str(middle)).mkdir()
        world = World(tmp_path / str(middle))
        low, high = (low, middle) if in_child(lambda world=world: act(world), middle) else (middle, high)  # type: ignore[misc]
    return high


def check(world: World, point: int) -> None:
    happened, log = world.happened(), Log(world.log_file)
    run = log.runs()[0].run
    events = [e for e in log.events(run) if e.body is not None and "id" in e.body]
    begun = Counter(e.body["id"] for e in events if e.kind == "call.started" and e.body is not None)
    undone = {e.body["id"] for e in events if e.kind == "call.failed" and e.body is not None}  # as a person found them
    state = world.loop().state(run)
    for call_id, name in [(c.id, c.name) for c in state.calls.values()]:
        times = happened[name]
        if name in ("mail", "pay"):
            assert times == (call_id not in undone), f"line {point}: {name} happened {times} times"
        assert 1 <= begun[call_id] >= times, f"line {point}: {name} happened {times} times, the log knows of {begun[call_id]}"
    assert [c.name for c in state.calls.values()] == ["look", "note", "mail", "pay"], f"line {point}"
    assert log.verify().faults == (), f"line {point}"
    assert state.answer is not None, f"line {point}"
    assert state.answer.text == "다 됐습니다.", f"line {point}"


def kill_at_random(folder: Path, points: int, seed: int) -> int:
    """How many of so many processes died, each recovered by one that may die too, and by a last one that does not."""
    drawn, lines, died = random.Random(seed), lines_of(folder), 0
    for i in range(points):
        (folder / f"run{i}").mkdir()
        world, point = World(folder / f"run{i}"), drawn.randrange(lines)
        died += not in_child(lambda world=world: act(world), point)  # type: ignore[misc]
        in_child(lambda world=world: act(world), drawn.randrange(lines))  # type: ignore[misc]
        act(world)
        check(world, point)
    return died


def test_killed_anywhere_no_effect_is_doubled_or_lost_and_the_run_ends_well(tmp_path: Path) -> None:
    assert kill_at_random(tmp_path, points=25, seed=0) > 20


@pytest.mark.slow
def test_killed_at_two_hundred_points_as_well(tmp_path: Path) -> None:
    assert kill_at_random(tmp_path, points=200, seed=1) > 160


def test_what_waits_for_a_person_waits_on_after_a_crash(tmp_path: Path) -> None:
    world = World(tmp_path)
    loop = world.loop()
    run = loop.ask("해 주세요", Caller("kim"))
    list(loop.advance(run))
    before = pending(loop.log, datetime.now().astimezone())
    in_child(lambda: list(world.loop().advance(run)) and None, 400)
    assert pending(Log(world.log_file), datetime.now().astimezone()) == before
    assert world.happened()["pay"] == 0
