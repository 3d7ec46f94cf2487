"""Twenty users try to reach each other's things through every route that the application has.

A route that is added is tried by itself; what it takes and is not known here fails the test, so that somebody says what a stranger
would write there.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from acting import Plain, call
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop, Reply
from sadari.model.scripted import ScriptedModel
from sadari.serve import Identity, ServeOptions, Service, create_app
from sadari.types import Answer, Traits

USERS = [f"user{i}" for i in range(20)]

OPEN = {
    "/openapi.json": "the routes themselves",
    "/healthz": "says that the process answers",
    "/readyz": "says whether it takes requests",
    "/static/{name}": "files of the pages",
    "/signin": "for those who are nobody yet",
    "/signin/oidc": "for those who are nobody yet",
    "/signin/oidc/start": "for those who are nobody yet",
    "/signout": "ends the session of the one who asks",
}
"""Routes that hold nothing of anybody, and why."""


def number(user: str) -> int:
    """What only this user's call holds."""
    return int(hashlib.sha256(user.encode()).hexdigest()[:12], 16)


def secret(user: str) -> str:
    """What only this user was told."""
    return f"secret-{hashlib.sha256(user.encode()).hexdigest()[:16]}"


class Confidant:
    """Tells each user the user's own secret, or wants to make a call that holds it."""

    version = "confidant"

    def reply(self, messages: Any, tools: Any, caller: Any) -> Iterator[Reply]:
        if messages[-1].role == "user" and "pay" in messages[-1].content:
            yield Reply(Answer("", (call("pay", n=number(caller.user)),)))
        else:
            yield Reply(Answer(secret(caller.user)))


@dataclass(frozen=True)
class Victim:
    """What one user has, as a stranger may have guessed it."""

    user: str
    key: str
    run: str
    waiting: str
    fingerprint: str
    response: str


@dataclass(frozen=True)
class House:
    service: Service
    client: TestClient
    routes: list[Any]
    victims: dict[str, Victim]
    keys: dict[str, str]

    def ask(self, who: str, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.keys[who]}", **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, follow_redirects=False, **more)

    def kept(self) -> dict[str, Any]:
        """All that may not change under a stranger's hands."""
        runs = [run for victim in self.victims.values() for run in (victim.run, victim.waiting)]
        told = {run: [(event.kind, event.body) for event in self.service.log.events(run)] for run in runs}
        return told | {"keys": self.service.keys.all(), "people": self.service.people.all(), "acts": self.service.acts.all()}


def chat(text: str, **own: Any) -> dict[str, Any]:
    return {"model": "sadari", "messages": [{"role": "user", "content": text}], **({"sadari": own} if own else {})}


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    loop = Loop(Agent(Confidant(), (Plain("pay", str, Traits("write")),)), Log(""))
    model = ScriptedModel(lambda request: request.messages[-1].content)
    service = Service(loop, model, ServeOptions(requests_per_minute=10**6))
    roles = dict.fromkeys(USERS, "user") | {"root": "admin"}
    keys = {name: service.keys.add(Identity(name, role)) for name, role in roles.items()}  # type: ignore[arg-type]
    service.asks_keys = True
    app = create_app(service)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        made = House(service, client, list(iter_route_contexts(app.routes)), {}, keys)
        for user in USERS:
            made.victims[user] = _moved_in(made, user)
        yield made


def _moved_in(house: House, user: str) -> Victim:
    """A user with an answer, a rating, a call that waits, a response and an idempotency key."""
    run = house.ask(user, "POST", "/v1/chat/completions", json=chat("hello"), headers={"Idempotency-Key": f"key of {user}"}).json()
    assert run["choices"][0]["message"]["content"] == secret(user)
    rating = {"rating": "down", "corrected": secret(user)}
    assert house.ask(user, "POST", f"/sadari/runs/{run['sadari']['run']}/rating", json=rating).status_code == 200
    waits = house.ask(user, "POST", "/v1/chat/completions", json=chat("pay")).json()["sadari"]
    response = house.ask(user, "POST", "/v1/responses", json={"model": "sadari", "input": "hello"}).json()["id"]
    key = next(entry.key for entry in house.service.keys.all(user))
    return Victim(user, key, run["sadari"]["run"], waits["run"], waits["pending"][0]["fingerprint"], response)


# --- what a stranger writes ------------------------------------------------------------------------------------------------

PLACES: dict[str, Callable[[Victim], list[Any]]] = {
    "run": lambda v: [v.run, v.waiting],
    "call": lambda v: ["1.1"],
    "user": lambda v: [v.user],
    "key": lambda v: [v.key],
    "response_id": lambda v: [v.response],
    "name": lambda v: ["sadari"],
    "question": lambda v: [2],
    "number": lambda v: [1],
}
"""For each name in a path."""

QUERIES: dict[str, Callable[[Victim], Any]] = {
    "run": lambda v: v.run,
    "user": lambda v: v.user,
    "question": lambda v: 2,
    "status": lambda v: "waiting",
    "most": lambda v: 50,
    "after": lambda v: 0,
    "text": lambda v: "hello",
    "rating": lambda v: "down",
    "signal": lambda v: "",
    "review": lambda v: "",
    "days": lambda v: 30,
    "trust": lambda v: "all",
    "pairs": lambda v: True,
    "next": lambda v: "/",
    "range": lambda v: "month",
    "theme": lambda v: "dark",
    "language": lambda v: "ko",
    "a": lambda v: v.run,
    "b": lambda v: v.run,
}
"""For each name in a query."""

BODIES: dict[str, Callable[[Victim], list[Any]]] = {
    "ChatBody": lambda v: [chat("hello"), chat("hello", run=v.run), chat("again", run=v.run), chat("again", run=v.waiting)],
    "ResponseBody": lambda v: [{"model": "sadari", "input": "again", "previous_response_id": v.response}],
    "CompletionBody": lambda v: [{"model": "sadari-raw", "prompt": "hello"}],
    "EmbeddingBody": lambda v: [{"model": "no-such", "input": "hello"}],
    "Rating": lambda v: [{"rating": "up", "question": 2}],
    "Decision": lambda v: [
        {"decision": "approve", "fingerprint": v.fingerprint},
        {"decision": "deny", "fingerprint": v.fingerprint},
        {"decision": "edit", "fingerprint": v.fingerprint, "arguments": {"n": 1}},
        {"decision": "settle", "happened": True},
    ],
    "NewKey": lambda v: [{"user": v.user}],
    "NewPerson": lambda v: [{"user": f"new-{v.user}", "password": "a long sentence"}],
    "ChangedPerson": lambda v: [{"role": "admin"}],
    "Confirmed": lambda v: [{"confirm": v.user}],
    "Anchor": lambda v: [{"anchor": ""}],
    "Change": lambda v: [{"action": "rollback"}],
    "ReviewDecision": lambda v: [{"question": 2, "decision": "good"}],
    "NewComparison": lambda v: [{"title": "t", "run": 1, "first": "0-baseline", "second": "1-prompt"}],
    "NewRating": lambda v: [{"pair": 0, "better": "tie"}],
}
"""For each kind of body."""


def attempts(route: Any, victim: Victim) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a stranger would send to a route to reach what is the victim's: method, path and the rest."""
    paths = [route.path]
    for name in (p.name for p in route.dependant.path_params):
        assert name in PLACES, f"{route.path}: what would a stranger write for {{{name}}}? Say it in PLACES."
        paths = [path.replace(f"{{{name}}}", str(value)) for path in paths for value in PLACES[name](victim)]
    asked = _query_names(route.dependant)
    assert not asked - QUERIES.keys(), f"{route.path}: what would a stranger write for {asked - QUERIES.keys()}? Say it in QUERIES."
    queries = [{}, *({name: QUERIES[name](victim)} for name in sorted(asked))]
    kinds = [p.field_info.annotation.__name__ for p in route.dependant.body_params]
    assert not set(kinds) - BODIES.keys(), f"{route.path}: what would a stranger send as {kinds}? Say it in BODIES."
    bodies = [{"json": body} for kind in kinds for body in BODIES[kind](victim)] or [{}]
    stolen = {"Idempotency-Key": f"key of {victim.user}"}
    for method in sorted(route.methods - {"HEAD", "OPTIONS"}):
        headers = [{}, stolen] if method == "POST" and route.path.startswith("/v1/") else [{}]
        for path in paths:
            for query in queries:
                for body in bodies:
                    yield from ((method, path, {"params": query, "headers": h, **body}) for h in headers)


def _query_names(dependant: Any) -> set[str]:
    """Those of a route and of what it depends on."""
    names = {p.alias for p in dependant.query_params}
    return names.union(*(_query_names(below) for below in dependant.dependencies))


def tried(house: House) -> list[Any]:
    return [route for route in house.routes if route.path not in OPEN]


def test_no_user_reaches_what_is_another_users(house: House) -> None:
    before, count, reached = house.kept(), 0, []
    for i, user in enumerate(USERS):
        victim = house.victims[USERS[(i + 1) % len(USERS)]]
        sent = [(route, *one) for route in tried(house) for one in attempts(route, victim)]
        for route, method, path, more in sent[i % 2 :: 2]:  # two users together make all of them
            count += 1
            told = house.ask(user, method, path, **more)
            holds = any(word in told.text for word in (secret(victim.user), str(number(victim.user)), f"{number(victim.user):,}"))
            is_named = any(f"{{{name}}}" in route.path for name in ("run", "user", "key", "response_id"))
            if holds or told.status_code >= 500 or (is_named and told.is_success):
                reached.append((user, method, path, more, told.status_code))
    assert reached == []
    assert house.kept() == before
    assert count >= 1000


def test_the_attempts_reach_it_where_the_role_permits_it(house: House) -> None:
    """Else the test above would find nothing whatever there is to find."""
    victim = house.victims["user3"]
    found = set()
    for route in [one for one in tried(house) if "{run}" in one.path]:
        for method, path, more in attempts(route, victim):
            if method == "GET" and secret(victim.user) in house.ask("root", method, path, **more).text:
                found.add(route.path)
    assert {"/sadari/runs/{run}", "/sadari/runs/{run}/events", "/conversations/{run}"} <= found
    assert secret(victim.user) in house.ask(victim.user, "GET", f"/sadari/runs/{victim.run}").text
    assert str(number(victim.user)) in house.ask(victim.user, "GET", "/sadari/approvals").text


def test_nobody_without_a_key_reaches_anything(house: House) -> None:
    victim = house.victims["user5"]
    for route in tried(house):
        for method, path, more in attempts(route, victim):
            told = house.client.request(method, path, follow_redirects=False, **more)
            assert told.status_code == 401 or (told.status_code == 303 and told.headers["location"].startswith("/signin?"))
