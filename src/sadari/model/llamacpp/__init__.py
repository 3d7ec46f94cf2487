"""GGUF files, run by llama.cpp through `llama-cpp-python` (extra `gguf`)."""

from sadari.model.llamacpp.model import LlamaCppModel

__all__ = ["LlamaCppModel"]
