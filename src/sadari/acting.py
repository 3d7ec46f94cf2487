"""A System that acts: the loop around it, and the rehearsal in which it is measured.

In a rehearsal nothing outside changes. A call that the example records gives what it gave then; a call that would change something
gives only that it was accepted; everything else that reads is really asked.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sadari.agent.approval import approve, pending
from sadari.agent.config import Toolbox
from sadari.agent.filters import open_filters
from sadari.agent.judge import Judge, JudgeOptions, check_descriptions
from sadari.agent.log import Log
from sadari.agent.log.event import canonical
from sadari.agent.loop import Agent, Loop, Reply, Responder
from sadari.agent.memory import Memory, Remembering, memory_tools
from sadari.agent.policy import LogHistory, Policy, check
from sadari.agent.team import SpecialistConfig, calls_below, open_team
from sadari.agent.tools import close_tools, open_tools
from sadari.agent.tools.mcp import McpTool
from sadari.agent.tools.place import Place
from sadari.answer import Answerer, Engine
from sadari.bundle import digest
from sadari.errors import SadariError
from sadari.files import read_json
from sadari.prompt.compose import language_of
from sadari.retrieve.library import open_library
from sadari.types import (
    Answer,
    Caller,
    Delta,
    Example,
    Message,
    Model,
    Outcome,
    Retrieval,
    System,
    Tool,
    ToolCall,
    ToolSpec,
    Traits,
)

AT_ONCE = 16
"""Examples that are rehearsed side by side, so that their requests share batches."""


class SystemResponder:
    """A `Responder`: a System with its model."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self.version = digest(answerer.system)

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolSpec], caller: Caller) -> Iterator[Delta | Reply]:
        """Its answer, with the passages that it was shown searched as the caller may."""
        example = Example("turn", tuple(messages), tools=tuple(tools))
        looks_up = self._answerer.system.retrieval is not None
        for piece in self._answerer.stream(example, caller.reader, may_call=bool(tools)):
            yield Reply(piece, is_tainted=looks_up) if isinstance(piece, Answer) else piece


Speak = Callable[[SpecialistConfig], Responder]
Through = Callable[[Tool], Tool]


@dataclass(frozen=True, slots=True)
class Acting:
    """A system with its tools open, before it is put on a log.

    Args:
        model: What it speaks with.
        judge: The model that is asked about calls; None leaves the fixed rules.
        speak: Makes what speaks for a specialist of its team.
    """

    responder: Responder
    tools: tuple[Tool, ...]
    box: Toolbox
    model: Model
    judge: Model | None
    speak: Speak

    def on(self, log: Log, through: Through = lambda tool: tool) -> Agent:
        """The agent, whose policy counts what `log` holds, and which remembers in the same database.

        Args:
            through: What every tool is put through.

        Raises:
            ConfigError: If a rule or a specialist names a tool or an argument that is not there.
        """
        config, language = self.box.agent, self.box.language
        check_descriptions(self.tools)
        strangers = [tool.spec.name for tool in self.tools if isinstance(tool, McpTool)]
        policy = Policy(config.policy, LogHistory(log), strangers=strangers)
        guards = (policy, Judge(self.judge, config.judge or JudgeOptions()))
        filters = tuple(open_filters(config.filters, os.environ))
        responder, tools = self.responder, tuple(through(tool) for tool in self.tools)
        if config.memory is not None:
            memory = Memory(log.url, config.memory)
            tools = (*tools, *memory_tools(memory, log, language))
            responder = Remembering(responder, memory, self.model.count_tokens, self.model)
        alike = Agent(responder, (), guards, filters, config.limits, config.four_eyes)
        own = open_team(config.team, tools, self.speak, like=alike, language=language)
        check(config.policy, [*tools, *(tool for tool in own if tool not in tools)])
        return replace(alike, tools=own)


class ActingEngine(Engine):
    """An `Engine` that answers for systems with tools through the loop, in rehearsal."""

    def __init__(self, load: Callable[[System], Model]) -> None:
        super().__init__(load)
        self._opened: dict[Path, tuple[Tool, ...]] = {}

    def acting(self, system: System, model: Model | None = None) -> Acting:
        """The system with its tools open; `close` lets go of what they hold.

        Args:
            model: What it speaks with; None loads its own.

        Raises:
            ConfigError: If a tool cannot be opened.
        """
        box, answerer = _read_toolbox(system.toolbox), Answerer(system, model) if model else self.answerer(system)
        asked = box.agent.judge
        judged_by = System(asked.model, base_url=asked.base_url) if asked is not None and asked.model else system
        judge = None if asked is None else self.model(judged_by)

        def speak(specialist: SpecialistConfig) -> Responder:
            prompt = replace(system.prompt, instruction=specialist.goal)
            spoken_by = system.with_(prompt=prompt)
            return SystemResponder(self.answerer(spoken_by.with_(model=specialist.model) if specialist.model else spoken_by))

        tools = self.tools(system)
        return Acting(SystemResponder(answerer), tools, box, answerer.model, judge, speak)

    def answer(self, system: System, examples: Sequence[Example]) -> tuple[list[Answer], float]:
        """Answers, and the wall seconds they took, the loading of the model and the opening of tools not counted."""
        if system.toolbox is None:
            return super().answer(system, examples)
        acting = self.acting(system)
        started = time.perf_counter()
        answers = rehearse(acting, examples)
        return answers, time.perf_counter() - started

    def respond(self, system: System, model: Model, examples: Sequence[Example]) -> list[Answer]:
        """Answers with a model at hand: one that is being trained."""
        if system.toolbox is None:
            return Answerer(system, model).answer(examples)
        return rehearse(self.acting(system, model), examples)

    def tools(self, system: System) -> tuple[Tool, ...]:
        """The tools of a system, opened once; () if it has none.

        Raises:
            ConfigError: If one cannot be opened.
        """
        if system.toolbox is None:
            return ()
        if system.toolbox not in self._opened:
            box = _read_toolbox(system.toolbox)
            place = Place(Path(box.folder), os.environ, box.language)
            documents = None
            if any(kind == "search" for kind, _ in box.tools) and (system.documents or system.index):
                documents = open_library(system.documents, system.retrieval or Retrieval(), system.index)
            self._opened[system.toolbox] = tuple(open_tools(box.tools, place, documents))
        return self._opened[system.toolbox]

    def close(self) -> None:
        """Let go of what the tools hold."""
        for tools in self._opened.values():
            close_tools(tools)
        self._opened.clear()


def _read_toolbox(path: Path | None) -> Toolbox:
    return Toolbox(folder=".") if path is None else read_json(path, Toolbox)


def rehearse(acting: Acting, examples: Sequence[Example]) -> list[Answer]:
    """What a system does for each example, from its last question on: its answer, with all the calls that it made."""
    acting.on(Log(""))  # what is wrong with the agent itself is told, and not counted as wrong answers
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda example: _despite_errors(acting, example), examples))


def _despite_errors(acting: Acting, example: Example) -> Answer:
    try:
        return _rehearse(acting, example)
    except SadariError as error:
        return Answer("", error=str(error))


def _rehearse(acting: Acting, example: Example) -> Answer:
    before, question = opening(example)
    results, log = recorded(example), Log("")
    agent = acting.on(log, lambda tool: Rehearsed(tool, results))
    loop = Loop(agent, log)
    started = time.perf_counter()
    try:
        run = loop.ask(question, Caller("rehearsal", language=language_of(question)), said=before)
        for _ in range(agent.limits.calls + 1):
            for _piece in loop.advance(run):
                pass
            for asked in pending(log, _now(), run=run):
                approve(log, asked.run, asked.call, asked.fingerprint, "a person", now=_now())
            if not loop.state(run).open_calls:
                break
        state = loop.state(run)
        calls = tuple(ToolCall(c.name, c.arguments, c.id) for c in calls_below(log, state) if c.attempts)
    finally:
        log.close()
    answer = state.answer or Answer("", error="the agent came to no answer")
    return replace(answer, tool_calls=calls, latency_s=time.perf_counter() - started)


def opening(example: Example) -> tuple[tuple[Message, ...], str]:
    """What was said before the last question of an example, and the question."""
    at = max((i for i, m in enumerate(example.messages) if m.role == "user"), default=None)
    if at is None:
        return (), ""
    said = [m for m in example.messages[:at] if m.role in ("user", "assistant") and not m.tool_calls]
    return tuple(said), example.messages[at].content


def recorded(example: Example) -> dict[tuple[str, str], str]:
    """What the calls of an example gave, by name and arguments."""
    results = {m.tool_call_id: m.content for m in example.messages if m.role == "tool"}
    calls = [call for m in example.messages for call in m.tool_calls]
    return {(c.name, canonical(dict(c.arguments))): results[c.id] for c in calls if c.id in results}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A tool that changes nothing: see above."""

    tool: Tool
    results: Mapping[tuple[str, str], str]

    @property
    def spec(self) -> ToolSpec:
        return self.tool.spec

    @property
    def traits(self) -> Traits:
        return self.tool.traits

    def call(self, arguments: Mapping[str, Any], caller: Caller) -> Outcome:
        """What the example records; else the tool's own result if it only reads."""
        told = self.results.get((self.spec.name, canonical(dict(arguments))))
        if told is not None:
            return Outcome(told)
        if self.traits.effect == "read":
            return self.tool.call(arguments, caller)
        return Outcome({"ko": "접수되었습니다.", "en": "Accepted."}[caller.language])


def _now() -> datetime:
    return datetime.now().astimezone()
