"""The decoder of `mini` for training: stock Qwen3 arithmetic and parameter names, written lean.

Rows have one length per batch and are padded on the right, where a causal model never looks back from; so attention
needs no mask, and logits are computed only at the positions whose loss is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the decoder; the names are those of `config.json`."""

    vocab_size: int = 8192
    hidden_size: int = 256
    intermediate_size: int = 704
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1_000_000.0
    max_position_embeddings: int = 4096


class _Norm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d, h, k, w = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim
        self.heads, self.kv_heads, self.width = h, k, w
        self.q_proj = nn.Linear(d, h * w, bias=False)
        self.k_proj = nn.Linear(d, k * w, bias=False)
        self.v_proj = nn.Linear(d, k * w, bias=False)
        self.o_proj = nn.Linear(h * w, d, bias=False)
        self.q_norm = _Norm(w, shape.rms_norm_eps)
        self.k_norm = _Norm(w, shape.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        b, t, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(b, t, self.heads, self.width))
        k = self.k_norm(self.k_proj(x).view(b, t, self.kv_heads, self.width))
        v = self.v_proj(x).view(b, t, self.kv_heads, self.width).transpose(1, 2)
        q, k = (_rotate(y, cos, sin).transpose(1, 2) for y in (q, k))
        groups = self.heads // self.kv_heads
        k, v = (y.repeat_interleave(groups, dim=1) for y in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, -1))


class _Mlp(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class _Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = _Attention(shape)
        self.mlp = _Mlp(shape)
        self.input_layernorm = _Norm(shape.hidden_size, shape.rms_norm_eps)
        self.post_attention_layernorm = _Norm(shape.hidden_size, shape.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class _Body(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = _Norm(shape.hidden_size, shape.rms_norm_eps)


class Decoder(nn.Module):
    """Qwen3 decoder with tied embeddings; its state dict is that of `Qwen3ForCausalLM` without `lm_head`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Body(shape)
        half = shape.head_dim // 2
        rates = shape.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
        angles = torch.arange(shape.max_position_embeddings, dtype=torch.float32)[:, None] * rates
        self.register_buffer("_cos", angles.cos()[:, None, :], persistent=False)
        self.register_buffer("_sin", angles.sin()[:, None, :], persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Final hidden states, shape (B, T, D), of `ids`, shape (B, T)."""
        x = self.model.embed_tokens(ids)
        cos, sin = self._cos[: ids.shape[1]], self._sin[: ids.shape[1]]
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return self.model.norm(x)

    def losses(self, hidden: Tensor, positions: Tensor, targets: Tensor, among: Sequence[tuple[int, list[int]]] = ()) -> Tensor:
        """Cross-entropy (nats) at chosen places, shape (N,).

        Args:
            hidden: Final hidden states, shape (B, T, D).
            positions: Indices into the flattened (B*T,) places, shape (N,).
            targets: The token that follows each place, shape (N,).
            among: For some of the N places the only ids that their target is predicted among.
        """
        logits = hidden.flatten(0, 1)[positions] @ self.model.embed_tokens.weight.T
        if among:
            rows = torch.tensor([at for at, _ in among])
            forbidden = torch.ones(len(among), logits.shape[1], dtype=torch.bool)
            for i, (_, ids) in enumerate(among):
                forbidden[i, ids] = False
            logits = logits.index_copy(0, rows, logits[rows].masked_fill(forbidden, float("-inf")))
        return F.cross_entropy(logits, targets, reduction="none")
