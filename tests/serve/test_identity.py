import socket
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from acting import Script
from sadari.agent.log import Log
from sadari.agent.log.database import open_database
from sadari.agent.loop import Agent, Loop
from sadari.errors import ConfigError, DataError
from sadari.model.scripted import ScriptedModel
from sadari.serve import Identity, Keys, ServeOptions, Service
from sadari.serve.faults import ApiError
from sadari.serve.rates import Rates

USERS = {"kim": "user", "lee": "user", "boss": "approver", "ops": "operator", "root": "admin"}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def keys() -> Keys:
    return Keys(open_database(""))


def test_a_key_is_known_by_its_text_and_kept_as_a_hash(tmp_path: Path) -> None:
    place = tmp_path / "keys.sqlite"
    key = Keys(open_database(str(place))).add(Identity("kim", "approver", ("인사",)))
    again = Keys(open_database(str(place)))
    found = again.who(key)
    assert found is not None
    assert (found.user, found.role, found.labels) == ("kim", "approver", ("인사",))
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert key.split("-", 3)[3].encode() not in kept


@pytest.mark.parametrize("change", [lambda k: k[:-1] + ("A" if k[-1] != "A" else "B"), lambda k: "", lambda k: k + "x", str.upper])
def test_a_key_that_is_not_quite_right_lets_nobody_in(keys: Keys, change: Any) -> None:
    assert keys.who(change(keys.add(Identity("kim")))) is None


def test_a_key_expires_and_is_revoked(keys: Keys) -> None:
    key = keys.add(Identity("kim"), days=1)
    (entry,) = keys.all()
    later = (datetime.now(UTC) + timedelta(days=1, seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert entry.is_open(entry.created)
    assert not entry.is_open(later)
    keys.revoke(entry.key)
    assert keys.who(key) is None
    with pytest.raises(DataError, match="serve keys list"):
        keys.revoke("0123")


@pytest.mark.parametrize(
    ("user", "role", "days"), [("", "user", None), ("a b", "user", None), ("kim", "king", None), ("kim", "user", 0)]
)
def test_a_key_for_nobody_is_not_made(keys: Keys, user: str, role: Any, days: float | None) -> None:
    with pytest.raises(ConfigError):
        keys.add(Identity(user, role), days)


def test_without_a_key_nobody_is_let_in(start: Any) -> None:
    live = start("네.", users=USERS)
    for key in ("none", "sk-sadari-0123456789ab-" + "A" * 43):
        with pytest.raises(openai.AuthenticationError):
            live.client(key).chat.completions.create(model="sadari", messages=user("?"))
    with live.http() as http:
        paths = {path: list(item) for path, item in http.get("/openapi.json").json()["paths"].items()}
        refused = {
            (path, verb): http.request(verb, path.replace("{", "").replace("}", ""), json={}).status_code
            for path, verbs in paths.items()
            for verb in verbs
        }
    assert len(refused) > 15
    assert {place for place, status in refused.items() if status != 401} == {("/healthz", "get"), ("/readyz", "get")}


def test_a_user_sees_nothing_of_another_user(start: Any) -> None:
    live = start(*["비밀 답"] * 10, users=USERS)
    kim = live.client("kim")
    answers = [kim.responses.create(model="sadari", input=f"비밀 {i}") for i in range(10)]
    runs = [answer.sadari["run"] for answer in answers]
    seen = 0
    with live.http("lee") as lee:
        for i in range(200):
            run, response = runs[i % 10], answers[i % 10].id
            body = {"model": "sadari", "input": "x", "previous_response_id": response}
            chat = {"model": "sadari", "messages": user("x"), "sadari": {"run": run}}
            tries = [
                partial(lee.get, f"/sadari/runs/{run}"),
                partial(lee.get, f"/v1/responses/{response}"),
                partial(lee.post, "/v1/responses", json=body),
                partial(lee.post, "/v1/chat/completions", json=chat),
                partial(lee.post, f"/sadari/runs/{run}/rating", json={"rating": "up"}),
                partial(lee.post, f"/sadari/runs/{run}/cancel"),
                partial(lee.post, f"/sadari/runs/{run}/resume"),
                partial(lee.get, f"/sadari/runs/{run}/events"),
                partial(lee.get, "/sadari/runs?user=kim"),
                partial(lee.get, "/sadari/approvals"),
            ]
            told = tries[i % len(tries)]()
            is_list = told.request.url.path in ("/sadari/runs", "/sadari/approvals") and told.json() in (
                {"runs": []},
                {"approvals": []},
            )
            seen += not (is_list or told.status_code in (403, 404)) or "비밀" in told.text
    assert seen == 0
    assert len(live.service.log.runs()) == 10


def test_roles_open_what_they_are_for(start: Any) -> None:
    live = start("네.", users=USERS)
    run = live.client("kim").responses.create(model="sadari", input="?").sadari["run"]
    opens = {
        (who, path): live.http(who).get(path).status_code
        for who in USERS
        for path in (f"/sadari/runs/{run}", "/metrics", "/sadari/keys", f"/sadari/runs/{run}/events")
    }
    who_may = {path: {who for (who, p), status in opens.items() if p == path and status == 200} for _, path in opens}
    assert who_may[f"/sadari/runs/{run}"] == {"kim", "ops", "root"}
    assert who_may[f"/sadari/runs/{run}/events"] == {"ops", "root"}
    assert who_may["/metrics"] == {"ops", "root"}
    assert who_may["/sadari/keys"] == {"root"}


def test_an_admin_makes_and_revokes_a_key(start: Any) -> None:
    live = start("네.", users=USERS)
    with live.http("root") as root:
        key = root.post("/sadari/keys", json={"user": "park"}).json()["key"]
        assert live.client(key).models.list().data
        assert root.post(f"/sadari/keys/{key.split('-')[2]}/revoke").status_code == 200
        assert "hash" not in root.get("/sadari/keys").text
    with pytest.raises(openai.AuthenticationError):
        live.client(key).models.list()


def test_others_reach_the_server_with_keys_only() -> None:
    loop = Loop(Agent(Script()), Log(""))
    for options in (ServeOptions(host="0.0.0.0"), ServeOptions(host="0.0.0.0", keys=False), ServeOptions(keys=True)):
        with pytest.raises(ConfigError, match="serve keys add"):
            Service(loop, ScriptedModel(), options)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "user@127.0.0.1", "[::1"])
def test_a_request_to_another_host_is_refused(start: Any, host: str) -> None:
    live = start("네.")
    with live.http() as http:
        assert http.get("/healthz", headers={"Host": host}).status_code in (400, 421)
        assert http.post(
            "/v1/chat/completions", headers={"Host": host}, json={"model": "sadari", "messages": user("?")}
        ).status_code in (400, 421)
    assert live.service.log.runs() == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"])
def test_a_page_of_another_site_is_refused(start: Any, origin: str) -> None:
    live = start("네.")
    with live.http() as http:
        assert (
            http.post(
                "/v1/chat/completions", headers={"Origin": origin}, json={"model": "sadari", "messages": user("?")}
            ).status_code
            == 403
        )
        assert http.get("/healthz", headers={"Origin": live.url}).status_code == 200
        assert http.get("/v1/models", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert live.service.log.runs() == []


def test_a_form_of_another_site_is_not_taken_for_json(start: Any) -> None:
    body = b'{"model": "sadari", "messages": [{"role": "user", "content": "x"}]}'
    with start("네.").http() as http:
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            assert http.post("/v1/chat/completions", content=body, headers={"Content-Type": kind}).status_code == 400


def test_large_and_deep_bodies_are_refused(start: Any) -> None:
    live = start("네.", max_body=100_000)
    with live.http() as http:
        large = {"model": "sadari", "messages": user("x" * 200_000)}
        assert http.post("/v1/chat/completions", json=large).status_code == 413
        pieces = (b"x" * 10_000 for _ in range(20))
        assert http.post("/v1/chat/completions", content=pieces, headers={"Content-Type": "application/json"}).status_code == 413
        deep = http.post("/v1/chat/completions", content=b"[" * 50_000, headers={"Content-Type": "application/json"})
        assert deep.status_code == 400
        assert http.get("/healthz", headers={"X-Large": "x" * 70_000}).status_code in (400, 431)


def test_two_lengths_of_one_request_are_refused(start: Any) -> None:
    live = start("네.")
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    for smuggled in (
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Host: localhost\r\n",
    ):
        with socket.create_connection(("127.0.0.1", live.port), 5) as raw:
            raw.sendall(head + smuggled + b"\r\nhello!")
            assert raw.recv(100).split(b" ")[1] in (b"400", b"421", b"501")


def test_answers_say_that_nobody_may_frame_guess_or_keep_them(start: Any) -> None:
    with start().http() as http:
        headers = http.get("/healthz").headers
    told = {name: headers[name] for name in ("x-content-type-options", "x-frame-options", "cache-control", "referrer-policy")}
    assert told == {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "cache-control": "no-store",
        "referrer-policy": "same-origin",
    }
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


def test_a_key_may_ask_so_often_in_a_minute() -> None:
    now = [0.0]
    rates = Rates(ServeOptions(requests_per_minute=2), lambda: now[0])
    kim = Identity("kim", key="a")
    for _ in range(2):
        rates.enter(kim)()
    now[0] = 20.0
    with pytest.raises(ApiError) as refused:
        rates.enter(kim)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "40")
    rates.enter(Identity("lee", key="b"))
    now[0] = 60.0
    rates.enter(kim)


def test_a_key_has_so_many_requests_at_once() -> None:
    rates = Rates(ServeOptions(concurrent=1))
    leave = rates.enter(Identity("kim", key="a"))
    with pytest.raises(ApiError, match="at once"):
        rates.enter(Identity("kim", key="a"))
    leave()
    leave()
    rates.enter(Identity("kim", key="a"))
    with pytest.raises(ApiError):
        rates.enter(Identity("kim", key="a"))
