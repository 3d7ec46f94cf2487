from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from replay import Exchange, Replay, replaying
from sadari.errors import ConfigError, ModelError
from sadari.model.remote import Endpoint
from sadari.retrieve.embed import load_embedder
from sadari.retrieve.embed.remote import BATCH, RemoteEmbedder

KEY = "sk-secret-0123456789"


def answered(*rows: Any) -> dict[str, Any]:
    return {"data": [{"index": i, "embedding": row} for i, row in enumerate(rows)]}


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with replaying(Replay(usual=Exchange(body=answered([3.0, 4.0])))) as replay:
        yield replay


def remote(double: Replay, **settings: Any) -> tuple[RemoteEmbedder, list[float]]:
    embedder = load_embedder("openai:tiny", Endpoint(double.url, **settings))
    assert isinstance(embedder, RemoteEmbedder)
    pauses: list[float] = []
    embedder.sleep = pauses.append
    return embedder, pauses


def test_texts_are_sent_and_vectors_come_back_as_units(double: Replay) -> None:
    embedder, _ = remote(double)
    assert embedder.embed(["환불"]) == pytest.approx(np.array([[0.6, 0.8]]))
    assert double.seen == [{"model": "tiny", "input": ["환불"], "encoding_format": "float"}]
    assert double.paths == ["/v1/embeddings"]
    assert double.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert (embedder.name, embedder.dimensions) == ("openai:tiny", 2)


def test_vectors_are_put_in_the_order_of_the_texts(double: Replay) -> None:
    body = answered([1.0, 0.0], [0.0, 1.0])
    double.script = [Exchange(body={"data": body["data"][::-1]})]
    assert remote(double)[0].embed(["a", "b"]).tolist() == [[1, 0], [0, 1]]


def test_many_texts_are_sent_in_batches(double: Replay) -> None:
    double.script = [Exchange(body=answered(*[[1.0, 0.0]] * BATCH)), Exchange(body=answered([0.0, 1.0]))]
    assert remote(double)[0].embed(["a"] * (BATCH + 1)).shape == (BATCH + 1, 2)
    assert [len(sent["input"]) for sent in double.seen] == [BATCH, 1]


def test_an_empty_text_is_sent_as_something(double: Replay) -> None:
    remote(double)[0].embed([" "])
    assert double.seen[0]["input"] == ["."]


def test_what_passes_by_itself_is_asked_again(double: Replay) -> None:
    double.script = [Exchange(503, body={}), Exchange(429, {"Retry-After": "7"}, {})]
    embedder, pauses = remote(double)
    assert embedder.embed(["a"]).shape == (1, 2)
    assert len(pauses) == 2
    assert pauses[1] == 7


def test_a_refused_key_is_told_without_the_key(double: Replay) -> None:
    double.script = [Exchange(401, body={"error": {"message": f"bad key {KEY}"}})]
    with pytest.raises(ModelError, match="Set OPENAI_API_KEY to a valid key") as caught:
        remote(double)[0].embed(["a"])
    assert KEY not in str(caught.value)
    assert len(double.seen) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "not json",
        {"data": []},
        answered([1.0], [2.0]),
        answered(["x"]),
        answered([]),
        answered([float("nan")]),
        {"data": [{"embedding": [1.0]}]},
        {"data": [7]},
        {"data": {"index": 0}},
    ],
)
def test_an_answer_without_the_vectors_is_an_error(double: Replay, body: Any) -> None:
    double.script = [Exchange(body=body)]
    with pytest.raises(ModelError, match="one for embeddings"):
        remote(double)[0].embed(["a"])


def test_vectors_that_change_their_length_are_an_error(double: Replay) -> None:
    embedder, _ = remote(double)
    embedder.embed(["a"])
    double.script = [Exchange(body=answered([1.0, 0.0, 0.0]))]
    with pytest.raises(ModelError, match="Build the index again"):
        embedder.embed(["b"])


def test_a_server_that_stays_away_is_an_error_after_all_attempts(double: Replay) -> None:
    double.script = [Exchange(500, body="oops")] * 2
    with pytest.raises(ModelError, match="Asked 2 times"):
        remote(double, retries=1)[0].embed(["a"])


def test_a_base_url_for_a_model_of_this_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match="openai:bundled"):
        load_embedder("bundled", Endpoint())
