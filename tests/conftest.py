"""Threads are set before torch is imported: two processes with two threads each on two cores run many times slower."""

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from hypothesis import settings

# A commit is judged by the same cases everywhere; `make test-all` draws new ones with --hypothesis-profile=searching.
settings.register_profile("repeating", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None, max_examples=300)
settings.load_profile("repeating")

SHARED_DATA = Path(os.environ.get("SADARI_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}: set SADARI_DATA to the folder that holds it")
    return SHARED_DATA


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the tiny checkpoint of a layout."""
    from layouts import LAYOUTS, make_checkpoint  # torch is imported only where it is needed

    root = tmp_path_factory.mktemp("checkpoints")

    def get(name: str) -> Path:
        folder = root / name
        return folder if folder.exists() else make_checkpoint(LAYOUTS[name], folder)

    return get
