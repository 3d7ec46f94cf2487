"""What becomes of a JSON Schema before answers are held to it."""

import json
import time
from typing import Any

import pytest

from sadari.errors import ConfigError
from sadari.model.grammar import Limits, bounded

TREE = {
    "$defs": {"node": {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}},
    "$ref": "#/$defs/node",
}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def depth_of(value: Any) -> int:
    if not isinstance(value, (dict, list)):
        return 0
    return 1 + max(map(depth_of, value.values() if isinstance(value, dict) else value), default=0)


def test_an_array_without_a_bound_gets_one_and_others_keep_theirs() -> None:
    made = bounded(
        {"type": "object", "properties": {"a": {"type": "array", "items": {}}, "b": {"type": "array", "maxItems": 90}}},
        Limits(items=7),
    ).schema
    assert (made["properties"]["a"]["maxItems"], made["properties"]["b"]["maxItems"]) == (7, 90)


def test_a_bound_never_falls_below_what_the_schema_demands() -> None:
    made = bounded({"type": "array", "items": {"type": "integer"}, "minItems": 50}, Limits(items=7)).schema
    assert (made["minItems"], made["maxItems"]) == (50, 50)


def test_declared_properties_keep_their_order_and_close_the_object() -> None:
    made = bounded({"type": "object", "properties": {"z": {}, "a": {}, "m": {}}}).schema
    assert list(made["properties"]) == ["z", "a", "m"]
    assert made["additionalProperties"] is False


def test_an_object_that_asks_for_more_properties_stays_open_to_them() -> None:
    schema = {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}}
    assert bounded(schema).schema["additionalProperties"] == {"type": ["integer"]}


def test_a_required_property_that_is_not_declared_may_be_anything() -> None:
    made = bounded({"type": "object", "properties": {"a": {}}, "required": ["a", "b"]}).schema
    assert list(made["properties"]) == ["a", "b"]
    assert made["required"] == ["a", "b"]


@pytest.mark.parametrize(("depth", "levels"), [(0, 1), (2, 3)])
def test_an_open_object_ends_after_so_many_levels(depth: int, levels: int) -> None:
    made = bounded({"type": "object"}, Limits(depth=depth, items=5)).schema
    assert made["maxProperties"] == 5
    assert set(made["$defs"]) == {f"any{level}" for level in range(levels)}
    assert made["$defs"]["any0"] == {"type": ["null", "boolean", "number", "string"]}


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_schema_that_refers_to_itself_is_written_out_so_many_times(depth: int) -> None:
    made = bounded(TREE, Limits(depth=depth)).schema
    assert json.dumps(made).count('"children"') == depth + 1
    assert "$ref" not in json.dumps(made)


def test_a_schema_that_refers_to_itself_everywhere_gets_fewer_turns_instead_of_an_error() -> None:
    many = {"$ref": "#", "description": "again"}
    schema = {"type": "object", "properties": {f"p{i}": many for i in range(20)}}
    assert depth_of(bounded(schema).schema) == depth_of(bounded(schema, Limits(depth=2)).schema)


def test_parts_that_decide_together_get_no_bounds() -> None:
    both = {"allOf": [{"type": "array", "items": {"type": "integer"}}, {"minItems": 100}]}
    assert "maxItems" not in json.dumps(bounded(both).schema)


def test_branches_that_only_require_leave_the_object_closed() -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert bounded(schema).schema["additionalProperties"] is False


def test_references_are_followed_through_escapes() -> None:
    schema = {"$defs": {"a/b~c d": {"type": "null"}}, "$ref": "#/$defs/a~1b~0c%20d"}
    assert bounded(schema).schema == {"type": ["null"]}


def test_alternatives_that_exclude_each_other_are_held_and_others_reported() -> None:
    apart = {"oneOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": {"type": "string"}}}
    assert bounded(apart).unenforced == ()
    overlapping = bounded({"type": "object", "properties": {"a": {"oneOf": [{"type": "number"}, {"type": "integer"}]}}})
    assert overlapping.unenforced == ("#/properties/a/oneOf",)


@pytest.mark.parametrize(
    "branches",
    [
        [{"type": "object", "required": ["a"]}, {"type": "object", "properties": {"c": {}}}],  # {"a": 1} is both
        [{"properties": {"a": {}}}, {"type": "string"}],  # a string is both
    ],
)
def test_alternatives_that_exclude_each_other_only_once_bounded_are_reported(branches: list[Any]) -> None:
    assert bounded({"oneOf": branches}).unenforced == ("#/oneOf",)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"not": {"type": "string"}}, "#/not"),
        ({"type": "array", "uniqueItems": True}, "#/uniqueItems"),
        ({"type": "string", "pattern": "(?=a)b"}, "#/pattern"),
        ({"type": "number", "multipleOf": 123456789}, "#/multipleOf"),  # llguidance would take gigabytes
        ({"type": "number", "multipleOf": 7.77}, "#/multipleOf"),
        ({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2}, "#/minProperties"),
    ],
)
def test_what_cannot_be_held_is_reported_with_its_place(schema: dict[str, Any], place: str) -> None:
    assert bounded(schema).unenforced == (place,)


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, {"minimum": -(10**18), "maximum": 10**18}),
        ({"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1e30}, {"maximum": 10**18}),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 5}, {"exclusiveMinimum": 0, "maximum": 5}),
    ],
)
def test_bounds_of_numbers_are_drawn_in_where_no_grammar_can_be_made_of_them(schema: dict[str, Any], made: dict[str, Any]) -> None:
    written = dict(bounded(schema).schema)
    del written["type"]
    assert written == made


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "phone", "deprecated": True, "nullable": True},
        {"type": "array", "uniqueItems": False},
        {"type": "number", "multipleOf": 0.01},
        {"type": "string", "pattern": "^[가-힣]+$"},
    ],
)
def test_annotations_and_what_is_held_are_not_reported(schema: dict[str, Any]) -> None:
    assert bounded(schema).unenforced == ()


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "strin"}, '#/type: must be one of null, .* but is "strin"'),
        ({"properties": {"a": {"minLength": -1}}}, "#/properties/a/minLength: must be a whole number"),
        ({"properties": {"a/b": {"minLength": "3"}}}, "#/properties/a~1b/minLength"),
        ({"properties": ["a"]}, "#/properties: must be an object"),
        ({"properties": {"a": 5}}, "#/properties/a: a schema is an object, true or false, but here stands 5"),
        ({"type": "array", "items": [{}]}, "#/items: must be a schema"),
        ({"required": "a"}, "#/required: must be a list of names"),
        ({"anyOf": []}, "#/anyOf: must be a list of at least one"),
        ({"enum": []}, "#/enum"),
        ({"multipleOf": 0}, "#/multipleOf: must be a number above 0"),
        ({"exclusiveMinimum": True}, "#/exclusiveMinimum: must be a number"),
        ({"$ref": "https://example.com/schema.json"}, "nothing is fetched"),
        ({"$ref": "#/$defs/a"}, '"#/\\$defs/a" points to nothing'),
        ({"$ref": "#"}, "refers to itself"),
        ({"const": 2**53 + 1}, "#/const: 9007199254740993 is beyond"),
        ({"minimum": float("nan")}, "#/minimum: 'nan' is a float, which JSON does not have"),
        ({"enum": [{1, 2}]}, "#/enum/0: .* is a set"),
        ({"maximum": 10**5000}, "#/maximum: a number of some 4983 digits"),
        ({1: {}}, "keys of a JSON object are strings"),
        ({"properties": {str(i): {} for i in range(1001)}}, "1,001 properties"),
    ],
)
def test_an_invalid_schema_is_refused_with_its_place(schema: dict[Any, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        bounded(schema)


def _shared(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema, "b": schema}}
    return schema


def _referring(levels: int) -> dict[str, Any]:
    """Two references a level: written out, 2^levels subschemas."""
    defs: dict[str, Any] = {
        f"d{i}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/d{i + 1}"} for k in "ab"}} for i in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {}}}


def _circular() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"a": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (nested(200), "more than 64 levels deep"),
        ({"enum": ["x" * 100] * 10_500}, "larger than 256 KiB"),
        ({"type": "object", "properties": {f"p{i}": {"description": "y" * 1000} for i in range(1000)}}, "larger than 256 KiB"),
        (_shared(60), "levels deep|larger than"),
        (_circular(), "more than 64 levels deep"),
        (_referring(60), "more than 5,000 subschemas"),
        ({"$defs": {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(5000)}, "$ref": "#/$defs/d0"}, "chain of more than 64"),
    ],
    ids=["depth 200", "1 MB of values", "1 MB of text", "shared parts", "circular", "doubling references", "chain"],
)
def test_a_schema_that_is_too_deep_or_too_large_is_refused_within_a_second(schema: dict[str, Any], told: str) -> None:
    start = time.process_time()
    with pytest.raises(ConfigError, match=told):
        bounded(schema)
    assert time.process_time() - start < 1
