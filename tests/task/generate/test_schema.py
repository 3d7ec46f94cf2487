"""Arguments drawn from a schema fit it, and say what its words speak of."""

import re
from random import Random
from typing import Any

import pytest

from generated_material import tool
from sadari.task.generate.pools import examples_in
from sadari.task.generate.schema import NoValueError, call_fault, draw_arguments, from_pattern, leaves
from sadari.types import ToolCall, ToolSpec


def drawn(properties: dict[str, Any], seeds: int = 30, language: str = "ko") -> list[dict[str, Any]]:
    spec = tool("t", "일을 처리합니다.", properties)
    return [draw_arguments(spec, Random(seed), language) for seed in range(seeds)]


def test_enum_const_and_examples_are_taken_as_they_are() -> None:
    values = drawn({"a": {"enum": ["x", "y"]}, "b": {"const": 7}, "c": {"type": "string", "examples": ["p"]}})
    assert {v["a"] for v in values} == {"x", "y"}
    assert {(v["b"], v["c"]) for v in values} == {(7, "p")}


def test_numbers_stay_in_their_bounds_and_steps() -> None:
    values = [v["n"] for v in drawn({"n": {"type": "integer", "minimum": 100, "maximum": 130, "multipleOf": 5}})]
    assert all(100 <= n <= 130 and n % 5 == 0 for n in values)
    assert len(set(values)) > 1
    assert all(0 < v["n"] < 4 for v in drawn({"n": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 4}}))


def test_a_range_in_the_words_is_kept() -> None:
    assert {v["rating"] for v in drawn({"rating": {"type": "integer", "description": "새로운 평점(1~5)"}}, 80)} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("field", "form"),
    [
        ({"type": "string", "format": "date"}, r"\d{4}-\d{2}-\d{2}"),
        ({"type": "string", "format": "email"}, r"\w+@example\.com"),
        ({"type": "string", "format": "uuid"}, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ({"type": "string", "description": "날짜 ('YYYY-MM-DD' 형식)"}, r"\d{4}-\d{2}-\d{2}"),
        ({"type": "string", "description": "고객의 전화번호"}, r"010-\d{4}-\d{4}"),
        ({"type": "string", "description": "통화 코드 (예: USD, KRW)"}, "USD|KRW"),
        ({"type": "string", "pattern": r"^[A-C]{2}-\d{3,4}$"}, r"[ABC]{2}-\d{3,4}"),
    ],
)
def test_texts_have_the_form_that_is_asked_for(field: dict[str, Any], form: str) -> None:
    assert all(re.fullmatch(form, v["value"]) for v in drawn({"value": field}, 10))


def test_nested_objects_lists_and_local_references_are_filled() -> None:
    schema = {
        "type": "object",
        "$defs": {"city": {"type": "string", "enum": ["서울"]}},
        "properties": {
            "trip": {"type": "object", "properties": {"to": {"$ref": "#/$defs/city"}}, "required": ["to"]},
            "guests": {"type": "array", "items": {"type": "string"}, "description": "친구의 이름", "minItems": 2},
        },
        "required": ["trip", "guests"],
    }
    made = draw_arguments(ToolSpec("t", "", schema), Random(1), "ko")
    assert made["trip"] == {"to": "서울"}
    assert len(made["guests"]) >= 2
    assert not call_fault(ToolCall("t", made), ToolSpec("t", "", schema))


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string", "description": "zzz"},  # nothing is known of it
        {"type": "string", "pattern": r"(?=a)b"},
        {"$ref": "#/properties/value"},  # without end
        {"$ref": "https://example.com/schema.json"},  # never fetched
        {"type": "object"},  # of unknown fields
        {"type": "array", "minItems": 1000, "items": {"type": "integer"}},
    ],
)
def test_what_cannot_be_drawn_says_so(field: dict[str, Any]) -> None:
    with pytest.raises(NoValueError):
        drawn({"value": field}, 1)


def test_a_period_begins_before_it_ends() -> None:
    dated = {"type": "string", "format": "date"}
    assert all(v["start_date"] <= v["end_date"] for v in drawn({"end_date": dated, "start_date": dated}))


def test_a_call_is_checked_against_types_and_formats() -> None:
    spec = tool("t", "", {"day": {"type": "string", "format": "date"}})
    assert call_fault(ToolCall("t", {"day": "2025-02-03"}), spec) == ""
    assert "is not a 'date'" in call_fault(ToolCall("t", {"day": "내일"}), spec)
    assert "'day' is a required property" in call_fault(ToolCall("t", {}), spec)


def test_examples_are_read_out_of_descriptions() -> None:
    assert examples_in("The city, e.g. 'Paris, France' or 'Rome, Italy'.") == ["Paris, France", "Rome, Italy"]
    assert examples_in("지역 이름 (예: 서울, 부산 등)") == ["서울", "부산"]
    assert examples_in("City and state (e.g. Los Angeles, CA)") == ["Los Angeles, CA"]
    assert examples_in("할인율(예: 20% 할인의 경우 20을 입력)") == []


def test_a_simple_pattern_makes_texts_that_it_matches() -> None:
    for pattern in (r"^\d{3}-\d{4}$", r"[a-f0-9]{6}", r"^(KR|US)\d+$", r"A?B*C"):
        assert all(re.fullmatch(pattern.strip("^$"), from_pattern(pattern, Random(s)) or "-") for s in range(20)), pattern
    assert from_pattern(r"(a+)+$\1", Random(0)) is None


def test_leaves_are_the_values_that_a_person_says() -> None:
    assert leaves({"a": 1, "b": {"c": ["x", "y"]}}) == [(("a",), 1), (("b", "c"), ["x", "y"])]
    assert leaves({"a": [{"b": 1}]}) is None
