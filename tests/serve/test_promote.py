"""What a task serves is exchanged while it is asked, and the process may end at any moment of it."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import sadari.serve.following as following
from acting import Script
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.bundle import SYSTEM_FILE
from sadari.errors import ConfigError, RunError
from sadari.model.scripted import ScriptedModel
from sadari.serve import Identity, ServeOptions, listen, open_task, server_of
from sadari.serve.promotion import Wanted, promote, roll_back
from sadari.serve.served import FILE, Choice, read_served
from sadari.serve.serving import Models, Serving, Stage, check_room
from sadari.serve.signs import servers_of, wait_for
from sadari.types import System
from small_bundles import PAY, write_run

Serve = Callable[..., Any]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "task"
    folder.mkdir()
    return folder


@pytest.fixture
def serve(task: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server of the task, which looks at the file all the time."""
    monkeypatch.setattr(following, "LOOKS_S", 0.02)
    running: list[tuple[Any, threading.Thread]] = []

    def begin(**options: Any) -> Any:
        service = open_task(task, ServeOptions(port=0, log=str(task / "log.sqlite"), drain_s=2, **options))
        listening = listen(service)
        server = server_of(service)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((server, thread))
        service.port = listening.getsockname()[1]
        return service

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@contextmanager
def client(service: Any, key: str = "none") -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", headers=headers, trust_env=False, timeout=120) as http:
        yield http


def ask(http: httpx.Client, text: str = "?", **more: Any) -> httpx.Response:
    return http.post("/v1/chat/completions", json={"model": "sadari", "messages": [{"role": "user", "content": text}], **more})


def taken(task: Path) -> Choice:
    """What is served, once the servers have taken it over."""
    now = read_served(task).now
    assert now is not None
    assert [sign.digest for sign in wait_for(task, now, 60)] == [now.digest]
    return now


# --- exchanging ----------------------------------------------------------------------------------------------------------


def test_sixteen_clients_ask_through_ten_exchanges_and_none_is_failed(task: Path, serve: Serve) -> None:
    bundles = {name: write_run(task, i, name) for i, name in enumerate(("하나", "둘"), 1)}
    service = serve(requests_per_minute=10**6)
    over, told, faults = threading.Event(), Counter[tuple[str, str]](), list[Any]()

    def keep_asking(streams: bool) -> None:
        with client(service) as http:
            while not over.wait(0.05):
                try:
                    said = ask(http, stream=streams)
                    body = said.text if streams else said.json()
                    if said.status_code != 200 or (streams and "[DONE]" not in body):
                        faults.append(said.text)
                    elif not streams:
                        told[body["choices"][0]["message"]["content"], body["system_fingerprint"]] += 1
                        assert body["sadari"]["version"] == body["system_fingerprint"]
                except Exception as error:
                    faults.append(error)

    clients = [threading.Thread(target=keep_asking, args=(i % 2 == 0,), daemon=True) for i in range(16)]
    for one in clients:
        one.start()
    try:
        for exchange in range(10):
            promote(task, Wanted(bundles["하나" if exchange % 2 == 0 else "둘"]))
            taken(task)
    finally:
        over.set()
        for one in clients:
            one.join(20)
    assert faults == []
    assert {text for text, _ in told} == {"하나", "둘"}
    assert len({version for _, version in told}) == 2  # each version always says the same
    assert len(told) == 2
    assert sum(told.values()) > 20


def a_serving(closed: list[str], name: str) -> Serving:
    responder = Script()
    responder.version = name
    return Serving(Loop(Agent(responder), Log("")), ScriptedModel(), name, close=lambda: closed.append(name))


def test_the_old_one_is_closed_after_its_last_request_and_answers_no_new_one() -> None:
    closed: list[str] = []
    one, two = a_serving(closed, "one"), a_serving(closed, "two")
    stage = Stage(one)
    with stage.using() as first, stage.using() as second:
        stage.exchange(two)
        assert (first, second, closed) == (one, one, [])
        with stage.using() as new:
            assert new is two
        with stage.using(one) as late:  # chosen before the exchange, begun after it
            assert late is two
    assert closed == ["one"]
    stage.close()
    assert closed == ["one", "two"]


def test_a_candidate_that_becomes_current_is_not_closed_and_one_that_ends_is() -> None:
    closed: list[str] = []
    one, two, three = (a_serving(closed, name) for name in ("one", "two", "three"))
    stage = Stage(one)
    stage.try_out(two, lambda user: user == "kim")
    assert (stage.for_user("kim"), stage.for_user("lee")) == (two, one)
    assert (stage.for_run(two.version), stage.for_run("gone")) == (two, one)
    stage.exchange(two)
    assert (stage.current, stage.candidate, closed) == (two, None, ["one"])
    stage.try_out(three, lambda user: True)
    stage.end_trial()
    assert (stage.for_user("kim"), closed) == (two, ["one", "three"])


def test_what_cannot_be_loaded_is_not_served_and_everybody_is_told(task: Path, serve: Serve) -> None:
    old = write_run(task, 1, "하나")
    promote(task, Wanted(old))
    service = serve()
    promote(task, Wanted(write_run(task, 2, "둘")))
    taken(task)
    write_run(task, 3, "셋")
    (task / "rules-3.json").write_text("{")
    choice = promote(task, Wanted(task / "runs" / "3"))[1].choice
    (sign,) = wait_for(task, choice, 60)
    assert sign.failed == choice.key
    assert "not JSON" in sign.why
    served = read_served(task)
    assert served.now is not None
    assert served.now.bundle == "runs/2/best"
    assert (served.history[-1].what, served.history[-1].bundle) == ("not loaded", "runs/3/best")
    with client(service) as http:
        assert ask(http).json()["choices"][0]["message"]["content"] == "둘"
        told = http.get("/sadari/served").json()
        assert "not JSON" in told["servers"][0]["why"]
        assert 'sadari_exchanges_total{end="failed"} 1.0' in http.get("/metrics").text


def test_a_model_that_does_not_fit_beside_the_old_one_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").write_bytes(b"0" * 3_000)
    monkeypatch.setattr("sadari.serve.serving._free", lambda: 3_500.0)
    with pytest.raises(Exception, match="are free beside what is served"):
        check_room(System(str(tmp_path)))
    monkeypatch.setattr("sadari.serve.serving._free", lambda: 3_700.0)
    check_room(System(str(tmp_path)))


def test_systems_that_speak_with_the_same_model_share_it_and_it_goes_when_they_go(task: Path) -> None:
    write_run(task, 1, "하나")
    system, models = System(f"scripted:{task / 'rules-1.json'}"), Models()
    model = models.load(system)
    assert models.load(system.with_(abstention="모릅니다")) is model
    del model
    assert len(models._held) == 0


# --- approvals -----------------------------------------------------------------------------------------------------------


def pays(text: str) -> list[dict[str, Any]]:
    return [{"when": "pay 5", "tool_calls": [{"name": "pay", "arguments": {"n": 5}}]}, {"when": "paid", "say": text}, {"say": "?"}]


def test_what_waits_is_asked_anew_and_nothing_is_executed_by_the_wrong_version(task: Path, serve: Serve) -> None:
    (task / "tools.py").write_text(PAY)
    tools = (("python", "tools.py"),)
    write_run(task, 1, pays("하나가 냈습니다"), tools=tools)
    service = serve()
    with client(service) as http:
        run = ask(http, "pay 5").json()["sadari"]["run"]
        (old,) = http.get("/sadari/approvals").json()["approvals"]
        promote(task, Wanted(write_run(task, 2, pays("둘이 냈습니다"), tools=tools)))
        taken(task)
        place = f"/sadari/approvals/{run}/{old['call']}"

        def asked_anew() -> Any:
            (now,) = http.get("/sadari/approvals").json()["approvals"]
            return now if now["fingerprint"] != old["fingerprint"] else None

        new = until(asked_anew)
        refused = http.post(place, json={"decision": "approve", "fingerprint": old["fingerprint"]})
        assert refused.status_code == 409
        assert "not the request that you saw" in refused.text
        assert not (task / "paid").exists()
        assert http.post(place, json={"decision": "approve", "fingerprint": new["fingerprint"]}).status_code == 200
        until(lambda: http.get(f"/sadari/runs/{run}").json()["status"] == "idle")
        assert http.get(f"/sadari/runs/{run}").json()["answer"] == "둘이 냈습니다"
    assert (task / "paid").read_text() == "5\n"
    kinds = [event.kind for event in service.log.events(run)]
    assert kinds.count("agent.changed") == 1
    assert kinds.index("agent.changed") < kinds.index("call.approved") < kinds.index("call.started")


# --- choosing ------------------------------------------------------------------------------------------------------------


def test_the_way_back_is_what_was_served_before_and_the_history_says_who_and_why(task: Path) -> None:
    first, second = write_run(task, 1, "하나"), write_run(task, 2, "둘")
    promote(task, Wanted(first, by="kim"))
    served, _ = promote(task, Wanted(second, by="lee"))
    assert served.now is not None
    assert "climb 2 prompt: 80.0% of 20, taken" in served.now.check
    back = roll_back(task, "park", "느립니다")
    assert back.now is not None
    assert back.now.bundle == "runs/1/best"
    assert [(line.what, line.bundle, line.by) for line in back.history] == [
        ("promoted", "runs/1/best", "kim"),
        ("promoted", "runs/2/best", "lee"),
        ("rolled back", "runs/2/best", "park"),
    ]
    assert read_served(task) == back


def test_where_nothing_was_chosen_the_winner_of_the_newest_climb_is_the_way_back(task: Path) -> None:
    write_run(task, 1, "하나")
    older = write_run(task, 2, "둘")
    write_run(task, 3, "셋")
    promote(task, Wanted(older))
    back = roll_back(task, "kim")
    assert back.now is not None
    assert back.now.bundle == "runs/3/best"
    with pytest.raises(ConfigError, match="nothing was served before"):
        roll_back(task, "kim")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("not taken", "the ladder did not take it"),
        ("changed", "is not what climb 2 measured"),
        ("alone", "no climb has measured it"),
        ("worse", "proven worse than what is served"),
    ],
)
def test_what_a_check_speaks_against_needs_force_and_that_is_written_down(task: Path, kind: str, told: str) -> None:
    write_run(task, 1, "하나", right=20)
    bundle = write_run(task, 2, "둘", right=4 if kind == "worse" else 20, taken=kind != "not taken")
    if kind == "changed":
        system = bundle / SYSTEM_FILE
        system.write_text(system.read_text().replace("float32", "bfloat16"))
    if kind == "alone":
        bundle = bundle.rename(task / "tuned")
    promote(task, Wanted(task / "runs" / "1"))
    with pytest.raises(ConfigError, match=told):
        promote(task, Wanted(bundle))
    served, _ = promote(task, Wanted(bundle, force=True))
    assert served.now is not None
    assert "forced although" in served.now.check
    assert told in served.now.check


def test_tools_that_would_be_missing_are_told(task: Path) -> None:
    (task / "tools.py").write_text(PAY)
    promote(task, Wanted(write_run(task, 1, "하나", tools=(("python", "tools.py"),))))
    _, checked = promote(task, Wanted(write_run(task, 2, "둘")))
    assert any("python tools.py" in note for note in checked.notes)


def test_a_bundle_that_was_changed_after_it_was_chosen_is_not_loaded(task: Path) -> None:
    first, second = write_run(task, 1, "하나"), write_run(task, 2, "둘")
    promote(task, Wanted(first))
    promote(task, Wanted(second))
    (first / SYSTEM_FILE).write_text((first / SYSTEM_FILE).read_text().replace("float32", "bfloat16"))
    with pytest.raises(RunError, match="was changed since it was chosen"):
        roll_back(task, "kim")
    now = read_served(task).now
    assert now is not None
    assert now.bundle == "runs/2/best"


# --- over HTTP -----------------------------------------------------------------------------------------------------------


def test_an_administrator_changes_it_over_http_and_only_within_the_runs_of_the_task(task: Path, serve: Serve) -> None:
    write_run(task, 1, "하나")
    outside = write_run(task.parent / "other", 1, "딴")
    (task / "runs" / "link").symlink_to(outside)
    service = serve()
    keys = {role: service.keys.add(Identity(role, role)) for role in ("operator", "admin")}
    service.asks_keys = True
    write_run(task, 2, "둘")
    with client(service, keys["operator"]) as operator, client(service, keys["admin"]) as admin:
        assert operator.post("/sadari/served", json={"action": "promote", "bundle": "2"}).status_code == 403
        for bundle in ("../../other/runs/1/best", str(outside), "link", "../../other", "\0", "9"):
            assert admin.post("/sadari/served", json={"action": "promote", "bundle": bundle}).status_code == 400
        assert operator.get("/sadari/served").json()["served"]["now"]["bundle"] == "runs/1/best"
        said = admin.post("/sadari/served", json={"action": "promote", "bundle": "2"})
        assert said.status_code == 200
        taken(task)
        assert ask(admin).json()["choices"][0]["message"]["content"] == "둘"
        assert operator.get("/sadari/served").json()["served"]["now"]["by"] == "admin"
        assert admin.post("/sadari/served", json={"action": "promote", "bundle": "2"}).status_code == 409
        assert admin.post("/sadari/served", json={"action": "rollback"}).json()["served"]["now"]["bundle"] == "runs/1/best"


# --- the end of the process ----------------------------------------------------------------------------------------------

STEPS = (
    "sadari.files.os.fsync",
    "pathlib.Path.replace",
    "sadari.serve.following.read_served",
    "sadari.serve.following.load_system",
    "sadari.serve.serving.Loaded.warm_up",
    "sadari.serve.serving.Loaded.on",
    "sadari.serve.serving.Stage.exchange",
    "sadari.serve.served.fcntl.flock",
    "sadari.serve.following.Follower._tell",
)


def killed_at(step: int, task: Path) -> bool:
    """Promote back and forth in a process that is killed at a step; whether it got so far."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), status
        return status == signal.SIGKILL
    code = 1
    with suppress(BaseException):
        service = open_task(task, ServeOptions(port=0, log=str(task / "log.sqlite")))
        assert isinstance(service.follower, following.Follower)
        count_to(step)
        for number in (1, 2):
            promote(task, Wanted(task / "runs" / str(number)))
            service.follower.look()
        code = 0
    os._exit(code)


def count_to(last: int) -> None:
    """Kill this process at the last of so many steps."""
    left = [last]
    patch = pytest.MonkeyPatch()

    def counted(function: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **named)

        return call

    for name in STEPS:
        place, _, attribute = name.rpartition(".")
        owner = pytest.importorskip(place) if place in ("sadari.serve.following",) else _owner(place)
        patch.setattr(owner, attribute, counted(getattr(owner, attribute)))


def _owner(place: str) -> Any:
    import pkgutil

    return pkgutil.resolve_name(place)


def test_after_a_kill_at_any_step_the_file_names_one_system_and_the_next_start_serves_it(
    task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOKS_S", 3_600.0)  # the child looks by itself
    says = {1: "하나", 2: "둘"}
    for number, text in says.items():
        write_run(task, number, text)
    promote(task, Wanted(task / "runs" / "2"))
    killed = 0
    for step in range(1, 23):
        killed += killed_at(step, task)
        now = read_served(task).now
        assert now is not None
        choice, loaded = following._load_first(task, Models(), lambda system: system)
        assert choice == now
        assert loaded.model.name.endswith(f"rules-{now.bundle.split('/')[1]}.json")
        assert servers_of(task) == []
        if now.bundle != "runs/2/best":
            promote(task, Wanted(task / "runs" / "2"))
    assert killed >= 20
    promote(task, Wanted(task / "runs" / "1"))
    assert [p.name for p in task.glob("*.tmp")] == []


def test_a_start_puts_aside_what_cannot_be_loaded_and_serves_what_was_before(task: Path, serve: Serve) -> None:
    promote(task, Wanted(write_run(task, 1, "하나")))
    promote(task, Wanted(write_run(task, 2, "둘")))
    (task / "rules-2.json").write_text("{")
    service = serve()
    with client(service) as http:
        assert ask(http).json()["choices"][0]["message"]["content"] == "하나"
    assert read_served(task).history[-1].what == "not loaded"


def test_a_damaged_file_is_told_and_the_server_goes_on(task: Path, serve: Serve) -> None:
    write_run(task, 1, "하나")
    service = serve()
    (task / FILE).write_text("{")
    with client(service) as http:
        assert ask(http).status_code == 200
    with pytest.raises(RunError, match="damaged"):
        promote(task, Wanted(write_run(task, 2, "둘")))


def until(what: Callable[[], Any]) -> Any:
    """The first true value of `what`."""
    for _ in range(1_000):
        if value := what():
            return value
        threading.Event().wait(0.01)
    raise AssertionError("it did not come about")
