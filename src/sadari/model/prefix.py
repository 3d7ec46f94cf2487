"""Learnt vectors that stand before every row: extra input embeddings (prompt tuning), or extra keys and values (prefix tuning)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer


@dataclass(frozen=True, slots=True)
class VirtualPrefix:
    """What stands at the positions 0 ... length - 1 of every row; the row's own tokens begin at `length`, as they do in PEFT.

    One of the two is given. They are called anew whenever the vectors are needed, since training changes what they give.

    Args:
        length: P, how many positions.
        embeddings: Gives input embeddings, shape (P, D).
        key_values: Gives keys and values of each layer, shape (1, H_kv, P, D_head) each, keys with their rotation.
    """

    length: int
    embeddings: Callable[[], Tensor] | None = None
    key_values: Callable[[], list[tuple[Tensor, Tensor]]] | None = None

    def tensors(self) -> list[Tensor]:
        """The vectors as they are now."""
        if self.embeddings is not None:
            return [self.embeddings()]
        return [t for pair in self.key_values() for t in pair] if self.key_values is not None else []


def unpack_key_values(packed: Tensor, layers: int, heads: int) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer, shape (1, H_kv, P, D_head) each, from the table in which PEFT keeps them.

    Args:
        packed: Shape (P, layers * 2 * H_kv * D_head).
        heads: H_kv, heads of keys and values.

    Source:
        Li and Liang (2021), arXiv 2101.00190, without their reparametrisation.
    """
    each = packed.view(len(packed), 2 * layers, heads, -1).permute(1, 2, 0, 3)[:, None]  # (2 * layers, 1, H_kv, P, D_head)
    return [(each[2 * i], each[2 * i + 1]) for i in range(layers)]


def pack_key_values(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The table of PEFT, shape (P, layers * 2 * H_kv * D_head), from the keys and values of each layer."""
    together = torch.stack([t[0] for pair in pairs for t in pair])  # (2 * layers, H_kv, P, D_head)
    return together.permute(2, 0, 1, 3).flatten(1)


def key_values_before(model: Any, prefix: VirtualPrefix) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer that stand before every row, shape (1, H_kv, P, D_head) each, as the vectors are now."""
    if prefix.key_values is not None:
        return prefix.key_values()
    assert prefix.embeddings is not None
    return computed_key_values(model, inputs_embeds=prefix.embeddings()[None])


def computed_key_values(model: Any, **inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer for the inputs of one forward pass, shape (B, H_kv, T, D_head) each."""
    cache = DynamicCache()  # which forgets nothing, as one made for sliding windows would
    model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return [(layer.keys, layer.values) for layer in cache.layers]


def cache_with(pairs: Sequence[tuple[Tensor, Tensor]], rows: int) -> DynamicCache:
    """A cache in which `rows` rows begin with these keys and values of one row."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(pairs):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
    return cache


def attends_plainly(model: Any) -> bool:
    """Whether rows of a model may begin with keys and values: true of attention layers, not of recurrent or ALiBi ones."""
    config = model.config.get_text_config(decoder=True)
    if getattr(config, "alibi", False) or config.model_type in ("bloom", "mpt"):
        return False
    layers = DynamicCache(config=model.config).layers
    kinds = set(getattr(config, "layer_types", None) or ()) or {"full_attention"}
    plain = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
    return bool(layers) and plain and kinds <= {"full_attention", "sliding_attention"}
