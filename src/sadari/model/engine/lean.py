"""The forward pass of plain decoders in as few calls as it takes: in small models most of a step is the calls, not the arithmetic.

Covered: Llama, Mistral, Qwen2, Qwen3 and what is built alike: norms before attention and before the feed-forward layer, one
rotation for all layers, gated feed-forward layers or whatever the model has in their place. `probe.py` finds out by trying
whether a model is built so; all others run by their own code. Products of the same input become one where the weights are few
enough to be copied; LoRA layers are added into that copy, so that a model under training is computed as fast as a finished one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sadari.model.engine.attention import Plan

COPIED_BYTES = 512 * 2**20
"""Weights of layers are copied into joint products if they all are no more than this."""

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Norm:
    """Root mean square normalisation."""

    weight: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        """Over the last dimension."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; `window` and `scale` are those of its attention."""

    before_attention: Norm
    query_key_value: Product
    query_norm: Norm | None
    key_norm: Norm | None
    out: Product
    before_feed_forward: Norm
    feed_forward: Product
    window: int | None
    scale: float


class LeanForward:
    """From a plan to the scores that are wanted.

    Args:
        model: A causal language model of `transformers`.
        sights: Window and scale of the attention of each layer.
        heads: Query heads, and heads of keys and values.

    Raises:
        AttributeError, TypeError: If the model is not built so; a model may also be built otherwise and raise nothing.
    """

    def __init__(self, model: Any, sights: Mapping[int, tuple[int | None, float]], heads: tuple[int, int]) -> None:
        decoder = model.get_decoder()
        self._embed, self._rotation, self._norm = decoder.embed_tokens, decoder.rotary_emb, _norm(decoder.norm)
        self._head = model.get_output_embeddings()
        self._queries, self._keys = heads
        copied = sum(p.nbytes for p in decoder.layers.parameters()) <= COPIED_BYTES
        self._layers = [_layer(layer, *sights[i], copied=copied) for i, layer in enumerate(decoder.layers)]

    def __call__(self, plan: Plan) -> Tensor:
        """Scores, float32, shape (wanted, V)."""
        x = self._embed(plan.ids)
        cos, sin = (t[0, :, None] for t in self._rotation(x[None], plan.positions[None]))
        both = self._queries + self._keys
        for at, layer in enumerate(self._layers):
            heads = layer.query_key_value(layer.before_attention(x)).unflatten(-1, (both + self._keys, -1))
            turned = heads[:, :both]
            if layer.query_norm is not None and layer.key_norm is not None:
                turned = torch.cat([layer.query_norm(heads[:, : self._queries]), layer.key_norm(heads[:, self._queries : both])], 1)
            turned = _rotated(turned, cos, sin).transpose(0, 1)
            query, key, value = turned[: self._queries], turned[self._queries :], heads[:, both:].transpose(0, 1)
            x = x + layer.out(plan.attend(at, query, key, value, layer.window, layer.scale).flatten(1))
            x = x + layer.feed_forward(layer.before_feed_forward(x))
        scores: Tensor = self._head(self._norm(x[plan.wanted])).float()
        return scores


def _layer(layer: Any, window: int | None, scale: float, *, copied: bool) -> Layer:
    attention = layer.self_attn
    if hasattr(layer, "pre_feedforward_layernorm") or hasattr(layer, "post_feedforward_layernorm"):
        raise TypeError("norms stand elsewhere")
    norms = [_norm(getattr(attention, name)) if hasattr(attention, name) else None for name in ("q_norm", "k_norm")]
    return Layer(
        _norm(layer.input_layernorm),
        _joint((attention.q_proj, attention.k_proj, attention.v_proj), copied=copied),
        norms[0],
        norms[1],
        _joint((attention.o_proj,), copied=copied),
        _norm(layer.post_attention_layernorm),
        _feed_forward(layer.mlp, copied=copied),
        window,
        scale,
    )


def _norm(module: Any) -> Norm:
    return Norm(module.weight, module.variance_epsilon)


def _feed_forward(mlp: Any, *, copied: bool) -> Product:
    if not all(hasattr(mlp, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
        return lambda x: mlp(x[None])[0]
    wide, narrow = _joint((mlp.gate_proj, mlp.up_proj), copied=copied), _joint((mlp.down_proj,), copied=copied)
    activate = mlp.act_fn

    def run(x: Tensor) -> Tensor:
        gate, up = wide(x).chunk(2, dim=-1)
        return narrow(activate(gate) * up)

    return run


def _joint(modules: Sequence[nn.Module], *, copied: bool) -> Product:
    """The outputs of several linear layers for one input, side by side."""
    held = [_weight(module) for module in modules] if copied else [None]
    if all(weight is not None for weight in held):
        weight = torch.cat([w for w in held if w is not None])
        biases = [getattr(getattr(m, "base_layer", m), "bias", None) for m in modules]
        bias = None if all(b is None for b in biases) else torch.cat([_filled(b, w) for b, w in zip(biases, held, strict=True)])
        return lambda x: F.linear(x, weight, bias)
    return lambda x: modules[0](x) if len(modules) == 1 else torch.cat([module(x) for module in modules], dim=-1)


def _weight(module: nn.Module) -> Tensor | None:
    """The matrix that a layer multiplies with, a plain LoRA added; None for other kinds of layers."""
    if module._forward_hooks or module._forward_pre_hooks:
        return None
    if type(module) is nn.Linear:
        return module.weight.detach()
    base: Any = getattr(module, "base_layer", None)
    lora: Any = module
    if type(base) is not nn.Linear or not hasattr(module, "get_delta_weight") or not hasattr(module, "lora_A"):
        return None
    if lora.merged or any(lora.use_dora.values()) or any(lora.lora_bias.values()):
        return None
    names = [] if lora.disable_adapters else [name for name in lora.active_adapters if name in lora.lora_A]
    weight: Tensor = base.weight.detach()
    for name in names:
        weight = weight + lora.get_delta_weight(name).detach()
    return weight


def _filled(bias: Tensor | None, weight: Tensor | None) -> Tensor:
    assert weight is not None
    return weight.new_zeros(len(weight)) if bias is None else bias.detach()


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Source: Su et al. (2021), arXiv 2104.09864, with the halves of a head as pairs."""
    one, other = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat([-other, one], dim=-1), sin)
