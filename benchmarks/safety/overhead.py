"""What the loop itself takes: a model that answers at once, a tool that does nothing, the log on SQLite.

    python benchmarks/safety/overhead.py

Prints one line of JSON: milliseconds of a step (an answer of the model with one call, and that call) at p50 and p95, for calls that
read and for calls that change something, which wait for the disk twice.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from sadari.agent.limits import Limits
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop, Reply
from sadari.types import Answer, Caller, Delta, Message, Outcome, ToolCall, ToolSpec, Traits

STEPS, QUESTIONS = 10, 40


class Counts:
    """A model that makes another call each time."""

    version = "counts"

    def __init__(self) -> None:
        self.asked: list[float] = []

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec], caller: Caller) -> Iterator[Delta | Reply]:
        self.asked.append(time.perf_counter())
        yield Reply(Answer("", (ToolCall("t", {"n": len(self.asked)}),)) if tools else Answer("done"))


@dataclass(frozen=True)
class Nothing:
    """A tool that does nothing."""

    traits: Traits

    @property
    def spec(self) -> ToolSpec:
        fields = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
        return ToolSpec("t", "Nothing.", fields)

    def call(self, arguments: Any, caller: Caller) -> Outcome:
        return Outcome("done")


def measure(traits: Traits, folder: Path) -> list[float]:
    """Milliseconds of each step."""
    script, took = Counts(), []
    limits = Limits(steps=STEPS + 1, calls=STEPS + 1)
    loop = Loop(Agent(script, (Nothing(traits),), limits=limits), Log(folder / f"{traits.effect}.sqlite"))
    for _ in range(QUESTIONS):
        script.asked.clear()
        loop.answer("?", Caller("kim"))
        took += [1000 * (b - a) for a, b in zip(script.asked, script.asked[1:], strict=False)]
    return took


def figures() -> dict[str, float]:
    """Milliseconds of both kinds of step, at p50 and p95."""
    told: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, traits in (
            ("step", Traits(is_trusted=True)),
            ("write_step", Traits("write", needs_approval=False, is_trusted=True)),
        ):
            cuts = quantiles(measure(traits, Path(folder)), n=100)
            told |= {f"{name}_p50_ms": round(cuts[49], 2), f"{name}_p95_ms": round(cuts[94], 2)}
    return told


if __name__ == "__main__":
    print(json.dumps(figures()))
