"""The agent's process killed at random lines of its code, again and again, and what is found afterwards counted.

    python benchmarks/safety/crashes.py [--points N]

The world, the agent and the killing are those of `tests/agent/test_crash.py`: one look, one repeatable note, one mail, one payment
that a person approves. Each point is a process that dies at a random line, another that goes on from the log and may die too, and a
last one that goes on to the end. Prints JSON: `crash_points`, `died`, and of all points together `effects_repeated` (beyond once,
of the mail and the payment), `effects_lost` (the log does not know of an effect, or tells of one that was not), `approvals_lost`
(what waited for a person before the crash and not after it) and `runs_lost` (not answered in the end).
"""

import argparse
import json
import random
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from attacks import load_test

from sadari.agent.approval import pending
from sadari.agent.log import Log

ONCE = ("mail", "pay")
"""What may not happen twice; a look and an idempotent note may."""
SETTLED = ("call.approved", "call.denied", "call.expired", "call.refused")


@dataclass
class Crashes:
    """What was found after so many crashes."""

    crash_points: int
    died: int = 0
    effects_repeated: int = 0
    effects_lost: int = 0
    approvals_lost: int = 0
    runs_lost: int = 0


def kill(points: int, seed: int = 2) -> Crashes:
    """The findings of `points` crashes, drawn with `seed`."""
    tests = load_test("agent/test_crash.py")
    found, drawn = Crashes(points), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = tests.lines_of(folder)
        for at in range(points):
            (folder / f"run{at}").mkdir()
            _kill_once(tests, tests.World(folder / f"run{at}"), (drawn.randrange(lines), drawn.randrange(lines)), found)
    return found


def _kill_once(tests: ModuleType, world: Any, at: tuple[int, int], found: Crashes) -> None:
    for line in at:
        found.died += not tests.in_child(lambda: tests.act(world), line)
        found.approvals_lost += _approvals_lost(world)
    tests.act(world)
    _count_effects(world, found)


def _approvals_lost(world: Any) -> int:
    """Requests for approval that stand undecided in the log and are no longer asked of anybody."""
    log, waiting = Log(world.log_file), set()
    for entry in log.runs():
        for event in log.events(entry.run):
            if event.kind == "call.waiting" and event.body is not None:
                waiting.add((entry.run, event.body["id"]))
            elif event.kind in SETTLED and event.body is not None:
                waiting.discard((entry.run, event.body["id"]))
    asked = {(one.run, one.call) for one in pending(log, datetime.now().astimezone()) if one.kind == "approval"}
    log.close()
    return len(waiting - asked)


def _count_effects(world: Any, found: Crashes) -> None:
    happened, log = world.happened(), Log(world.log_file)
    run = log.runs()[0].run
    begun: Counter[str] = Counter(e.body["id"] for e in log.events(run) if e.kind == "call.started" and e.body is not None)
    undone = {e.body["id"] for e in log.events(run) if e.kind == "call.failed" and e.body is not None}  # as a person found
    state = world.loop().state(run)
    calls = {call.name: call.id for call in state.calls.values()}
    for name in ONCE:
        found.effects_repeated += max(0, happened[name] - 1)
        found.effects_lost += (happened[name] > 0) != (name in calls and calls[name] not in undone)
    found.effects_lost += sum(happened[name] > begun[calls.get(name, "")] for name in happened)
    found.runs_lost += state.answer is None or log.verify().faults != ()
    log.close()


def main() -> None:
    """Kill, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=200, help="how many crashes")
    print(json.dumps(asdict(kill(parser.parse_args().points))))


if __name__ == "__main__":
    main()
