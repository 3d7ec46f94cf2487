"""Answers read by the response template of the checkpoint."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layouts import LAYOUTS, make_tokenizer
from sadari.model.chat import render_text
from sadari.model.toolcalls import CallReader, TemplateReader, read_with, reader_of
from sadari.model.toolcalls.tagged import tagged_template
from sadari.types import Message, ToolCall, ToolSpec

PROMPT = "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"
TOOLS = [ToolSpec("쿠폰", "", {"type": "object", "properties": {"장": {"type": "integer"}, "이름": {"type": "string"}}})]
ANCHORED = {"defaults": {"role": "assistant"}, "start_anchor": "<|im_start|>assistant\n"}
THOUGHT = {"open": "<think>", "close": "</think>", "content": "text"}
CONTENT = {"close_pattern": r"\s*<\|im_end\|>", "content": "text"}
JSON_CALLS = {
    "open_pattern": r"\s*<tool_call>",
    "close": "</tool_call>",
    "repeats": True,
    "content": "json",
    "transform": {"type": "function", "function": "{content}"},
}
TAGGED_CALLS = {
    "open_pattern": r"\s*<tool_call>\s*<function=(?P<name>[^>\n]+)>",
    "close_pattern": r"</function>\s*</tool_call>",
    "repeats": True,
    "content": "xml-inline",
    "content_args": {"tag_pattern": r"<parameter=(?P<key>[^>\n]+)>\s*(?P<value>.*?)\s*</parameter>"},
    "transform": {"type": "function", "function": {"name": "{name}", "arguments": "{content}"}},
}


def with_template(tokenizer, calls):
    tokenizer.response_template = {**ANCHORED, "fields": {"reasoning_content": THOUGHT, "tool_calls": calls, "content": CONTENT}}
    return tokenizer


@pytest.fixture
def json_tokenizer(tokenizer_of_turn):
    return with_template(tokenizer_of_turn("{{ message.content }}"), JSON_CALLS)


@pytest.fixture
def tagged_tokenizer(tokenizer_of_turn):
    return with_template(tokenizer_of_turn("{{ message.content }}"), TAGGED_CALLS)


TAGGED = (
    "<think>장수는?</think>\n\n발급합니다.\n\n<tool_call>\n<function=쿠폰>\n<parameter=장>\n3\n</parameter>\n<parameter=이름>\n7\n</parameter>\n"
    "</function>\n</tool_call><|im_end|>"
)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_calls_and_types_are_read_as_the_template_says_in_pieces_of_any_size(tagged_tokenizer, size):
    reader = reader_of(tagged_tokenizer, TOOLS, PROMPT)
    assert isinstance(reader, TemplateReader)
    pieces = [p for at in range(0, len(TAGGED), size) for p in reader.feed(TAGGED[at : at + size])] + reader.end()
    assert "".join(p for p in pieces if isinstance(p, str)) == "발급합니다."
    assert [p for p in pieces if isinstance(p, ToolCall)] == [ToolCall("쿠폰", {"장": 3, "이름": "7"}, "call_1")]


def test_text_streams_before_the_answer_ends(json_tokenizer):
    reader = reader_of(json_tokenizer, TOOLS, PROMPT)
    assert reader.feed("먼저 ") == ["먼저"]


def test_what_the_template_fails_on_is_read_by_our_reader_and_mended(json_tokenizer):
    text = "네.<tool_call>{'name': '쿠폰', 'arguments': {'장': 1}}</tool_call><|im_end|>"
    read = read_with(reader_of(json_tokenizer, TOOLS, PROMPT), text.removesuffix("<|im_end|>"))
    assert read.text == "네."
    assert read.calls == (ToolCall("쿠폰", {"장": 1}, "call_1"),)
    assert read.repairs == ("call_1: read single quotes as double quotes.",)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_after_a_failure_nothing_is_handed_out_twice(json_tokenizer, size):
    text = '앞.<tool_call>{"name": "쿠폰", "arguments": {}}</tool_call>사이.<tool_call>{"name": 쿠폰}</tool_call>뒤.'
    reader = reader_of(json_tokenizer, TOOLS, PROMPT)
    pieces = [p for at in range(0, len(text), size) for p in reader.feed(text[at : at + size])] + reader.end()
    said = "".join(p if isinstance(p, str) else "|" for p in pieces)
    assert said == '앞.|사이.<tool_call>{"name": 쿠폰}</tool_call>뒤.'


def test_calls_that_the_template_leaves_in_the_text_are_read(tagged_tokenizer):
    read = read_with(
        reader_of(tagged_tokenizer, TOOLS, PROMPT), '네.\n<tool_call>\n{"name": "쿠폰", "arguments": {"장": 2}}\n</tool_call>'
    )
    assert read.calls == (ToolCall("쿠폰", {"장": 2}, "call_1"),)


@pytest.mark.parametrize(
    "cut", ["</tool_call><|im_end|>", "</function>\n</tool_call><|im_end|>", "3\n</parameter>", "7\n</parameter>"]
)
def test_a_call_that_was_cut_off_is_not_taken_with_the_arguments_it_has_so_far(tagged_tokenizer, cut):
    text = TAGGED[: TAGGED.index(cut)]
    read = read_with(reader_of(tagged_tokenizer, TOOLS, PROMPT), text)
    assert read.calls == ()
    assert read.text == text.removeprefix("<think>장수는?</think>\n\n")


def test_a_call_that_ends_with_the_answer_is_whole(tagged_tokenizer):
    read = read_with(reader_of(tagged_tokenizer, TOOLS, PROMPT), TAGGED.removesuffix("<|im_end|>") + "\n")
    assert read.calls == (ToolCall("쿠폰", {"장": 3, "이름": "7"}, "call_1"),)


def test_calls_in_the_prompt_are_not_the_answers(json_tokenizer):
    prompt = '<|im_start|>assistant\n<tool_call>{"name": "쿠폰", "arguments": {}}</tool_call><|im_end|>\n' + PROMPT
    assert read_with(reader_of(json_tokenizer, TOOLS, prompt), "네.").calls == ()


def test_an_answer_too_long_for_the_template_is_read_by_our_reader(json_tokenizer):
    text = "가" * 40_000 + '<tool_call>{"name": "쿠폰", "arguments": {}}</tool_call>'
    reader = reader_of(json_tokenizer, TOOLS, PROMPT)
    pieces = [p for at in range(0, len(text), 8192) for p in reader.feed(text[at : at + 8192])] + reader.end()
    assert "".join(p for p in pieces if isinstance(p, str)) == "가" * 40_000
    assert pieces[-1] == ToolCall("쿠폰", {}, "call_1")


FUNCTION_TAGS = (
    "{{ message.content }}{% for c in message.tool_calls or [] %}{{ '\n' }}<tool_call>\n<function={{ c.function.name }}>\n"
    "{% for k, v in c.function.arguments | items %}<parameter={{ k }}>\n{{ v if v is string else v | tojson }}\n</parameter>\n"
    "{% endfor %}</function>\n</tool_call>{% endfor %}"
)
KEY_TAGS = (
    "{{ message.content }}{% for c in message.tool_calls or [] %}{{ '\n' }}<tool_call>{{ c.function.name }}{{ '\n' }}"
    "{% for k, v in c.function.arguments | items %}<arg_key>{{ k }}</arg_key>\n<arg_value>{{ v if v is string else v | tojson }}"
    "</arg_value>\n{% endfor %}</tool_call>{% endfor %}"
)


@pytest.mark.parametrize("turn", [FUNCTION_TAGS, KEY_TAGS])
@pytest.mark.parametrize("size", [1, 1000])
def test_tags_around_each_argument_are_read_off_the_chat_template(tokenizer_of_turn, turn, size):
    tokenizer = tokenizer_of_turn(turn)
    calls = (ToolCall("쿠폰", {"장": 3, "이름": '7 <장> {"a": 1}'}, "call_1"), ToolCall("쿠폰", {}, "call_2"))
    prompt = render_text(tokenizer, (Message("user", "x"),), opens_answer=True)
    whole = render_text(tokenizer, (Message("user", "x"), Message("assistant", "발급합니다.", tool_calls=calls)))
    answer = whole.removeprefix(prompt).removesuffix("\n")
    reader = reader_of(tokenizer, TOOLS, prompt)
    pieces = [p for at in range(0, len(answer), size) for p in reader.feed(answer[at : at + size])] + reader.end()
    assert "".join(p for p in pieces if isinstance(p, str)) == "발급합니다."
    assert tuple(p for p in pieces if isinstance(p, ToolCall)) == calls


def test_a_json_call_is_read_where_the_template_has_tags(tokenizer_of_turn):
    text = '<tool_call>\n{"name": "쿠폰", "arguments": {"장": 2}}\n</tool_call>'
    read = read_with(reader_of(tokenizer_of_turn(FUNCTION_TAGS), TOOLS, PROMPT), text)
    assert read.calls == (ToolCall("쿠폰", {"장": 2}, "call_1"),)


@pytest.mark.parametrize("name", ["qwen2", "gemma3", "mistral"])
def test_templates_without_such_tags_get_none(name):
    assert tagged_template(make_tokenizer(LAYOUTS[name])) is None


def test_a_template_needs_all_special_tokens_and_our_reader_only_the_markers(json_tokenizer, tokenizer_of_turn):
    assert reader_of(json_tokenizer, TOOLS, PROMPT).keeps("<|im_end|>")
    ours = reader_of(tokenizer_of_turn("{{ message.content }}"), TOOLS, PROMPT)
    assert ours.keeps("<tool_call>")
    assert not ours.keeps("<|im_end|>")


@pytest.mark.parametrize("unit", ["<parameter=b>\n", "<tool_call>\n<function=a>\n", "\n", "<arg_key>", " <"])
def test_hostile_answers_do_not_hold_up_the_tags(tokenizer_of_turn, unit):
    text = "<tool_call>\n<function=쿠폰>\n" + unit * (30_000 // len(unit)) + "</function>\n</tool_call>."
    start = time.perf_counter()
    read_with(reader_of(tokenizer_of_turn(FUNCTION_TAGS), TOOLS, PROMPT), text)
    assert time.perf_counter() - start < 10  # a tenth of a second


BITS = st.sampled_from(
    [
        *("<tool_call>", "</tool_call>", "<function=쿠폰>", "</function>", "<parameter=장>", "3", "</parameter>", "\n", "네."),
        *('{"name": "쿠폰", "arguments": {}}', "{'name': '쿠폰'}", "<think>", "</think>", "<|im_end|>", "<tool"),
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(BITS | st.text(max_size=3), max_size=15), st.sampled_from([JSON_CALLS, TAGGED_CALLS]))
def test_any_pieces_are_read_without_an_exception(json_tokenizer, pieces, calls):
    reader = TemplateReader(with_template(json_tokenizer, calls), TOOLS, PROMPT)
    out = [p for piece in pieces for p in reader.feed(piece)] + reader.end()
    assert all(isinstance(p, ToolCall) or p for p in out)


def test_without_a_template_or_with_a_damaged_one_our_reader_reads(tokenizer_of_turn):
    tokenizer = tokenizer_of_turn("{{ message.content }}")
    assert isinstance(reader_of(tokenizer, TOOLS, PROMPT), CallReader)
    tokenizer.response_template = {"fields": {"content": {"open_pattern": "("}}}
    assert isinstance(reader_of(tokenizer, TOOLS, PROMPT), CallReader)
