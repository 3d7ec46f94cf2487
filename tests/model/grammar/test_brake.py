"""Strings and numbers end once they are long enough, and never earlier than their schema lets them."""

import json
from typing import Any

import numpy as np
import pytest

from sadari.model.grammar import Grammars, Limits, grammars_of
from sadari.model.grammar.brake import SHORT, Brake
from sadari.types import JsonSchema


def fine_after(grammars: Grammars, text: str, limits: Limits) -> set[bytes] | None:
    brake = Brake(grammars.vocabulary, limits)
    brake.take(text.encode())
    fine = brake.fine()
    return None if fine is None else {grammars.vocabulary.data[i] for i in np.flatnonzero(fine)}


@pytest.mark.parametrize("text", ['{"name": "abc', '{"name": "가나다', r'{"name": "a\"b', r'{"name": "\\\\\\'])
def test_a_string_of_as_many_characters_as_may_be_ends(grammars: Grammars, text: str) -> None:
    fine = fine_after(grammars, text, Limits(characters=3))
    assert fine is not None
    assert b'"' in fine
    assert all(token.startswith(b'"') for token in fine)


@pytest.mark.parametrize("text", ['{"name": "ab', '{"abcdef"', r'{"name": "abc\\'[:-1], '{"a": "abcd", "b": "'])
def test_a_string_that_may_go_on_is_left_alone(grammars: Grammars, text: str) -> None:
    assert fine_after(grammars, text, Limits(characters=3)) is None


def test_strings_that_together_are_too_long_end_after_a_few_characters(grammars: Grammars) -> None:
    limits = Limits(characters=40, together=20)
    assert fine_after(grammars, '["' + "a" * 21 + '", "' + "b" * (SHORT - 1), limits) is None
    fine = fine_after(grammars, '["' + "a" * 21 + '", "' + "b" * SHORT, limits)
    assert fine is not None
    assert all(token.startswith(b'"') for token in fine)


def test_an_escape_is_never_cut(grammars: Grammars) -> None:
    assert fine_after(grammars, '{"a": "bcd\\', Limits(characters=3)) is None


@pytest.mark.parametrize("text", ["123", "-123", "0.123", "[1, 123", "4e12", "4E-12", '{"e": 123'])
def test_a_number_of_as_many_digits_as_may_be_takes_no_more(grammars: Grammars, text: str) -> None:
    fine = fine_after(grammars, text, Limits(digits=3))
    assert fine is not None
    assert not any(token[:1].isdigit() for token in fine)
    assert {b".", b"e", b"}"} <= fine


@pytest.mark.parametrize("text", ["12", "123.", "123, ", "4e1", "123e", '"123', "[true, "])
def test_a_number_that_may_go_on_is_left_alone(grammars: Grammars, text: str) -> None:
    assert fine_after(grammars, text, Limits(digits=3)) is None


def test_limits_hold_in_what_is_written(mini: Any, draw: Any) -> None:
    small = grammars_of(mini, frozenset({mini.eos_token_id}), Limits(characters=10, digits=3))
    schema = {"type": "object", "properties": {"s": {"type": "string"}, "x": {"type": "number"}}, "required": ["s", "x"]}
    longest = max(map(len, mini.get_vocab()))
    for seed in range(20):
        text = draw(small.guide(JsonSchema(schema)), mini, seed)
        string, number = text.removeprefix('{"s": "').removesuffix("}").split('", "x": ')
        assert len(string) < 2 * (10 + longest)  # a token may go beyond, and an escape is two characters
        assert all(len(digits) <= 3 for digits in number.lower().replace("e", ".").replace("-", ".").split("."))


def test_what_a_schema_demands_is_written_however_long(mini: Any, draw: Any) -> None:
    small = grammars_of(mini, frozenset({mini.eos_token_id}), Limits(characters=5, digits=2))
    demanding = {"type": "array", "prefixItems": [{"type": "string", "minLength": 40}, {"type": "integer", "minimum": 10**6}]}
    text = draw(small.guide(JsonSchema({**demanding, "minItems": 2})), mini)
    string, number = json.loads(text)
    assert len(string) >= 40
    assert number >= 10**6
