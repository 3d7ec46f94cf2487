"""The orders of examples/mall: files that the generator wrote, an API that keeps its rules, and a climb that changes no order."""

import importlib.util
import json
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.small_tasks import write_task

from sadari.acting import SystemResponder, opening, recorded
from sadari.agent.approval import approve, pending
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.agent.tools import Place, close_tools, open_tools
from sadari.answer import Answerer
from sadari.errors import ToolFailedError
from sadari.measure.scorers.whole_task import WholeTaskScorer, calls_of
from sadari.model.scripted import ScriptedModel
from sadari.run import ClimbOptions, run_climb
from sadari.task import load_task
from sadari.task.readers import scan_rows
from sadari.types import Answer, Caller, Example, System, Tool

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

MALL = Path(__file__).resolve().parents[2] / "examples" / "mall"
PREPARING, DELIVERED = "상품 준비 중", "배송 완료"


@cache
def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mall_{Path(name).stem}", MALL / name)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@cache
def built() -> tuple[dict[str, str], dict[str, float]]:
    files: tuple[dict[str, str], dict[str, float]] = module("generate_orders.py").build()
    return files


@cache
def examples(split: str) -> tuple[Example, ...]:
    return tuple(row.example for row in scan_rows(MALL / "orders" / f"{split}.jsonl", folder=MALL).rows)


@pytest.fixture
def api(tmp_path: Path) -> TestClient:
    return TestClient(module("api/shop.py").create_app(tmp_path / "shop.db"))


def order_in(status: str) -> dict[str, str]:
    """The first order of the shop in a state."""
    with (MALL / "api" / "orders.csv").open(encoding="utf-8") as file:
        names = next(file).strip().split(",")
        return next(
            row for row in (dict(zip(names, line.strip().split(","), strict=True)) for line in file) if row["status"] == status
        )


# --- files -------------------------------------------------------------------------------------------------------------


def test_the_committed_files_are_what_the_generator_writes() -> None:
    for name, text in built()[0].items():
        assert (MALL / name).read_text("utf-8") == text, f"{name} is not up to date: run generate_orders.py"


def test_the_readme_states_the_figures_of_the_orders() -> None:
    readme = (MALL / "README.md").read_text("utf-8")
    for name, value in built()[1].items():
        assert f"| {name} | {value} |" in readme, f"README.md does not say that {name} is {value}"


def test_the_task_loads_and_nothing_of_its_test_stands_in_train() -> None:
    task = load_task(MALL / "orders.yaml")
    assert task.dropped_train == 0
    assert len(task.train) + len(task.validation) >= 1500
    assert 150 <= len(task.test) <= 200


def test_order_numbers_telephone_numbers_and_articles_of_test_are_never_met_in_training() -> None:
    def values(split: str, name: str) -> set[str]:
        calls = [call for e in examples(split) for m in e.messages for call in m.tool_calls]
        return {str(call.arguments[name]) for call in calls if name in call.arguments}

    for name in ("order", "phone", "email", "address"):
        assert not values("train", name) & values("test", name), name


def test_there_are_rows_of_every_kind_that_the_readme_lists() -> None:
    kinds = {e.tags[0] for e in examples("test")}
    assert kinds == set(module("generate_orders.py").COUNTS)
    texts = [m.content for e in examples("test") for m in e.messages if m.role == "tool"]
    assert any("승인하지 않았습니다" in text for text in texts)
    assert any("없는 주문 번호" in text for text in texts)


def test_the_answer_that_a_row_records_is_right_by_its_own_facts() -> None:
    for example in (*examples("train"), *examples("test")):
        score = WholeTaskScorer().score(example, Answer(example.target.content, calls_of(example)))
        assert score.value == 1, (example.id, score.reason)


# --- the API -----------------------------------------------------------------------------------------------------------


def test_an_order_is_cancelled_once_and_then_no_more(api: TestClient) -> None:
    order = order_in(PREPARING)["id"]
    assert api.post(f"/orders/{order}/cancel").json()["취소"] == order
    assert api.get(f"/orders/{order}").json()["상태"] == "취소됨"
    again = api.post(f"/orders/{order}/cancel")
    assert (again.status_code, again.json()["detail"]) == (409, "이미 취소한 주문입니다.")


def test_what_is_shipped_is_not_cancelled(api: TestClient) -> None:
    order = order_in("배송 중")["id"]
    assert api.post(f"/orders/{order}/cancel").json()["detail"] == "이미 발송한 주문입니다."
    assert api.get(f"/orders/{order}").json()["상태"] == "배송 중"


def test_no_more_is_refunded_than_was_paid_even_bit_by_bit(api: TestClient) -> None:
    order = order_in(DELIVERED)
    price = int(order["price"])
    assert api.post(f"/orders/{order['id']}/refund", json={"amount": price - 1000}).status_code == 200
    over = api.post(f"/orders/{order['id']}/refund", json={"amount": 1001})
    assert (over.status_code, over.json()["detail"]) == (409, "남은 결제 금액 1,000원보다 많습니다.")
    assert api.post(f"/orders/{order['id']}/refund", json={"amount": 1000}).status_code == 200


def test_a_request_repeated_with_its_key_is_done_once(api: TestClient) -> None:
    order, key = order_in(DELIVERED), {"Idempotency-Key": "k1"}
    price = int(order["price"])
    first = api.post(f"/orders/{order['id']}/refund", json={"amount": price}, headers=key)
    again = api.post(f"/orders/{order['id']}/refund", json={"amount": price}, headers=key)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    other = api.post(f"/orders/{order['id']}/refund", json={"amount": 1}, headers=key)
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/mails", {"order": "{id}", "email": "na@mail.example"}, {"주문": "{id}", "메일": "na@mail.example"}),
        ("/calls", {"month": 12, "day": 1, "hour": 10}, {"예약": "12월 1일 10시"}),
        ("/coupons", {"phone": "010-0000-0001", "amount": 1000}, {"금액": "1,000원"}),
        ("/tickets", {"order": "{id}", "problem": "파손"}, {"문제": "파손"}),
    ],
)
def test_mails_calls_coupons_and_tickets_are_made(api: TestClient, path: str, body: Any, answer: Any) -> None:
    order = order_in(DELIVERED)["id"]
    body, answer = json.loads(json.dumps([body, answer]).replace("{id}", order))
    made = api.post(path, json=body)
    assert made.status_code == 200
    assert answer.items() <= made.json().items()


def test_an_hour_is_booked_once(api: TestClient) -> None:
    hour = {"month": 12, "day": 1, "hour": 10}
    assert api.post("/calls", json=hour).status_code == 200
    assert api.post("/calls", json=hour).json()["detail"] == "10시는 이미 찬 시간입니다."


# --- tools -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example, so that nothing is written into the repository."""
    for name in ("api", "orders"):
        shutil.copytree(MALL / name, tmp_path / "mall" / name, ignore=shutil.ignore_patterns("*.db", "__pycache__"))
    shutil.copy(MALL / "orders.yaml", tmp_path / "mall")
    return tmp_path / "mall"


@pytest.fixture
def tools(folder: Path) -> Iterator[dict[str, Tool]]:
    task = load_task(folder / "orders.yaml")
    opened = open_tools([(tool.kind, tool.options) for tool in task.tools], Place(folder, {}, "ko"))
    yield {tool.spec.name: tool for tool in opened}
    close_tools(opened)


def test_the_tools_give_what_the_rows_record(tools: dict[str, Tool]) -> None:
    reads = ("get_order", "list_orders", "track_order")
    results = {key: text for e in examples("test") for key, text in recorded(e).items() if key[0] in reads}
    assert len(results) > 60
    for (name, arguments), text in results.items():
        try:
            given = tools[name].call(json.loads(arguments), Caller("test")).text
        except ToolFailedError as error:
            given = str(error)
        # A row that cancels an order reads it in a shop where nothing else has happened, as here.
        assert given == text, (name, arguments)


def test_what_changes_something_says_so(tools: dict[str, Tool]) -> None:
    reading = {name for name, tool in tools.items() if tool.traits.effect == "read"}
    assert reading == {"get_order", "list_orders", "track_order"}


def test_an_order_is_cancelled_when_a_person_approves_and_not_before(folder: Path, tools: dict[str, Tool]) -> None:
    order = order_in(PREPARING)["id"]
    rules: list[dict[str, Any]] = [
        {"when": "취소해", "tool_calls": [{"name": "cancel_order", "arguments": {"order": order}}]},
        {"when": "환불액", "say": "취소했습니다."},
    ]
    responder = SystemResponder(Answerer(System("scripted"), ScriptedModel(rules)))
    log = Log("")
    loop = Loop(Agent(responder, tuple(tools.values())), log)
    run = loop.ask(f"{order} 취소해 주세요", Caller("customer"))
    list(loop.advance(run))
    assert tools["get_order"].call({"order": order}, Caller()).data["상태"] == PREPARING
    (asked,) = pending(log, datetime.now().astimezone(), run=run)
    approve(log, run, asked.call, asked.fingerprint, "clerk", now=datetime.now().astimezone())
    list(loop.advance(run))
    answer = loop.state(run).answer
    assert answer is not None
    assert answer.text == "취소했습니다."
    assert tools["get_order"].call({"order": order}, Caller()).data["상태"] == "취소됨"
    log.close()


# --- a climb -----------------------------------------------------------------------------------------------------------


def orders_in(folder: Path) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(folder / "api" / "shop.db")
    try:
        tables = ("orders", "mails", "tickets", "calls", "coupons", "answered")
        return [row for table in tables for row in database.execute(f"SELECT * FROM {table} ORDER BY 1")]
    finally:
        database.close()


def test_a_climb_makes_the_calls_of_the_rows_and_changes_no_order(folder: Path) -> None:
    wanted = ("status", "cancel", "missing")
    rows = [json.loads(line) for line in (folder / "orders" / "test.jsonl").read_text("utf-8").splitlines()]
    rows = [next(row for row in rows if row["tags"] == [kind] and "승인" not in str(row)) for kind in wanted]
    rules: list[dict[str, Any]] = []
    for row in rows:
        for message, before in zip(row["messages"][1:], row["messages"], strict=False):
            if message["role"] == "assistant":
                calls = [call["function"] for call in message.get("tool_calls", ())]
                rules.insert(0, {"when": before["content"], **({"tool_calls": calls} if calls else {"say": message["content"]})})
    train = [json.loads(line) for line in (folder / "orders" / "train.jsonl").read_text("utf-8").splitlines()[:40]]
    options = {"tools": [{"python": "api/tools.py"}], "score": {"by": "task"}, "ladder": ["prompt"]}
    task = write_task(folder, train, rows, rules=rules, goal="주문을 처리한다.", **options)
    module("api/shop.py").open_database(folder / "api" / "shop.db").close()
    before = orders_in(folder)
    steps = list(run_climb(load_task(task), ClimbOptions(), lambda line: None))
    assert steps[0].scorecard.scores == (1.0, 1.0, 1.0)
    assert orders_in(folder) == before


def test_the_last_question_of_a_follow_up_is_asked_after_what_was_said() -> None:
    example = next(e for e in examples("test") if e.tags == ("follow",))
    said, question = opening(example)
    assert [m.role for m in said] == ["user", "assistant"]
    assert question == example.question
