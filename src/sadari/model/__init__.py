"""The Model seam: what generates. Local torch, remote OpenAI-compatible, or scripted; all are loaded by `load_model`."""

from sadari.model.load import load_model
from sadari.model.scripted import ScriptedModel

__all__ = ["LocalModel", "RemoteModel", "ScriptedModel", "load_model"]


def __getattr__(name: str) -> object:
    """`LocalModel` and `RemoteModel` on first use: torch and httpx take seconds to import."""
    if name == "LocalModel":
        from sadari.model.local import LocalModel

        return LocalModel
    if name == "RemoteModel":
        from sadari.model.remote import RemoteModel

        return RemoteModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
