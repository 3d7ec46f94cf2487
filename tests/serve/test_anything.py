"""Whatever is sent, the server says what is wrong with it."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FIELDS = [
    "model",
    "messages",
    "input",
    "prompt",
    "stream",
    "n",
    "tools",
    "stop",
    "sadari",
    "temperature",
    "response_format",
    "text",
]
PLACES = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/embeddings"),
    ("POST", "/sadari/runs/x/rating"),
    ("POST", "/sadari/approvals/x/1.1"),
    ("POST", "/sadari/keys"),
]
WORDS = st.sampled_from(["sadari", "sadari-raw", "user", "text", "function", "json_schema", "가", "\x00", ""])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS | st.text(max_size=5)
KEYS = st.sampled_from(["role", "content", "type", "function", "name", "parameters", "run", "schema", "json_schema", *FIELDS])
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=8)
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5).flatmap(
    lambda some: st.sampled_from([some, {"model": "sadari-raw"} | some, {**some, "model": "sadari"}])
)


def test_no_body_breaks_the_server(start: Any) -> None:
    live = start()
    with live.http() as http:

        @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
        @given(st.sampled_from(PLACES), BODIES)
        def check(place: tuple[str, str], body: dict[str, Any]) -> None:
            told = http.request(*place, json=body)
            assert told.status_code < 500, (place, body, told.text)
            assert told.status_code == 200 or told.json()["error"]["message"]

        check()


def test_no_path_or_header_breaks_the_server(start: Any) -> None:
    with start().http() as http:
        for path in (
            "/../etc/passwd",
            "/%2e%2e/x",
            "/sadari/runs/%00",
            "/sadari/runs/" + "x" * 5_000,
            "/v1/models/%FF",
            "/x//y",
            "/\u200b",
        ):
            assert http.get(path).status_code == 404
        for headers in ({"Idempotency-Key": "x" * 5_000}, {"Idempotency-Key": ""}, {"Idempotency-Key": "a\x01b"}):
            body = {"model": "sadari", "messages": [{"role": "user", "content": "?"}]}
            assert http.post("/v1/chat/completions", json=body, headers=headers).status_code in (200, 400)
