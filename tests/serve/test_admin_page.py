# ruff: noqa: F811  # fixtures that are imported have the names of arguments

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from acting import Plain
from browsing import axe_faults, browser, opened  # noqa: F401
from sadari.agent.judge import Judge, JudgeOptions
from sadari.agent.policy import Policy, PolicyConfig
from sadari.model.scripted import ScriptedModel
from sadari.types import Caller, Traits

ROLES = {"root": "admin", "kim": "user", "boss": "approver", "ops": "operator"}
SENTENCE = "nine green bottles"


def acts(live: Any) -> list[tuple[str, str, str]]:
    return [(act.by, act.act, act.on) for act in live.service.acts.all()]


def told(http: Any, path: str, **body: Any) -> Any:
    answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- what programs are told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["kim", "boss", "ops"])
def test_only_an_administrator_comes_in(start: Any, who: str) -> None:
    live = start(users=ROLES)
    with live.http(who) as http:
        for path in ("/admin", "/sadari/people", "/sadari/acts", "/sadari/agent", "/sadari/keys", "/sadari/retention"):
            assert http.get(path).status_code == 403
        for path in (
            "/sadari/people",
            "/sadari/people/kim",
            "/sadari/users/kim/erase",
            "/sadari/log/verify",
            "/sadari/retention/apply",
        ):
            assert http.post(path, json={}).status_code == 403


def test_what_an_administrator_does_is_kept_without_secrets(start: Any) -> None:
    live = start("네.", users=ROLES)
    with live.http("root") as root:
        key = told(root, "/sadari/keys", user="shop", scope=["ask"])["key"]
        told(root, f"/sadari/keys/{key.split('-')[2]}/revoke")
        told(root, "/sadari/people", user="minji", role="approver", password=SENTENCE)
        told(root, "/sadari/people/minji", disabled=True, password=SENTENCE + "!")
        assert [act["act"] for act in root.get("/sadari/acts?most=1").json()["acts"]] == ["person.change"]
    wanted = [("key.make", "shop"), ("key.revoke", "shop"), ("person.add", "minji"), ("person.change", "minji")]
    assert acts(live) == [("root", act, on) for act, on in reversed(wanted)]
    kept = str([act.detail for act in live.service.acts.all()])
    assert "'scope': ['ask']" in kept
    assert key.rpartition("-")[2] not in kept
    assert SENTENCE not in kept


def test_a_refused_act_is_not_kept(start: Any) -> None:
    live = start(users=ROLES)
    with live.http("root") as root:
        assert root.post("/sadari/people", json={"user": "minji", "password": "short"}).status_code == 400
        assert root.post("/sadari/people/nobody", json={"role": "admin"}).status_code == 404
        assert root.post("/sadari/users/kim/erase", json={"confirm": "kin"}).status_code == 400
    assert acts(live) == []


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "user"}])
def test_an_administrator_does_not_lock_himself_out(start: Any, change: Any) -> None:
    live = start(users=ROLES)
    live.service.people.add("root", "admin", (), SENTENCE)
    with live.http("root") as root:
        assert root.post("/sadari/people/root", json=change).status_code == 409
    assert live.service.people.find("root").role == "admin"


def test_a_user_is_erased_under_the_name_that_was_typed(start: Any) -> None:
    live = start("비밀입니다.", "남습니다.", users=ROLES)
    erased, kept = (live.service.desk.loop.answer("?", Caller(user)).run for user in ("kim", "boss"))
    with live.http("root") as root:
        assert told(root, "/sadari/users/kim/erase", confirm="kim")["erased"]["runs"] == 1
        assert root.get(f"/sadari/runs/{erased}").json()["status"] == "erased"
    assert all(event.body is None for event in live.service.log.events(erased)[:-1])
    assert live.service.desk.loop.state(kept).answer.text == "남습니다."
    assert acts(live) == [("root", "user.erase", "kim")]


def test_what_is_due_is_erased_now(start: Any) -> None:
    live = start("네.", users=ROLES, retention_days=30)
    run = live.service.desk.loop.answer("?", Caller("kim")).run
    with live.http("root") as root:
        assert root.get("/sadari/retention").json()["due"] == 0
        later = datetime.now(UTC) + timedelta(days=31)
        assert live.service.retention.due(later) == [run]
        assert told(root, "/sadari/retention/apply")["runs"] == 0


def test_the_log_is_verified_against_a_head_that_was_kept(start: Any) -> None:
    live = start("네.", users=ROLES)
    live.service.desk.loop.answer("?", Caller("kim"))
    with live.http("root") as root:
        first = told(root, "/sadari/log/verify")
        assert (first["is_whole"], first["head"]) == (True, live.service.log.verify().head)
        assert told(root, "/sadari/log/verify", anchor=first["head"])["is_whole"]
        assert not told(root, "/sadari/log/verify", anchor="0" * 64)["is_whole"]
        assert root.post("/sadari/log/verify", json={"anchor": "x"}).status_code == 400


def with_rules(live: Any) -> None:
    written = {"rules": [{"tools": ["pay"], "arguments": {"n": {"max": 5}}, "decision": "ask", "reason": "담당자가 봅니다."}]}
    judge = Judge(ScriptedModel(name="judge-1"), JudgeOptions(seconds=7))
    agent = live.service.desk.loop.agent
    live.service.desk.loop.agent = replace(agent, guards=(Policy(PolicyConfig.model_validate(written)), judge), four_eyes=True)


def test_what_the_agent_may_do_is_told(start: Any) -> None:
    live = start(tools=(Plain("pay", str, Traits("irreversible")), Plain("look", str)), users=ROLES)
    with_rules(live)
    with live.http("root") as root:
        agent = root.get("/sadari/agent").json()
    assert (agent["four_eyes"], agent["limits"]["steps"], agent["judge"]["model"]) == (True, 8, "judge-1")
    assert [(tool["name"], tool["effect"], tool["asks"]) for tool in agent["tools"]] == [
        ("pay", "irreversible", True),
        ("look", "read", False),
    ]
    (rule,) = agent["policy"]["rules"]
    assert (rule["tools"], rule["arguments"]["n"]["max"], rule["decision"]) == (["pay"], "5", "ask")


# --- the page --------------------------------------------------------------------------------------------------------------


def test_a_key_is_made_shown_once_used_and_revoked(start: Any, opened: Any) -> None:
    live = start("네.", users=ROLES)
    page = opened(live, "root", "/admin")
    page.get_by_text("키 만들기").first.click()
    form = page.locator("#key-form")
    form.get_by_label("이름").fill("shop")
    form.get_by_label("유효 기간 (일)").fill("")
    form.get_by_label("하루 토큰").fill("1000")
    form.get_by_label("질문", exact=True).check()
    form.get_by_role("button", name="키 만들기").click()
    shown = page.locator("#made-key")
    shown.wait_for()
    key = shown.input_value()
    row = page.locator("#key-list tr").filter(has_text="shop")
    assert "1,000" in row.inner_text()
    live.keys["new"] = key
    with live.http("new") as http:
        assert http.get("/sadari/runs").status_code == 200
    page.get_by_role("button", name="복사", exact=True).click()
    page.get_by_role("button", name="적어 두었습니다").click()
    page.reload()
    row.wait_for()
    assert key.rpartition("-")[2] not in page.content()
    row.get_by_role("button", name="폐기").click()
    page.locator("#confirm").get_by_role("button", name="폐기").click()
    row.get_by_text("폐기됨").wait_for()
    with live.http("new") as http:
        assert http.get("/sadari/runs").status_code == 401


def test_a_person_is_added_and_disabled(start: Any, opened: Any) -> None:
    live = start(users=ROLES)
    page = opened(live, "root", "/admin")
    page.get_by_text("사람 추가").first.click()
    form = page.locator("#person-form")
    form.get_by_label("이름").fill("minji")
    form.get_by_label("비밀번호").fill("short")
    form.get_by_label("비밀번호").evaluate("field => field.removeAttribute('minlength')")
    form.get_by_role("button", name="추가").click()
    form.get_by_role("alert").get_by_text("5 characters").wait_for()
    form.get_by_role("button", name="비밀번호 만들기").click()
    password = form.get_by_label("비밀번호").input_value()
    form.get_by_role("button", name="추가").click()
    page.get_by_role("button", name="바꾸기: minji").click()
    assert live.service.people.who("minji", password) is not None
    page.locator("#change-form").get_by_label("사용 중지").check()
    page.get_by_role("button", name="저장").click()
    page.locator("#person-list").get_by_text("사용 중지").wait_for()
    assert live.service.people.find("minji").disabled
    page.locator("#act-list").get_by_text("사람 바꿈").wait_for()


def test_erasing_asks_for_the_name_twice(start: Any, opened: Any) -> None:
    live = start("비밀입니다.", users=ROLES)
    run = live.service.desk.loop.answer("?", Caller("kim")).run
    page = opened(live, "root", "/admin")
    form, button = page.locator("#erase-form"), page.get_by_role("button", name="모두 지우기")
    form.get_by_label("이름", exact=True).fill("kim")
    form.get_by_label("확인을 위해").fill("kin")
    assert button.is_disabled()
    form.get_by_label("확인을 위해").fill("kim")
    button.click()
    page.get_by_text("kim 님의 기록을 지웠습니다: 대화 1").wait_for()
    assert live.service.desk.loop.state(run).status == "erased"


def test_the_log_is_verified_on_a_button(start: Any, opened: Any) -> None:
    live = start("네.", users=ROLES)
    live.service.desk.loop.answer("?", Caller("kim"))
    page = opened(live, "root", "/admin")
    page.get_by_role("button", name="확인하기").click()
    page.get_by_text("기록이 온전합니다").wait_for()
    assert page.locator("#verified code").inner_text() == live.service.log.verify().head


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_page_passes_axe_and_fits_a_phone(start: Any, opened: Any, theme: Any, language: str) -> None:
    live = start(tools=(Plain("pay", str, Traits("irreversible")),), users=ROLES)
    live.service.people.add("root", "admin", (), SENTENCE)
    with_rules(live)
    page = opened(live, "root", "/admin", language=language, color_scheme=theme, viewport={"width": 390, "height": 800})
    page.locator("#person-list tbody tr").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert axe_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
