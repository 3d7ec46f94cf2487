"""Tool calls in text."""

import pytest

from sadari.model.toolcalls import parse_tool_calls
from sadari.types import ToolCall


def test_calls_are_taken_out_of_the_text_in_order():
    text = (
        '찾아볼게요.\n<tool_call>\n{"name": "a", "arguments": {"x": {"y": 1}}}\n</tool_call>\n'
        '<tool_call>{"name": "b", "arguments": {}}</tool_call>'
    )
    assert parse_tool_calls(text) == ("찾아볼게요.", (ToolCall("a", {"x": {"y": 1}}, "call_1"), ToolCall("b", {}, "call_2")))


def test_arguments_may_be_json_text():
    assert parse_tool_calls('<tool_call>{"name": "a", "arguments": "{\\"x\\": 1}"}</tool_call>')[1][0].arguments == {"x": 1}


def test_the_last_closing_marker_may_be_missing():
    assert parse_tool_calls('<tool_call>{"name": "a", "arguments": {"x": 1}}')[1] == (ToolCall("a", {"x": 1}, "call_1"),)


def test_braces_and_markers_within_strings_are_text():
    text = '<tool_call>{"name": "a", "arguments": {"q": "} </tool_call> {"}}</tool_call>'
    assert parse_tool_calls(text)[1] == (ToolCall("a", {"q": "} </tool_call> {"}, "call_1"),)


@pytest.mark.parametrize(
    "text",
    [
        "그냥 글 ",
        '<tool_call>{"name": "a", "arguments": </tool_call>',
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>{"name": "a", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": 3, "arguments": {}}</tool_call>',
        "<tool_call>" + "[" * 100_000,
    ],
)
def test_what_is_malformed_stays_as_it_is(text):
    assert parse_tool_calls(text) == (text, ())
