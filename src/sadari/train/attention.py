"""Attention over a token trie, exact, for the models of `transformers` that take their attention from its registry.

A token sees itself and its ancestors; distances, for sliding windows too, are those of the rows, not of the packing. On a CPU every
segment attends within itself, and all that stands below it attends to it in one dense piece: no mask is built but at the edge of a
window, and hardly a pair of tokens is computed that cannot see each other. The pieces are joined by their log-sum-exp. On an
accelerator FlexAttention takes a block mask; elsewhere a dense mask serves.

Not covered: layers that are no attention (recurrent, linear), soft caps on attention scores, sinks. `train.learner` finds out by
trying, on the model itself, and then runs the rows padded.

Source:
    Joining by log-sum-exp, and the backward pass of a piece from the joined output: Dao et al. (2022), arXiv 2205.14135, section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sadari.errors import ModelError
from sadari.model import sight
from sadari.train.trie import Segment, Trie

NAME = "sadari_trie"
"""Under which the attention stands in the registry of `transformers`."""

SHORT = 16
"""Segments of at most so many tokens attend to themselves together with others of like length: a call costs more than they do."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True, slots=True)
class Piece:
    """Queries and keys that are attended in one call.

    Args:
        queries: Which queries: a slice, indices of shape (Q,), or of shape (G, Q) for G segments of like length side by side.
        keys: Which keys, shaped alike.
        is_causal: Whether both are the same segment, in which a token sees those before it.
        mask: Additive mask of shape (queries, keys), where a window cuts through; None where all is seen.
        real: Shape (G, Q), false where a segment is filled up by repeating its last token, which no other token sees.
    """

    queries: slice | Tensor
    keys: slice | Tensor
    is_causal: bool
    mask: Tensor | None = None
    real: Tensor | None = None


class Layout:
    """How the tokens of one trie see each other, behind `prefix` learnt vectors that all of them see.

    Args:
        trie: The batch.
        prefix: Keys before those of the trie.
        device: Where masks are put.
    """

    def __init__(self, trie: Trie, prefix: int, device: torch.device) -> None:
        self._segments, self._prefix, self._device = trie.segments, prefix, device
        self._depth, self._end = trie.depth + prefix, trie.end
        self._pieces: dict[int | None, tuple[list[Piece], list[Piece]]] = {}
        self._masks: dict[int | None, Any] = {}
        self.queries, self.keys = len(self._depth), prefix + len(self._depth)

    def pieces(self, window: int | None) -> tuple[list[Piece], list[Piece]]:
        """The segments, which hold every query once and see themselves; and what is seen of the segments above."""
        if window not in self._pieces:
            segments = [part for segment in self._segments for part in _parts(segment, window)]
            before = _parts(Segment(-self._prefix, 0, len(self._depth)), window)
            above = [self._above(s, window) for s in (*segments, *before) if s.stop > s.end]
            self._pieces[window] = self._own(segments), [piece for piece in above if piece is not None]
        return self._pieces[window]

    def dense_mask(self, window: int | None) -> Tensor:
        """Which key each query sees, shape (1, 1, N, P + N), bool."""
        if window not in self._masks:
            place = torch.arange(len(self._depth), device=self._device)
            end = torch.as_tensor(self._end, device=self._device)
            depth = torch.as_tensor(self._depth, device=self._device)
            seen = (place[None, :] <= place[:, None]) & (place[:, None] < end[None, :])
            distance = depth[:, None] - torch.cat([torch.arange(self._prefix, device=self._device), depth])[None, :]
            seen = F.pad(seen, (self._prefix, 0), value=True)
            self._masks[window] = (seen if window is None else seen & (distance < window))[None, None]
        return self._masks[window]

    def block_mask(self, window: int | None) -> Any:
        """The same for FlexAttention."""
        if window not in self._masks:
            from torch.nn.attention.flex_attention import create_block_mask

            prefix, count = self._prefix, len(self._depth)
            end = torch.as_tensor(self._end, device=self._device)
            depth = torch.as_tensor(np.concatenate([np.arange(prefix), self._depth]), device=self._device)

            def sees(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
                own = (k - prefix).clamp(min=0)
                seen = (k < prefix) | ((own <= q) & (q < end[own]))
                return seen if window is None else seen & (depth[q + prefix] - depth[k] < window)

            self._masks[window] = create_block_mask(sees, None, None, count, prefix + count, device=self._device)
        return self._masks[window]

    def _own(self, segments: Sequence[Segment]) -> list[Piece]:
        """Each segment looks at itself."""
        short: dict[int, list[Segment]] = {}
        pieces = []
        for segment in segments:
            width = 1 << (segment.end - segment.start - 1).bit_length()
            if width <= SHORT:
                short.setdefault(width, []).append(segment)
            else:
                keys = slice(segment.start + self._prefix, segment.end + self._prefix)
                pieces.append(Piece(slice(segment.start, segment.end), keys, is_causal=True))
        return pieces + [self._together(some, width) for width, some in short.items()]

    def _together(self, segments: Sequence[Segment], width: int) -> Piece:
        ends = torch.tensor([segment.end for segment in segments])[:, None]
        places = torch.tensor([segment.start for segment in segments])[:, None] + torch.arange(width)
        real = places < ends
        places = torch.minimum(places, ends - 1).to(self._device)
        return Piece(places, places + self._prefix, is_causal=True, real=real.to(self._device))

    def _above(self, segment: Segment, window: int | None) -> Piece | None:
        """What stands below a segment looks at it; the window is counted in places of the row."""
        keys = slice(segment.start + self._prefix, segment.end + self._prefix)
        start = max(segment.end, 0)
        depth = self._depth[start : segment.stop]
        places = np.arange(segment.end - segment.start) + (self._depth[segment.start] if segment.start >= 0 else keys.start)
        if window is None or int(depth.max()) - places[0] < window:
            return Piece(slice(start, segment.stop), keys, is_causal=False)
        near = np.flatnonzero(depth - places[-1] < window)
        if not len(near):
            return None
        seen = torch.as_tensor(depth[near, None] - places[None, :] < window)
        mask = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))
        queries: slice | Tensor = slice(int(near[0]) + start, int(near[-1]) + start + 1)
        if near[-1] - near[0] >= len(near):  # several branches
            queries = torch.as_tensor(near + start).to(self._device)
        return Piece(queries, keys, False, mask.to(self._device))


def _parts(segment: Segment, window: int | None) -> list[Segment]:
    """The segment cut so that all tokens of a part see each other; the later parts stand below the earlier ones."""
    size = segment.end - segment.start if window is None else window
    cuts = range(segment.start, segment.end, max(1, size))
    return [Segment(start, min(start + size, segment.end), segment.stop) for start in cuts]


def register() -> None:
    """Put the attention into the registry of `transformers`; a model takes it by `set_attn_implementation`."""
    sight.register(NAME, attend)


def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **settings: Any) -> tuple[Tensor, None]:
    """Attention as a layer of `transformers` calls it; the layout comes with the call of the model, as `trie_layout`.

    Args:
        query: Shape (1, H, N, D).
        key, value: Shape (1, H_kv, P + N, D).
        attention_mask: The `Sight` of the layer. It alone says how far a token sees: not every layer that slides is told so.

    Returns:
        Shape (1, N, H, D), and no attention weights.

    Raises:
        ModelError: If the layer asks for something that is not covered.
    """
    layout: Layout | None = settings.get("trie_layout")
    fault = _fault(module, query, key, attention_mask, settings)
    if fault or layout is None:
        raise ModelError(f"{type(module).__name__}: this attention cannot be computed over a trie ({fault}).")
    window, scale = attention_mask.window, settings.get("scaling")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if torch.is_autocast_enabled(query.device.type):  # norms and rotations leave queries and keys in float32
        query, key, value = (t.to(torch.get_autocast_dtype(query.device.type)) for t in (query, key, value))
    if query.device.type == "cpu" and query.shape[-1] == value.shape[-1]:
        out = _ByPieces.apply(query, key, value, layout, window, scale)
    elif query.device.type == "cuda":
        from torch.nn.attention.flex_attention import flex_attention

        compiled = _compiled(flex_attention)
        out = compiled(query, key, value, block_mask=layout.block_mask(window), scale=scale, enable_gqa=True)
    else:
        mask = layout.dense_mask(window)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale, enable_gqa=True)
    return out.transpose(1, 2).contiguous(), None


def _fault(module: Any, query: Tensor, key: Tensor, seen: Any, settings: dict[str, Any]) -> str:
    """What of a layer's wishes is not covered; "" if all is."""
    layout: Layout | None = settings.get("trie_layout")
    if layout is None:
        return "no layout was passed on"
    fault = sight.uncovered(module, seen, settings)
    if fault:
        return fault
    if query.shape[0] != 1 or query.shape[2] != layout.queries or key.shape[2] != layout.keys:
        return f"queries and keys of shapes {tuple(query.shape)} and {tuple(key.shape)}, not those of the batch"
    return ""


class _ByPieces(torch.autograd.Function):
    """Attention in pieces, joined; the backward pass runs piece by piece from the joined output and log-sum-exp."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: Layout, window: int | None, scale: float) -> Tensor:
        B, H, N, D = query.shape
        out = query.new_empty((B, N, H, D)).transpose(1, 2)  # the order in which the layer wants it next
        total = query.new_empty((B, H, N), dtype=torch.promote_types(query.dtype, torch.float32))
        own, above = layout.pieces(window)
        for piece in own:
            where, part, part_total = _attend_piece(query, key, value, piece, scale)
            out[:, :, where], total[:, :, where] = part, part_total
        for piece in above:
            where, part, part_total = _attend_piece(query, key, value, piece, scale)
            held, held_total = out[:, :, where], total[:, :, where]
            weight = torch.sigmoid(part_total - held_total).unsqueeze(-1).to(part.dtype)
            out[:, :, where] = torch.lerp(held, part, weight)
            total[:, :, where] = torch.logaddexp(held_total, part_total)
        ctx.save_for_backward(query, key, value, out, total)
        ctx.pieces, ctx.scale = (*own, *above), scale
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, total = ctx.saved_tensors
        grads = tuple(torch.zeros_like(t) for t in (query, key, value))
        for piece in ctx.pieces:
            of_piece = _taken(grad, piece.queries)
            if piece.real is not None:
                of_piece = of_piece * piece.real[:, None, :, None]
            parts = _flash_backward(
                of_piece,
                _taken(query, piece.queries),
                _taken(key, piece.keys),
                _taken(value, piece.keys),
                _taken(out, piece.queries),
                _taken(total, piece.queries),
                0.0,
                piece.is_causal,
                attn_mask=_cast(piece.mask, query),
                scale=ctx.scale,
            )
            for whole, part, among in zip(grads, parts, (piece.queries, piece.keys, piece.keys), strict=True):
                where, part = _placed(part, among, piece.real)
                whole[:, :, where] += part
        return (*grads, None, None, None)


def _attend_piece(query: Tensor, key: Tensor, value: Tensor, piece: Piece, scale: float) -> tuple[slice | Tensor, Tensor, Tensor]:
    """Where the queries stand; output and log-sum-exp of one piece alone."""
    mask = _cast(piece.mask, query)
    query, key, value = _taken(query, piece.queries), _taken(key, piece.keys), _taken(value, piece.keys)
    out, total = _flash(query, key, value, 0.0, piece.is_causal, attn_mask=mask, scale=scale)
    where, out = _placed(out, piece.queries, piece.real)
    return where, out, _placed(total, piece.queries, piece.real)[1]


def _taken(whole: Tensor, where: slice | Tensor) -> Tensor:
    """Tokens of a tensor of shape (1, H, N, ...) as the batch of a call, shape (G, H, Q, ...)."""
    if isinstance(where, Tensor) and where.dim() == 2:
        return whole[0][:, where].transpose(0, 1)
    return whole[:, :, where]


def _placed(part: Tensor, where: slice | Tensor, real: Tensor | None) -> tuple[slice | Tensor, Tensor]:
    """The tokens of a piece one after another, without filling: where they stand, and the values, shape (1, H, Q, ...)."""
    if real is None:
        return where, part
    return where[real], part.transpose(0, 1)[:, real][None]  # type: ignore[index]


def _cast(mask: Tensor | None, query: Tensor) -> Tensor | None:
    return None if mask is None else mask.to(query.dtype)[None, None]


_COMPILED: dict[Any, Any] = {}


def _compiled(function: Any) -> Any:
    """FlexAttention is fast only when compiled; once per process."""
    if function not in _COMPILED:
        _COMPILED[function] = torch.compile(function, dynamic=True)
    return _COMPILED[function]
