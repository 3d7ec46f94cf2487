"""Greedy answers of a `Decoder` in training, with a key-value cache: enough to measure skills, not to serve."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sadari.mini.layout import Decoder, _rotate


@torch.no_grad()
def continue_greedily(model: Decoder, ids: list[int], *, end: int, limit: int) -> list[int]:
    """The most likely tokens after `ids`, without the `end` token, at most `limit` of them."""
    cache: list[tuple[Tensor, Tensor] | None] = [None] * len(model.model.layers)
    fresh = torch.tensor([ids])
    past = 0
    out: list[int] = []
    while len(out) < limit:
        x = model.model.embed_tokens(fresh)
        t = fresh.shape[1]
        cos, sin = model._cos[past : past + t], model._sin[past : past + t]
        for i, layer in enumerate(model.model.layers):
            a = layer.self_attn
            y = layer.input_layernorm(x)
            q = _rotate(a.q_norm(a.q_proj(y).view(1, t, a.heads, a.width)), cos, sin).transpose(1, 2)
            k = _rotate(a.k_norm(a.k_proj(y).view(1, t, a.kv_heads, a.width)), cos, sin).transpose(1, 2)
            v = a.v_proj(y).view(1, t, a.kv_heads, a.width).transpose(1, 2)
            held = cache[i]
            if held is not None:
                k, v = torch.cat((held[0], k), 2), torch.cat((held[1], v), 2)
            cache[i] = (k, v)
            groups = a.heads // a.kv_heads
            attended = F.scaled_dot_product_attention(
                q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1), is_causal=t > 1
            )
            x = x + a.o_proj(attended.transpose(1, 2).reshape(1, t, -1))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        past += t
        token = int((model.model.norm(x[:, -1]) @ model.model.embed_tokens.weight.T).argmax())
        if token == end:
            break
        out.append(token)
        fresh = torch.tensor([[token]])
    return out
