from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from acting import Plain, Script, call
from sadari.agent.approval import Pending, Waiting, approve, decided, deny, edit, pending, settle
from sadari.agent.guard import Ruling
from sadari.agent.limits import Limits
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.agent.team import TeamConfig, open_team
from sadari.errors import ToolRefusedError
from sadari.types import Caller, Traits

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KIM = Caller("kim")


class Shop:
    """A shop whose one tool pays, with a clock that can be moved."""

    def __init__(self, log: Path | str = "", **agent: Any) -> None:
        self.paid: list[int] = []
        self.now = NOON
        self.pay = Plain("pay", lambda n: f"{self.paid.append(n) or n}원 지불", Traits("irreversible"))
        self.script = Script([call("pay", n=100)], "지불했습니다.", "네.")
        self.log = Log(log)
        self.loop = Loop(Agent(self.script, (self.pay,), **agent), self.log, lambda: self.now)
        self.run = self.loop.answer("내 주세요", KIM).run

    @property
    def asked(self) -> Pending:
        (only,) = pending(self.log, self.now)
        return only

    def approve(self, by: str = "boss", **changes: Any) -> None:
        asked = replace(self.asked, **changes)
        approve(self.log, asked.run, asked.call, asked.fingerprint, by, now=self.now)

    def go_on(self) -> None:
        list(self.loop.advance(self.run))


def test_an_approved_call_is_made_once_and_the_model_goes_on() -> None:
    shop = Shop()
    shop.approve()
    shop.go_on()
    shop.go_on()
    assert shop.paid == [100]
    answer = shop.loop.state(shop.run).answer
    assert answer is not None
    assert answer.text == "지불했습니다."


def test_an_approval_names_who_asked_what_and_why() -> None:
    asked = Shop().asked
    assert (asked.user, asked.question, asked.tool, asked.arguments) == ("kim", "내 주세요", "pay", {"n": 100})
    assert "changes something" in asked.reason


def test_a_denied_call_is_not_made_and_the_model_is_told_why() -> None:
    shop = Shop()
    asked = shop.asked
    deny(shop.log, asked.run, asked.call, asked.fingerprint, "boss", now=NOON, reason="한도 초과")
    shop.go_on()
    assert shop.paid == []
    assert "한도 초과" in shop.script.heard[1][-1].content


def test_an_approval_is_used_once() -> None:
    shop = Shop()
    old = shop.asked
    shop.approve()
    shop.go_on()
    with pytest.raises(ToolRefusedError, match="it is succeeded already"):
        approve(shop.log, old.run, old.call, old.fingerprint, "boss", now=NOON)
    assert shop.paid == [100]


def test_an_approval_of_something_else_than_what_waits_is_refused() -> None:
    with pytest.raises(ToolRefusedError, match="not the request that you saw"):
        Shop().approve(fingerprint="0" * 64)


def test_an_expired_request_can_neither_be_approved_nor_made() -> None:
    shop = Shop(limits=Limits(approval_hours=1))
    asked = shop.asked
    late = NOON + timedelta(hours=2)
    with pytest.raises(ToolRefusedError, match="expired"):
        approve(shop.log, asked.run, asked.call, asked.fingerprint, "boss", now=late)
    shop.approve()  # in time, but the process that makes it comes too late
    shop.now = late
    shop.go_on()
    assert shop.paid == []
    assert shop.loop.state(shop.run).calls["1.1"].status == "expired"


def test_a_request_that_nobody_answers_expires_and_the_model_goes_on() -> None:
    shop = Shop(limits=Limits(approval_hours=1))
    shop.now = NOON + timedelta(hours=2)
    shop.go_on()
    assert shop.loop.state(shop.run).status == "idle"
    assert shop.paid == []


def test_edited_arguments_are_a_new_request_that_is_checked_and_asked_for_anew() -> None:
    shop = Shop()
    old = shop.asked
    edit(shop.log, old.run, old.call, old.fingerprint, "boss", {"n": 50}, now=NOON)
    with pytest.raises(ToolRefusedError, match="denied already"):
        approve(shop.log, old.run, old.call, old.fingerprint, "boss", now=NOON)
    shop.go_on()
    assert shop.asked.arguments == {"n": 50}
    assert shop.asked.fingerprint != old.fingerprint
    shop.approve()
    shop.go_on()
    assert shop.paid == [50]
    assert shop.script.heard[1][-1].content == "50원 지불"
    assert shop.script.heard[1][-1].tool_call_id == old.call


def test_arguments_that_a_person_edits_wrongly_are_refused_like_a_models() -> None:
    shop = Shop()
    old = shop.asked
    edit(shop.log, old.run, old.call, old.fingerprint, "boss", {"n": "쉰"}, now=NOON)
    shop.go_on()
    assert shop.paid == []
    assert "integer" in shop.script.heard[1][-1].content


def test_of_two_who_decide_at_once_one_wins_and_one_is_told(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "log.sqlite")
    asked = shop.asked

    def decide(i: int) -> bool:
        own = Log(tmp_path / "log.sqlite")
        try:
            (approve if i % 2 else deny)(own, asked.run, asked.call, asked.fingerprint, f"boss {i}", now=NOON)
        except ToolRefusedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(decide, range(8))) == 1


def test_with_four_eyes_the_requester_cannot_approve() -> None:
    shop = Shop(four_eyes=True)
    asked = shop.asked
    with pytest.raises(ToolRefusedError, match="somebody else"):
        approve(shop.log, asked.run, asked.call, asked.fingerprint, "kim", now=NOON)
    with pytest.raises(ToolRefusedError, match="needs a name"):
        approve(shop.log, asked.run, asked.call, asked.fingerprint, "", now=NOON)


@pytest.mark.parametrize("approved_before", [False, True])
def test_a_changed_agent_is_named_and_what_waits_is_asked_for_anew(approved_before: bool) -> None:
    shop = Shop()
    old = shop.asked
    if approved_before:
        shop.approve()
    changed = Loop(Agent(shop.script, (shop.pay,), limits=Limits(steps=3)), shop.log, lambda: NOON)
    list(changed.advance(shop.run))
    assert any(e.kind == "agent.changed" and e.body["to"] == changed.agent.version for e in shop.log.events(shop.run))  # type: ignore[index]
    assert shop.paid == []
    assert shop.asked.fingerprint != old.fingerprint


def test_a_tool_whose_schema_changed_does_not_use_an_old_approval() -> None:
    shop = Shop()
    shop.approve()
    wider = replace(shop.pay, properties=("n", "m"))
    list(Loop(Agent(shop.script, (wider,)), shop.log, lambda: NOON).advance(shop.run))
    assert shop.paid == []


@pytest.mark.parametrize(("happened", "told"), [(True, "실행되었습니다."), (False, "실행되지 않았습니다.")])
def test_a_person_says_what_became_of_a_call_whose_end_nobody_saw(happened: bool, told: str) -> None:
    def breaks(n: int) -> str:
        raise ConnectionError

    script = Script([call("pay", n=1)], "알겠습니다.")
    loop = Loop(Agent(script, (Plain("pay", breaks, Traits("write", needs_approval=False)),)), Log(""), lambda: NOON)
    run = loop.answer("?", KIM).run
    (asked,) = pending(loop.log, NOON)
    assert asked.kind == "unknown"
    settle(loop.log, run, asked.call, "boss", happened=happened)
    list(loop.advance(run))
    assert script.heard[1][-1].content == told
    with pytest.raises(ToolRefusedError, match="nobody asks"):
        settle(loop.log, run, asked.call, "boss", happened=happened)


def test_a_team_needs_four_eyes_where_its_supervisor_does() -> None:
    pay = Plain("pay", lambda n: "ok", Traits("irreversible"))
    team = TeamConfig.model_validate({"till": {"role": "돈을 낸다", "goal": "낸다", "tools": ["pay"]}})
    supervisor = Agent(Script([call("till", request="1원")]), four_eyes=True)
    tools = open_team(team, [pay], lambda config: Script([call("pay", n=1)]), like=supervisor)
    loop = Loop(replace(supervisor, tools=tools), Log(""), lambda: NOON)
    loop.answer("내 주세요", KIM)
    (asked,) = pending(loop.log, NOON)
    assert asked.four_eyes
    with pytest.raises(ToolRefusedError, match="somebody else"):
        approve(loop.log, asked.run, asked.call, asked.fingerprint, "kim", now=NOON)


class Doubtful:
    """A judge that is never sure."""

    version = "1"

    def before(self, proposal: Any) -> Ruling:
        return Ruling("ask", "judge", "확실하지 않습니다")

    def after(self, proposal: Any, outcome: Any) -> None:
        return None


def test_a_request_tells_since_when_it_waits_and_what_each_guard_said() -> None:
    asked = Shop(guards=(Doubtful(),)).asked
    assert [(ruling.by, ruling.decision) for ruling in asked.rulings] == [("tool", "ask"), ("judge", "ask")]
    assert asked.rulings[1].reason == "확실하지 않습니다"
    assert asked.since.endswith("Z")
    assert (asked.four_eyes, asked.edited_by) == (False, "")


def test_what_waits_is_the_same_asked_once_and_asked_again_and_again() -> None:
    shop = Shop()
    waiting = Waiting(shop.log)
    assert waiting.at(NOON) == waiting.at(NOON) == pending(shop.log, NOON)
    shop.approve()
    assert waiting.at(NOON) == []
    shop.go_on()
    shop.script._says = [[call("pay", n=7)]]
    shop.loop.answer("또 내 주세요", KIM, shop.run)
    assert [one.arguments for one in waiting.at(NOON)] == [{"n": 7}]


def test_the_history_tells_who_decided_what_and_what_became_of_it() -> None:
    shop = Shop()
    first = shop.asked
    edited = edit(shop.log, first.run, first.call, first.fingerprint, "lee", {"n": 5}, now=NOON)
    shop.go_on()
    assert shop.asked.edited_by == "lee"
    shop.approve()
    shop.go_on()
    told = [(one.call, one.decision, one.by, one.reason, one.status) for one in decided(shop.log, "")]
    assert told == [(edited, "approve", "boss", "", "succeeded"), (first.call, "edit", "lee", '{"n":5}', "denied")]
    assert decided(shop.log, "9999") == []


def test_the_history_tells_denials_cancellations_and_what_expired() -> None:
    denied, cancelled, expired = Shop(), Shop(), Shop()
    deny(denied.log, denied.run, denied.asked.call, denied.asked.fingerprint, "boss", now=NOON, reason="한도 초과")
    cancelled.loop.cancel(cancelled.run, "kim")
    expired.now = NOON + timedelta(days=2)
    expired.go_on()
    told = [(one.decision, one.by, one.reason) for shop in (denied, cancelled, expired) for one in decided(shop.log, "")]
    assert told == [("deny", "boss", "한도 초과"), ("cancel", "kim", ""), ("expire", "", "")]


def test_what_a_guard_allows_is_no_decision_of_a_person() -> None:
    free = Plain("pay", lambda n: "ok", Traits("write", needs_approval=False))
    loop = Loop(Agent(Script([call("pay", n=1)]), (free,)), Log(""), lambda: NOON)
    loop.answer("?", KIM)
    assert decided(loop.log, "") == []
