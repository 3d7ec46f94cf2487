"""Starting weights that can already copy.

Copying ("the token that followed this one the last time") needs two attention layers to agree, and a model of this size
finds that agreement only after millions of tokens. So it is written into the starting weights, and training shapes it:

- the embedding keeps one constant coordinate, one that marks ends of sentences, random identity coordinates, and three
  empty buffers;
- layer 0 looks one and two tokens back (a constant query turned by the rotary embedding) and writes what it sees into
  two buffers;
- layer 1 looks for the first token of the present sentence and writes it into the third;
- layers 2 and 3 look for places whose buffers hold the present token (and the one before it) and add the identity
  of the token found there, in the slow rotary coordinates, which distance hardly turns;
- one head of layers 4 and 5 turns the third buffer of wherever it looks into an identity: where to look is learnt.

Everything else starts small and random. Source of the circuit: Olsson et al. (2022), "In-context learning and induction
heads", arXiv 2209.11895.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from sadari.mini.layout import Decoder

_IDENTITY = slice(1, 128)  # its first coordinate marks ends of sentences
_BEFORE = slice(128, 176)  # the token before
_BEFORE_THAT = slice(176, 200)  # the one before that
_START = slice(200, 256)  # the first token of the sentence
_SLOW = 14  # rotary pairs from here on turn by less than 0.0024 per token
_FAST = 6  # rotary pairs up to here tell one offset from the next
_NEAR = slice(7, 9)  # rotary pairs that turn by about a half circle in 60 to 100 tokens


def sentence_ends(tokenizer: Tokenizer) -> list[int]:
    """Ids of the pieces after which a sentence or a line begins."""
    texts = ((i, tokenizer.decode([i], skip_special_tokens=False)) for i in range(9, tokenizer.get_vocab_size()))
    return [i for i, text in texts if text.endswith("\n") or text.strip() in (".", "?", "!", ".)", '."', "-", "*", "·", "•")]


@torch.no_grad()
def initialise(model: Decoder, seed: int, *, ends: Sequence[int], embedding_scale: float = 0.3, copied: float = 2.0) -> None:
    """Fill `model` with the starting weights; the same `seed` gives the same weights.

    Args:
        model: A decoder of the shape that ships (256 wide, 4 heads of 64, 2 of keys and values, 6 layers or more).
        seed: Of the random parts.
        ends: Ids of the pieces after which a sentence begins.
        embedding_scale: Deviation of the identity coordinates.
        copied: How much louder a copied identity is than the present token's own.
    """
    g = torch.Generator().manual_seed(seed)

    def normal(*size: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*size, generator=g) * scale

    shape = model.shape
    if (shape.hidden_size, shape.head_dim, shape.num_attention_heads, shape.num_key_value_heads) != (256, 64, 4, 2) or (
        shape.num_hidden_layers < 6
    ):
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
    table[:, _IDENTITY.start] = 0.0
    table[list(ends), _IDENTITY.start] = 4 * embedding_scale
    model.model.norm.weight.fill_(0.25)
    basis = torch.zeros(width, width)  # rows: directions of identity, the mark of ends first
    basis[0, 0] = 1.0
    basis[1:, 1:] = torch.linalg.qr(normal(width - 1, width - 1))[0]
    identity = torch.arange(_IDENTITY.start, _IDENTITY.stop)
    half = shape.head_dim // 2
    turn = shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
    layers = [layer.self_attn for layer in model.model.layers]

    def head_of(layer: int, head: int, kv: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Views on the query, key, value and output weights of one head, the first two made quiet."""
        attention = layers[layer]
        q, k = attention.q_proj.weight[head * 64 : head * 64 + 64], attention.k_proj.weight[kv * 64 : kv * 64 + 64]
        q.mul_(0.02)
        k.mul_(0.02)
        return q, k, attention.v_proj.weight[kv * 64 : kv * 64 + 64], attention.o_proj.weight[:, head * 64 : head * 64 + 64]

    for head, kv, back, buffer in ((0, 0, 1, _BEFORE), (2, 1, 2, _BEFORE_THAT)):
        q, k, v, o = head_of(0, head, kv)
        q[:_FAST, 0] += 1.0
        k[:_FAST, 0] += torch.cos(back * turn[:_FAST])
        k[half : half + _FAST, 0] += torch.sin(back * turn[:_FAST])
        size = buffer.stop - buffer.start
        v.zero_()
        v[:size, _IDENTITY] = basis[:size]
        o[buffer, :size] += torch.eye(size) * embedding_scale
    layers[0].q_norm.weight[:_FAST] = layers[0].q_norm.weight[half : half + _FAST] = 4.0

    q, k, v, o = head_of(1, 0, 0)
    mark = half + 20  # a slow coordinate
    q[mark, 0] += 1.0
    k[mark, _BEFORE.start] += 1.0
    q[_NEAR, 0] += 0.4
    k[_NEAR, 0] += 0.12
    size = _START.stop - _START.start
    v.zero_()
    v[:size, _IDENTITY] = basis[-size:]
    o[_START, :size] += torch.eye(size) * embedding_scale
    layers[1].q_norm.weight[mark] = 4.0
    layers[1].q_norm.weight[_NEAR] = layers[1].q_norm.weight[half + _NEAR.start : half + _NEAR.stop] = 12.0

    slots = torch.cat((torch.arange(_SLOW, half), torch.arange(half + _SLOW, 64)))
    n = len(slots)
    part = n // 2
    for layer, ranges in ((2, (slice(0, 64), slice(63, 127))), (3, (slice(63, 127), slice(0, 64)))):
        layers[layer].q_norm.weight[slots] = 4.0
        for head, kv, values in ((0, 0, ranges[0]), (2, 1, ranges[1])):
            q, k, v, o = head_of(layer, head, kv)
            if head == 0:
                rows = slice(0, n) if layer == 2 else slice(48 - n, 48)
                q[slots[:, None], identity] += basis[rows]
                k[slots, torch.arange(_BEFORE.start, _BEFORE.stop)[rows]] += 1.0
            else:
                q[slots[::2][:, None], identity] += basis[:part]
                k[slots[::2], torch.arange(_BEFORE.start, _BEFORE.start + part)] += 1.0
                q[slots[1::2], torch.arange(_BEFORE.start, _BEFORE.start + part)] += 1.0
                k[slots[1::2], torch.arange(_BEFORE_THAT.start, _BEFORE_THAT.start + part)] += 1.0
            v.zero_()
            v[:, _IDENTITY] = basis[values]
            o[_IDENTITY] += basis[values].T * embedding_scale * copied

    for layer in (4, 5):
        v, o = layers[layer].v_proj.weight[:64], layers[layer].o_proj.weight[:, :64]
        v.zero_()
        v[:size, _START] = torch.eye(size)
        o[_IDENTITY, :size] += basis[-size:].T * embedding_scale * copied
