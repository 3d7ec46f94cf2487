"""Calls are well-formed whatever the model prefers, and all other text is free."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from sadari.errors import ConfigError, ModelError
from sadari.model.grammar import Grammars, Guide, call_guide, grammars_of
from sadari.model.toolcalls import CallFormat, read_answer
from sadari.model.toolcalls.formats import GEMMA, HERMES, LLAMA, MISTRAL, MISTRAL_NAMED, PHI
from sadari.types import ToolCall, ToolSpec

WEATHER = ToolSpec(
    "get_weather",
    "The weather of a city.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "at": {"type": "object", "properties": {"hours": {"type": "array", "items": {"type": "number"}}}},
        },
        "required": ["city"],
    },
)
NOW = ToolSpec("get_time.now", "The time.", {"type": "object", "properties": {}})
KOREAN = ToolSpec('주문 "조회"', "", {"properties": {"번호": {"type": "boolean"}}, "required": ["번호"]})
TOOLS = (WEATHER, NOW, KOREAN)
FORMATS = (HERMES, LLAMA, replace(LLAMA, several=True), MISTRAL, MISTRAL_NAMED, PHI, replace(HERMES, id_key="id"))


def name_of(format: CallFormat) -> str:
    return f"{format.family}-{format.layout}"


@pytest.fixture(scope="session")
def pieces() -> Any:
    """A tokenizer to which markers are plain text, some of it in tokens that begin before a marker's end or after it."""
    import transformers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(alphabet)}
    merges = []
    for chain in ("<tool", "_call", ">Ċ", '>Ċ{"', '>{"', "l>Ċ", "Ċ<", '{"n', "xyz", "}Ċ</"):
        whole = chain[0]
        for c in chain[1:]:
            if whole + c not in vocab:
                merges.append((whole, c))
                vocab[whole + c] = len(vocab)
            whole += c
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(False, use_regex=False), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("</s>", special=True)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def of(tokenizer: Any) -> Grammars:
    return grammars_of(tokenizer, frozenset({tokenizer.eos_token_id}))


def is_free(guide: Guide, size: int) -> bool:
    scores = torch.zeros(size)
    guide.prepare()
    guide.restrict(scores)
    return not bool(scores.any())


def allows(guide: Guide, token: int, size: int) -> bool:
    scores = torch.zeros(size)
    guide.restrict(scores)
    return bool(scores[token] == 0)


def write(guide: Guide, tokens: list[int], size: int) -> None:
    for i, token in enumerate(tokens):
        assert allows(guide, token, size), (i, token)
        guide.accept(token)


@pytest.mark.parametrize("format", FORMATS, ids=name_of)
@pytest.mark.parametrize("tokenizer", ["mini", "pieces"])
def test_required_calls_are_read_back_with_valid_arguments(
    request: pytest.FixtureRequest, draw: Any, format: CallFormat, tokenizer: str
) -> None:
    known = {tool.name: tool for tool in TOOLS if format.layout != "named" or " " not in tool.name}
    of_it = request.getfixturevalue(tokenizer)
    for seed in range(6):
        text = draw(call_guide(of(of_it), format, tuple(known.values()), "required"), of_it, seed, 60_000)
        read = read_answer(text, format, tuple(known.values()))
        assert read.calls, text[:300]
        assert (read.text, read.repairs) == ("", ())
        for call in read.calls:
            jsonschema.validate(call.arguments, known[call.name].parameters)


@pytest.mark.parametrize("format", FORMATS, ids=name_of)
def test_a_named_tool_is_called_once(mini: Any, grammars: Grammars, draw: Any, format: CallFormat) -> None:
    text = draw(call_guide(grammars, format, TOOLS, "get_time.now"), mini)
    assert [(c.name, c.arguments) for c in read_answer(text, format, TOOLS).calls] == [("get_time.now", {})]


@pytest.mark.parametrize("format", [HERMES, MISTRAL, MISTRAL_NAMED, PHI], ids=name_of)
def test_one_call_is_all_without_parallel_calls(mini: Any, grammars: Grammars, draw: Any, format: CallFormat) -> None:
    for seed in range(5):
        text = draw(call_guide(grammars, format, (NOW,), "required", is_parallel=False), mini, seed)
        assert len(read_answer(text, format, (NOW,)).calls) == 1


def test_calls_end_after_so_many(mini: Any, grammars: Grammars) -> None:
    guide = call_guide(grammars, HERMES, (NOW,), "required")
    call = '<tool_call>\n{"name": "get_time.now", "arguments": {}}\n</tool_call>'
    write(guide, mini("\n".join([call] * 16))["input_ids"], len(mini))
    assert guide.is_over


def test_text_is_free_and_may_end_anywhere(mini: Any, grammars: Grammars) -> None:
    guide = call_guide(grammars, HERMES, TOOLS)
    for token in mini("안녕하세요. 1 < 2 <b>{}</b> <tool_cal l> </think> ")["input_ids"]:
        assert is_free(guide, len(mini))
        assert (guide.is_complete, guide.is_over) == (True, False)
        guide.accept(token)
        assert list(guide.forced()) == []


@pytest.mark.parametrize("tokenizer", ["mini", "pieces"])
@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "서울", "days": 3}}\n</tool_call>',
        'Let me see. <<tool_call>\n{"name": "get_time.now", "arguments": {}}\n</tool_call>',
        '<tool_call>\n{"name": "get_time.now", "arguments": {}}\n</tool_call>\n'
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "x"}}\n</tool_call>',
    ],
)
def test_the_tokenizer_s_own_split_of_an_answer_with_calls_is_allowed(
    request: pytest.FixtureRequest, tokenizer: str, text: str
) -> None:
    of_it = request.getfixturevalue(tokenizer)
    guide = call_guide(of(of_it), HERMES, TOOLS)
    write(guide, of_it(text)["input_ids"], len(of_it))
    assert guide.is_complete
    assert not is_free(guide, len(of_it))


def test_after_the_marker_comes_nothing_but_a_call(mini: Any, grammars: Grammars) -> None:
    guide = call_guide(grammars, HERMES, TOOLS)
    guide.accept(mini.convert_tokens_to_ids("<tool_call>"))
    assert not guide.is_complete
    assert mini.decode(list(guide.forced())) == '\n{"name": "'
    guide.accept(mini("get")["input_ids"][0])
    with pytest.raises(ModelError, match="under its constraint"):
        guide.accept(mini("x")["input_ids"][0])


def test_a_token_that_ends_the_marker_and_begins_something_else_is_not_allowed(pieces: Any) -> None:
    guide = call_guide(of(pieces), HERMES, TOOLS)
    for token in pieces("Well <tool_cal")["input_ids"]:
        guide.accept(token)
    allowed = {name: allows(guide, pieces.convert_tokens_to_ids(name), len(pieces)) for name in ("l", "l>", "l>Ċ")}
    assert allowed == {"l": True, "l>": True, "l>Ċ": True}
    guide.accept(pieces.convert_tokens_to_ids("l"))
    allowed = {name: allows(guide, pieces.convert_tokens_to_ids(name), len(pieces)) for name in (">", ">Ċ", '>Ċ{"', '>{"', ">{")}
    assert allowed == {">": True, ">Ċ": True, '>Ċ{"': True, '>{"': False, ">{": False}  # a line break belongs before the brace


@pytest.mark.parametrize("tokenizer", ["mini", "pieces"])
@pytest.mark.parametrize("format", [HERMES, MISTRAL, PHI], ids=name_of)
def test_no_marker_is_ever_completed_where_no_call_may_be(
    request: pytest.FixtureRequest, tokenizer: str, format: CallFormat
) -> None:
    of_it = request.getfixturevalue(tokenizer)
    guide = call_guide(of(of_it), format, TOOLS, "none")
    wanted = [*of_it(f"x {format.opens} y")["input_ids"]] * 3
    out = []
    for token in wanted:  # the model insists on the marker
        scores = torch.zeros(len(of_it))
        scores[token] = 5.0
        guide.restrict(scores)
        token = int(scores.argmax())
        guide.accept(token)
        out.append(token)
    assert format.opens not in of_it.decode(out)
    assert guide.is_complete


def test_a_marker_within_a_thought_is_text(mini: Any, grammars: Grammars) -> None:
    guide = call_guide(grammars, HERMES, TOOLS)
    for token in mini("<think>I could <tool_call> it. </thin")["input_ids"]:
        guide.accept(token)
        assert is_free(guide, len(mini))
    for token in mini("k>\n<tool_call>")["input_ids"]:
        guide.accept(token)
    assert not guide.is_complete


@pytest.mark.parametrize("start", ["", "\n ", "<think>hm {</think>\n"])
def test_bare_json_at_the_start_is_a_call(mini: Any, grammars: Grammars, start: str) -> None:
    guide = call_guide(grammars, LLAMA, TOOLS)
    write(guide, mini(start + '{"name": "get_weather", "parameters": {"city": "x"')["input_ids"], len(mini))
    assert not guide.is_complete
    write(guide, mini("}}")["input_ids"], len(mini))
    assert guide.is_over


def test_braces_within_text_are_text_where_calls_are_bare(mini: Any, grammars: Grammars) -> None:
    guide = call_guide(grammars, LLAMA, TOOLS)
    for token in mini('The object {"a": 1} is {')["input_ids"]:
        guide.accept(token)
    assert is_free(guide, len(mini))
    for token in mini("<|python_tag|>")["input_ids"]:
        guide.accept(token)
    assert not guide.is_complete


def test_bare_json_cannot_open_an_answer_that_may_not_call(mini: Any, grammars: Grammars) -> None:
    guide = call_guide(grammars, LLAMA, TOOLS, "none")
    assert not allows(guide, mini("{")["input_ids"][0], len(mini))
    guide.accept(mini("x")["input_ids"][0])
    assert is_free(guide, len(mini))


@pytest.mark.parametrize("kind", ["prefixed", "plain"])
@pytest.mark.parametrize("format", [MISTRAL, MISTRAL_NAMED, HERMES], ids=name_of)
def test_calls_are_written_by_sentencepiece_tokenizers(
    sentencepiece: Callable[[str], Any], draw: Any, kind: str, format: CallFormat
) -> None:
    tokenizer = sentencepiece(kind)
    for seed in range(5):
        text = draw(call_guide(of(tokenizer), format, (WEATHER, NOW), "required"), tokenizer, seed, 60_000)
        read = read_answer(text, format, (WEATHER, NOW))
        assert read.calls, text[:300]
        assert read.repairs == ()


@pytest.mark.parametrize("kind", ["prefixed", "plain"])
@pytest.mark.parametrize("start", ["", "잠시만요. "])
def test_the_split_of_a_sentencepiece_tokenizer_is_allowed_in_calls(
    sentencepiece: Callable[[str], Any], kind: str, start: str
) -> None:
    tokenizer = sentencepiece(kind)
    text = start + '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "서울 중구"}}]'
    guide = call_guide(of(tokenizer), MISTRAL, TOOLS)
    write(guide, tokenizer(text, add_special_tokens=False)["input_ids"], len(tokenizer))
    assert guide.is_complete


def test_arguments_in_the_notation_of_gemma_are_read_back(mini: Any, grammars: Grammars, draw: Any) -> None:
    tools = (WEATHER, NOW, replace(WEATHER, name="other", parameters={"type": "object", "required": ["k"]}))
    known = {tool.name: tool for tool in tools}
    for seed in range(12):
        text = draw(call_guide(grammars, GEMMA, tools, "required", is_parallel=False), mini, seed, 60_000)
        read = read_answer(text, GEMMA, tools)
        assert len(read.calls) == 1, text[:300]
        jsonschema.validate(read.calls[0].arguments, known[read.calls[0].name].parameters)


def test_text_in_the_notation_of_gemma_is_taken_as_it_is(mini: Any, grammars: Grammars) -> None:
    arguments = '{city:<escape>"서울", \\ {중구}<escape>,unit:<escape>celsius<escape>}'
    text = f"<start_function_call>call:get_weather{arguments}<end_function_call>"
    guide = call_guide(grammars, GEMMA, TOOLS[:2])
    write(guide, mini(text)["input_ids"], len(mini))
    assert guide.is_complete
    assert read_answer(text, GEMMA, TOOLS).calls[0].arguments == {"city": '"서울", \\ {중구}', "unit": "celsius"}


@pytest.mark.parametrize(
    ("tools", "choice", "told"),
    [
        (TOOLS, "get_wether", "'get_wether' is none of the tools. Did you mean 'get_weather'"),
        ((), "required", "needs at least one tool"),
        ((NOW, NOW), "auto", "two tools are called 'get_time.now'"),
        ((replace(NOW, parameters={"type": "array"}),), "auto", "tool 'get_time.now', parameters #/type: .* an object"),
        (
            (replace(NOW, parameters={"properties": {"a": {"type": "int"}}}),),
            "auto",
            "'get_time.now', parameters #/properties/a/type",
        ),
        (
            (WEATHER, replace(NOW, parameters={"properties": {"n": {"type": "integer", "enum": ["1"]}}, "required": ["n"]})),
            "auto",
            "tool 'get_time.now', whose parameters cannot be held to: .*required property 'n' is unsatisfiable$",
        ),
        (tuple(replace(NOW, name=f"t{i}", parameters={"enum": ["x" * 250_000]}) for i in range(5)), "auto", "Offer fewer tools"),
        ((replace(NOW, parameters={"enum": ["x" * 300_000]}),), "auto", "tool 'get_time.now', parameters #: .*larger than 256 KiB"),
    ],
)
def test_what_no_guide_can_be_made_for_is_refused(grammars: Grammars, tools: Any, choice: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        call_guide(grammars, HERMES, tools, choice)


def test_what_a_tool_asks_for_in_vain_does_not_keep_it_from_being_called(mini: Any, grammars: Grammars, draw: Any) -> None:
    loose = replace(NOW, parameters={"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}})
    assert read_answer(draw(call_guide(grammars, HERMES, (loose,), "required", is_parallel=False), mini), HERMES, None).calls


def test_no_tools_are_as_good_as_no_calls(mini: Any, grammars: Grammars) -> None:
    guide = call_guide(grammars, HERMES, ())
    assert not allows(guide, mini.convert_tokens_to_ids("<tool_call>"), len(mini))


def test_json_is_spaced_as_the_template_writes_it(mini: Any, grammars: Grammars) -> None:
    compact = '<tool_call>\n{"name":"get_weather","arguments":{"city":"x","days":1}}\n</tool_call>'
    guide = call_guide(grammars, HERMES, TOOLS, "required", is_compact=True)
    write(guide, mini(compact)["input_ids"], len(mini))
    assert read_answer(compact, HERMES, TOOLS).calls == (ToolCall("get_weather", {"city": "x", "days": 1}, "call_1"),)
    assert json.loads(compact.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>"))
