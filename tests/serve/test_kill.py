import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import acting
from sadari.agent.log import Log


class Served:
    """A server in a process of its own that comes back whenever it is killed."""

    def __init__(self, folder: Path, place: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder, self.place = folder, place
        program = [sys.executable, str(Path(__file__).with_name("served.py")), str(folder), str(self.port), place]
        paths = os.pathsep.join([str(Path(acting.__file__).parent), os.environ.get("PYTHONPATH", "")])
        self._parent = subprocess.Popen(program, env={**os.environ, "PYTHONPATH": paths})

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=20)

    def wait(self) -> None:
        with self.client() as http:
            for _ in range(600):
                try:
                    http.get("/healthz")
                    return
                except httpx.TransportError:
                    time.sleep(0.05)
        raise AssertionError("it does not answer")

    def signal(self, which: int) -> None:
        os.kill(int((self.folder / "pid").read_text()), which)

    def stop(self) -> None:
        (self.folder / "stop").touch()
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self._parent.wait(20)


@pytest.fixture
def served(tmp_path: Path, place: str) -> Iterator[Served]:
    """On either database."""
    server = Served(tmp_path, place)
    server.wait()
    yield server
    server.stop()


def ask(http: httpx.Client, n: int, stream: bool = False) -> httpx.Response:
    body = {"model": "sadari", "messages": [{"role": "user", "content": str(n)}], "stream": stream}
    return http.post("/v1/chat/completions", json=body, headers={"Idempotency-Key": f"key-{n}"})


def until_answered(served: Served, numbers: Iterator[int], over: threading.Event, told: dict[int, Any]) -> None:
    """Ask one number after the other, each with its key until there is an answer."""
    with served.client() as http:
        while not over.is_set():
            n = next(numbers)
            while True:
                try:
                    said = ask(http, n)
                except httpx.TransportError:
                    time.sleep(0.02)
                    continue
                if said.status_code == 200:
                    told[n] = said.json()
                    break
                assert said.status_code in (409, 503), said.text
                time.sleep(0.02)


def kill_under_load(served: Served, kills: int, seed: int) -> None:
    """Kill a server at random while four clients ask; then look at what became of their questions."""
    over, told, rng = threading.Event(), dict[int, Any](), random.Random(seed)
    clients = [
        threading.Thread(target=until_answered, args=(served, iter(range(start, 10**9, 4)), over, told), daemon=True)
        for start in range(4)
    ]
    for client in clients:
        client.start()
    for _ in range(kills):
        before = len(told)
        wait_until(lambda before=before: len(told) > before)  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.4))
        served.signal(signal.SIGKILL)
        served.wait()
    wait_until(lambda: len(told) > kills)
    over.set()
    for client in clients:
        client.join(20)
    log, paid = Log(served.place), Counter((served.folder / "paid").read_text().split())
    asked = Counter(e.body["text"] for e in log.happened(kinds={"run.asked"}) if e.body)
    assert len((served.folder / "ends").read_text().split()) >= kills
    assert {n: asked[str(n)] for n in told if asked[str(n)] != 1} == {}
    assert {n: count for n, count in paid.items() if count > 1} == {}
    statuses = {answer["sadari"]["status"] for answer in told.values()}
    assert statuses <= {"answered", "waiting"}  # of a payment that a kill cut in two a person is asked
    assert {n for n, answer in told.items() if answer["sadari"]["status"] == "answered"} <= {int(n) for n in paid}
    assert log.verify().faults == ()


def test_every_acknowledged_message_is_in_the_log_once_after_kills(served: Served) -> None:
    kill_under_load(served, kills=3, seed=8)


@pytest.mark.slow
def test_and_after_twenty_kills(served: Served) -> None:
    kill_under_load(served, kills=20, seed=9)


def test_what_is_under_way_ends_before_a_stopped_server_does(served: Served) -> None:
    answers: list[int] = []

    def keep_asking(http: httpx.Client, start: int) -> None:
        for n in range(start, start + 10_000):
            try:
                answers.append(ask(http, n).status_code)
            except httpx.ConnectError:
                return
            except httpx.RemoteProtocolError:  # a kept connection that was closed before anything was sent on it
                return

    with served.client() as http:
        worker = threading.Thread(target=keep_asking, args=(http, 1), daemon=True)
        worker.start()
        wait_until(lambda: len(answers) > 3)
        (served.folder / "stop").touch()
        served.signal(signal.SIGTERM)
        worker.join(20)
    assert set(answers) <= {200, 503}
    wait_until(lambda: (served.folder / "ends").exists())
    log = Log(served.place)
    assert [run.status for run in log.runs() if run.status != "idle"] == []


def wait_until(what: Callable[[], bool]) -> None:
    for _ in range(400):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")
