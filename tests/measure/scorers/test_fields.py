"""JSON answers, by schema and by field."""

import json
from pathlib import Path
from typing import Any

import pytest

from sadari.errors import DataError
from sadari.measure.scorers import AnswerSchema, JsonScorer, NumberScorer, schema_of, score_answer
from sadari.types import Answer, Example, Message, Reference, Score

ORDER = '{"name": "김민수", "items": [{"id": 1, "count": 2}], "gift": true}'


def score(said: str, *references: str, schema: AnswerSchema | None = None) -> Score:
    example = Example("test-7", (Message("user", "질문"),), Reference(references or (ORDER,)))
    return score_answer(JsonScorer(schema), example, Answer(said))


def test_json_scores_the_share_of_equal_fields() -> None:
    assert score('```json\n{"gift": true, "name": "김민수", "items": [{"count": 2.0, "id": 1}]}\n```').value == 1
    assert score('```\n{"gift": true, "name": "김민수", "items": [{"count": 2, "id": 1}]}\n```').value == 1
    wrong = score('결과: {"name": "김민수", "items": [{"id": 1, "count": 3}], "gift": true} 입니다')
    assert wrong == Score(0.75, "differs: items[0].count")
    assert score('{"name": "김민수", "items": [{"id": 1, "count": 2}], "gift": 1}').value == 0.75
    assert score('{"a": 1, "b": 2}', '{"a": 1}').value == 0.5
    assert score('{"a": 2}', '{"a": 1}', '{"a": 2}').value == 1
    assert score("{}", "{}").value == 1


def test_an_answer_without_json_scores_zero() -> None:
    for said in ("", "{name: 김민수", "모르겠습니다", "```json", "{" * 50_000, "[" * 50_000, "9" * 50_000):
        assert score(said) == Score(0.0, "no JSON in the answer"), said[:20]


def test_json_nested_ten_thousand_deep_scores_zero() -> None:
    assert score("[" * 10_000 + "]" * 10_000).value == 0
    assert score('{"a":' * 10_000 + "1" + "}" * 10_000).value == 0
    assert score("[" * 500 + "]" * 500) == Score(0.0, "nested deeper than 100 levels")
    assert score("[" * 60_000 + "]" * 60_000) == Score(0.0, "longer than 100,000 characters")


@pytest.fixture
def schema(tmp_path: Path) -> AnswerSchema:
    (tmp_path / "order.json").write_text(
        json.dumps({"type": "object", "properties": {"count": {"type": "integer", "minimum": 1}}, "required": ["count"]})
    )
    return AnswerSchema.read(tmp_path / "order.json")


def test_an_answer_that_breaks_the_schema_scores_zero_and_says_where(schema: AnswerSchema) -> None:
    def with_schema(said: str) -> Score:
        return score(said, '{"count": 2, "gift": false}', schema=schema)

    assert with_schema('{"count": 2, "gift": false}') == Score(1.0)
    assert with_schema('{"count": 2, "gift": true}') == Score(0.5, "differs: gift")
    assert with_schema('{"count": "2", "gift": false}') == Score(0.0, "breaks the schema: count: '2' is not of type 'integer'")
    assert with_schema('{"gift": false}').reason == "breaks the schema: value: 'count' is a required property"
    assert "schema" in JsonScorer(schema).name


def test_the_schema_of_a_scorer_is_told_as_text(schema: AnswerSchema) -> None:
    assert json.loads(schema_of(JsonScorer(schema))) == schema.schema
    assert schema_of(JsonScorer()) == schema_of(NumberScorer()) == ""


def test_a_reference_that_is_no_json_or_breaks_the_schema_is_named(schema: AnswerSchema) -> None:
    with pytest.raises(DataError, match=r"example test-7: its reference breaks the schema \(count: 0 is less"):
        score('{"count": 1}', '{"count": 0}', schema=schema)
    with pytest.raises(DataError, match=r"example test-7: the scorer .* failed: JSONDecodeError"):
        score('{"count": 1}', "count 1")


def test_many_equal_fields_are_compared_quickly() -> None:
    many: Any = {"k" * 20_000: {str(i): i for i in range(5000)}}
    assert score(json.dumps(many), json.dumps(many)).value == 1
