"""Starting weights that can already copy.

Copying ("the token that followed this one the last time") needs two attention layers to agree, and a model of this size
finds that agreement only after millions of tokens. So it is written into the starting weights, and training shapes it:

- the embedding keeps one constant coordinate, random identity coordinates, and two empty buffers;
- layer 0 looks one and two tokens back (a constant query turned by the rotary embedding) and writes what it sees into the buffers;
- layers 2 and 3 look for places whose buffers hold the present token (and the one before it) and add the identity
  of the token found there, in the slow rotary coordinates, which distance hardly turns.

Everything else starts small and random. Source of the circuit: Olsson et al. (2022), "In-context learning and induction
heads", arXiv 2209.11895.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sadari.mini.layout import Decoder

_IDENTITY = slice(1, 160)
_BEFORE = slice(160, 224)  # the token before
_BEFORE_THAT = slice(224, 256)  # the one before that
_SLOW = 14  # rotary pairs from here on turn by less than 0.0024 per token
_FAST = 6  # rotary pairs up to here tell one offset from the next


@torch.no_grad()
def initialise(model: Decoder, seed: int, *, embedding_scale: float = 0.3, copied: float = 2.0) -> None:
    """Fill `model` with the starting weights; the same `seed` gives the same weights.

    Args:
        model: A decoder of the shape that ships (256 wide, 4 heads of 64, 2 of keys and values, 4 layers or more).
        seed: Of the random parts.
        embedding_scale: Deviation of the identity coordinates.
        copied: How much louder a copied identity is than the present token's own.
    """
    g = torch.Generator().manual_seed(seed)

    def normal(*size: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*size, generator=g) * scale

    shape = model.shape
    if (shape.hidden_size, shape.head_dim, shape.num_attention_heads, shape.num_key_value_heads) != (
        256,
        64,
        4,
        2,
    ) or shape.num_hidden_layers < 4:
        raise ValueError(f"these starting weights are laid out for the shape that ships, not for {shape}")
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            scale = 0.004 if name.endswith(("o_proj.weight", "down_proj.weight")) else weight.shape[1] ** -0.5
            weight.copy_(normal(*weight.shape, scale=scale))
    width = _IDENTITY.stop - _IDENTITY.start
    table = model.model.embed_tokens.weight
    table.zero_()
    table[:, 0] = 1.0
    table[:, _IDENTITY] = normal(shape.vocab_size, width, scale=embedding_scale)
    model.model.norm.weight.fill_(0.25)
    half = shape.head_dim // 2
    basis = torch.linalg.qr(normal(width, width))[0]  # rows: directions of identity

    # layer 0: heads 0 and 2 look one and two back
    attention = model.model.layers[0].self_attn
    turn = shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
    for head, kv, back, buffer in ((0, 0, 1, _BEFORE), (2, 1, 2, _BEFORE_THAT)):
        q, k = attention.q_proj.weight[head * 64 : head * 64 + 64], attention.k_proj.weight[kv * 64 : kv * 64 + 64]
        for matrix in (q, k):
            matrix.mul_(0.02)
        q[:_FAST, 0] += 1.0
        k[:_FAST, 0] += torch.cos(back * turn[:_FAST])
        k[half : half + _FAST, 0] += torch.sin(back * turn[:_FAST])
        size = buffer.stop - buffer.start
        v = attention.v_proj.weight[kv * 64 : kv * 64 + 64]
        v.zero_()
        v[:size, _IDENTITY] = basis[:size]
        attention.o_proj.weight[buffer, head * 64 : head * 64 + size] += torch.eye(size) * embedding_scale
    sharp = torch.ones(64)
    sharp[:_FAST] = sharp[half : half + _FAST] = 4.0
    attention.q_norm.weight.copy_(sharp)

    # layers 2 and 3: heads 0 match one token, heads 2 match two
    slots = torch.cat((torch.arange(_SLOW, half), torch.arange(half + _SLOW, 64)))
    n = len(slots)
    scale = torch.ones(64)
    scale[slots] = 4.0
    for layer, ranges in ((2, (slice(0, 64), slice(64, 128))), (3, (slice(95, 159), slice(0, 64)))):
        attention = model.model.layers[layer].self_attn
        attention.q_norm.weight.copy_(scale)
        for head, kv, values in ((0, 0, ranges[0]), (2, 1, ranges[1])):
            q, k = attention.q_proj.weight[head * 64 : head * 64 + 64], attention.k_proj.weight[kv * 64 : kv * 64 + 64]
            for matrix in (q, k):
                matrix.mul_(0.02)
            if head == 0:
                rows = slice(0, n) if layer == 2 else slice(64 - n, 64)
                q[slots[:, None], torch.arange(_IDENTITY.start, _IDENTITY.stop)] += basis[rows]
                k[slots, torch.arange(_BEFORE.start, _BEFORE.stop)[rows]] += 1.0
            else:
                part = n // 2
                q[slots[::2][:, None], torch.arange(_IDENTITY.start, _IDENTITY.stop)] += basis[:part] * 1.0
                k[slots[::2], torch.arange(_BEFORE.start, _BEFORE.start + part)] += 1.0
                q[slots[1::2], torch.arange(_BEFORE.start, _BEFORE.start + part)] += 1.0
                k[slots[1::2], torch.arange(_BEFORE_THAT.start, _BEFORE_THAT.start + part)] += 1.0
            v = attention.v_proj.weight[kv * 64 : kv * 64 + 64]
            v.zero_()
            v[:, _IDENTITY] = basis[values]
            attention.o_proj.weight[_IDENTITY, head * 64 : head * 64 + 64] += basis[values].T * embedding_scale * copied
