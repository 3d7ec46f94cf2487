"""The serving benchmark's counting: what a server loses, doubles or mixes up is seen; and its figures."""

import importlib
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from acting import Script
from sadari.agent.log import Draft, Log
from sadari.agent.loop import Agent, Loop
from sadari.model.scripted import ScriptedModel
from sadari.serve import ServeOptions, Service, listen, server_of
from sadari.types import Caller

FOLDER = Path(__file__).parents[2] / "benchmarks" / "serving"
Load = Callable[[str], Any]


@pytest.fixture
def module() -> Iterator[Load]:
    """Loads a module of the folder as the program itself does; afterwards none of them is left under its short name."""
    names = [path.stem for path in FOLDER.glob("*.py")]
    before: dict[str, ModuleType] = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


class Careless(Log):
    """A log that does something else with the second answer than it is told."""

    def __init__(self, file: Path, change: Callable[[list[Draft]], list[Draft]]) -> None:
        super().__init__(file)
        self.change, self.answers = change, 0

    def append(self, run: str, drafts: Any, **more: Any) -> Any:
        if drafts[0].kind == "model.answered":
            self.answers += 1
            drafts = self.change(list(drafts)) if self.answers == 2 else drafts
        return super().append(run, drafts, **more)


@pytest.fixture
def ask(module: Load, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Asks a server three times whose log is careless in a given way; what the client was told, and the log."""
    running: list[tuple[Any, threading.Thread]] = []

    def three_times(change: Callable[[list[Draft]], list[Draft]] = list) -> tuple[list[Any], Path]:
        file = tmp_path / "log.sqlite"
        log = Careless(file, change)
        options = ServeOptions(port=0, log=str(file), drain_s=1)
        service = Service(Loop(Agent(Script("하나", "둘", "셋")), log), ScriptedModel(), options)
        listening = listen(service)
        server = server_of(service)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        with module("client").Client(listening.getsockname()[1]) as client:
            return [client.ask(module("client").question_of(1, n)) for n in range(3)], file

    yield three_times
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


def test_a_careful_server_has_lost_and_doubled_nothing(module: Load, ask: Any) -> None:
    said, file = ask()
    assert [(one.is_whole, one.text, one.status) for one in said] == [(True, "하나", 200), (True, "둘", 200), (True, "셋", 200)]
    found = module("counting").count_log(file, said)
    assert found.is_whole
    assert found.tokens == 15  # a scripted answer counts as 5


@pytest.mark.parametrize(
    ("change", "lost", "doubled"),
    [
        (lambda drafts: drafts[1:], 1, 0),
        (lambda drafts: [drafts[0], *drafts], 0, 1),
        (lambda drafts: [*drafts, drafts[1]], 0, 1),
        (lambda drafts: [drafts[0], Draft("run.failed", {"text": "둘", "reason": "x"})], 1, 0),
    ],
    ids=["loses an answer of the model", "doubles an answer of the model", "answers twice", "keeps another end than it told"],
)
def test_a_server_that_loses_or_doubles_one_event_is_caught(module: Load, ask: Any, change: Any, lost: int, doubled: int) -> None:
    said, file = ask(change)
    found = module("counting").count_log(file, said)
    assert (found.lost_events, found.doubled_events, found.acknowledged_lost) == (lost, doubled, 0)
    assert not found.is_whole


def test_an_acknowledged_question_that_is_gone_is_caught(module: Load, ask: Any) -> None:
    said, file = ask()
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM events WHERE run = ? AND kind = 'run.asked'", (said[1].run,))
    found = module("counting").count_log(file, said)
    assert (found.acknowledged_lost, found.lost_events) == (1, 1)
    assert found.faults


def test_a_question_that_stands_in_two_runs_and_an_answer_to_another_are_caught(module: Load, ask: Any) -> None:
    said, file = ask()
    log = Log(file)
    loop = Loop(Agent(Script("하나")), log)
    loop.answer(said[0].asked, Caller("local"))
    mixed_up = [said[0], replace(said[1], text=said[2].text), said[2]]
    found = module("counting").count_log(file, mixed_up)
    log.close()
    assert (found.doubled_events, found.lost_events) == (1, 1)


def test_what_was_only_acknowledged_need_not_be_answered(module: Load, ask: Any) -> None:
    said, file = ask()
    cut_off = [replace(one, is_whole=False, text="하") for one in said]
    unheard = module("client").Said("누구도 듣지 못한 질문")
    assert module("counting").count_log(file, [*cut_off, unheard]).is_whole


def test_what_the_server_adds_is_taken_within_a_round_and_between_the_p95s(module: Load) -> None:
    took = {"answer": [1.0] * 20, "whole": [3.0] * 19 + [9.0], "ask": [1.0] * 20, "first": [2.0] * 20}
    told = module("overhead").told(took, "")
    assert (told["whole_added_p50_ms"], told["first_added_p50_ms"]) == (2.0, 1.0)
    assert told["whole_p95_ms"] == pytest.approx(3.3)  # 0.05 of the way from the 19th to the 20th of 20
    assert told["answer_p95_ms"] == 1.0


PARTS = (
    {"overhead_p95_ms": 2.5},
    {"requests": 9, "failed": 0, "lost_events": 1, "doubled_events": 0, "ttft_p95_ms": 800, "acknowledged_lost_in_load": 0}
    | {"log_faults": 0, "left_running": 0, "recovery_s": 0.5, "slow_freed_s": 0.1, "dropped_freed_s": 0.1},
    {"kills": 4, "acknowledged": 30, "answered": 28, "cut_off": 2, "acknowledged_lost": 2, "lost_events": 2, "doubled_events": 0}
    | {"log_faults": 0, "left_running": 0},
)


def test_the_figures_of_all_parts_are_added_up_and_a_loss_is_bad(module: Load) -> None:
    run = module("run")
    told = run.joined(*(dict(part) for part in PARTS))
    promised = [
        "requests",
        "failed",
        "lost_events",
        "doubled_events",
        "ttft_p95_ms",
        "overhead_p95_ms",
        "kills",
        "acknowledged_lost",
    ]
    assert list(told)[:8] == promised
    assert (told["lost_events"], told["acknowledged_lost"], told["kills"]) == (3, 2, 4)
    assert run.is_bad(told)
    fine = told | {"lost_events": 0, "acknowledged_lost": 0}
    assert not run.is_bad(fine)
    assert run.is_bad(fine | {"dropped_freed_s": None})
    assert run.is_bad(fine | {"answered_under_kills": 0})


def test_clients_ask_until_it_is_over_and_each_waits_as_it_is_told(module: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    load, client = module("load"), module("client")
    asked: list[str] = []

    def refuse(self: Any, question: str, key: str = "") -> Any:
        asked.append(question)
        return client.Said(question, status=503, retry_after="1")

    monkeypatch.setattr(client.Client, "ask", refuse)
    crowd = load.Crowd(SimpleNamespace(port=1), ["a", "b"], 3, waits=True)
    assert crowd.ask_for(0.2) < 0.9  # a second is asked for, and it is over before
    assert len(asked) == len(set(asked)) == len(crowd.said) == 3
