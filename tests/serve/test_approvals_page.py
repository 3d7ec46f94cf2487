# ruff: noqa: F811  # fixtures that are imported have the names of arguments

from dataclasses import dataclass, replace
from typing import Any

import pytest

from acting import Script, call
from browsing import axe_faults, browser, opened  # noqa: F401
from sadari.agent.guard import Ruling
from sadari.agent.loop import Agent
from sadari.agent.team import Specialist
from sadari.types import Caller, Outcome, ToolSpec, Traits

ROLES = {"kim": "user", "lee": "user", "boss": "approver", "ops": "operator"}
SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string", "title": "주문 번호"},
        "amount": {"type": "integer", "title": "환불 금액 (원)", "minimum": 1},
        "why": {"enum": ["파손", "변심"]},
        "notify": {"type": "boolean"},
    },
    "required": ["order", "amount"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Refund:
    """Gives money back, for ever; `given` says what."""

    given: list[Any]
    effect: Any = "irreversible"
    spec = ToolSpec("refund", "돈을 돌려준다.", SCHEMA)

    @property
    def traits(self) -> Traits:
        return Traits(self.effect, is_trusted=True)

    def call(self, arguments: Any, caller: Caller) -> Outcome:
        self.given.append(dict(arguments))
        if arguments["order"] == "lost":
            raise ConnectionError
        return Outcome("돌려주었습니다.")


class Doubtful:
    version = "1"

    def before(self, proposal: Any) -> Ruling:
        return Ruling("ask", "judge", "확실하지 않습니다")

    def after(self, proposal: Any, outcome: Any) -> None:
        return None


def asks(live: Any, who: str = "kim", text: str = "환불해 주세요") -> str:
    """The run of a question to the agent."""
    with live.http(who) as http:
        body = {"model": "sadari", "messages": [{"role": "user", "content": text}]}
        run: str = http.post("/v1/chat/completions", json=body).json()["sadari"]["run"]
    return run


def with_agent(live: Any, **changes: Any) -> None:
    live.service.desk.loop.agent = replace(live.service.desk.loop.agent, **changes)


REFUND = call("refund", order="A-1", amount=89000)


# --- what programs are told ----------------------------------------------------------------------------------------------


def test_a_request_tells_its_tool_its_judge_and_the_conversation(start: Any) -> None:
    live = start("무엇을 환불할까요?", [REFUND], tools=(Refund([]),), users=ROLES)
    with_agent(live, guards=(Doubtful(),))
    run = asks(live)
    live.service.desk.loop.answer("A-1이요", Caller("kim"), run)
    with live.http("boss") as boss:
        (listed,) = boss.get("/sadari/approvals").json()["approvals"]
        one = boss.get(f"/sadari/approvals/{run}/{listed['call']}").json()
    assert (one["effect"], one["fingerprint"], one["question"]) == ("irreversible", listed["fingerprint"], "A-1이요")
    assert one["spec"] == {"description": "돈을 돌려준다.", "parameters": SCHEMA}
    assert [(ruling["by"], ruling["decision"]) for ruling in one["rulings"]] == [("tool", "ask"), ("judge", "ask")]
    said = [(turn["role"], turn["content"]) for turn in one["conversation"]]
    assert said[:3] == [("user", "환불해 주세요"), ("assistant", "무엇을 환불할까요?"), ("user", "A-1이요")]
    assert one["conversation"][3]["calls"] == ["refund"]


def test_users_see_their_own_requests_and_decisions_only(start: Any) -> None:
    live = start([REFUND], tools=(Refund([]),), users=ROLES)
    run = asks(live)
    place = f"/sadari/approvals/{run}/1.1"
    seen = {}
    for name in ROLES:
        with live.http(name) as http:
            seen[name] = (http.get(place).status_code, len(http.get("/sadari/approvals").json()["approvals"]))
    assert seen == {"kim": (200, 1), "lee": (404, 0), "boss": (200, 1), "ops": (404, 0)}
    with live.http("boss") as boss:
        one = boss.get(place).json()
        assert boss.post(place, json={"decision": "deny", "fingerprint": one["fingerprint"], "reason": "아니요"}).status_code == 200
    decided = {}
    for name in ROLES:
        with live.http(name) as http:
            decided[name] = [(d["by"], d["decision"], d["reason"]) for d in http.get("/sadari/decisions").json()["decisions"]]
    assert decided == {"kim": [("boss", "deny", "아니요")], "lee": [], "boss": [("boss", "deny", "아니요")], "ops": []}


def test_who_decides_second_is_told_who_was_first(start: Any) -> None:
    live = start([REFUND], tools=(Refund([]),), users=ROLES | {"head": "admin"})
    place = f"/sadari/approvals/{asks(live)}/1.1"
    with live.http("boss") as boss, live.http("head") as head, live.http("kim") as kim:
        seen = boss.get(place).json()["fingerprint"]
        assert head.post(place, json={"decision": "deny", "fingerprint": seen}).status_code == 200
        told = boss.post(place, json={"decision": "approve", "fingerprint": seen})
        assert (told.status_code, told.json()["error"]["code"]) == (409, "decided")
        assert "head decided already (deny)" in told.json()["error"]["message"]
        assert kim.get(place).status_code == 404


@pytest.mark.parametrize(("arguments", "named"), [({"order": "A-1"}, "amount"), ({"order": "A-1", "amount": "x"}, "amount")])
def test_edited_arguments_that_the_tool_does_not_take_are_refused_at_once(start: Any, arguments: Any, named: str) -> None:
    live = start([REFUND], tools=(Refund([]),), users=ROLES)
    place = f"/sadari/approvals/{asks(live)}/1.1"
    with live.http("boss") as boss:
        edit = {"decision": "edit", "fingerprint": boss.get(place).json()["fingerprint"], "arguments": arguments}
        told = boss.post(place, json=edit)
        assert told.status_code == 400
        assert named in told.json()["error"]["message"]
        assert boss.get(place).status_code == 200


def test_what_a_specialist_asked_for_goes_on_up_to_its_supervisor(start: Any) -> None:
    given: list[Any] = []
    till = Specialist("till", "환불", Agent(Script([REFUND], "했습니다."), (Refund(given),)))
    live = start([call("till", request="A-1 환불")], "환불되었습니다.", tools=(till,), users=ROLES)
    run = asks(live)
    with live.http("boss") as boss:
        (one,) = boss.get("/sadari/approvals").json()["approvals"]
        assert one["run"] != run
        detail = boss.get(f"/sadari/approvals/{one['run']}/{one['call']}").json()
        assert detail["effect"] == "irreversible"
        assert "A-1 환불" in detail["part"][0]["content"]
        boss.post(f"/sadari/approvals/{one['run']}/{one['call']}", json={"decision": "approve", "fingerprint": one["fingerprint"]})
    with live.http("kim") as kim:
        live.wait_for(lambda: kim.get(f"/sadari/runs/{run}").json().get("answer") == "환불되었습니다.")
    assert len(given) == 1


# --- the page --------------------------------------------------------------------------------------------------------------


def statuses(live: Any, run: str) -> list[str]:
    return [one.status for one in live.service.desk.loop.state(run).calls.values()]


def test_a_call_that_cannot_be_undone_is_done_after_a_second_look(start: Any, opened: Any) -> None:
    given: list[Any] = []
    live = start([REFUND], "돌려드렸습니다.", tools=(Refund(given),), users=ROLES)
    run = asks(live)
    page = opened(live, "boss", "/approvals")
    card = page.locator(".request")
    assert "₩89,000" in card.inner_text()
    assert "되돌릴 수 없음" in card.inner_text()
    card.get_by_role("button", name="승인…").click()
    page.keyboard.press("Enter")  # on the safe button
    assert (given, card.count()) == ([], 1)
    card.get_by_role("button", name="승인…").click()
    page.get_by_role("button", name="예, 승인합니다").click()
    page.get_by_text("지금 결정을 기다리는 요청이 없습니다.").wait_for()
    live.wait_for(lambda: statuses(live, run) == ["succeeded"])
    assert given == [{"order": "A-1", "amount": 89000}]
    page.locator("#history tbody tr").filter(has_text="boss").wait_for()


def test_two_clicks_decide_once_and_the_menu_counts_what_waits(start: Any, opened: Any) -> None:
    live = start([REFUND, call("refund", order="A-2", amount=1)], tools=(Refund([], "write"),), users=ROLES)
    run = asks(live)
    page = opened(live, "boss", "/approvals")
    page.locator(".request").nth(1).wait_for()
    assert page.locator("#waiting").inner_text() == "2"
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if request.method == "POST" else None)
    page.locator(".request").first.get_by_role("button", name="승인").dblclick()
    live.wait_for(lambda: statuses(live, run)[0] == "succeeded")
    page.wait_for_function("document.querySelectorAll('.request').length === 1")
    assert sent == ["POST"]
    assert statuses(live, run)[1] == "waiting"
    assert page.locator("#waiting").inner_text() == "1"


def test_requests_come_and_go_without_a_reload(start: Any, opened: Any) -> None:
    live = start([REFUND], "네.", tools=(Refund([]),), users=ROLES)
    page = opened(live, "boss", "/approvals")
    page.get_by_text("지금 결정을 기다리는 요청이 없습니다.").wait_for()
    run = asks(live)
    page.clock.fast_forward(5_000)
    page.locator(".request").wait_for()
    with live.http("boss") as boss:
        one = boss.get(f"/sadari/approvals/{run}/1.1").json()
        boss.post(f"/sadari/approvals/{run}/1.1", json={"decision": "deny", "fingerprint": one["fingerprint"]})
    page.clock.fast_forward(5_000)
    page.get_by_text("그사이 결정되었거나").wait_for()
    page.locator("#history tbody tr").filter(has_text="거절").wait_for()


def test_who_comes_second_reads_who_was_first(start: Any, opened: Any) -> None:
    live = start([REFUND], tools=(Refund([], "write"),), users=ROLES | {"head": "admin"})
    run = asks(live)
    page = opened(live, "boss", "/approvals")
    page.locator(".request").wait_for()
    with live.http("head") as head:
        one = head.get(f"/sadari/approvals/{run}/1.1").json()
        head.post(f"/sadari/approvals/{run}/1.1", json={"decision": "deny", "fingerprint": one["fingerprint"]})
    page.locator(".request").get_by_role("button", name="승인").click()
    page.get_by_text("head 님이 먼저 결정했습니다: 거절").wait_for()
    assert statuses(live, run) == ["denied"]


def test_arguments_are_edited_in_a_form_made_from_the_schema(start: Any, opened: Any) -> None:
    given: list[Any] = []
    live = start([REFUND], tools=(Refund(given, "write"),), users=ROLES)
    run = asks(live)
    page = opened(live, "boss", "/approvals")
    card = page.locator(".request")
    card.get_by_role("button", name="고치기…").click()
    card.get_by_label("환불 금액 (원)").fill("5000")
    card.get_by_label("why").select_option(label="파손")
    card.get_by_role("button", name="새 요청으로 보내기").click()
    anew = page.locator(".request").filter(has_text="boss 님이 고친 내용")
    anew.wait_for()
    assert given == []
    anew.get_by_role("button", name="승인").click()
    live.wait_for(lambda: statuses(live, run) == ["denied", "succeeded"])
    assert given == [{"order": "A-1", "amount": 5000, "why": "파손"}]


def test_keys_alone_deny_with_a_reason(start: Any, opened: Any) -> None:
    live = start([REFUND], tools=(Refund([]),), users=ROLES)
    run = asks(live)
    page = opened(live, "boss", "/approvals")
    page.locator(".request").focus()
    page.keyboard.press("d")
    page.keyboard.type("기한이 지났습니다. a d e")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    live.wait_for(lambda: statuses(live, run) == ["denied"])
    (event,) = [event for event in live.service.log.events(run) if event.kind == "call.denied"]
    assert event.body["reason"] == "기한이 지났습니다. a d e"


def test_a_person_says_what_became_of_a_call_whose_end_nobody_saw(start: Any, opened: Any) -> None:
    live = start([call("refund", order="lost", amount=1)], "알겠습니다.", tools=(Refund([]),), users=ROLES)
    run = asks(live)
    with live.http("boss") as boss:
        one = boss.get(f"/sadari/approvals/{run}/1.1").json()
        boss.post(f"/sadari/approvals/{run}/1.1", json={"decision": "approve", "fingerprint": one["fingerprint"]})
        live.wait_for(lambda: boss.get("/sadari/approvals").json()["approvals"])
    page = opened(live, "boss", "/approvals")
    page.get_by_label("아니요, 실행되지 않았습니다").check()
    page.get_by_role("button", name="알려 주기").click()
    live.wait_for(lambda: statuses(live, run) == ["failed"])


def test_who_asked_reads_why_he_cannot_decide_and_a_user_only_looks(start: Any, opened: Any) -> None:
    live = start([REFUND], [REFUND], tools=(Refund([]),), users=ROLES)
    with_agent(live, four_eyes=True)
    asks(live, "boss")
    asks(live, "kim")
    page = opened(live, "boss", "/approvals")
    own = page.locator(".request").filter(has_text="boss 님의 질문")
    own.get_by_text("다른 담당자가 결정해야 합니다").wait_for()
    assert own.get_by_role("button").count() == 0
    assert page.locator(".request").filter(has_text="kim 님의 질문").get_by_role("button").count() > 0
    looks = opened(live, "kim", "/approvals")
    looks.locator(".request").wait_for()
    assert looks.locator(".request").count() == 1
    assert looks.locator(".request").get_by_role("button").count() == 0


def test_what_a_model_writes_is_shown_as_text(start: Any, opened: Any) -> None:
    evil = "<img src=x onerror=alert(1)>"
    live = start([call("refund", order=evil, amount=1)], tools=(Refund([]),), users=ROLES)
    asks(live, text=evil)
    page = opened(live, "boss", "/approvals")
    page.locator(".request").wait_for()
    assert page.locator("main img").count() == 0
    assert evil in page.locator(".arguments").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_page_passes_axe_and_fits_a_phone(start: Any, opened: Any, theme: Any, language: str) -> None:
    live = start([REFUND], tools=(Refund([]),), users=ROLES)
    asks(live)
    page = opened(live, "boss", "/approvals", language=language, color_scheme=theme, viewport={"width": 390, "height": 800})
    page.locator(".request .actions button").nth(2).click()
    assert axe_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
