"""Texts as vectors: the bundled embedder, models of sentence-transformers, and endpoints."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sadari.errors import ConfigError

if TYPE_CHECKING:
    from sadari.model.remote import Endpoint

BUNDLED = "bundled"
"""The name of the embedder that comes with sadari."""

REMOTE = "openai:"
"""What the name of a model behind an endpoint begins with."""

__all__ = ["BUNDLED", "REMOTE", "Embedder", "load_embedder"]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors whose products say how alike the texts are."""

    @property
    def name(self) -> str:
        """How it was asked for."""
        ...

    @property
    def dimensions(self) -> int:
        """Of the vectors."""
        ...

    def embed(self, texts: Sequence[str], *, is_query: bool = False) -> NDArray[np.float32]:
        """Unit rows, shape (texts, `dimensions`); a text without any words may give zeros.

        Args:
            is_query: Whether these are questions, which some models put differently from passages.

        Raises:
            ModelError: If the model does not answer, or not with vectors.
        """
        ...


def load_embedder(name: str, endpoint: "Endpoint | None" = None) -> Embedder:
    """The embedder of this name.

    Args:
        name: "bundled"; "openai:NAME" for a model behind an OpenAI-compatible endpoint; else a folder that `StaticEmbedder.save` or
            sentence-transformers wrote, or a name on the Hugging Face hub.
        endpoint: Where a remote model answers; None is OpenAI's own.

    Raises:
        ConfigError: If the name is empty, or an endpoint was given to a model that needs none.
        ModelError: If there is no such model, or it cannot be loaded.
    """
    if not name or name == REMOTE:
        raise ConfigError(
            f"embedder is {name!r}. Write bundled, {REMOTE}NAME, or the folder or name of a sentence-transformers model."
        )
    if name.startswith(REMOTE):
        from sadari.retrieve.embed.remote import RemoteEmbedder

        return RemoteEmbedder(name.removeprefix(REMOTE), endpoint)
    if endpoint is not None:
        raise ConfigError(f"embedder {name!r} runs on this machine, so it has no base_url. Leave it out, or write {REMOTE}{name}.")
    from sadari.retrieve.embed.static import VOCABULARY, load_bundled, load_static

    if name == BUNDLED:
        return load_bundled()
    if (Path(name) / VOCABULARY).is_file():
        return load_static(Path(name), name)
    from sadari.retrieve.embed.pretrained import PretrainedEmbedder

    return PretrainedEmbedder(name)
