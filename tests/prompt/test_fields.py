"""JSON filled from sentences: what they say, nothing else, and only what the schema takes."""

import json
from typing import Any

import pytest

from sadari.errors import ConfigError
from sadari.prompt.fields import read_fields, values_of
from sadari.types import Chunk, Example, Message, Reference, Span

LEASE = "제13조(보증금의 반환) 임대인은 2026년 3월 1일까지 보증금 삼천만 원을 반환하여야 한다."


def sentence(text: str, title: str = "임대차 계약서") -> Chunk:
    return Chunk("lease.md", title, 0, len(text), text)


def filled(schema: Any, *texts: str, question: str = "") -> Any:
    said = read_fields(json.dumps(schema)).fill([sentence(text) for text in texts], question)
    return None if said is None else json.loads(said)


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def test_every_kind_of_field_is_read_from_the_sentence() -> None:
    schema = record(
        article={"type": "string", "pattern": "^제[0-9]+조$"},
        day={"type": "string", "format": "date"},
        won={"type": "integer", "minimum": 1000},
        duty={"enum": ["지급", "반환", None]},
        version={"const": 1},
    )
    assert filled(schema, LEASE) == {"article": "제13조", "day": "2026-03-01", "won": 30_000_000, "duty": "반환", "version": 1}


def test_a_field_of_a_kind_that_the_sentence_lacks_is_read_from_its_title() -> None:
    schema = record(version={"type": "string", "pattern": r"^v\d\.\d$"})
    made = read_fields(json.dumps(schema)).fill([sentence("나사는 5Nm로 조인다.", "정비 지침 v2.0")])
    assert made is not None
    assert json.loads(made) == {"version": "v2.0"}


def test_what_no_sentence_says_is_null_or_left_out_or_else_there_is_no_answer() -> None:
    number: dict[str, Any] = {"type": "integer"}
    assert filled(record(won={"type": ["integer", "null"]}), "값이 없다.") == {"won": None}
    assert filled(record(won={"anyOf": [number, {"type": "null"}]}), "값이 없다.") == {"won": None}
    assert filled({"type": "object", "properties": {"won": number}}, "값이 없다.") == {}
    assert filled(record(won=number), "값이 없다.") is None
    assert filled(record(is_due={"type": "boolean"}), LEASE) is None


def test_json_that_says_nothing_is_known_however_it_is_spaced() -> None:
    fields = read_fields(json.dumps(record(is_due={"type": ["boolean", "null"]})))
    assert fields.is_nothing('{ "is_due" : null }')
    assert not any(map(fields.is_nothing, ('{"is_due": false}', "문서에 없습니다.", "{}")))
    assert not read_fields(json.dumps(record(is_due={"type": "boolean"}))).is_nothing("null")


def test_objects_nest_and_a_list_has_an_item_for_each_sentence() -> None:
    inner = record(won={"type": "integer"})
    schema = {**record(fees={"type": "array", "items": {"$ref": "#/$defs/fee"}}), "$defs": {"fee": inner}}
    assert filled(schema, "입장료는 3,000원이다.", "주차비는 2천 원이다.") == {"fees": [{"won": 3000}, {"won": 2000}]}


def test_a_value_that_breaks_the_schema_as_a_whole_is_no_answer() -> None:
    fees = {"type": "array", "items": {"type": "integer"}, "minItems": 2}
    assert filled(record(fees=fees), "입장료는 3,000원이다.") is None


def test_a_schema_that_refers_to_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
    assert filled({"$ref": "#/$defs/node", "$defs": {"node": node}}, LEASE) is None


def test_a_pattern_that_runs_without_end_matches_nothing() -> None:
    assert filled(record(code={"type": ["string", "null"], "pattern": "^(a+)+$"}), "a" * 60 + "!")["code"] is not None
    assert filled(record(code={"type": ["string", "null"], "pattern": "^(a|a)+b$"}), "a" * 60) == {"code": None}


@pytest.mark.parametrize("schema", ["{", "true", '{"type": "objekt"}', '{"$ref": "https://example.com/a.json"}'])
def test_what_is_no_schema_of_its_own_is_refused(schema: str) -> None:
    with pytest.raises(ConfigError, match="schema of the answers"):
        read_fields(schema)


def row(place: str, day: str) -> Example:
    text = f"{day}요일에는 {place}에서 만난다."
    said = json.dumps({"place": place}, ensure_ascii=False)
    return Example(text, (Message("user", "어디서 만나요?"),), Reference((said,), spans=(Span("a.md", 0, len(text), text),)))


def test_what_values_look_like_is_learnt_from_rows() -> None:
    schema = json.dumps(record(place={"type": "string"}))
    fields = read_fields(schema, [row("본관", "월"), row("별관", "화"), row("강당", "수")])
    assert fields.fill([sentence("목요일에는 식당에서 만난다.")], "어디서 만나요?") == '{"place": "식당"}'


def test_the_values_of_an_answer_are_those_that_say_something() -> None:
    assert values_of('{"조항": "제3조", "값": [3, null], "참": true}') == ["제3조", "3"]
    assert values_of('{"조항": null}') == values_of("문서에 없습니다.") == values_of("[" * 100_000) == []
