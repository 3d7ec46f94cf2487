import json
from pathlib import Path

import pytest

from sadari.acting import ActingEngine, opening, recorded
from sadari.agent.config import AgentConfig, Toolbox
from sadari.errors import ConfigError
from sadari.measure.scorers.whole_task import WholeTaskScorer
from sadari.model import load_model
from sadari.types import Example, Message, Reference, System, ToolCall

TOOLS = '''
from pathlib import Path
from sadari import tool

@tool
def order_status(order_id: str) -> str:
    """주문의 상태를 알려 준다."""
    return {"A-1": "준비 중"}.get(order_id, "없음")

@tool(effect="irreversible")
def cancel_order(order_id: str) -> str:
    """주문을 취소한다."""
    Path(__file__).with_name("happened").write_text(order_id)
    return "취소됨"
'''

RULES = [
    {"when": "A-1을 취소", "tool_calls": [{"name": "order_status", "arguments": {"order_id": "A-1"}}]},
    {"when": "준비 중", "tool_calls": [{"name": "cancel_order", "arguments": {"order_id": "A-1"}}]},
    {"when": "취소되었습니다", "say": "A-1 주문을 취소했습니다."},
    {"when": "접수되었습니다", "say": "접수했습니다."},
]

LOOK, CANCEL = ToolCall("order_status", {"order_id": "A-1"}, "a"), ToolCall("cancel_order", {"order_id": "A-1"}, "b")
ROW = Example(
    "row",
    (
        Message("user", "A-1을 취소해 주세요"),
        Message("assistant", "", tool_calls=(LOOK,)),
        Message("tool", "준비 중", tool_call_id="a"),
        Message("assistant", "", tool_calls=(CANCEL,)),
        Message("tool", "취소되었습니다", tool_call_id="b"),
        Message("assistant", "취소했습니다."),
    ),
    Reference(facts=(("취소",),)),
)


def system_in(folder: Path, **agent: object) -> System:
    (folder / "tools.py").write_text(TOOLS)
    (folder / "rules.json").write_text(json.dumps(RULES, ensure_ascii=False))
    box = Toolbox(folder=str(folder), tools=(("python", "tools.py"),), agent=AgentConfig.model_validate(agent))
    (folder / "toolbox.json").write_text(box.model_dump_json())
    return System(f"scripted:{folder / 'rules.json'}", toolbox=folder / "toolbox.json")


def engine() -> ActingEngine:
    return ActingEngine(lambda system: load_model(system.model))


def test_a_system_with_tools_is_measured_by_what_it_does_to_the_end(tmp_path: Path) -> None:
    answers, _ = engine().answer(system_in(tmp_path), [ROW])
    assert [(c.name, dict(c.arguments)) for c in answers[0].tool_calls] == [
        ("order_status", {"order_id": "A-1"}),
        ("cancel_order", {"order_id": "A-1"}),
    ]
    assert WholeTaskScorer().score(ROW, answers[0]).value == 1.0


def test_nothing_changes_in_a_rehearsal_whether_the_call_is_recorded_or_not(tmp_path: Path) -> None:
    system = system_in(tmp_path)
    answers, _ = engine().answer(system, [ROW, Example("bare", ROW.messages[:1])])
    assert [a.text for a in answers] == ["A-1 주문을 취소했습니다.", "접수했습니다."]
    assert not (tmp_path / "happened").exists()


def test_a_model_that_is_being_trained_is_looked_at_through_its_tools(tmp_path: Path) -> None:
    system, at_work = system_in(tmp_path), engine()
    (answer,) = at_work.respond(system, load_model(system.model), [ROW])
    assert [c.name for c in answer.tool_calls] == ["order_status", "cancel_order"]
    (bare,) = at_work.respond(system.with_(toolbox=None), load_model(system.model), [ROW])
    assert bare.tool_calls == ()


def test_what_is_forbidden_is_forbidden_in_a_rehearsal_too(tmp_path: Path) -> None:
    policy = {"rules": [{"tools": ["cancel_order"], "decision": "refuse"}]}
    answers, _ = engine().answer(system_in(tmp_path, policy=policy), [ROW])
    assert [c.name for c in answers[0].tool_calls] == ["order_status"]


def test_a_rule_over_a_tool_that_is_not_there_is_told_when_the_system_is_opened(tmp_path: Path) -> None:
    policy = {"rules": [{"tools": ["cancel_ordr"], "decision": "refuse"}]}
    with pytest.raises(ConfigError, match="cancel_order"):
        engine().answer(system_in(tmp_path, policy=policy), [ROW])


def test_an_example_opens_with_its_last_question_and_records_what_calls_gave() -> None:
    follow_up = Example("two", (Message("user", "안녕"), Message("assistant", "안녕하세요"), *ROW.messages))
    assert opening(follow_up) == ((Message("user", "안녕"), Message("assistant", "안녕하세요")), "A-1을 취소해 주세요")
    assert recorded(ROW) == {
        ("order_status", '{"order_id":"A-1"}'): "준비 중",
        ("cancel_order", '{"order_id":"A-1"}'): "취소되었습니다",
    }
