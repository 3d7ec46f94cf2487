"""Texts as vectors: the bundled embedder, models of sentence-transformers, and endpoints."""

import difflib
import hashlib
import re
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

_PLACE_WITHOUT_HTTP = re.compile(r".@([\w.-]+:\d+|localhost\b|\w+://)", re.IGNORECASE)
_KIND = re.compile(r"(\w+):(.*)")
_ENDS = 1 << 20
"""Bytes at either end of a file by which its change is seen."""

__all__ = ["BUNDLED", "REMOTE", "Embedder", "check_embedder", "identity_of", "load_embedder"]


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
        name: "bundled"; "openai:NAME@http://HOST:PORT/v1" for a model behind an OpenAI-compatible endpoint, "openai:NAME" for one
            of OpenAI's own; else a folder that `StaticEmbedder.save` or sentence-transformers wrote, or a name on the Hugging Face
            hub.
        endpoint: Where a remote model answers, with all its settings, for a name without an address.

    Raises:
        ConfigError: If the name is none, or an endpoint was given to a model that needs none.
        ModelError: If there is no such model, or it cannot be loaded.
    """
    check_embedder(name)
    if name.startswith(REMOTE):
        return _remote(name, endpoint)
    if endpoint is not None:
        raise ConfigError(f"embedder {name!r} runs on this machine, so it has no base_url. Leave it out, or write {REMOTE}{name}.")
    from sadari.retrieve.embed.static import VOCABULARY, load_bundled, load_static

    if name == BUNDLED:
        return load_bundled()
    if (Path(name) / VOCABULARY).is_file():
        return load_static(Path(name), name)
    from sadari.retrieve.embed.pretrained import PretrainedEmbedder

    return PretrainedEmbedder(name)


def identity_of(name: str) -> str:
    """What stays the same as long as an embedder gives the same vectors, wherever it is: for a folder a hash of what it holds."""
    folder = Path(name)
    if name in ("", BUNDLED) or not folder.is_dir():
        return f"{REMOTE}{_parted(name)[0]}" if name.startswith(REMOTE) else name
    sha = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        size = file.stat().st_size
        sha.update(f"{file.relative_to(folder)} {size}\0".encode())
        with file.open("rb") as opened:
            sha.update(opened.read(_ENDS))
            opened.seek(max(0, size - _ENDS))
            sha.update(opened.read(_ENDS))
    return f"embedder {sha.hexdigest()[:16]}"


def check_embedder(name: str) -> None:
    """Stop a name that can be none, before anything is loaded or sent.

    Raises:
        ConfigError: Says what to write instead.
    """
    if not name or name == REMOTE:
        raise ConfigError(
            f"embedder is {name!r}. Write bundled, {REMOTE}NAME, or the folder or name of a sentence-transformers model."
        )
    if name.startswith(REMOTE):
        model, address = _parted(name)
        if not model or (not address and _PLACE_WITHOUT_HTTP.search(model)):
            shown = model.partition("@")[0] or "NAME"
            raise ConfigError(f"embedder {REMOTE}{shown}: write model and address as {REMOTE}{shown}@http://HOST:PORT/v1.")
    elif not Path(name).exists():
        kind = _KIND.fullmatch(name)
        if kind is not None:
            raise ConfigError(f"embedder {kind[1]}: there is no such kind. Did you mean `{REMOTE}{kind[2].partition('@')[0]}`?")
        if name != BUNDLED and difflib.get_close_matches(name.lower(), [BUNDLED], cutoff=0.8):
            raise ConfigError(f"embedder {name!r} is not known. Did you mean `{BUNDLED}`?")


def _remote(name: str, endpoint: "Endpoint | None") -> Embedder:
    from sadari.model.remote import Endpoint
    from sadari.retrieve.embed.remote import RemoteEmbedder

    model, address = _parted(name)
    if address and endpoint is not None:
        raise ConfigError(f"embedder {REMOTE}{model}: its address stands in its name and as base_url. Leave one out.")
    return RemoteEmbedder(model, Endpoint(address) if address else endpoint)


def _parted(name: str) -> tuple[str, str]:
    """The model and the address of a remote embedder; "" for no address. Names may hold an @ of their own."""
    model, at, rest = name.removeprefix(REMOTE).partition("@http")
    return model, f"http{rest}" if at else ""
