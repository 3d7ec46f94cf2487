"""Embedders are found by name; a name that can be none is told before anything is loaded or sent."""

import shutil
from pathlib import Path

import pytest

from sadari.errors import ConfigError
from sadari.model.remote import Endpoint
from sadari.retrieve.embed import check_embedder, identity_of, load_embedder


def test_a_remote_embedder_may_bring_its_address() -> None:
    embedder = load_embedder("openai:BAAI/bge-m3@http://localhost:8000/v1")
    assert embedder.name == "openai:BAAI/bge-m3"
    assert embedder._endpoint == Endpoint("http://localhost:8000/v1")  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["openai:@cf/baai/bge-m3", "openai:textembedding-gecko@001"])
def test_a_name_may_hold_an_at_of_its_own(name: str) -> None:
    assert load_embedder(name).name == name
    assert load_embedder(f"{name}@https://host/v1").name == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai:bge-m3@localhost:8000/v1", r"openai:bge-m3: write model and address as openai:bge-m3@http://HOST:PORT/v1"),
        ("openai:bge-m3@ftp://host/v1", r"write model and address as"),
        ("openai:@http://host/v1", r"openai:NAME@http"),
        ("opnai:bge-m3", r"there is no such kind\. Did you mean `openai:bge-m3`\?"),
        ("bundeld", r"Did you mean `bundled`\?"),
        ("openai:", r"Write bundled, openai:NAME"),
    ],
)
def test_a_wrong_name_is_told(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_embedder(name)


def test_a_secret_in_a_wrong_address_is_not_told() -> None:
    for name in ("openai:m@user:hunter2@host:80", "openai:m@http://user:hunter2@host/v1"):
        with pytest.raises(ConfigError) as caught:
            load_embedder(name)
        assert "hunter2" not in str(caught.value)


def test_an_address_stands_in_one_place() -> None:
    with pytest.raises(ConfigError, match="Leave one out"):
        load_embedder("openai:m@http://a/v1", Endpoint("http://b/v1"))


def test_an_embedder_is_the_same_wherever_it_lies_or_answers(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights").write_bytes(b"12345")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert identity_of(str(tmp_path / "a")) == identity_of(str(tmp_path / "b"))
    (tmp_path / "b" / "weights").write_bytes(b"12346")
    assert identity_of(str(tmp_path / "a")) != identity_of(str(tmp_path / "b"))
    assert identity_of("openai:m@http://a/v1") == identity_of("openai:m") != identity_of("openai:n")
