"""What a guide lets through is exactly what its constraint accepts."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from sadari.errors import ConfigError, ModelError
from sadari.model.grammar import Grammars, Guide, grammars_of
from sadari.types import Grammar, JsonSchema, Regex

INF = float("inf")
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}},
    },
    "required": ["city", "days"],
}


def allowed_by(guide: Guide, size: int) -> set[int]:
    scores = torch.zeros(size)
    guide.restrict(scores)
    return set(torch.nonzero(scores == 0).flatten().tolist())


def follow(guide: Guide, tokens: list[int], size: int) -> None:
    """Take tokens one by one, each of them allowed."""
    for i, token in enumerate(tokens):
        assert token in allowed_by(guide, size), (i, token)
        guide.accept(token)


@pytest.mark.parametrize("written", ["", "나", "나는 ", "나는 집", "나는 집에", "나는 집에 간다"])
def test_the_tokens_allowed_are_those_that_some_accepted_text_goes_on_with(mini: Any, grammars: Grammars, written: str) -> None:
    texts = ["나는 집에", "나는 집에 간다", "나는 산에 간다.", "나도"]
    guide = grammars.guide(Regex("|".join(text.replace(".", r"\.") for text in texts)))
    guide.feed(written.encode())
    wanted = {
        i
        for i, data in enumerate(grammars.vocabulary.data)
        if not grammars.vocabulary.tokens.is_special_token(i) and any(t.encode().startswith(written.encode() + data) for t in texts)
    }
    may_end = written in texts
    assert guide.is_complete == may_end
    assert allowed_by(guide, len(mini)) == wanted | ({mini.eos_token_id} if may_end else set())


def test_the_scores_of_what_may_come_next_are_not_changed(mini: Any, grammars: Grammars) -> None:
    guide = grammars.guide(Regex("[0-9]"))
    scores = torch.randn(len(mini))
    before = scores.clone()
    guide.restrict(scores)
    digits = [i for i, data in enumerate(grammars.vocabulary.data) if data in b"0123456789" and len(data) == 1]
    assert torch.equal(scores[digits], before[digits])
    assert int((scores > -INF).sum()) == 10


@pytest.mark.parametrize("more", [100, -100])
def test_a_model_may_score_more_tokens_than_the_tokenizer_has_or_fewer(mini: Any, grammars: Grammars, more: int) -> None:
    guide = grammars.guide(Regex("a"))
    a = mini.convert_tokens_to_ids("a")
    assert allowed_by(guide, len(mini) + more) == {a}


def test_every_token_that_ends_an_answer_is_allowed_exactly_where_it_may_end(mini: Any) -> None:
    ends = frozenset({0, 2})
    guide = grammars_of(mini, ends).guide(Regex("ab?"))
    assert not ends & allowed_by(guide, len(mini))
    guide.feed(b"a")
    assert ends < allowed_by(guide, len(mini))
    guide.feed(b"b")
    assert allowed_by(guide, len(mini)) == ends
    assert guide.is_over


def test_an_answer_is_valid_whichever_tokens_are_drawn(mini: Any, grammars: Grammars, draw: Any) -> None:
    for seed in range(20):
        jsonschema.validate(json.loads(draw(grammars.guide(JsonSchema(SCHEMA)), mini, seed)), SCHEMA)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": ["array", "null"]},
        {"type": "object", "required": ["a"], "additionalProperties": {"type": "integer"}},
        {"type": "object", "patternProperties": {"^x_": {"type": "integer"}}},
        {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"allOf": [{"$ref": "#/$defs/a"}, {"properties": {"b": {"type": "boolean"}}}], "$defs": {"a": {"required": ["b"]}}},
        {"type": "array", "prefixItems": [{"type": "integer"}, {"const": "a"}], "minItems": 2},
        {"enum": ["a", 1, 2.5, None, True, [1, "x"], {"k": "v"}]},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        {"type": "integer", "multipleOf": 7},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        {"type": "string", "minLength": 3, "maxLength": 5},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^[a-z]+@[a-z]+$", "maxLength": 20},
        {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"]}]},
        {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}},
        {"type": "object", "properties": {'quo"te\\': {"type": "null"}, "키": {"type": "boolean"}}, "required": ['quo"te\\', "키"]},
    ],
    ids=lambda s: json.dumps(s, ensure_ascii=False)[:40],
)
def test_answers_are_valid_for_each_kind_of_schema(mini: Any, grammars: Grammars, draw: Any, schema: dict[str, Any]) -> None:
    for seed in range(5):
        jsonschema.validate(json.loads(draw(grammars.guide(JsonSchema(schema)), mini, seed, 20_000)), schema)


@pytest.mark.parametrize(("is_compact", "text"), [(True, '{"a":1,"b":[1,2]}'), (False, '{"a": 1, "b": [1, 2]}')])
def test_json_is_spaced_in_one_way_only(mini: Any, grammars: Grammars, is_compact: bool, text: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "integer"}}}}
    guide = grammars.guide(JsonSchema(schema), is_compact=is_compact)
    follow(guide, mini(text)["input_ids"], len(mini))
    other = '{"a": 1' if is_compact else '{"a":1'
    with pytest.raises(ModelError, match="under its constraint"):
        grammars.guide(JsonSchema(schema), is_compact=is_compact).feed(other.encode())


def test_forced_tokens_are_those_that_the_tokenizer_writes(mini: Any, grammars: Grammars) -> None:
    schema = {
        "type": "object",
        "properties": {"location": {"const": "서울특별시"}, "n": {"type": "integer"}},
        "required": ["location", "n"],
    }
    ids = mini('{"location": "서울특별시", "n": 12}')["input_ids"]
    guide = grammars.guide(JsonSchema(schema))
    taken, chosen = list(guide.forced()), 0
    while not guide.is_over:
        token = ids[len(taken)]
        guide.accept(token)
        taken += [token, *guide.forced()]
        chosen += 1
    assert taken == ids
    assert chosen <= 4  # where the number begins, its digits, and where it ends


def test_a_token_that_is_forbidden_is_an_error_and_stays_one(mini: Any, grammars: Grammars) -> None:
    guide = grammars.guide(JsonSchema({"type": "integer"}))
    with pytest.raises(ModelError, match=r"cannot take token \d+ under its constraint: .*doesn't satisfy the grammar"):
        guide.accept(mini("x")["input_ids"][0])
    with pytest.raises(ModelError, match="under its constraint"):
        guide.prepare()


def test_answers_under_one_constraint_do_not_disturb_each_other(mini: Any, grammars: Grammars) -> None:
    first, second = (grammars.guide(JsonSchema(SCHEMA)) for _ in range(2))
    first.feed(b'{"city": "Seoul", ')
    assert allowed_by(second, len(mini)) == allowed_by(grammars.guide(JsonSchema(SCHEMA)), len(mini))


def test_what_may_come_next_can_be_computed_in_other_threads(mini: Any, grammars: Grammars) -> None:
    guides = [grammars.guide(JsonSchema(SCHEMA)) for _ in range(16)]
    for guide, start in zip(guides, ("", '{"city"', '{"city": "S', '{"city": "S", "days": 1') * 4, strict=True):
        guide.feed(start.encode())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda g: g.prepare(), guides))
    for i, guide in enumerate(guides[4:]):
        assert allowed_by(guide, len(mini)) == allowed_by(guides[i % 4], len(mini))


@pytest.mark.parametrize(
    ("constraint", "told"),
    [
        (Regex("("), "regex constraint cannot be held to: .*invalid regex"),
        (Regex("(?=a)b"), "look-around"),
        (Regex("x" * 300_000), "longer than 256 Ki"),
        (Regex("a\ud800"), "half of a character at 1"),
        (JsonSchema({"const": "\ud800"}), "JSON Schema cannot be held to"),
        (Grammar("start: foo"), 'lark constraint cannot be held to: .*unknown name: "foo"'),
        (Grammar("start: start"), "nothing can be written"),
        (Grammar('start: "' + "(" * 10), "lark constraint cannot"),
        (Grammar('start: %json {"multipleOf": 123456789}'), "Give it as a JsonSchema"),
        (JsonSchema({"type": "strin"}), "#/type: must be one of"),
        (JsonSchema({"type": "array", "uniqueItems": True}), "cannot be held while decoding: #/uniqueItems"),
        (JsonSchema({"type": "string", "minLength": 3, "maxLength": 2}), "JSON Schema cannot be held to: .*minLength"),
        (JsonSchema({"not": {}}), "#/not"),
    ],
)
def test_a_constraint_that_cannot_be_held_is_refused(grammars: Grammars, constraint: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        grammars.guide(constraint)


def test_a_pattern_that_explodes_does_not_hang(grammars: Grammars) -> None:
    start = time.process_time()
    guide = grammars.guide(Regex("((a{1000}){1000}){1000}"))
    guide.forced()
    guide.prepare()
    assert time.process_time() - start < 1


def test_grammars_are_compiled_once_and_the_oldest_make_room(mini: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Grammars(grammars_of(mini, frozenset({mini.eos_token_id})).vocabulary, kept=2)
    compiled: list[str] = []
    compile_ = small.compile
    monkeypatch.setattr(small, "compile", lambda grammar, what: compiled.append(str(grammar)) or compile_(grammar, what))
    for pattern in ("a", "b", "a", "c", "a", "b"):
        small.guide(Regex(pattern))
    assert len(compiled) == 4  # a, b, c, and b again


def test_a_tokenizer_gets_its_grammars_once(mini: Any) -> None:
    ends = frozenset({mini.eos_token_id})
    assert grammars_of(mini, ends) is grammars_of(mini, ends)


def test_a_model_whose_answers_cannot_end_is_refused(mini: Any) -> None:
    with pytest.raises(ModelError, match="no token ends an answer"):
        grammars_of(mini, frozenset({-1}))


def test_a_tokenizer_of_words_is_refused() -> None:
    import transformers
    from tokenizers import Tokenizer, models

    words = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, "a")), eos_token="</s>"
    )
    with pytest.raises(ModelError, match="byte-level or SentencePiece"):
        grammars_of(words, frozenset({1}))


@pytest.mark.parametrize("kind", ["prefixed", "plain"])
def test_sentencepiece_tokenizers_write_valid_answers(sentencepiece: Callable[[str], Any], draw: Any, kind: str) -> None:
    tokenizer = sentencepiece(kind)
    made = grammars_of(tokenizer, frozenset({tokenizer.eos_token_id}))
    for seed in range(10):
        jsonschema.validate(json.loads(draw(made.guide(JsonSchema(SCHEMA)), tokenizer, seed, 20_000)), SCHEMA)
        assert draw(made.guide(Regex("[가-힣]{2} [0-9]{3}")), tokenizer, seed)[2] == " "


@pytest.mark.parametrize("kind", ["prefixed", "plain"])
def test_the_split_of_a_sentencepiece_tokenizer_is_allowed(sentencepiece: Callable[[str], Any], kind: str) -> None:
    tokenizer = sentencepiece(kind)
    guide = grammars_of(tokenizer, frozenset({tokenizer.eos_token_id})).guide(JsonSchema(SCHEMA))
    ids = tokenizer('{"city": "서울 중구", "days": 3}', add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids[0]).startswith("▁") == (kind == "prefixed")
    follow(guide, ids, len(tokenizer))
    assert guide.is_complete


def test_a_leading_space_is_taken_once_at_most(sentencepiece: Callable[[str], Any]) -> None:
    tokenizer = sentencepiece("prefixed")
    made = grammars_of(tokenizer, frozenset({tokenizer.eos_token_id}))
    assert np.all(made.vocabulary.writes_leading_space)
    made.guide(Regex("a")).feed(b" a")
    with pytest.raises(ModelError):
        made.guide(Regex("a")).feed(b"  a")
