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

    def generate(self, requests):
        self.tokens = {}
        return super().generate(requests)

    def _finish(self, request, rows):
        self.tokens[len(self.tokens)] = rows[0].out
        return super()._finish(request, rows)


@pytest.fixture(scope="session")
def local_model(checkpoint: Callable[[str], Path]) -> Callable[[str], RecordingModel]:
    """The tiny model of a layout, loaded as any other."""
    loaded: dict[str, RecordingModel] = {}

    def get(name: str) -> RecordingModel:
        if name not in loaded:
            loaded[name] = RecordingModel(checkpoint(name))
        return loaded[name]

    return get
