"""BFCL and FunctionChat-Bench through the agent's own call path: the loop proposes, checks and makes each call of a recording tool.

    python benchmarks/tools/agent_calls.py                              # an oracle that says the gold: half a minute
    python benchmarks/tools/agent_calls.py --model mini --every 8       # and a model on every 8th row, held to the schemas and free

Prints tables on stderr, and one line of JSON: rows, and shares that are right, of those that need a call and those that need
none. A row is right if exactly the calls that were *made* are accepted by the benchmark's own rule; a call that the loop
refuses is not made. A model answers each question once, as the benchmarks have it; what it would say to the results is not
asked.

Not scored: `live_relevance` of BFCL, where any call counts and none is named; the 71 turns of FunctionChat's dialogues that tell a
result (`completion`), which need a judge. The loop shows a model what was said before, not earlier calls and their results.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.append(str(Path(__file__).parents[1] / "evidence"))

import bfcl
import functionchat
from rich.console import Console
from rich.table import Table

from sadari.acting import SystemResponder, opening
from sadari.agent.limits import Limits
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop, Reply
from sadari.answer import Answerer
from sadari.measure.scorers import ToolCallScorer
from sadari.model.load import load_model
from sadari.model.scripted import ScriptedModel
from sadari.prompt.compose import language_of
from sadari.types import (
    Answer,
    Caller,
    Decoding,
    Delta,
    Example,
    Generation,
    Message,
    Model,
    Outcome,
    Prompt,
    Request,
    System,
    ToolCall,
    ToolSpec,
    Traits,
)

ONE_ANSWER = Limits(steps=2, calls=64, tokens=1_000_000, seconds=1e6)
"""The second answer may make no calls, and is not asked for."""
AT_ONCE = 16
KINDS = ("call", "slot", "relevance")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Rows of one kind, and the rule they are scored by."""

    name: str
    kind: str
    rows: tuple[Example, ...]
    scorer: ToolCallScorer


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one row.

    Args:
        said: Calls that the model proposed.
        made: Those that the loop let through.
        is_right: Whether they are the right ones.
    """

    row: Example
    said: tuple[ToolCall, ...]
    made: tuple[ToolCall, ...]
    is_right: bool


Asked = tuple[Benchmark, Mapping[str, Sequence[Made]]]
"""A benchmark, and what became of its rows each way."""


@dataclass(frozen=True)
class Recorder:
    """A tool that does nothing but be called."""

    spec: ToolSpec

    @property
    def traits(self) -> Traits:
        return Traits(is_trusted=True)

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        return Outcome("ok")


class FirstAnswer(SystemResponder):
    """A system that is asked once; `said` holds the calls that it proposed, `error` why it said nothing."""

    def __init__(self, answerer: Answerer) -> None:
        super().__init__(answerer)
        self.said: tuple[ToolCall, ...] = ()
        self.error: str | None = None

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec], caller: Caller) -> Iterator[Delta | Reply]:
        """Its first answer; after that, nothing."""
        if not tools:
            yield Reply(Answer(""))
            return
        for piece in super().reply(messages, tools, caller):
            if isinstance(piece, Reply):
                self.said, self.error = piece.answer.tool_calls, piece.answer.error
            yield piece


@dataclass(frozen=True)
class Free:
    """A model whose calls are read as they come, not held to their schemas."""

    model: Model

    @property
    def name(self) -> str:
        return f"{self.model.name}, free"

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        return self.model.generate([replace(request, holds_calls=False) for request in requests])

    def count_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        return self.model.count_tokens(messages, tools)


def read_bfcl(data: Path) -> list[Benchmark]:
    """The categories of BFCL that can be scored."""
    scorer = ToolCallScorer(strings="lenient", numbers="typed")
    return [Benchmark("bfcl", name, bfcl.read_category(data / "bfcl", name), scorer) for name in bfcl.CATEGORIES]


def read_functionchat(data: Path) -> list[Benchmark]:
    """FunctionChat-Bench: single turns, and the turns of dialogues that call, ask back or decline."""
    loose = ToolCallScorer(strings="loose")
    single = functionchat.read_singlecalls(data / "ko-functionchat" / "singlecall.jsonl")
    dialog = functionchat.read_dialog(data / "ko-functionchat" / "dialog.jsonl")
    turns = {kind: tuple(example for example in dialog if example.tags == (kind,)) for kind in KINDS}
    dialogues = [Benchmark("functionchat", f"dialogue: {kind}", rows, loose) for kind, rows in turns.items()]
    return [Benchmark("functionchat", "one turn", single, loose), *dialogues]


def oracle(row: Example) -> Model:
    """A model that says the gold of a row."""
    return ScriptedModel(lambda request: row.reference.calls or "", "oracle")


def act(benchmark: Benchmark, model_of: Callable[[Example], Model], every: int = 1) -> list[Made]:
    """What is called for each `every`-th row; many rows at once, so that their requests share batches."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda row: _act(benchmark.scorer, row, model_of(row)), benchmark.rows[::every]))


def _act(scorer: ToolCallScorer, row: Example, model: Model) -> Made:
    told = "\n\n".join(m.content for m in row.messages if m.role == "system")
    system = System(model.name, prompt=Prompt(told), decoding=Decoding(max_new_tokens=256))
    responder = FirstAnswer(Answerer(system, model))
    made = _made(Agent(responder, tuple(map(Recorder, row.tools)), limits=ONE_ANSWER), row)
    is_right = (
        responder.error is None and scorer.score(row, Answer("", made)).value == 1
    )  # no call for a prompt too long is a failure
    return Made(row, responder.said, made, is_right)


def _made(agent: Agent, row: Example) -> tuple[ToolCall, ...]:
    """The calls that an agent makes to the last question of a row."""
    before, question = opening(row)
    log = Log("")
    loop = Loop(agent, log)
    try:
        run = loop.ask(question, Caller("benchmark", language=language_of(question)), said=before)
        list(loop.advance(run))
        return tuple(ToolCall(call.name, call.arguments) for call in loop.state(run).made_now() if call.attempts)
    finally:
        log.close()


def _share(made: Sequence[Made]) -> float:
    return fmean(one.is_right for one in made)


def main() -> int:
    """Run everything; the exit code is 0 unless something fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = Path(os.environ.get("SADARI_DATA", Path(__file__).parents[3] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=shared, help="folder that holds bfcl and ko-functionchat")
    parser.add_argument("--model", help="also ask a model: mini, a folder, or any name that `sadari` takes")
    parser.add_argument("--only", choices=("bfcl", "functionchat"), help="one of the two benchmarks")
    parser.add_argument("--every", type=int, default=1, help="ask the model every so many-th row")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no data at {options.data}: set SADARI_DATA to the folder that holds bfcl and ko-functionchat, or give --data.")
    readers = {"bfcl": read_bfcl, "functionchat": read_functionchat}
    benchmarks = [one for name, read in readers.items() if options.only in (None, name) for one in read(options.data)]
    ways: dict[str, tuple[Callable[[Example], Model], int]] = {"oracle": (oracle, 1)}
    if options.model:
        model = load_model(options.model)
        ways |= {"held": (lambda row: model, options.every), "free": (lambda row: Free(model), options.every)}
    asked = [(b, {way: act(b, model_of, every) for way, (model_of, every) in ways.items()}) for b in benchmarks]
    _show(asked, options.model or "")
    print(json.dumps(_figures(asked)))
    return 0


def _figures(asked: Sequence[Asked]) -> dict[str, float]:
    """Rows and shares by benchmark, way, and whether a call is right."""
    figures: dict[str, float] = {}
    for name in dict.fromkeys(benchmark.name for benchmark, _ in asked):
        for way in asked[0][1]:
            made = [one for benchmark, ways in asked if benchmark.name == name for one in ways[way]]
            for kind, needs in (("call", True), ("none", False)):
                rows = [one for one in made if bool(one.row.reference.calls) == needs]
                figures |= {f"{name}_{way}_{kind}_rows": len(rows), f"{name}_{way}_{kind}": round(_share(rows), 4)}
    return figures


def _show(asked: Sequence[Asked], model: str) -> None:
    table = Table("benchmark", "kind", "rows", "oracle", title="share of rows whose calls are right", title_justify="left")
    if model:
        for column in ("asked", "held", "free", "held: says a call", "free: says a call", "held: refused", "free: refused"):
            table.add_column(column)
    for benchmark, ways in asked:
        row = [benchmark.name, benchmark.kind, str(len(ways["oracle"])), f"{_share(ways['oracle']):.1%}"]
        if model:
            pair = ways["held"], ways["free"]
            shares = [f"{_share(way):.1%}" for way in pair] + [f"{fmean(bool(one.said) for one in way):.0%}" for way in pair]
            row += [str(len(pair[0])), *shares, *(f"{fmean(len(one.made) < len(one.said) for one in way):.0%}" for way in pair)]
        table.add_row(*row)
    console = Console(width=132, stderr=True, highlight=False)
    console.print(table)
    for benchmark, ways in asked:
        for one in ways["oracle"]:
            if not one.is_right:
                why = "the gold breaks the tool's own schema" if len(one.made) < len(one.said) else "no answer is right by the rule"
                console.print(f"{benchmark.name} {one.row.id}: {why}")


if __name__ == "__main__":
    raise SystemExit(main())
