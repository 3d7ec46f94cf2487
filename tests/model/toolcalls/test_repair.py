"""What is mended in calls, and what is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sadari.model.toolcalls import read_answer
from sadari.model.toolcalls.formats import HERMES, LLAMA, MISTRAL, MISTRAL_NAMED
from sadari.model.toolcalls.nesting import DEPTH
from sadari.model.toolcalls.repair import mend
from sadari.types import ToolSpec

TOOLS = [ToolSpec("찾기", "", {"type": "object", "properties": {"q": {"type": "string"}}})]


@pytest.mark.parametrize(
    ("inside", "arguments", "repair"),
    [
        ('{"name": "찾기", "arguments": {"q": "a",},}', {"q": "a"}, "dropped a trailing comma"),
        ("{'name': '찾기', 'arguments': {'q': '\"a\" it\\'s'}}", {"q": '"a" it\'s'}, "read single quotes as double quotes"),
        ('{"name": "찾기", "arguments": {"q": None}}', {"q": None}, "read Python's True, False or None as JSON"),
        ('{name: "찾기", arguments: {"q": "a"}}', {"q": "a"}, "put quotes around a key"),
        ('{"name": "찾기", "arguments": {"q": "a\nb"}}', {"q": "a\nb"}, "escaped a control character in a text"),
        ('```json\n{"name": "찾기", "arguments": {"q": "a"}}\n```', {"q": "a"}, "took the call out of a code fence"),
        ('{"name": "찾기", "arguments": "{\\"q\\": \\"a\\"}"}', {"q": "a"}, "read the arguments out of a text"),
        ('{"name": "찾기", "parameters": {"q": "a"}}', {"q": "a"}, "read 'parameters' as 'arguments'"),
        ('{"type": "function", "function": {"name": "찾기", "arguments": {}}}', {}, "took the call out of 'function'"),
        ('{"name": "찾기", "arguments": {"q": "a"}}}', {"q": "a"}, "dropped 1 bracket too many"),
        ('{{"name": "찾기", "arguments": {"q": "a"}}}', {"q": "a"}, "took off doubled braces"),
        ('{"name": "찾기", "arguments": {"q": "a"}', {"q": "a"}, "closed 1 bracket"),
        ('{"name": "찾기", "arguments": {"q": [1, 2', {"q": [1, 2]}, "closed 3 brackets"),  # the model closed the call itself
    ],
)
def test_a_repair_is_recorded_with_its_call_and_leaves_other_values_alone(inside, arguments, repair):
    read = read_answer(f"네.<tool_call>{inside}</tool_call>", HERMES, TOOLS)
    assert read.text == "네."
    assert [dict(c.arguments) for c in read.calls] == [arguments]
    assert read.repairs == (f"call_1: {repair}.",)


def test_a_mended_call_of_an_unknown_tool_stays_text():
    text = '<tool_call>{"name": "없음", "arguments": {"q": 1,}}</tool_call>'
    assert read_answer(text, HERMES, TOOLS).text == text


def test_python_within_the_text_of_arguments_is_mended_too():
    read = read_answer('<tool_call>{"name": "찾기", "arguments": "{\'q\': True}"}</tool_call>', HERMES, TOOLS)
    assert read.calls[0].arguments == {"q": True}
    assert len(read.repairs) == 3


WHOLE_BUT_FOR_THE_END = [
    (HERMES, '<tool_call>\n{"name": "찾기", "arguments": {"q": "a"}}\n</tool_c'),
    (HERMES, '<tool_call>\n{"name": "찾기", "arguments": {"q": "a"}}\n'),
    (HERMES, '<tool_call>\n{"name": "찾기", "arguments": {"q": "a"}'),
    (LLAMA, '{"name": "찾기", "parameters": {"q": "a"}'),
    (MISTRAL, '[TOOL_CALLS] [{"name": "찾기", "arguments": {"q": "a"}'),
]


@pytest.mark.parametrize(("format", "text"), WHOLE_BUT_FOR_THE_END)
def test_a_call_whose_arguments_are_whole_is_mended_at_the_end(format, text):
    read = read_answer(text, format, TOOLS)
    assert [dict(c.arguments) for c in read.calls] == [{"q": "a"}]
    assert read.text == ""
    assert read.repairs


CUT = [
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": "환불 규', {"q": "환불 규"}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": "a\\', {"q": "a"}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": "a\\u00', {"q": "a"}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": 12', {"q": 12}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": "a", "r": tr', {"q": "a"}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": "a", "r": -', {"q": "a"}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": "a", "r":', {"q": "a"}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": "a", "ra', {"q": "a"}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": "a", ', {"q": "a"}),
    (HERMES, '<tool_call>{"name": "찾기", "arguments": {"q": [{"r": 1}, ', {"q": [{"r": 1}]}),
    (MISTRAL_NAMED, '[TOOL_CALLS]찾기[ARGS]{"q": "환불', {"q": "환불"}),
    (MISTRAL, '[TOOL_CALLS] [{"name": "찾기", "arguments": {"q": "환불', {"q": "환불"}),
]


@pytest.mark.parametrize(("format", "text", "arguments"), CUT)
def test_a_call_cut_within_its_arguments_stays_text_unless_mending_is_asked_for(format, text, arguments):
    assert read_answer(text, format, TOOLS).text == text
    read = read_answer(text, format, TOOLS, mend_truncated=True)
    assert [dict(c.arguments) for c in read.calls] == [arguments]
    assert any("closed" in r for r in read.repairs)


@pytest.mark.parametrize("text", ['<tool_call>{"name": "찾기"', '<tool_call>{"name": "찾', '<tool_call>{"name": "찾기", "argu'])
def test_a_call_cut_before_its_arguments_is_never_made_up(text):
    assert read_answer(text, HERMES, TOOLS, mend_truncated=True).calls == ()


@pytest.mark.parametrize(
    "text",
    [
        *('{"a": dict()}', '{"a": 1 + 1}', "{'a': f'{x}'}", '{"a": 0x10}', '{"a" 1}', '{"a": }', "{,}", "[1,,2]", '{"a": "b" "c"}'),
        *("1", '"a"', "", "{}{}", "{]", "}", "{'it's': 1}", '{"a": .}', '{"a": 01}'),
    ],
)
def test_what_would_need_a_guess_or_an_evaluation_is_not_mended(text):
    assert mend(text) is None


def test_brackets_without_end_are_not_mended():
    assert mend("[" * 100_000, unclosed=200_000, cut=True) is None
    assert mend("[" * DEPTH, unclosed=DEPTH) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_python_literals_are_mended_to_the_values_they_stand_for(value):
    written = repr(value)
    if "\\x" in written or "\\U" in written:  # escapes that JSON does not know
        return
    assert mend(written)[0] == value


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="{}[]\"':,\\ \naT1-<u", max_size=40), st.integers(0, 5), st.booleans())
def test_any_text_is_mended_to_an_object_or_a_list_or_refused(text, unclosed, cut):
    mended = mend(text, unclosed=unclosed, cut=cut)
    assert mended is None or isinstance(mended[0], (dict, list))
