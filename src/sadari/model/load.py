"""From how a model is written in `sadari.yaml` to a `Model`."""

from pathlib import Path
from typing import Literal

from sadari.errors import ConfigError
from sadari.types import Model

_NAMED = {"openai": "openai:NAME", "scripted": "scripted:PATH", "llamacpp": "llamacpp:PATH"}


def load_model(
    model: str,
    *,
    adapter: str | Path | None = None,
    precision: Literal["float32", "bfloat16", "nf4"] = "float32",
    base_url: str | None = None,
) -> Model:
    """The model called `model`.

    Args:
        model: "mini" (bundled), "openai:NAME" (any OpenAI-compatible endpoint), "scripted:PATH" (a JSON file of rules), a folder,
            a Hugging Face name, or a GGUF file, which llama.cpp runs ("PATH.gguf", or "llamacpp:PATH" whatever its name).
        adapter: Folder of an adapter that training wrote, for local models.
        precision: Of a folder or a Hugging Face name; a GGUF file has its own.
        base_url: Endpoint of "openai:NAME"; the default is OpenAI's own.

    Raises:
        ConfigError: If the settings contradict each other.
        ModelError: If the model cannot be loaded.
    """
    kind, _, rest = model.partition(":")
    if model.endswith(".gguf") and kind not in _NAMED:
        kind, rest = "llamacpp", model
    if kind in _NAMED:
        if not rest:
            raise ConfigError(f"model {model!r}: nothing stands after the colon. Write {_NAMED[kind]}.")
        if adapter is not None:
            raise ConfigError(f"model {model!r} cannot carry the adapter {adapter}: adapters need a local model, and no GGUF file.")
    if kind == "openai":
        from sadari.model.remote import Endpoint, RemoteModel

        return RemoteModel(rest, Endpoint(base_url) if base_url else Endpoint())
    if base_url is not None:
        raise ConfigError(f"base_url is set, but model {model!r} is not remote. Write model: openai:NAME, or drop base_url.")
    if kind == "scripted":
        from sadari.model.scripted import ScriptedModel

        return ScriptedModel.from_file(rest)
    if kind == "llamacpp":
        if precision != "float32":
            raise ConfigError(f"model {model!r}: a GGUF file has its precision already, so {precision} cannot be asked of it.")
        from sadari.model.llamacpp import LlamaCppModel

        return LlamaCppModel(rest)
    from sadari.model.local import LocalModel

    return LocalModel(model, adapter=adapter, precision=precision)
