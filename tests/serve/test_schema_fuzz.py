"""What our own OpenAPI document lets one send, and what it forbids: none of it breaks the server."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from acting import call

schemathesis = pytest.importorskip("schemathesis")
requests = pytest.importorskip("requests")

MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


@pytest.fixture
def live(start: Any, till: Any) -> Any:
    return start([call("pay", n=1)], "네.", tools=(till.tool(),), requests_per_minute=10**9)


@pytest.fixture
def real(live: Any) -> dict[str, Any]:
    """What stands in a path or a body and is there: one run that waits, one that is over."""
    with live.http() as http:
        asked = {"model": "sadari", "messages": [{"role": "user", "content": "내 줘"}]}
        waiting = http.post("/v1/chat/completions", json=asked).json()["sadari"]
        answered = http.post("/v1/responses", json={"model": "sadari", "input": "?"}).json()
        made = http.post("/sadari/keys", json={"user": "kim", "role": "user"})
        assert made.status_code == 200, made.text
    seen = waiting["pending"][0]["fingerprint"]
    return {
        "run": [waiting["run"], answered["sadari"]["run"]],
        "response_id": [answered["id"]],
        "call": ["1.1"],
        "name": ["sadari", "sadari-raw"],
        "model": ["sadari", "sadari-raw"],
        "user": ["kim", "local"],
        "fingerprint": [seen],
        "key": [live.service.keys.all("kim")[0].key],
    }


def operations(live: Any) -> Iterator[Any]:
    """All that the document describes."""
    with live.http() as http:
        document = http.get("/openapi.json").json()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        yield found.ok()


def cases(operation: Any) -> Any:
    """What fits the schema and what does not; what has no argument has nothing that could be wrong."""
    has_arguments = bool([*operation.path_parameters, *operation.query, *operation.headers, *operation.body])
    return st.one_of(*(operation.as_strategy(mode) for mode in (MODES if has_arguments else MODES[:1])))


def with_real(case: Any, real: dict[str, Any], choice: int) -> None:
    """Names in the place of random text, so that a case comes further than "there is no such run"."""
    for place in (case.path_parameters, case.query, case.body):
        for name in real if isinstance(place, dict) else ():
            if name in place:
                place[name] = real[name][choice % len(real[name])]


def fuzz(live: Any, real: dict[str, Any], each: int) -> int:
    """Send `each` cases to every operation; how many were sent."""
    sent = 0
    session = requests.Session()
    session.trust_env = False
    broke: list[str] = []
    for operation in operations(live):

        @seed(8)
        @settings(max_examples=each, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
        @given(case=cases(operation), choice=st.integers(0, 3))
        def check(case: Any, choice: int) -> None:
            nonlocal sent
            sent += 1
            if choice:
                with_real(case, real, choice)
            told = case.call(base_url=live.url, session=session, timeout=30)
            assert told.status_code < 500, (told.status_code, told.text)
            assert told.status_code < 400 or told.json()["error"]["message"]

        try:
            check()
        except AssertionError as error:
            broke.append(f"{operation.label}: {error} {getattr(error, '__notes__', '')}")
    assert not broke, "\n".join(broke)
    return sent


def test_nothing_that_the_document_describes_or_forbids_breaks_the_server(live: Any, real: dict[str, Any]) -> None:
    assert fuzz(live, real, 7) > 250


@pytest.mark.slow
def test_ten_thousand_requests_break_nothing(live: Any, real: dict[str, Any]) -> None:
    sent = fuzz(live, real, 340)
    print(f"{sent:,} requests")
    assert sent >= 10_000
