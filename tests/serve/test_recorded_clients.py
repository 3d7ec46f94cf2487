"""What real clients sent (`recorded/`, see `record.py` there) is answered as it was when they understood it."""

import json
from pathlib import Path
from typing import Any

import pytest

from acting import Script
from sadari.model.scripted import ScriptedModel
from serve.recorded.record import HERE, masked, read

RECORDED = sorted(HERE.glob("*.json"))


def ask_again(live: Any, request: dict[str, Any]) -> Any:
    with live.http() as http:
        body = json.dumps(request["body"]).encode() if request["body"] is not None else b""
        return http.request(request["method"], request["path"], content=body, headers=request["headers"])


@pytest.mark.parametrize("place", RECORDED, ids=[place.stem for place in RECORDED])
def test_a_client_is_answered_as_it_was(start: Any, place: Path) -> None:
    live = start(responder=Script(), model=ScriptedModel.from_file(HERE / "rules" / "weather.json"))
    for exchange in json.loads(place.read_text(encoding="utf-8")):
        told = ask_again(live, exchange["request"])
        assert told.status_code == exchange["status"], exchange["request"]
        assert masked(read(told.text)) == exchange["answer"], exchange["request"]


@pytest.mark.parametrize("place", RECORDED, ids=[place.stem for place in RECORDED])
def test_every_client_streamed_used_a_tool_and_was_told_of_an_error(place: Path) -> None:
    exchanges = json.loads(place.read_text(encoding="utf-8"))
    bodies = [exchange["request"]["body"] or {} for exchange in exchanges]
    assert any(body.get("stream") for body in bodies)
    assert any(body.get("tools") for body in bodies)
    assert any(message.get("role") == "tool" for body in bodies for message in body.get("messages", ()))
    assert any(exchange["status"] >= 400 for exchange in exchanges)


def test_nothing_that_was_recorded_holds_a_key() -> None:
    assert RECORDED
    for place in RECORDED:
        text = place.read_text(encoding="utf-8").lower()
        assert not any(word in text for word in ("authorization", "bearer", "sk-", "cookie")), place
