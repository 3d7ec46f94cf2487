"""Tool calls read from answers as the families write them."""

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sadari.model.toolcalls import CallReader, read_answer
from sadari.model.toolcalls.formats import GEMMA, GEMMA4, HERMES, LLAMA, MISTRAL, MISTRAL_NAMED, NONE, PHI
from sadari.types import ToolCall, ToolSpec

FORMATS = [HERMES, replace(HERMES, space=""), LLAMA, MISTRAL, MISTRAL_NAMED, PHI, GEMMA, GEMMA4, NONE]
WITHOUT_ARGUMENTS = {"type": "object", "properties": {}}
LOOKUP = {"type": "object", "properties": {"주문": {"type": "integer"}}, "required": ["주문"]}
TOOLS = [
    ToolSpec("주문_조회", "주문을 찾는다", LOOKUP),
    ToolSpec("쿠폰", "쿠폰을 준다", WITHOUT_ARGUMENTS),
]
ORDER = ToolCall("주문_조회", {"주문": 12345}, "call_1")
COUPON = ToolCall("쿠폰", {"이름": '가을 "특가" {10%}'}, "call_2")


def normal(pieces):
    """Neighbouring texts joined."""
    out = []
    for piece in pieces:
        if isinstance(piece, str) and out and isinstance(out[-1], str):
            out[-1] += piece
        else:
            out.append(piece)
    return out


def read_in_pieces(pieces, format, **how):
    reader = CallReader(format, TOOLS, **how)
    out = [p for piece in pieces for p in reader.feed(piece)] + reader.end()
    return normal(out), reader.repairs


AS_WRITTEN = [
    (
        HERMES,
        '찾아보겠습니다.\n<tool_call>\n{"name": "주문_조회", "arguments": {"주문": 12345}}\n</tool_call>\n'
        '<tool_call>\n{"name": "쿠폰", "arguments": {"이름": "가을 \\"특가\\" {10%}"}}\n</tool_call>',
    ),
    (
        replace(HERMES, space=""),
        '찾아보겠습니다.<tool_call>{"name": "주문_조회", "arguments": {"주문": 12345}}</tool_call>\n'
        '<tool_call>{"name": "쿠폰", "arguments": {"이름": "가을 \\"특가\\" {10%}"}}</tool_call>',
    ),
    (
        LLAMA,
        '<|python_tag|>{"name": "주문_조회", "parameters": {"주문": 12345}}; '
        '{"name": "쿠폰", "parameters": {"이름": "가을 \\"특가\\" {10%}"}}',
    ),
    (
        LLAMA,
        '{"name": "주문_조회", "parameters": {"주문": 12345}}\n{"name": "쿠폰", "parameters": {"이름": "가을 \\"특가\\" {10%}"}}',
    ),
    (
        MISTRAL,
        '[TOOL_CALLS] [{"name": "주문_조회", "arguments": {"주문": 12345}}, '
        '{"name": "쿠폰", "arguments": {"이름": "가을 \\"특가\\" {10%}"}}]',
    ),
    (
        MISTRAL_NAMED,
        '찾아보겠습니다.[TOOL_CALLS]주문_조회[ARGS]{"주문": 12345}[TOOL_CALLS]쿠폰[ARGS]{"이름": "가을 \\"특가\\" {10%}"}',
    ),
    (MISTRAL_NAMED, '[TOOL_CALLS]주문_조회{"주문": 12345}[TOOL_CALLS]쿠폰{"이름": "가을 \\"특가\\" {10%}"}'),
    (
        PHI,
        '<|tool_call|>[{"name": "주문_조회", "arguments": {"주문": 12345}}, '
        '{"name": "쿠폰", "arguments": {"이름": "가을 \\"특가\\" {10%}"}}]<|/tool_call|>',
    ),
    (
        GEMMA,
        "<start_function_call>call:주문_조회{주문:12345}<end_function_call>"
        '<start_function_call>call:쿠폰{이름:<escape>가을 "특가" {10%}<escape>}<end_function_call>',
    ),
    (
        GEMMA4,
        "찾아보겠습니다.<|tool_call>call:주문_조회{주문:12345}<tool_call|>"
        '<|tool_call>call:쿠폰{이름:<|"|>가을 "특가" {10%}<|"|>}<tool_call|>',
    ),
]


@pytest.mark.parametrize(("format", "text"), AS_WRITTEN)
def test_calls_are_read_as_each_family_writes_them(format, text):
    read = read_answer(text, format, TOOLS)
    assert read.calls == (ORDER, COUPON)
    assert read.text == ("찾아보겠습니다." if text.startswith("찾") else "")
    assert read.repairs == ()


@pytest.mark.parametrize(("format", "text"), AS_WRITTEN)
def test_one_character_at_a_time_reads_the_same(format, text):
    whole = read_in_pieces([text], format)
    assert read_in_pieces(list(text), format) == whole


def test_text_is_handed_out_as_soon_as_it_cannot_be_a_marker():
    reader = CallReader(HERMES, TOOLS)
    assert reader.feed("네, <") == ["네,"]
    assert reader.feed("b> ") == [" <b>"]
    assert reader.feed("<tool_") == []
    assert reader.feed("box>") == [" <tool_box>"]


def test_a_call_is_handed_out_with_its_last_character():
    reader = CallReader(HERMES, TOOLS)
    assert reader.feed('<tool_call>{"name": "쿠폰", "arguments": {}}</tool_call') == []
    assert reader.feed(">") == [ToolCall("쿠폰", {}, "call_1")]


def test_text_between_calls_keeps_its_place_and_its_whitespace():
    call = '<tool_call>{"name": "쿠폰", "arguments": {}}</tool_call>'
    pieces, _ = read_in_pieces([f" \n{call}\n먼저 \n{call}\n그다음\n"], HERMES)
    first, second = (ToolCall("쿠폰", {}, f"call_{n}") for n in (1, 2))
    assert pieces == [first, "\n먼저", second, " \n\n그다음\n"]


def test_braces_and_markers_within_strings_are_content():
    text = '<tool_call>{"name": "쿠폰", "arguments": {"q": "} </tool_call> \\"{ <tool_call>"}}</tool_call>'
    assert read_answer(text, HERMES, TOOLS).calls == (ToolCall("쿠폰", {"q": '} </tool_call> "{ <tool_call>'}, "call_1"),)


def test_ids_that_mistral_writes_are_kept():
    text = '[TOOL_CALLS] [{"name": "쿠폰", "arguments": {}, "id": "a1B2c3D4e"}, {"name": "쿠폰", "arguments": {}, "id": "no"}]'
    assert [c.id for c in read_answer(text, MISTRAL, TOOLS).calls] == ["a1B2c3D4e", "call_2"]
    assert read_answer("[TOOL_CALLS]쿠폰[CALL_ID]a1B2c3D4e[ARGS]{}", MISTRAL_NAMED, TOOLS).calls[0].id == "a1B2c3D4e"


def test_a_call_within_a_thought_is_text_and_one_after_it_is_a_call():
    call = '<tool_call>{"name": "쿠폰", "arguments": {}}</tool_call>'
    read = read_answer(f"<think>\n{call}?</think>\n\n{call}", HERMES, TOOLS)
    assert read.text == f"<think>\n{call}?</think>"
    assert read.calls == (ToolCall("쿠폰", {}, "call_1"),)


def test_a_well_formed_call_of_an_unknown_tool_is_a_call_that_can_be_answered():
    text = '<tool_call>{"name": "없는_도구", "arguments": {}}</tool_call>'
    assert read_answer(text, HERMES, TOOLS).calls == (ToolCall("없는_도구", {}, "call_1"),)


@pytest.mark.parametrize(
    ("format", "text"),
    [
        (LLAMA, '{"name": "없는_도구", "parameters": {}}'),  # bare JSON may be an answer
        (LLAMA, '{"name": "쿠폰", "price": 100}x'),
        (LLAMA, '답: {"name": "쿠폰", "parameters": {}}'),
        (HERMES, '{"name": "쿠폰", "arguments": {}}'),
        (HERMES, '```json\n{"name": "쿠폰", "arguments": {}}\n```'),
        (NONE, '```json\n{"name": "없는_도구", "arguments": {}}\n```'),
        (NONE, '```json\n{"상품": ["name", "쿠폰"]}\n```'),
        (NONE, '[1, 2, {"name": "쿠폰", "arguments": {}}]'),
        (MISTRAL, "[TOOL_CALLS] []"),
        (MISTRAL_NAMED, "[TOOL_CALLS]그냥 글 [ARGS]{}"),
        (MISTRAL_NAMED, "[TOOL_CALLS]" + "가" * 300 + "{}"),
        (PHI, '<|tool_call|>[{"name": "쿠폰", "arguments": {}}, {"name": 3}]<|/tool_call|>'),
        (GEMMA4, '<|tool_call>call:쿠폰{이름:<|"|>가을}<tool_call|>'),
        (HERMES, "그냥 글 "),
        (HERMES, '<tool_call>{"name": "쿠폰", "arguments": </tool_call>'),
        (HERMES, '<tool_call>{"arguments": {}}</tool_call>'),
        (HERMES, '<tool_call>{"name": "주문_조회"}</tool_call>'),  # what it requires is missing
        (HERMES, '<tool_call>{"name": "쿠폰", "arguments": [1]}</tool_call>'),
        (HERMES, '<tool_call>{"name": "쿠폰", "arguments": null}</tool_call>'),
        (HERMES, '<tool_call>{"name": 3, "arguments": {}}</tool_call>'),
        (HERMES, '<tool_call>{"name": "", "arguments": {}}</tool_call>'),
        (HERMES, '<tool_call>{"name": "쿠폰", "arguments": {"x": NaN}}</tool_call>'),
        (HERMES, '<tool_call>{"name": "쿠폰", "arguments": {"x": 1e999}}</tool_call>'),
        (HERMES, '<tool_call>{"name": "쿠폰", "arguments": {"x": "\\ud800"}}</tool_call>'),
        (HERMES, '<tool_call>{"name": "쿠폰", "arguments": {"x": ' + "9" * 5000 + "}}</tool_call>"),
        (HERMES, '<tool_call>{"name": "쿠폰", "arguments": {}} 그리고</tool_call>'),
        (HERMES, "<tool_call>{'name': '쿠폰', 'arguments': dict()}</tool_call>"),
        (HERMES, "<tool_call>" + "[" * 100_000),
        (HERMES, "<tool_call>" * 3 + "</tool_call>"),
    ],
)
def test_what_is_no_call_stays_exactly_as_it_is(format, text):
    read = read_answer(text, format, TOOLS)
    assert (read.text, read.calls, read.repairs) == (text, (), ())


def test_a_call_after_a_malformed_one_is_read():
    bad = '<tool_call>{"name": "쿠폰", "arguments": {"q": "x}}</tool_call>'
    read = read_answer(bad + '\n<tool_call>{"name": "쿠폰", "arguments": {}}</tool_call>', HERMES, TOOLS)
    assert read.text == bad
    assert read.calls == (ToolCall("쿠폰", {}, "call_1"),)


@pytest.mark.parametrize(
    "text",
    [
        '```tool_code\n{"name": "쿠폰", "arguments": {}}\n```',
        '주문을 봅니다.\n```json\n{"name": "쿠폰", "parameters": {}}\n```',
        '{"name": "쿠폰", "parameters": {}}',
        '[{"name": "쿠폰", "arguments": {}}]',
    ],
)
def test_a_model_without_a_format_of_its_own_may_call_in_bare_or_fenced_json(text):
    assert read_answer(text, NONE, TOOLS).calls == (ToolCall("쿠폰", {}, "call_1"),)


def test_a_call_longer_than_the_cap_stays_text_and_the_next_is_read():
    long = '<tool_call>{"name": "쿠폰", "arguments": {"q": "' + "가" * 2**20 + '"}}</tool_call>'
    read = read_answer(long + '<tool_call>{"name": "쿠폰", "arguments": {}}</tool_call>', HERMES, TOOLS)
    assert read.text == long
    assert len(read.calls) == 1


@pytest.mark.parametrize(
    "unit",
    ["<tool_call>", '<tool_call>{"', "<tool_call>{\"<tool_call>{'", "<tool_call>{", "<", '{"a":', "<tool_call>[" + "{'a':[" * 30],
)
def test_hostile_answers_are_read_in_time_that_grows_with_their_length(unit):
    text = unit * (200_000 // len(unit))
    start = time.perf_counter()
    assert read_answer(text, HERMES, TOOLS).text == text
    assert time.perf_counter() - start < 20  # a second or two; quadratic time would be hours


# --- any text ------------------------------------------------------------------------------------------------------------

BITS = st.sampled_from(
    [
        *(m for f in FORMATS for m in f.markers),
        *(
            '{"name": "쿠폰", "arguments": {"q": "가"}}',
            '{"name": "쿠폰", "parameters": {}}',
            '[{"name": "쿠폰", "arguments": {}}]',
        ),
        *("쿠폰", "주문_조회", '{"주문": 1}', "{주문:1}", "{'주문': True,}", "{", "}", "[", "]", '"', "'", "\\", ":", ",", "; "),
        *("```json\n", "```", "<think>", "</think>", "\n", "  ", "<", "[TOOL", "</tool"),
    ]
)
TEXTS = st.lists(BITS | st.text(max_size=5), max_size=14).map("".join)


@settings(max_examples=250, deadline=None)
@given(TEXTS, st.sampled_from(FORMATS), st.booleans(), st.data())
def test_pieces_cut_anywhere_read_as_the_whole_does(text, format, mends, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read_in_pieces(pieces, format, mend_truncated=mends) == read_in_pieces([text], format, mend_truncated=mends)


@settings(max_examples=250, deadline=None)
@given(TEXTS, st.sampled_from(FORMATS), st.booleans())
def test_any_text_is_read_without_an_exception_and_unchanged_if_it_holds_no_call(text, format, mends):
    read = read_answer(text, format, TOOLS, mend_truncated=mends)
    if read.calls:
        assert all(isinstance(c.arguments, dict) and c.id for c in read.calls)
        assert json.dumps([dict(c.arguments) for c in read.calls], allow_nan=False, ensure_ascii=False).encode()
    else:
        assert (read.text, read.repairs) == (text, ())


@settings(max_examples=200, deadline=None)
@given(st.text(), st.sampled_from(FORMATS))
def test_text_without_markers_comes_back_unchanged(text, format):
    if not any(m[0] in text for m in ("{", "[", "<", "`")):
        assert read_answer(text, format, TOOLS).text == text
