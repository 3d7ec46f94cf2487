"""Models of sentence-transformers, by `transformers` alone: the folder says how tokens become one vector.

Read are `modules.json`, the pooling, dense layers and prompts beside it, and `sentence_bert_config.json`. A folder without them is
taken for an encoder whose tokens are averaged. No code of the folder is run, and only safetensors are read.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sadari.errors import ModelError

BATCH = 32
LONGEST = 512
"""Tokens read of a text, unless the model says less or more."""

_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]


class PretrainedEmbedder:
    """An encoder in a folder, or under a name of the Hugging Face hub.

    Raises:
        ModelError: If there is no such model, or it holds a part that is not known.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        folder = _folder_of(name)
        self._pooling, self._dense = _parts(folder)
        self._prompts = _prompts(folder)
        try:
            from transformers import AutoModel, AutoTokenizer

            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
            self._model: Any = AutoModel.from_pretrained(str(folder), use_safetensors=True).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(f"embedder {name!r} cannot be loaded: {error}") from error
        self._longest = _longest(folder, self._tokenizer, self._model)

    @property
    def dimensions(self) -> int:
        """Of the vectors."""
        return int(self._dense[-1][0].shape[0] if self._dense else self._model.config.hidden_size)

    def embed(self, texts: Sequence[str], *, is_query: bool = False) -> NDArray[np.float32]:
        """As `Embedder.embed`; a text longer than the model reads is cut."""
        import torch

        prompt = self._prompts[is_query]
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of like length share a batch
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        with torch.inference_mode():
            for at in range(0, len(order), BATCH):
                places = order[at : at + BATCH]
                rows[places] = self._batch([prompt + texts[i] for i in places]).float().numpy()
        return rows

    def _batch(self, texts: list[str]) -> Any:
        import torch.nn.functional as F

        encoded = self._tokenizer(texts, padding=True, truncation=True, max_length=self._longest, return_tensors="pt")
        hidden = self._model(**encoded).last_hidden_state  # (B, T, D)
        vectors = _pooled(hidden, encoded["attention_mask"], self._pooling)
        for weight, bias, is_tanh in self._dense:
            vectors = F.linear(vectors, weight, bias)
            vectors = vectors.tanh() if is_tanh else vectors
        return F.normalize(vectors.float(), dim=-1)


def _pooled(hidden: Any, mask: Any, pooling: str) -> Any:
    import torch

    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
    if pooling == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, -1e9).max(1).values
    positions = torch.arange(mask.shape[1]) * mask
    at = positions.max(1).values if pooling == "last" else mask.float().argmax(1)  # padding may stand on either side
    return hidden[torch.arange(len(hidden)), at]


def _folder_of(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    if Path(name).is_absolute() or name.startswith((".", "~")):
        raise ModelError(f"embedder {name!r}: there is no such folder.")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, allow_patterns=_WANTED))
    except Exception as error:  # every version of the client has errors of its own
        raise ModelError(
            f"embedder {name!r} is no folder here and could not be fetched ({type(error).__name__}). Give the folder of a "
            "sentence-transformers model, or write bundled."
        ) from error


def _parts(folder: Path) -> tuple[str, list[tuple[Any, Any, bool]]]:
    """The pooling, and weight, bias and activation of each dense layer after it."""
    listed = _json(folder / "modules.json")
    pooling, dense = "mean", []
    for module in listed if isinstance(listed, list) else []:
        kind, path = str(module.get("type", "")).rpartition(".")[2], folder / str(module.get("path", ""))
        if kind == "Pooling":
            pooling = _pooling(path)
        elif kind == "Dense":
            dense.append(_dense_layer(path))
        elif kind not in ("Transformer", "Normalize"):
            raise ModelError(
                f"embedder {folder}: its part {kind!r} is not known. Serve the model, and write openai:NAME with base_url."
            )
    return pooling, dense


def _pooling(path: Path) -> str:
    config = _json(path / "config.json")
    known = [mode for key, mode in _POOLINGS.items() if config.get(key)]
    named = config.get("pooling_mode")  # as newer versions write it
    known = [named] if isinstance(named, str) and named in _POOLINGS.values() else known
    others = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True and key not in _POOLINGS]
    if len(known) != 1 or others:
        raise ModelError(f"embedder {path.parent}: its pooling is not known. Serve the model, and write openai:NAME with base_url.")
    return known[0]


def _dense_layer(path: Path) -> tuple[Any, Any, bool]:
    from safetensors.torch import load_file

    activation = str(_json(path / "config.json").get("activation_function", "")).rpartition(".")[2]
    if activation not in ("Tanh", "Identity"):
        raise ModelError(f"embedder {path.parent}: the activation {activation!r} is not known.")
    try:
        layer = load_file(path / "model.safetensors")
        return (
            layer["linear.weight"].float(),
            layer["linear.bias"].float() if "linear.bias" in layer else None,
            activation == "Tanh",
        )
    except (OSError, KeyError) as error:
        raise ModelError(f"embedder {path.parent}: its dense layer cannot be read ({error}).") from error


def _prompts(folder: Path) -> tuple[str, str]:
    """What is put before a passage, and before a question."""
    config = _json(folder / "config_sentence_transformers.json")
    prompts = config.get("prompts") or {}
    usual = prompts.get(config.get("default_prompt_name") or "", "")
    passage = next((prompts[name] for name in ("document", "passage", "corpus") if name in prompts), usual)
    return str(passage), str(prompts.get("query", usual))


def _longest(folder: Path, tokenizer: Any, model: Any) -> int:
    told = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    limits = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length, told or LONGEST]
    return min(int(limit) for limit in limits if limit)


def _json(path: Path) -> Any:
    """What a file holds; {} if there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
