"""Formats of tool calls, read off chat templates."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from layouts import LAYOUTS, make_tokenizer
from sadari.mini import MINI_PATH
from sadari.model.toolcalls import format_of
from sadari.model.toolcalls.formats import GEMMA4, HERMES, LLAMA, MISTRAL_NAMED, NONE, PHI

WRITES_NO_CALLS = "{{ message.content }}"


def test_the_format_is_read_off_the_template(family):
    assert format_of(family.tokenizer) == family.format


def test_mini_writes_as_hermes_does():
    from transformers import AutoTokenizer

    assert format_of(AutoTokenizer.from_pretrained(MINI_PATH)) == HERMES


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "gemma3"])
def test_the_layouts_of_the_tests_write_as_hermes_does_with_nothing_between_two_calls(name):
    assert format_of(make_tokenizer(LAYOUTS[name])) == replace(HERMES, joint="")


def test_a_template_that_writes_no_calls_gets_the_layout_of_hermes_and_says_so():
    format = format_of(make_tokenizer(LAYOUTS["gemma3"]))
    assert format == NONE
    assert format.family == "none"


def test_a_tokenizer_without_a_template_gets_the_layout_of_hermes():
    tokenizer = make_tokenizer(LAYOUTS["llama"])
    tokenizer.chat_template = None
    assert format_of(tokenizer) == NONE


def test_a_template_that_writes_no_calls_gets_the_family_whose_markers_are_tokens(tokenizer_of_turn):
    assert format_of(tokenizer_of_turn(WRITES_NO_CALLS, "<|tool_call|>", "<|/tool_call|>")) == PHI
    assert format_of(tokenizer_of_turn(WRITES_NO_CALLS, "[TOOL_CALLS]", "[ARGS]")) == MISTRAL_NAMED


def test_a_template_that_writes_calls_as_python_code_has_no_format(tokenizer_of_turn):
    call = "[{{ c.function.name }}({{ c.function.arguments }})]"
    turn = "{{ message.content }}{% for c in message.tool_calls or [] %}" + call + "{% endfor %}"
    assert format_of(tokenizer_of_turn(turn)) == NONE


def test_the_whole_message_as_json_is_no_format_that_a_call_could_be_held_to(tokenizer_of_turn):
    turn = "{{ message.content }}{% if message.tool_calls %}{{ message.tool_calls | tojson }}{% endif %}"
    assert format_of(tokenizer_of_turn(turn)) == NONE


def test_a_changed_template_is_read_again(tokenizer_of_turn):
    tokenizer = tokenizer_of_turn(WRITES_NO_CALLS)
    assert format_of(tokenizer) == NONE
    tokenizer.chat_template = LAYOUTS["qwen2"].template
    assert format_of(tokenizer).family == "hermes"


def test_special_tokens_of_markers_are_kept_and_others_are_not():
    assert GEMMA4.keeps("<|tool_call>")
    assert GEMMA4.keeps('<|"|>')
    assert LLAMA.keeps("<|python_tag|>")
    assert not HERMES.keeps("<|im_end|>")


PUBLISHED = {
    "qwen2_5": HERMES,
    "qwen3": HERMES,
    "qwen3_instruct_2507": HERMES,
    "llama3_1": LLAMA,
    "llama3_2": LLAMA,
    "gemma3": NONE,
    "gemma4": GEMMA4,
    "gemma4_v5": GEMMA4,
    "phi3": NONE,
    "qwen3_5_think": NONE,  # writes each argument between its own tags
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_templates_are_read_off_as_they_write(name, tokenizer_of_turn):
    spec = find_spec("trl")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the published templates come with trl, which is not installed")
    path = Path(spec.submodule_search_locations[0]) / "chat_templates" / f"{name}.jinja"
    if not path.is_file():
        pytest.skip(f"this trl carries no {name}.jinja")
    tokenizer = tokenizer_of_turn("")
    tokenizer.chat_template = path.read_text(encoding="utf-8")
    assert format_of(tokenizer) == PUBLISHED[name]
