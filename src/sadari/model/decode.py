"""The batch under way: token ids in, next-token scores out, with a key-value cache in which padding never counts.

Rows are fed any number of tokens at a time, padded on the left. Every cached column carries its row's position, or -1 for
padding, and attention is masked by position, never by column; so rows of different lengths, a shared prefix and gaps from
uneven feeding all give what a row alone would give, sliding windows included.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from sadari.model.prefix import VirtualPrefix

MASK_BYTES = 256 * 2**20
"""Largest attention mask that is built at once; longer prompts are fed in pieces."""


class RoomyLayer(DynamicLayer):
    """A cache layer that keeps spare room, so that a new token does not copy all earlier ones."""

    keys: Tensor
    values: Tensor
    is_initialized: bool

    def __init__(self, room: int = 64) -> None:
        super().__init__()
        self.room = room
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append (B, H, q, D) keys and values; returns all of them."""
        start = self.get_seq_length() if self.is_initialized else 0
        end = start + key_states.shape[-2]
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            grown = []
            for name, new in (("keys", key_states), ("values", value_states)):
                buffer = new.new_empty((*new.shape[:-2], end + self.room, new.shape[-1]))
                if start:
                    buffer[..., :start, :] = getattr(self, name)
                grown.append(buffer)
            self._buffers = grown[0], grown[1]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., start:end, :] = new
        self._view(end)
        self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
        return self.keys, self.values

    def select(self, rows: Tensor) -> None:
        """Keep these rows."""
        if self._buffers is not None:
            end = self.get_seq_length()
            self._buffers = self._buffers[0][rows], self._buffers[1][rows]
            self._view(end)
        elif self.is_initialized:
            self.keys, self.values = self.keys[rows], self.values[rows]

    def copy_for(self, rows: int, room: int) -> "RoomyLayer":
        """A layer that holds this layer's only row `rows` times, with its own memory from the next token on."""
        other = RoomyLayer(room)
        other.keys, other.values = (t.expand(rows, -1, -1, -1) for t in (self.keys, self.values))
        other.dtype, other.device, other.is_initialized = self.dtype, self.device, True
        return other

    def _view(self, end: int) -> None:
        assert self._buffers is not None
        self.keys, self.values = self._buffers[0][..., :end, :], self._buffers[1][..., :end, :]


class Batch:
    """Rows of one model that are decoded together.

    Args:
        model: A causal language model of `transformers`.
        rows: How many.
        room: Tokens for which memory is set aside at a time.
    """

    def __init__(self, model: Any, rows: int = 1, room: int = 64) -> None:
        self.model = model
        self.is_masked = is_maskable(model)
        if not self.is_masked and rows > 1:
            raise ValueError("this model keeps a running state that padding would enter: decode its rows one by one.")
        config = model.config.get_text_config(decoder=True)
        self._window: int | None = getattr(config, "sliding_window", None)
        planned = DynamicCache(config=model.config)
        self._sliding = [isinstance(layer, DynamicSlidingWindowLayer) for layer in planned.layers]
        self._cache: Cache = Cache(layers=[RoomyLayer(room) for _ in planned.layers]) if self.is_masked else planned
        self._positions = torch.empty((rows, 0), dtype=torch.long, device=model.device)
        self._lengths = [0] * rows

    def __len__(self) -> int:
        return len(self._lengths)

    def begin_with(self, prefix: VirtualPrefix) -> None:
        """Let the only row of this new batch begin with learnt vectors."""
        positions = torch.arange(prefix.length, device=self._positions.device)[None]
        if prefix.embeddings is not None:
            self._forward({"inputs_embeds": prefix.embeddings()[None]}, positions, last=1)
        else:
            assert prefix.key_values is not None
            self._positions = positions
            for layer, (keys, values) in zip(self._cache.layers, prefix.key_values(), strict=True):
                layer.update(keys, values)
        self._lengths = [prefix.length]

    def key_values(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of each layer for all that was fed, shape (B, H_kv, columns, D_head) each."""
        return [(layer.keys, layer.values) for layer in self._cache.layers]

    def cache_for(self, rows: int, room: int) -> Cache:
        """What this batch of one row was fed, `rows` times, for a forward pass of one's own that `room` tokens go through."""
        return Cache(layers=[layer.copy_for(rows, room) for layer in self._cache.layers])

    def copy_for(self, rows: int, room: int) -> "Batch":
        """A batch whose rows all begin with what this batch of one row was fed."""
        other = Batch(self.model, rows, room)
        other._cache = self.cache_for(rows, room)
        other._positions = self._positions.expand(rows, -1)
        other._lengths = self._lengths * rows
        return other

    def keep(self, rows: Sequence[int]) -> None:
        """Let all other rows leave the batch."""
        index = torch.tensor(rows, device=self._positions.device)
        for layer in self._cache.layers:
            layer.select(index)
        self._positions = self._positions[index]
        self._lengths = [self._lengths[i] for i in rows]

    def feed(self, tokens: Sequence[Sequence[int]], *, last: int = 1) -> Tensor:
        """Append tokens to each row; rows may get different numbers of them, or none.

        Args:
            tokens: Token ids, one sequence per row; at least one is not empty.
            last: For how many columns, counted from the end, scores are computed.

        Returns:
            Scores of the next token, float32, shape (B, last, V). A row's last column is right-aligned; scores of rows that
            got fewer than `last` tokens mean nothing in the columns before those.
        """
        width = max(map(len, tokens))
        ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in tokens])
        positions = torch.tensor(
            [[-1] * (width - len(row)) + list(range(n, n + len(row))) for row, n in zip(tokens, self._lengths, strict=True)]
        )
        ids, positions = ids.to(self._positions.device), positions.to(self._positions.device)
        self._lengths = [n + len(row) for n, row in zip(self._lengths, tokens, strict=True)]
        held = self._positions.shape[1]
        piece = max(1, MASK_BYTES // (4 * len(self) * (held + width)))
        scores = []
        start = 0
        while start < width:
            end = min(width, start + piece)
            wanted = min(end - start, end - (width - last)) if end > width - last else 0
            out = self._forward({"input_ids": ids[:, start:end]}, positions[:, start:end], max(wanted, 1))
            if wanted > 0:
                scores.append(out[:, -wanted:].float())
            start = end
        return torch.cat(scores, dim=1)

    def _forward(self, fed: dict[str, Tensor], positions: Tensor, last: int) -> Tensor:
        self._positions = torch.cat([self._positions, positions], dim=1)
        placed = {"position_ids": positions.clamp(min=0), "attention_mask": self._mask(positions)} if self.is_masked else {}
        out = self.model(**fed, past_key_values=self._cache, use_cache=True, logits_to_keep=last, **placed)
        logits: Tensor = out.logits
        return logits[:, -last:]

    def _mask(self, positions: Tensor) -> Tensor | dict[str, Tensor]:
        """Additive mask of shape (B, 1, q, K), or one per kind of layer."""
        query, key = positions[:, :, None], self._positions[:, None, :]
        seen = (key >= 0) & (key <= query)
        if not any(self._sliding):
            return self._additive(seen)
        assert self._window is not None
        near = seen & (query - key < self._window)
        if all(self._sliding):
            return self._additive(near)
        return {"full_attention": self._additive(seen), "sliding_attention": self._additive(near)}

    def _additive(self, seen: Tensor) -> Tensor:
        dtype = self.model.dtype
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]


def is_maskable(model: Any) -> bool:
    """Whether padding can be masked out: true of attention layers, not of recurrent or ALiBi ones."""
    config = model.config.get_text_config(decoder=True)
    if getattr(config, "alibi", False) or config.model_type in ("bloom", "mpt"):
        return False
    layers = DynamicCache(config=model.config).layers
    kinds = set(getattr(config, "layer_types", None) or ()) or {"full_attention"}
    return (
        bool(layers)
        and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
        and kinds
        <= {
            "full_attention",
            "sliding_attention",
        }
    )
