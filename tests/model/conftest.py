"""The tiny checkpoints are made once per session, and loaded once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sadari.model.local import LocalModel

from .layouts import LAYOUTS, make_checkpoint


class RecordingModel(LocalModel):
    """Keeps the generated token ids: byte-level text of a random model is not unique."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.tokens: dict[int, list[int]] = {}

    def _finish(self, row):
        self.tokens[row.index] = list(row.out)
        return super()._finish(row)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the tiny checkpoint of a layout."""
    root = tmp_path_factory.mktemp("checkpoints")

    def get(name: str) -> Path:
        folder = root / name
        return folder if folder.exists() else make_checkpoint(LAYOUTS[name], folder)

    return get


@pytest.fixture(scope="session")
def local_model(checkpoint: Callable[[str], Path]) -> Callable[[str], RecordingModel]:
    """The tiny model of a layout, loaded as any other."""
    loaded: dict[str, RecordingModel] = {}

    def get(name: str) -> RecordingModel:
        if name not in loaded:
            loaded[name] = RecordingModel(checkpoint(name))
        return loaded[name]

    return get
