"""Accepted alternatives of tool calls, read from rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from sadari.errors import DataError
from sadari.task.readers import read_examples
from sadari.types import AcceptedCall, Example, ToolCall

WEATHER = {
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
ACCEPTED = {"name": "get_weather", "arguments": {"city": ["서울", "Seoul"], "days": 1}, "optional": ["days"]}


def read(folder: Path, row: dict[str, Any]) -> Example:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"question": "서울 날씨는?", "tools": [WEATHER]} | row, ensure_ascii=False), encoding="utf-8")
    return read_examples(path)[0]


def test_accepted_values_are_read_and_the_simplest_call_is_the_one_to_learn(tmp_path: Path) -> None:
    reference = read(tmp_path, {"accepts": [ACCEPTED]}).reference
    assert reference.accepts == (AcceptedCall("get_weather", {"city": ("서울", "Seoul"), "days": (1,)}, ("days",)),)
    assert reference.calls == (ToolCall("get_weather", {"city": "서울"}),)


def test_accepted_values_stand_beside_the_call_that_is_learnt(tmp_path: Path) -> None:
    call = {"name": "get_weather", "arguments": {"city": "Seoul"}}
    reference = read(tmp_path, {"calls": [call], "accepts": [{"function": ACCEPTED}]}).reference
    assert reference.calls == (ToolCall("get_weather", {"city": "Seoul"}),)
    assert read(tmp_path, {"reference": {"calls": [call], "accepts": [ACCEPTED]}}).reference == reference


def test_rows_that_differ_only_in_what_is_accepted_have_their_own_ids(tmp_path: Path) -> None:
    call = {"name": "get_weather", "arguments": {"city": "서울"}}
    assert read(tmp_path, {"calls": [call], "accepts": [ACCEPTED]}).id != read(tmp_path, {"calls": [call]}).id


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"accepts": [ACCEPTED | {"arguments": {"city": ["서울", 7]}, "optional": []}]},
            r"accepts\[0\].*7 is not of type 'string'",
        ),
        ({"accepts": [ACCEPTED | {"arguments": {"city": []}, "optional": []}]}, r"accepts\[0\].arguments.city: is empty"),
        ({"accepts": [ACCEPTED | {"optional": ["unit"]}]}, r'accepts\[0\].optional: "unit" is not among the arguments: city, days'),
        ({"accepts": [ACCEPTED | {"optional": "days"}]}, r"accepts\[0\].optional: must be a list"),
        ({"accepts": [ACCEPTED | {"optional": ["city"]}]}, "'city' is a required property"),
        ({"accepts": [ACCEPTED | {"name": "weather"}]}, "Did you mean `get_weather`"),
        ({"accepts": {"city": "서울"}}, "accepts: must be a list"),
        ({"accepts": [3]}, r"accepts\[0\]\[0\]: must be an object"),
        (
            {"accepts": [ACCEPTED], "calls": [{"name": "get_weather", "arguments": {"city": "부산"}}]},
            r"accepts\[0\].arguments.city: does not hold '부산'",
        ),
        (
            {"accepts": [ACCEPTED, ACCEPTED], "calls": [{"name": "get_weather", "arguments": {"city": "서울"}}]},
            "lists get_weather, get_weather, but the calls are get_weather",
        ),
    ],
)
def test_what_cannot_be_accepted_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, row)
