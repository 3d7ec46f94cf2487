"""The makers of files that the ingestion benchmark has, and a way to load one file."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from sadari.retrieve.load import Loaded, Options, load_all

INGESTION = Path(__file__).parents[3] / "benchmarks" / "ingestion"

Read = Callable[..., Loaded]


@pytest.fixture(scope="session")
def files() -> ModuleType:
    """`benchmarks/ingestion/files.py`."""
    spec = importlib.util.spec_from_file_location("ingestion_files", INGESTION / "files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ingestion_files"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Load one file with given bytes and a given name."""

    def load_one(name: str, data: bytes, options: Options | None = None) -> Loaded:
        path = tmp_path / name
        path.write_bytes(data)
        return load_all(path, options or Options(folder=tmp_path))

    return load_one
