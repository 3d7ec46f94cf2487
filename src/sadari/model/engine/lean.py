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
"""Weights of the layers and of the head are copied into joint products if they all are no more than this."""

TURNED = range(2, 65)
"""For so many rows a product on a CPU is up to three times faster as `(W x^T)^T` than as `x W^T`."""

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
    """One layer; `window` and `scale` are those of its attention, `norm` that of its queries and keys."""

    before_attention: Norm
    query_key_value: Product
    norm: Product | None
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
        head = model.get_output_embeddings()
        self._queries, self._keys = heads
        copied = sum(p.nbytes for p in (*decoder.layers.parameters(), *head.parameters())) <= COPIED_BYTES
        self._head = _joint((head,), copied=copied)
        self._layers = [_layer(layer, heads, sights[i], copied=copied) for i, layer in enumerate(decoder.layers)]

    def __call__(self, plan: Plan) -> Tensor:
        """Scores, float32, shape (wanted, V)."""
        x = self._embed(plan.ids)
        cos, sin = (t[0, :, None] for t in self._rotation(x[None], plan.positions[None]))
        both = self._queries + self._keys
        for at, layer in enumerate(self._layers):
            heads = layer.query_key_value(layer.before_attention(x)).unflatten(-1, (both + self._keys, -1))
            turned = heads[:, :both]
            if layer.norm is not None:
                turned = layer.norm(turned)
            turned = _rotated(turned, cos, sin).transpose(0, 1)
            query, key, value = turned[: self._queries], turned[self._queries :], heads[:, both:].transpose(0, 1)
            x = x + layer.out(plan.attend(at, query, key, value, layer.window, layer.scale).flatten(1))
            x = x + layer.feed_forward(layer.before_feed_forward(x))
        scores: Tensor = self._head(self._norm(x[plan.wanted])).float()
        return scores


def _layer(layer: Any, heads: tuple[int, int], sight: tuple[int | None, float], *, copied: bool) -> Layer:
    attention = layer.self_attn
    if hasattr(layer, "pre_feedforward_layernorm") or hasattr(layer, "post_feedforward_layernorm"):
        raise TypeError("norms stand elsewhere")
    return Layer(
        _norm(layer.input_layernorm),
        _joint((attention.q_proj, attention.k_proj, attention.v_proj), copied=copied),
        _norm_of_heads(attention.q_norm, attention.k_norm, heads) if hasattr(attention, "q_norm") else None,
        _joint((attention.o_proj,), copied=copied),
        _norm(layer.post_attention_layernorm),
        _feed_forward(layer.mlp, copied=copied),
        *sight,
    )


def _norm(module: Any) -> Norm:
    return Norm(module.weight, module.variance_epsilon)


def _norm_of_heads(queries: Any, keys: Any, heads: tuple[int, int]) -> Product:
    """One call for the heads of queries and of keys, which have weights of their own."""
    width, epsilon = queries.weight.shape, queries.variance_epsilon
    if keys.variance_epsilon != epsilon or keys.weight.shape != width or len(width) != 1:
        raise TypeError("queries and keys are normalised in different ways")
    weight = torch.cat([queries.weight.detach().expand(heads[0], -1), keys.weight.detach().expand(heads[1], -1)])
    return lambda x: F.rms_norm(x, width, None, epsilon) * weight


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
        # Read along the outputs, a product of few rows on a CPU is about twice as fast; one of many rows is no slower.
        weight = torch.cat([w for w in held if w is not None]).t().contiguous()
        biases = [getattr(getattr(m, "base_layer", m), "bias", None) for m in modules]
        bias = None if all(b is None for b in biases) else torch.cat([_filled(b, w) for b, w in zip(biases, held, strict=True)])
        return (lambda x: x @ weight) if bias is None else (lambda x: torch.addmm(bias, x, weight))
    products = [_in_place(module) for module in modules]
    return products[0] if len(products) == 1 else lambda x: torch.cat([product(x) for product in products], dim=-1)


def _in_place(module: Any) -> Product:
    """The output of a linear layer whose weights are read where they are."""
    is_plain = type(module) is nn.Linear and not module._forward_hooks and not module._forward_pre_hooks
    if not is_plain or module.weight.device.type != "cpu":
        return lambda x: module(x)
    weight, bias = module.weight, module.bias

    def run(x: Tensor) -> Tensor:
        if len(x) not in TURNED:
            return F.linear(x, weight, bias)
        out = (weight @ x.t()).t().contiguous()
        return out if bias is None else out + bias

    return run


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
