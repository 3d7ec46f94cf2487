"""The tiny models are loaded once per session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sadari.model.local import LocalModel


class RecordingModel(LocalModel):
    """Keeps the generated token ids: byte-level text of a random model is not unique."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.tokens: dict[int, list[int]] = {}

    def _finish(self, row):
        self.tokens[row.index] = list(row.out)
        return super()._finish(row)


@pytest.fixture(scope="session")
def local_model(checkpoint: Callable[[str], Path]) -> Callable[[str], RecordingModel]:
    """The tiny model of a layout, loaded as any other."""
    loaded: dict[str, RecordingModel] = {}

    def get(name: str) -> RecordingModel:
        if name not in loaded:
            loaded[name] = RecordingModel(checkpoint(name))
        return loaded[name]

    return get
