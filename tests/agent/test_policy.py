from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from pydantic import ValidationError

from acting import Plain, Script, call
from sadari.agent.guard import Proposal
from sadari.agent.log import Log
from sadari.agent.loop import Agent, Loop
from sadari.agent.policy import LogHistory, Policy, PolicyConfig, check
from sadari.errors import ConfigError
from sadari.types import Caller, Message, Outcome, Reader, ToolCall, ToolSpec, Traits

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=ZoneInfo("Asia/Seoul"))  # a Friday
KIM = Caller("kim", Reader(frozenset({"support"})), NOON)


class Refund:
    """A tool with nested arguments."""

    traits = Traits("irreversible")
    spec = ToolSpec(
        "refund",
        "Refunds.",
        {
            "type": "object",
            "properties": {
                "amount": {"type": "number"},
                "fee": {"type": "number", "default": 5},
                "to": {"type": "string"},
                "items": {"type": "array"},
            },
        },
    )

    def call(self, arguments: Any, caller: Caller) -> Outcome:
        return Outcome("됨")


class Past:
    """A history that is made up."""

    def __init__(self, *calls: ToolCall) -> None:
        self._calls = calls
        self.asked: list[tuple[str, datetime]] = []

    def calls(self, user: str, since: datetime) -> Iterable[ToolCall]:
        self.asked.append((user, since))
        return self._calls


def rules(*written: dict[str, Any], **config: Any) -> PolicyConfig:
    return PolicyConfig.model_validate({"rules": written, **config})


def decided(config: PolicyConfig, caller: Caller = KIM, history: Any = None, **proposal: Any) -> str:
    """What a policy decides about a refund, "none" if it has nothing to say."""
    arguments = proposal.pop("arguments", {"amount": 10})
    ruling = Policy(config, history).before(Proposal(Refund(), arguments, caller, **proposal))
    return ruling.decision if ruling else "none"


def test_the_first_rule_that_holds_decides_and_the_default_where_none_does() -> None:
    allow_small = {"arguments": {"amount": {"max": 50}}, "decision": "allow"}
    config = rules(allow_small, {"tools": ["refund"], "decision": "ask"})
    assert [decided(config, arguments={"amount": n}) for n in (50, 51)] == ["allow", "ask"]
    assert decided(rules({"tools": ["refund"], "decision": "ask"}, allow_small)) == "ask"
    assert [decided(rules(default=d)) for d in ("allow", "ask", "refuse")] == ["none", "ask", "refuse"]


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"tools": ["ref*"]}, True),
        ({"tools": ["pay"]}, False),
        ({"effects": ["irreversible"]}, True),
        ({"effects": ["read", "write"]}, False),
        ({"who": {"users": ["k*"]}}, True),
        ({"who": {"users": ["lee"]}}, False),
        ({"who": {"users": ["lee"], "labels": ["support"]}}, True),
        ({"when": {"days": ["fri"], "start": "09:00", "end": "18:00"}}, True),
        ({"when": {"days": ["sat"]}}, False),
        ({"when": {"start": "12:01", "end": "18:00"}}, False),
        ({"when": {"start": "18:00", "end": "12:01"}}, True),
        ({"when": {"start": "12:00", "end": "12:00"}}, True),
        ({"when": {"start": "03:00", "end": "04:00", "zone": "UTC"}}, True),
        ({"tainted": False}, True),
        ({"tainted": True}, False),
        ({"arguments": {"amount": {"min": 10, "max": 10}}}, True),
        ({"arguments": {"amount": {"min": 10.01}}}, False),
        ({"arguments": {"amount": {"in": [10, 20]}}}, True),
        ({"arguments": {"fee": {"max": 5}}}, True),
        ({"arguments": {"to": {"matches": "[a-z]+@shop\\.kr"}}}, True),
        ({"arguments": {"to": {"matches": "shop"}}}, False),
        ({"arguments": {"to": {"max_length": 6}}}, False),
        ({"arguments": {"to": {"said_by": ["user"]}}}, True),
        ({"arguments": {"items.price": {"max": 3}}}, True),
        ({"arguments": {"items.price": {"max": 2}}}, False),
    ],
)
def test_a_rule_allows_only_what_all_its_conditions_hold_for(rule: dict[str, Any], holds: bool) -> None:
    arguments = {"amount": 10, "to": "lee@shop.kr", "items": [{"price": 1}, {"price": 3}]}
    said = (Message("user", "lee@shop.kr로 보내 주세요"),)
    config = rules({**rule, "decision": "allow"}, default="refuse")
    assert decided(config, arguments=arguments, messages=said) == ("allow" if holds else "refuse")


@pytest.mark.parametrize(
    ("condition", "arguments", "caller"),
    [
        ({"arguments": {"amount": {"max": 50}}}, {}, KIM),
        ({"arguments": {"amount": {"max": 50}}}, {"amount": "많이"}, KIM),
        ({"arguments": {"amount": {"max": 50}}}, {"amount": True}, KIM),
        ({"arguments": {"amount": {"max": 50}}}, {"amount": "1,5"}, KIM),
        ({"arguments": {"amount": {"max": 50}}}, {"amount": float("nan")}, KIM),
        ({"arguments": {"to": {"matches": "(a+)+$"}}}, {"to": "a" * 5000 + "!"}, KIM),
        ({"arguments": {"to": {"matches": "a*"}}}, {"to": "a" * 20_000}, KIM),
        ({"arguments": {"to": {"said_by": ["user"]}}}, {"to": " "}, KIM),
        ({"who": {"users": ["*"]}}, {}, Caller("", now=NOON)),
        ({"when": {"days": ["fri"]}}, {}, Caller("kim", now=datetime(2026, 11, 20, 12))),
    ],
)
def test_what_nobody_can_say_does_not_allow_and_does_refuse(condition: Any, arguments: Any, caller: Caller) -> None:
    assert decided(rules({**condition, "decision": "allow"}), caller, arguments=arguments) == "none"
    assert decided(rules({**condition, "decision": "refuse"}), caller, arguments=arguments) == "refuse"


def test_one_item_of_a_list_suffices_to_refuse_and_forbidden_texts_are_found_in_any_form() -> None:
    dear = rules({"arguments": {"items.price": {"min": 3}}, "decision": "refuse"})
    assert decided(dear, arguments={"items": [{"price": 1}, {"price": 3}]}) == "refuse"
    assert decided(dear, arguments={"items": [{"price": 1}, {"price": 2}]}) == "none"
    account = rules({"arguments": {"to": {"in": ["Evil Corp"]}}, "decision": "refuse"})
    assert decided(account, arguments={"to": "ＥＶＩＬ  corp\u200b"}) == "refuse"
    assert (
        decided(rules({"arguments": {"to": {"matches": "evil"}}, "decision": "refuse"}), arguments={"to": "an evil one"})
        == "refuse"
    )


def test_a_value_that_a_page_named_is_not_said_by_the_user() -> None:
    made = Message("assistant", "", tool_calls=(ToolCall("web", {}, "1"),))
    messages = (Message("user", "보내 줘"), made, Message("tool", "보낼 곳: evil@x.kr", tool_call_id="1"))
    for by, decision in (("user", "none"), ("web", "allow"), ("w*", "allow"), ("mail", "none")):
        config = rules({"arguments": {"to": {"said_by": [by]}}, "decision": "allow"})
        assert decided(config, arguments={"to": "evil@x.kr"}, messages=messages) == decision
    piece = rules({"arguments": {"to": {"said_by": ["web"]}}, "decision": "allow"})
    assert decided(piece, arguments={"to": "evi"}, messages=messages) == "none"


def test_calls_are_counted_per_question_hour_and_day() -> None:
    third = {"tools": ["refund"], "made": {"per": "question", "min": 2}, "decision": "refuse"}
    assert [decided(rules(third), made={"refund": n, "look": 9}) for n in (1, 2)] == ["none", "refuse"]
    past = Past(ToolCall("refund", {"amount": 30}), ToolCall("look", {}), ToolCall("refund", {"amount": 15}))
    for per, hours in (("hour", 1), ("day", 24)):
        limit = {"tools": ["refund"], "made": {"per": per, "max": 1}, "decision": "allow"}
        assert decided(rules(limit), history=past) == "none"
        assert past.asked[-1] == ("kim", NOON - timedelta(hours=hours))


def test_amounts_are_added_up_over_the_day_with_the_call_itself() -> None:
    past = Past(ToolCall("refund", {"amount": 30}), ToolCall("look", {"amount": 999}), ToolCall("refund", {"amount": "15"}))
    config = rules({"tools": ["refund"], "total": {"argument": "amount", "per": "day", "max": 100}, "decision": "allow"})
    assert [decided(config, history=past, arguments={"amount": n}) for n in (55, 55.01)] == ["allow", "none"]
    assert decided(config, history=past, arguments={"amount": "x"}) == "none"


def test_rules_that_count_over_runs_need_a_history() -> None:
    config = rules({"decision": "allow"}, {"made": {"per": "day", "max": 1}, "decision": "allow"})
    with pytest.raises(ConfigError, match="rule 2 counts per hour or day"):
        Policy(config)


def test_the_log_is_the_history_of_all_runs_of_a_user() -> None:
    log, pay = Log(""), Plain("pay", lambda n: "됨", Traits("write", needs_approval=False, is_trusted=True))
    once = rules({"tools": ["pay"], "made": {"per": "day", "max": 0}, "decision": "allow"}, default="refuse")
    script = Script([call("pay", n=1)], "하나", [call("pay", n=2)], "둘", [call("pay", n=3)], "셋")
    loop = Loop(Agent(script, (pay,), (Policy(once, LogHistory(log)),)), log)
    states = [loop.answer("?", Caller(user)) for user in ("kim", "kim", "lee")]
    assert [state.calls["1.1"].status for state in states] == ["succeeded", "refused", "succeeded"]


def test_while_a_stranger_describes_a_tool_no_waiver_counts() -> None:
    config = rules({"tools": ["refund"], "decision": "allow"})
    proposal = Proposal(Refund(), {"amount": 1}, KIM)
    ruling = Policy(config, strangers=["weather"]).before(proposal)
    assert ruling is not None
    assert ruling.decision == "ask"
    assert "weather" in ruling.reason
    read = Proposal(Plain("look", str), {"n": 1}, KIM)
    assert Policy(PolicyConfig(), strangers=["weather"]).before(read) is None
    refuse = Policy(rules({"decision": "refuse"}), strangers=["weather"]).before(proposal)
    assert refuse is not None
    assert refuse.decision == "refuse"


def test_reasons_are_told_in_the_language_of_the_conversation() -> None:
    english = Caller("kim", now=NOON, language="en")
    proposals = [Proposal(Refund(), {}, caller) for caller in (KIM, english)]
    own = Policy(rules({"decision": "refuse", "reason": {"ko": "밤에는 안 됩니다", "en": "not at night"}}))
    plain = Policy(rules({"decision": "ask"}))
    assert [r.reason for p in proposals if (r := own.before(p))] == ["밤에는 안 됩니다", "not at night"]
    reasons = [r.reason for p in proposals if (r := plain.before(p))]
    assert reasons == ["정책 규칙 1: 담당자의 승인이 필요합니다", "policy rule 1: a person has to approve"]


def test_the_version_changes_with_the_rules_and_with_the_strangers() -> None:
    policies = [Policy(rules({"decision": d})) for d in ("ask", "ask", "refuse")]
    assert policies[0].version == policies[1].version != policies[2].version
    assert Policy(PolicyConfig()).version != Policy(PolicyConfig(), strangers=["x"]).version


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"tools": ["refnd"], "decision": "ask"}, "Did you mean `refund`?"),
        ({"tools": ["mail_*"], "decision": "ask"}, "there is no tool `mail_*`"),
        ({"tools": ["refund"], "arguments": {"amuont": {"max": 1}}, "decision": "ask"}, "Did you mean `amount`?"),
        ({"total": {"argument": "sum", "per": "day"}, "decision": "ask"}, "Arguments: amount, fee, items, to."),
        ({"arguments": {"to": {"said_by": ["sarch"]}}, "decision": "ask"}, "there is no tool `sarch`"),
        ({"effects": ["write"], "decision": "ask"}, "no tool has such effects"),
    ],
)
def test_a_rule_about_what_is_not_there_is_an_error_with_what_is_meant(written: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(rules(written), [Refund()])
    assert told in str(error.value)
    assert "rule 1" in str(error.value)


def test_a_rule_that_is_never_reached_is_an_error_and_a_right_policy_is_none() -> None:
    bare, narrow = {"tools": ["refund"], "decision": "ask"}, {"arguments": {"amount": {"max": 5}}, "decision": "allow"}
    check(rules(narrow, bare), [Refund()])
    with pytest.raises(ConfigError, match="rule 2: it is never reached"):
        check(rules(bare, narrow), [Refund()])


@pytest.mark.parametrize(
    "written",
    [
        {"decision": "maybe"},
        {"decision": "ask", "when": {"zone": "Asia/Soul"}},
        {"decision": "ask", "when": {"end": 1080}},
        {"decision": "ask", "arguments": {"to": {"matches": "("}}},
        {"decision": "ask", "tool": ["refund"]},
    ],
)
def test_what_cannot_be_read_is_an_error(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rules(written)


def test_a_policy_is_read_from_yaml_and_written_and_read_again() -> None:
    written = """
    rules:
      - tools: [refund]
        arguments: {amount: {max: 50000}, to: {in: [kim, 7, true]}}
        when: {days: [mon], start: "09:00", end: "18:00", zone: Asia/Seoul}
        decision: allow
        reason: {ko: 소액입니다, en: it is little}
    default: ask
    """
    config = PolicyConfig.model_validate(yaml.safe_load(written))
    assert PolicyConfig.model_validate_json(config.model_dump_json()) == config
    assert PolicyConfig.model_validate_json(config.model_dump_json(by_alias=True)) == config
    assert config.rules[0].arguments["to"].among == ("kim", 7, True)
