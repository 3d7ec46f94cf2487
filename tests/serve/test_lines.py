import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sadari.serve import lines
from sadari.serve.lines import JsonLines, TextLines, configure, hash_of, masked

ROLES = {"kim": "user"}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Configures the lines of this process; what is written then."""
    root, kept = logging.getLogger(), logging.getLogger().handlers[:]
    levels = {name: logging.getLogger(name).level for name in ("", "sadari")}
    stream = io.StringIO()

    def begin(how: Any) -> io.StringIO:
        configure(how, stream)
        return stream

    yield begin
    root.handlers[:] = kept
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger("uvicorn.error").removeFilter(lines._is_news)


def ask(live: Any, key: str = "kim") -> Any:
    body = {"model": "sadari", "messages": [{"role": "user", "content": "제 번호는 010-1234-5678"}]}
    with live.http(key) as http:
        return http.post("/v1/chat/completions", json=body)


def test_a_request_is_one_line_of_json_without_anything_that_was_said(start: Any, written: Any) -> None:
    stream = written("json")
    live = start("네, 비밀입니다.", users=ROLES)
    said = ask(live)
    with live.http("nobody") as http:
        assert http.get("/sadari/runs").status_code == 401
        http.get("/healthz")
    one, other = [
        json.loads(line) for line in live.wait_for(lambda: stream.getvalue().count("\n") >= 2) and stream.getvalue().splitlines()
    ]
    assert one["request_id"] == said.headers["X-Request-Id"]
    assert (one["route"], one["method"], one["status"], one["level"]) == ("/v1/chat/completions", "POST", 200, "info")
    assert (one["user"], other["user"], other["status"]) == (hash_of("kim"), "", 401)
    assert one["ms"] > 0
    for word in ("비밀", "010", "kim", "sk-sadari"):
        assert word not in stream.getvalue()


def test_as_text_only_what_goes_wrong_is_told(start: Any, written: Any) -> None:
    stream = written("text")
    live = start("네.", users=ROLES)
    assert ask(live).status_code == 200
    live.service.workers.refuse()
    assert ask(live).status_code == 503
    live.wait_for(lambda: "status=503" in stream.getvalue())
    assert "status=200" not in stream.getvalue()


def test_what_breaks_is_told_with_its_request_and_without_personal_data(start: Any, written: Any) -> None:
    class Broken:
        version = "broken"

        def reply(self, *_: Any) -> Any:
            raise ZeroDivisionError("손님 010-1234-5678, 열쇠 sk-proj-Zk3pQ8vT1mX9cR5bN2wL7yD4fG6hJ0aS")

    stream = written("json")
    live = start(responder=Broken(), users=ROLES)
    said = ask(live)
    assert said.status_code == 500
    live.wait_for(lambda: "ZeroDivisionError" in stream.getvalue())
    (line,) = [json.loads(one) for one in stream.getvalue().splitlines() if "ZeroDivisionError" in one]
    assert line["request_id"] == said.headers["X-Request-Id"]
    assert line["reason"] == "손님 [phone], 열쇠 [api_key]"
    assert line["frames"][-1].split(":")[0].endswith("serve/test_lines.py")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("연락처 010-1234-5678 로", "연락처 [phone] 로"),
        ("kim@example.org", "[email]"),
        ("주민번호 900101-1234568", "주민번호 [resident]"),
        ("nothing here", "nothing here"),
        ("x" * 5_000, "x" * 2_000),
    ],
    ids=["phone", "email", "resident", "nothing", "long"],
)
def test_personal_data_are_masked(text: str, told: str) -> None:
    assert masked(text) == told


def test_lines_of_libraries_are_masked_too_and_stay_one_line() -> None:
    record = logging.LogRecord("httpx", logging.WARNING, "f.py", 1, "call\n%s", ("010-1234-5678",), None)
    told = JsonLines().format(record)
    assert "\n" not in told
    assert json.loads(told)["message"] == "call\n[phone]"
    assert TextLines().format(record).endswith("warning call\n[phone]")


def test_a_user_has_one_hash_for_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = []
    for key in ("one", "one", "two"):
        monkeypatch.setenv("SADARI_LOG_KEY", key)
        lines._key.cache_clear()
        hashes.append(hash_of("kim"))
    lines._key.cache_clear()
    assert hashes[0] == hashes[1] != hashes[2]
    assert "kim" not in "".join(hashes)
