import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openai
import pytest
import typer
from typer.testing import CliRunner

from acting import Script
from sadari.agent.log import Log, Spent
from sadari.agent.log.database import open_database
from sadari.agent.loop import Agent, Loop
from sadari.cli.serve import serve
from sadari.errors import BudgetError, ConfigError
from sadari.model.scripted import ScriptedModel
from sadari.serve import Identity, Keys, ServeOptions, Service
from sadari.serve import keys as keys_module
from sadari.types import Delta, Message, Request, Usage


@pytest.fixture
def keys() -> Keys:
    return Keys(open_database(""))


def add(live: Any, user: str = "kim", role: Any = "user", **more: Any) -> Any:
    """A client with a new key."""
    key = live.service.keys.add(Identity(user, role, **more))
    return live.client(key)


def key_of(client: Any) -> str:
    return str(client.api_key.split("-")[2])


def ask(client: Any, model: str = "sadari-raw", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "하나 둘 셋"}], **more)


@pytest.fixture
def live(start: Any) -> Any:
    return start(*["네."] * 10, users={"root": "admin"}, price_per_1k_prompt_tokens=100, price_per_1k_completion_tokens=1_000)


# --- what a key uses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_every_route_counts_what_was_used_for_the_key(live: Any, stream: bool) -> None:
    client, used = add(live), 0
    for model in ("sadari-raw", "sadari"):
        used += usage_of(ask(client, model, stream=stream, **({"stream_options": {"include_usage": True}} if stream else {})))
        assert live.service.keys.spent(key_of(client)).tokens == used
        completed = client.completions.create(
            model=model, prompt="하나", stream=stream, **({"stream_options": {"include_usage": True}} if stream else {})
        )
        used += usage_of(completed)
        assert live.service.keys.spent(key_of(client)).tokens == used
        responded = client.responses.create(model=model, input="하나", stream=stream)
        last = [*responded][-1].response if stream else responded
        used += last.usage.total_tokens
        assert live.service.keys.spent(key_of(client)).tokens == used
    assert used > 20


def usage_of(answer: Any) -> int:
    last = answer if hasattr(answer, "usage") else [*answer][-1]
    return int(last.usage.total_tokens)


def test_embeddings_count_as_well(live: Any) -> None:
    client = add(live)
    used = client.embeddings.create(model="sadari", input=["환불 규정"]).usage.total_tokens
    assert used > 0
    assert live.service.keys.spent(key_of(client)).tokens == used


def test_tokens_are_counted_in_the_metrics_once(live: Any) -> None:
    client = add(live)
    usage = ask(client).usage
    with live.http("root") as root:
        text = root.get("/metrics").text
    assert f'sadari_tokens_total{{kind="prompt",model="sadari-raw"}} {usage.prompt_tokens}.0' in text
    assert f'sadari_tokens_total{{kind="completion",model="sadari-raw"}} {usage.completion_tokens}.0' in text


class Endless:
    """A model that would go on for ever; each prompt has 7 tokens."""

    name = "endless"

    def stream(self, request: Request) -> Iterator[Delta]:
        while True:
            yield Delta(text="네 ")

    def generate(self, requests: Any) -> Any:
        raise NotImplementedError

    def count_tokens(self, messages: Any, tools: Any = ()) -> int:
        return 7


def test_a_client_that_hangs_up_is_counted_too(start: Any) -> None:
    told: list[Usage] = []
    pieces = start(model=Endless()).service.generate(Request((Message("user", "하나 둘"),)), told.append)
    for _ in range(3):
        next(pieces)
    pieces.close()
    assert told == [Usage(7, 3)]


def test_an_answer_that_is_told_again_counts_once(live: Any) -> None:
    client = add(live)
    for _ in range(2):
        ask(client, "sadari", extra_headers={"Idempotency-Key": "one"})
    once = live.service.keys.spent(key_of(client)).tokens
    assert once == live.service.log.spent("kim").tokens


def test_money_is_what_the_tokens_cost(live: Any) -> None:
    client = add(live)
    usage = ask(client).usage
    expected = usage.prompt_tokens * 0.1 + usage.completion_tokens * 1.0
    assert live.service.keys.spent(key_of(client)).money == pytest.approx(expected)


def test_money_that_is_known_is_not_priced_again(live: Any) -> None:
    client = add(live)
    live.service.used(live.service.identify(client.api_key), "sadari", Usage(1_000, 1_000), 3.5)
    assert live.service.keys.spent(key_of(client)) == Spent(2_000, 0, 3.5)


# --- limits ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"tokens_per_day": 1}, {"money_per_day": 0.01}], ids=["tokens", "money"])
@pytest.mark.parametrize("model", ["sadari-raw", "sadari"])
def test_a_key_whose_day_is_spent_is_told_to_come_tomorrow(live: Any, limit: dict[str, Any], model: str) -> None:
    client, other = add(live, **limit), add(live)
    ask(client, model)
    runs = len(live.service.log.runs())
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as refused:
            ask(client, model, stream=stream)
        assert refused.value.code == "insufficient_quota"
        now = datetime.now(UTC)
        left = 86_400 - (now.hour * 3_600 + now.minute * 60 + now.second)
        assert abs(int(refused.value.response.headers["retry-after"]) - left) <= 30 or left < 30
    assert len(live.service.log.runs()) == runs
    assert ask(other, model).choices
    assert client.models.list().data  # what costs nothing stays open


def test_a_day_is_over_at_midnight(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    whose = keys.who(keys.add(Identity("kim", tokens_per_day=10)))
    assert whose is not None
    monkeypatch.setattr(keys_module, "_today", lambda: "2026-03-02")
    keys.check_day(whose)
    keys.spend(whose.key, Spent(9, 0, 0.0))
    keys.check_day(whose)
    keys.spend(whose.key, Spent(1, 0, 0.0))
    with pytest.raises(BudgetError, match="10 tokens of today"):
        keys.check_day(whose)
    monkeypatch.setattr(keys_module, "_today", lambda: "2026-03-03")
    keys.check_day(whose)


def test_limits_outlive_the_process(place: str) -> None:
    made = Identity("kim", "operator", ("인사",), "", 7, 3, 5_000_000_000, 2.5, ("operate", "model:sadari"))
    key = Keys(open_database(place)).add(made, 30)
    Keys(open_database(place)).spend(key.split("-")[2], Spent(5, 0, 1.5))
    again = Keys(open_database(place))
    found = again.who(key)
    assert found == Identity("kim", "operator", ("인사",), key.split("-")[2], 7, 3, 5_000_000_000, 2.5, ("operate", "model:sadari"))
    assert again.spent(found.key) == Spent(5, 0, 1.5)


def test_a_limit_in_money_needs_prices(tmp_path: Path) -> None:
    place = str(tmp_path / "unpriced.sqlite")
    Keys(open_database(place)).add(Identity("kim", money_per_day=1.0))
    with pytest.raises(ConfigError, match="price_per_1k_prompt_tokens"):
        Service(Loop(Agent(Script()), Log(place)), ScriptedModel(), ServeOptions(log=place))


@pytest.mark.parametrize(
    "more",
    [
        {"tokens_per_day": 0},
        {"money_per_day": -1.0},
        {"money_per_day": float("nan")},
        {"concurrent": 2**40},
        {"scope": ("everything",)},
        {"scope": ("model:",)},
        {"scope": ("model:a\nadminister",)},
    ],
    ids=lambda more: "-".join(f"{name}-{value}" for name, value in more.items()).encode("ascii", "replace").decode(),
)
def test_a_limit_that_is_none_is_refused(keys: Keys, more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        keys.add(Identity("kim", **more))
    assert keys.all() == []


# --- scopes ----------------------------------------------------------------------------------------------------------------


def test_a_key_for_one_model_asks_that_one_alone(live: Any) -> None:
    client = add(live, role="admin", scope=("model:sadari-raw",))
    assert ask(client).choices
    for call in (
        lambda: ask(client, "sadari"),
        lambda: client.responses.create(model="sadari", input="?"),
        lambda: client.completions.create(model="sadari", prompt="?"),
        lambda: client.embeddings.create(model="sadari", input="?"),
        lambda: client.models.retrieve("sadari"),
    ):
        with pytest.raises((openai.PermissionDeniedError, openai.NotFoundError)):
            call()
    assert [model.id for model in client.models.list().data] == ["sadari-raw"]
    assert live.service.log.runs() == []
    with live.http(client.api_key) as http:
        assert http.get("/sadari/keys").status_code == 403
        assert http.post("/sadari/keys", json={"user": "evil"}).status_code == 403


def test_a_key_for_the_metrics_does_nothing_else(live: Any) -> None:
    client = add(live, role="operator", scope=("operate",))
    with live.http(client.api_key) as http:
        assert http.get("/metrics").status_code == 200
        for path in ("/v1/models", "/sadari/runs", "/sadari/approvals"):
            assert http.get(path).status_code == 403, path
    with pytest.raises(openai.PermissionDeniedError, match="good for: operate"):
        ask(client)


@pytest.mark.parametrize(
    ("role", "scope", "may"),
    [
        ("admin", (), {"ask", "approve", "operate", "administer"}),
        ("admin", ("operate",), {"operate"}),
        ("admin", ("model:a",), {"ask"}),
        ("admin", ("model:a", "approve"), {"ask", "approve"}),
        ("user", ("administer",), set()),
        ("user", ("ask", "administer"), {"ask"}),
    ],
)
def test_a_scope_narrows_a_role_and_never_widens_it(role: Any, scope: tuple[str, ...], may: set[str]) -> None:
    whose = Identity("kim", role, scope=scope)
    permissions: tuple[Any, ...] = ("ask", "approve", "operate", "administer")
    assert {one for one in permissions if whose.may(one)} == may


def test_a_key_is_no_way_to_a_wider_one(live: Any) -> None:
    client = add(live, role="admin", scope=("ask",))
    with live.http(client.api_key) as http:
        assert http.post("/sadari/keys", json={"user": "kim", "role": "admin"}).status_code == 403


# --- keys ------------------------------------------------------------------------------------------------------------------


def test_unknown_and_wrong_keys_do_the_same_work(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    right = keys.add(Identity("kim"))
    hashed, compared = list[str](), list[tuple[int, int]]()
    real_hash, real_same = keys_module._hash, keys_module.is_same
    monkeypatch.setattr(keys_module, "_hash", lambda secret: (hashed.append(secret), real_hash(secret))[1])
    monkeypatch.setattr(keys_module, "is_same", lambda a, b: (compared.append((len(a), len(b))), real_same(a, b))[1])
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    work = []
    for written in (right, wrong, "sk-sadari-0123456789ab-" + "A" * 43, "no key at all", ""):
        hashed.clear()
        compared.clear()
        found = keys.who(written)
        work.append((len(hashed), *compared))
        assert (found is not None) == (written == right)
    assert work == [(1, (64, 64))] * 5


def test_an_admin_makes_a_key_with_limits_and_sees_what_it_used(live: Any) -> None:
    with live.http("root") as root:
        wanted = {"user": "park", "tokens_per_day": 1_000, "money_per_day": 50.0, "scope": ["model:sadari-raw"]}
        key = root.post("/sadari/keys", json=wanted).json()["key"]
        usage = ask(live.client(key)).usage
        (listed,) = [one for one in root.get("/sadari/keys").json()["keys"] if one["identity"]["user"] == "park"]
        assert listed["today"]["tokens"] == usage.total_tokens
        assert (listed["identity"]["tokens_per_day"], listed["identity"]["scope"]) == (1_000, ["model:sadari-raw"])
        assert root.post("/sadari/keys", json={"user": "park", "scope": ["everything"]}).status_code == 400


def test_limits_are_given_and_listed_on_the_command_line(tmp_path: Path) -> None:
    app, place = typer.Typer(), tmp_path / "log.sqlite"
    app.add_typer(serve, name="serve")
    place.touch()
    words = ["--tokens-per-day", "5000", "--money-per-day", "2.5", "--scope", "ask", "--scope", "model:sadari"]
    made = CliRunner().invoke(app, ["serve", "keys", "add", "kim", str(place), *words])
    key = made.stdout.strip()
    Keys(open_database(str(place))).spend(key.split("-")[2], Spent(1_234, 0, 1.0))
    (listed,) = json.loads(CliRunner().invoke(app, ["serve", "keys", "list", str(place), "--json"]).output)
    assert listed["identity"]["scope"] == ["ask", "model:sadari"]
    assert listed["today"] == {"tokens": 1_234, "money": 1.0}
    shown = CliRunner().invoke(app, ["serve", "keys", "list", str(place)]).output
    assert "1,234 of 5,000" in shown
    assert "1 of 2.5" in shown
    wrong = CliRunner().invoke(app, ["serve", "keys", "add", "kim", str(place), "--scope", "all"])
    assert isinstance(wrong.exception, ConfigError)
    assert "model:NAME" in str(wrong.exception)
