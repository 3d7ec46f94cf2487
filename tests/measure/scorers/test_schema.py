"""The schema that answers are held to: what it refuses, and that it always ends."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from sadari.errors import ConfigError
from sadari.measure.scorers import AnswerSchema


def read(folder: Path, schema: Any) -> AnswerSchema:
    path = folder / "schema.json"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return AnswerSchema.read(path)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "dict"}, r"schema.json is no JSON Schema: 'dict' is not valid"),
        ({"properties": {"a": {"minimum": "1"}}}, r"at properties.a.minimum"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ({"$ref": "https://example.com/order.json"}, r"\$ref 'https://example.com/order.json' leads nowhere in itself"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "Nothing is fetched"),
        ({"$ref": "#/$defs/order"}, "leads nowhere"),
        ({"properties": {"a": {"pattern": "("}}}, r"'\(' is not a 'regex'"),
        ({"patternProperties": {"[": {}}}, r"'\[' is not a 'regex'"),
        ({"patternProperties": {"^a": {}}, "unevaluatedProperties": False}, "Use additionalProperties"),
    ],
)
def test_a_file_that_is_no_usable_schema_is_refused_before_anything_is_scored(tmp_path: Path, schema: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, schema)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"score.json_schema: .*order.json cannot be read \(No such file"):
        AnswerSchema.read(tmp_path / "order.json")


def test_references_inside_the_file_are_followed(tmp_path: Path) -> None:
    schema = read(
        tmp_path,
        {
            "$id": "https://example.com/tree",
            "$ref": "#/$defs/node",
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "additionalProperties": False}},
        },
    )
    assert schema.fault({"next": {"next": {}}}) == ""
    assert schema.fault({"next": {"text": 1}}) == "next: 'text' is no known field"


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^[가-힣]+$"}, "서울", "Seoul"),
        ({"patternProperties": {"^n_": {"type": "integer"}}}, {"n_a": 1, "b": "x"}, {"n_a": "1"}),
        ({"patternProperties": {"^n_": {}}, "additionalProperties": False}, {"n_a": 1}, {"b": 1}),
        ({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}, {"a": 1, "b": "x"}, {"b": 1}),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}, {"b": 1}),
        ({"uniqueItems": True}, [1, "1", {"a": 1}], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]),
        ({"uniqueItems": False}, [1, 1], None),
    ],
)
def test_the_keywords_that_are_bounded_mean_what_they_say(tmp_path: Path, schema: Any, good: Any, bad: Any) -> None:
    assert read(tmp_path, schema).fault(good) == ""
    assert bad is None or read(tmp_path, schema).fault(bad) != ""


def test_a_schema_that_would_run_for_ever_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sadari.schema.LONGEST_S", 0.1)
    branch = {"properties": {"a": {"$ref": "#/$defs/n"}}}
    endless: list[tuple[Any, Any]] = [
        ({"pattern": "^(a|aa)+$"}, "a" * 60 + "!"),
        ({"patternProperties": {"^(a|aa)+$": {}}}, {"a" * 60 + "!": 1}),
        ({"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": False}, {"a" * 60 + "!": 1}),
        ({"$defs": {"n": {"anyOf": [branch, branch], "required": ["b"]}}, "$ref": "#/$defs/n"}, _nested(60)),
    ]
    for schema, value in endless:
        start = time.process_time()
        assert "within 0.1 s" in read(tmp_path, schema).fault(value)
        assert time.process_time() - start < 1
    assert read(tmp_path, {"uniqueItems": True}).fault([{"a": i} for i in range(20_000)]) == ""


def _nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value
