"""The public scripted model."""

import json
import subprocess
import sys

import pytest

from sadari.errors import ConfigError, DataError
from sadari.model import ScriptedModel, load_model
from sadari.types import Message, Model, OneOf, Request, ToolCall


def ask(text: str, **changes) -> Request:
    return Request((Message("system", "환불"), Message("user", text)), **changes)


RULES = [
    {"when": "환불", "say": "7일 안에 됩니다."},
    {"when": "주문", "tool_calls": [{"name": "lookup", "arguments": {"order": 1}}]},
    {"say": "?"},
]


def test_the_first_rule_that_matches_the_question_answers():
    model = ScriptedModel(RULES)
    assert [g.text for g in model.generate([ask("환불 되나요"), ask("아무 말")])] == ["7일 안에 됩니다.", "?"]


def test_a_rule_may_call_tools():
    assert ScriptedModel(RULES).generate([ask("주문 어디")])[0].tool_calls == (ToolCall("lookup", {"order": 1}, "call_1"),)


def test_a_function_may_answer_and_what_it_raises_is_one_error():
    model = ScriptedModel(lambda r: r.messages[-1].content[1:] if r.messages[-1].content else 1 / 0)
    good, bad = model.generate([ask("abc"), ask("")])
    assert good.text == "bc"
    assert bad.finish == "error"
    assert "ZeroDivisionError" in bad.error


@pytest.mark.parametrize(
    ("said", "constraint", "text"),
    [
        ("환불", OneOf(("교환", "환불")), "환불"),
        ("제 생각에는 환불입니다", OneOf(("교환", "환불")), "환불"),
        ("모르겠네요", OneOf(("교환", "환불")), "교환"),
        ("환불 교환", OneOf(("교환", "환불"), most=2), "환불 교환"),
        ("환불 규정", OneOf(("환불", "환불 규정")), "환불 규정"),
        ("없음 환불", OneOf(("환불", "없음"), most=2, alone=("없음",)), "없음"),
    ],
)
def test_a_constraint_is_obeyed(said, constraint, text):
    assert ScriptedModel([{"say": said}]).generate([ask("?", constraint=constraint)])[0].text == text


def test_limits_and_stop_strings_are_obeyed():
    model = ScriptedModel([{"say": "하나 둘 셋\n넷"}])
    short, stopped = model.generate([ask("?", max_new_tokens=2), ask("?", stop=("\n",))])
    assert (short.text, short.finish) == ("하나 둘", "length")
    assert (stopped.text, stopped.finish) == ("하나 둘 셋", "stop")


def test_it_is_loaded_by_name_from_a_file(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(RULES), encoding="utf-8")
    model = load_model(f"scripted:{path}")
    assert isinstance(model, Model)
    assert model.name == f"scripted:{path}"
    assert model.generate([ask("환불")])[0].text == "7일 안에 됩니다."


def test_bad_rules_are_all_named(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text('[{"wehn": "a", "say": "b"}, {"say": "ok"}, {"when": "c"}]')
    with pytest.raises(DataError, match=r"rule 1: (.|\n)*rule 3: "):
        ScriptedModel.from_file(path)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.json: cannot be read"):
        load_model(f"scripted:{tmp_path}/absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken\.json: not JSON"):
        load_model(f"scripted:{tmp_path}/broken.json")


def test_it_needs_no_torch():
    code = "import sys; from sadari.model import ScriptedModel; ScriptedModel([]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_contradicting_settings_are_refused():
    with pytest.raises(ConfigError, match="adapters need a local model"):
        load_model("openai:gpt", adapter="somewhere")
    with pytest.raises(ConfigError, match="base_url is set"):
        load_model("mini", base_url="http://localhost")
    with pytest.raises(ConfigError, match="nothing stands after the colon"):
        load_model("openai:")
