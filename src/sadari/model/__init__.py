"""The Model seam: what generates. Local torch, llama.cpp, remote OpenAI-compatible, or scripted; `load_model` loads them all."""

from sadari.model.load import load_model
from sadari.model.scripted import ScriptedModel

__all__ = ["LlamaCppModel", "LocalModel", "RemoteModel", "ScriptedModel", "load_model"]


def __getattr__(name: str) -> object:
    """Models on first use: torch, httpx and llama.cpp take seconds to import."""
    if name == "LocalModel":
        from sadari.model.local import LocalModel

        return LocalModel
    if name == "RemoteModel":
        from sadari.model.remote import RemoteModel

        return RemoteModel
    if name == "LlamaCppModel":
        from sadari.model.llamacpp import LlamaCppModel

        return LlamaCppModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
