"""Attention of a step's tokens over everything that was computed before, without padding and without copies.

All tokens of a step, of rows that begin and rows that go on, lie one after another. A token sees the nodes that its row begins
with, what its row has in its slot, and itself. Each of these is a piece: the rows of a pool that take few tokens attend to their
slots in one call; a long stretch of one row attends to itself causally; all tokens below a node attend to it in one dense call, so
that a beginning that many rows share is read from memory once, not once a row. The pieces are joined by their log-sum-exp.

Source:
    Joining by log-sum-exp: Dao et al. (2022), arXiv 2205.14135, section 3. A call of its own for a shared beginning: Juravsky et
    al. (2024), arXiv 2402.05099.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import Tensor

from sadari.errors import ModelError
from sadari.model import sight
from sadari.model.engine.memory import Node, Pool, Slot

NAME = "sadari_engine"
"""Under which the attention stands in the registry of `transformers`."""

FEW = 16
"""Rows that take at most so many tokens in a step attend to their slots together."""

LOOSE = 1.5
"""Rows of a pool are read in one stretch if it holds less than so many times as many as are wanted."""

SCORES_BYTES = 256 * 2**20
"""Most memory for the scores of one call, where no kernel keeps them small."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@dataclass(frozen=True, slots=True)
class Feed:
    """Tokens of one row that are computed in this step.

    Args:
        base: What the row begins with, read in place.
        slot: Where the row's other tokens stand, and these will.
        wanted: For so many of these tokens, the last ones, the scores of the next token are wanted.
    """

    tokens: Sequence[int]
    base: Node
    slot: Slot
    wanted: int

    @property
    def start(self) -> int:
        """Position of the first of these tokens."""
        return self.base.end + self.slot.length


@dataclass(frozen=True, slots=True)
class Piece:
    """Queries and keys that are attended in one call.

    Args:
        tokens: Which queries: a slice or indices of shape (Q,), or indices of shape (R, w) for w tokens of each of R rows.
        keys, values: Shape (layers, R or 1, H_kv, K, D).
        mask: Additive, shape (R or 1, 1, Q or w or 1, K); None where all is seen.
        real: Shape (R, w), false where a row is filled up by repeating its last token, or is none of the step.
        is_causal: Whether queries and keys are the same tokens, of which each sees those before it.
        rows: Which rows of keys and values, where these are a whole pool.
    """

    tokens: slice | Tensor
    keys: Tensor
    values: Tensor
    mask: Tensor | None = None
    real: Tensor | None = None
    is_causal: bool = False
    rows: slice | Tensor | None = None

    def held(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of one layer, shape (R or 1, H_kv, K, D)."""
        keys, values = self.keys[layer], self.values[layer]
        return (keys, values) if self.rows is None else (keys[self.rows], values[self.rows])


class Plan:
    """One step: which tokens, where they are written, and what they see.

    Args:
        feeds: At least one.
        groups: Query heads per head of keys and values.
    """

    def __init__(self, feeds: Sequence[Feed], groups: int) -> None:
        assert all(feed.tokens for feed in feeds), "attention to nothing brings the process down"
        order = sorted(range(len(feeds)), key=lambda i: (feeds[i].slot.pool.capacity, _width(feeds[i]), feeds[i].slot.index))
        self._feeds = [feeds[i] for i in order]
        self._groups = groups
        self.device = feeds[0].slot.pool.kind.device
        self._dtype = feeds[0].slot.pool.kind.dtype
        ends = torch.tensor([len(feed.tokens) for feed in self._feeds]).cumsum(0).tolist()
        self._spans = list(zip([0, *ends], ends, strict=False))
        self.count = ends[-1]
        self.ids = self._index([token for feed in self._feeds for token in feed.tokens])
        self.positions = self._index([feed.start + i for feed in self._feeds for i in range(len(feed.tokens))])
        self._writes = self._plan_writes()
        self._pieces: dict[int | None, tuple[list[Piece], list[Piece]]] = {}
        self.sights: dict[int, tuple[int | None, float]] = {}
        """Window and scale of each layer that attended."""
        spans = dict(zip(order, self._spans, strict=True))
        self.wanted = self._index([t for i, feed in enumerate(feeds) for t in range(spans[i][1] - feed.wanted, spans[i][1])])
        """Tokens whose scores are wanted, in the order of the feeds that were given."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, window: int | None, scale: float) -> Tensor:
        """What each token sees of values, shape (N, H, D); the keys and values of the tokens are written down.

        Args:
            query: Shape (H, N, D).
            key, value: Shape (H_kv, N, D).
        """
        self.sights[layer] = window, scale
        self._write(layer, key, value)
        heads, _, width = key.shape
        query = query.to(self._dtype).unflatten(0, (heads, self._groups))
        out = query.new_empty((self.count, heads, self._groups, width))
        own, before = self.pieces(window)
        total = out.new_empty(out.shape[:-1], dtype=torch.float32) if before else None
        for piece in own:
            where, part, part_total = self._attend(layer, query, piece, scale)
            out[where] = part
            if total is not None:
                total[where] = part_total
        for piece in before:
            assert total is not None
            where, part, part_total = self._attend(layer, query, piece, scale)
            held, held_total = out[where], total[where]
            out[where] = torch.lerp(held, part, torch.sigmoid(part_total - held_total).unsqueeze(-1).to(part.dtype))
            total[where] = torch.logaddexp(held_total, part_total)
        return out.flatten(1, 2)

    def pieces(self, window: int | None) -> tuple[list[Piece], list[Piece]]:
        """Pieces that hold every token once, itself among what it sees; and the pieces before them."""
        if window not in self._pieces:
            together = [i for i, feed in enumerate(self._feeds) if len(feed.tokens) <= FEW]
            groups = groupby(together, key=lambda i: (self._feeds[i].slot.pool.capacity, _width(self._feeds[i])))
            own = [self._of_pool(list(some), window) for _, some in groups]
            before = []
            for i, feed in enumerate(self._feeds):
                if len(feed.tokens) > FEW:
                    parts = self._of_stretch(i, window)
                    own.append(parts[0])
                    before += parts[1:]
            before += [piece for node, some in self._by_node() if (piece := self._of_node(node, some, window)) is not None]
            self._pieces[window] = own, before
        return self._pieces[window]

    # --- pieces ------------------------------------------------------------------------------------------------------

    def _of_pool(self, some: Sequence[int], window: int | None) -> Piece:
        """Rows of one pool with few tokens each."""
        feeds = [self._feeds[i] for i in some]
        pool, width = feeds[0].slot.pool, max(len(feed.tokens) for feed in feeds)
        first, last = feeds[0].slot.index, feeds[-1].slot.index
        starts = torch.tensor([self._spans[i][0] for i in some])
        lengths = torch.tensor([feed.slot.length for feed in feeds])
        counts = torch.tensor([len(feed.tokens) for feed in feeds])
        indices = torch.tensor([feed.slot.index for feed in feeds])
        rows: slice | Tensor = indices
        if last - first < LOOSE * len(some):  # reading a few rows for nothing costs less than copying those that are read
            held = torch.zeros(last - first + 1, dtype=torch.long).index_copy_(0, indices - first, torch.arange(len(some)))
            idle = torch.ones(len(held), dtype=torch.bool).index_fill_(0, indices - first, False)
            starts, lengths, counts = starts[held], lengths[held], counts[held].masked_fill_(idle, 0)
            rows = slice(first, last + 1)
        longest = int((lengths + counts).max())
        step = torch.minimum(torch.arange(width)[None], counts[:, None] - 1).clamp_(min=0)  # who takes fewer repeats the last
        places = lengths[:, None] + step
        tokens: slice | Tensor = starts[:, None] + step
        real = None if bool((counts == width).all()) else torch.arange(width)[None] < counts[:, None]
        if width == 1 and real is None:
            tokens = slice(self._spans[some[0]][0], self._spans[some[-1]][1])
        return Piece(
            tokens if isinstance(tokens, slice) else tokens.to(self.device),
            pool.keys[:, :, :, :longest],
            pool.values[:, :, :, :longest],
            self._mask(places, torch.arange(longest), window),
            None if real is None else real.to(self.device),
            rows=rows if isinstance(rows, slice) else rows.to(self.device),
        )

    def _of_stretch(self, i: int, window: int | None) -> list[Piece]:
        """Many tokens of one row: they see themselves, and what the slot held before."""
        feed, (start, end) = self._feeds[i], self._spans[i]
        pool, row = feed.slot.pool, slice(feed.slot.index, feed.slot.index + 1)
        held, count = feed.slot.length, end - start
        keys, values = pool.keys[:, row], pool.values[:, row]
        places = torch.arange(held, held + count)
        own, earlier = slice(held, held + count), slice(0, held)
        if window is not None and count > window:
            mask = self._mask(places[None], torch.arange(held + count), window)
            return [Piece(slice(start, end), keys[:, :, :, : held + count], values[:, :, :, : held + count], mask)]
        pieces = [Piece(slice(start, end), keys[:, :, :, own], values[:, :, :, own], is_causal=True)]
        if held:
            mask = self._mask(places[None], torch.arange(held), window)
            pieces.append(Piece(slice(start, end), keys[:, :, :, earlier], values[:, :, :, earlier], mask))
        return pieces

    def _of_node(self, node: Node, some: Sequence[int], window: int | None) -> Piece | None:
        """All tokens below a node; None if none of them sees it."""
        tokens = [t for i in some for t in range(*self._spans[i])]
        positions = torch.tensor([self._feeds[i].start + t for i in some for t in range(len(self._feeds[i].tokens))])
        if window is not None and not bool((positions - (node.end - 1) < window).any()):
            return None
        where = _as_slice(tokens)
        return Piece(
            where if isinstance(where, slice) else where.to(self.device),
            node.keys[:, None],
            node.values[:, None],
            self._mask(positions[None], torch.arange(node.start, node.end), window),
        )

    def _by_node(self) -> list[tuple[Node, list[int]]]:
        found: dict[int, tuple[Node, list[int]]] = {}
        for i, feed in enumerate(self._feeds):
            for node in feed.base.chain():
                found.setdefault(id(node), (node, []))[1].append(i)
        return list(found.values())

    def _mask(self, places: Tensor, keys: Tensor, window: int | None) -> Tensor | None:
        """Additive mask of shape (R, 1, groups * w or 1, K) for queries at `places`, shape (R, w); None where all is seen."""
        if window is None and int(places.min()) >= int(keys[-1]):
            return None
        distance = places[:, :, None] - keys[None, None, :]
        seen = distance >= 0
        if window is not None:
            seen &= distance < window
        if bool(seen.all()):
            return None
        # Not -inf: a token may see nothing of a piece, whose weight is then 0 when the pieces are joined.
        mask = torch.zeros(seen.shape, dtype=self._dtype).masked_fill_(~seen, torch.finfo(self._dtype).min / 2)
        mask = mask[:, None] if mask.shape[1] == 1 else mask[:, None].repeat(1, 1, self._groups, 1)
        return mask.to(self.device)

    # --- one layer ---------------------------------------------------------------------------------------------------

    def _plan_writes(self) -> list[tuple[Pool, slice, Tensor, Tensor]]:
        writes = []
        for _, some in groupby(range(len(self._feeds)), key=lambda i: self._feeds[i].slot.pool.capacity):
            of_pool = list(some)
            feeds = [self._feeds[i] for i in of_pool]
            rows = self._index([feed.slot.index for feed in feeds for _ in feed.tokens])
            places = self._index([feed.slot.length + t for feed in feeds for t in range(len(feed.tokens))])
            writes.append((feeds[0].slot.pool, slice(self._spans[of_pool[0]][0], self._spans[of_pool[-1]][1]), rows, places))
        return writes

    def _write(self, layer: int, key: Tensor, value: Tensor) -> None:
        for pool, tokens, rows, places in self._writes:
            pool.keys[layer][rows, :, places] = key[:, tokens].transpose(0, 1).to(self._dtype)
            pool.values[layer][rows, :, places] = value[:, tokens].transpose(0, 1).to(self._dtype)

    def _attend(self, layer: int, query: Tensor, piece: Piece, scale: float) -> tuple[slice | Tensor, Tensor, Tensor]:
        """Where the queries stand; output, shape (Q, H_kv, G, D), and log-sum-exp, shape (Q, H_kv, G), of one piece alone."""
        keys, values = piece.held(layer)
        picked = query[:, :, piece.tokens]
        if piece.is_causal:  # (1, H, Q, D): each query head with keys of its own, so that queries and keys are alike
            picked = picked.flatten(0, 1)[None]
            keys, values = (t.repeat_interleave(self._groups, dim=1) for t in (keys, values))
            part, total = _attended(picked, keys, values, None, True, scale)
            part, total = (t[0].unflatten(0, query.shape[:2]) for t in (part, total))
        elif isinstance(piece.tokens, Tensor) and piece.tokens.dim() == 2:  # (R, H_kv, G * w, D)
            picked = picked.permute(2, 0, 1, 3, 4).flatten(2, 3)
            part, total = _attended(picked, keys, values, piece.mask, False, scale)
            part, total = (t.unflatten(2, (self._groups, -1)) for t in (part, total))  # (R, H_kv, G, w, ...)
            part, total = part.permute(0, 3, 1, 2, 4), total.permute(0, 3, 1, 2)
            if piece.real is None:
                return piece.tokens.flatten(), part.flatten(0, 1), total.flatten(0, 1)
            return piece.tokens[piece.real], part[piece.real], total[piece.real]
        elif piece.rows is not None:  # one token of each row: (R, H_kv, G, D)
            part, total = _attended(picked.permute(2, 0, 1, 3), keys, values, piece.mask, False, scale)
            return piece.tokens, part, total
        else:  # (1, H_kv, G * Q, D)
            part, total = _attended(picked.flatten(1, 2)[None], keys, values, piece.mask, False, scale)
            part, total = (t[0].unflatten(1, (self._groups, -1)) for t in (part, total))
        return piece.tokens, part.permute(2, 0, 1, 3), total.permute(2, 0, 1)

    def _index(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long).to(self.device)


def register() -> None:
    """Put the attention into the registry of `transformers`."""
    sight.register(NAME, attend)


def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **settings: Any) -> tuple[Tensor, None]:
    """Attention as a layer of `transformers` calls it; the plan comes with the call of the model, as `engine_plan`.

    Args:
        query: Shape (1, H, N, D).
        key, value: Shape (1, H_kv, N, D).
        attention_mask: The `Sight` of the layer.

    Returns:
        Shape (1, N, H, D), and no attention weights.

    Raises:
        ModelError: If the layer asks for something that is not covered.
    """
    plan: Plan | None = settings.get("engine_plan")
    fault = "no plan was passed on" if plan is None else sight.uncovered(module, attention_mask, settings)
    if fault or plan is None:
        raise ModelError(f"{type(module).__name__}: {fault}")
    scale = settings.get("scaling")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return plan.attend(module.layer_idx, query[0], key[0], value[0], attention_mask.window, scale)[None], None


def _attended(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, is_causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """Output, shape (B, H, Q, D), and log-sum-exp, float32, shape (B, H, Q)."""
    if query.device.type == "cpu":
        out, total = _flash(query, key, value, 0.0, is_causal, attn_mask=mask, scale=scale)
        return out, total
    at_once = max(1, SCORES_BYTES // (4 * query.shape[0] * query.shape[1] * key.shape[2]))
    if query.shape[2] > at_once:
        seen = mask
        if is_causal:
            count = query.shape[2]
            seen = torch.zeros(count, count, dtype=query.dtype, device=query.device)
            seen = seen.masked_fill_(torch.ones_like(seen, dtype=torch.bool).triu(1), torch.finfo(query.dtype).min / 2)[None, None]
        cuts = range(0, query.shape[2], at_once)
        masks = [seen if seen is None or seen.shape[2] == 1 else seen[:, :, at : at + at_once] for at in cuts]
        parts = [_attended(query[:, :, at : at + at_once], key, value, m, False, scale) for at, m in zip(cuts, masks, strict=True)]
        return torch.cat([out for out, _ in parts], 2), torch.cat([total for _, total in parts], 2)
    scores = (query @ key.transpose(-1, -2)).float() * scale
    if is_causal:
        scores.masked_fill_(torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1), float("-inf"))
    if mask is not None:
        scores += mask
    total = scores.logsumexp(-1)
    return (scores - total[..., None]).exp().to(value.dtype) @ value, total


def _width(feed: Feed) -> int:
    """Rows of like width attend together: 1, 2, 4, 8 or 16 tokens; above that each row attends alone."""
    count = len(feed.tokens)
    return 1 << (count - 1).bit_length() if count <= FEW else FEW + 1


def _as_slice(places: Sequence[int]) -> slice | Tensor:
    """A slice, which copies nothing, if the places follow each other; else their indices."""
    first, last = places[0], places[-1]
    if last - first == len(places) - 1 and all(b == a + 1 for a, b in pairwise(places)):
        return slice(first, last + 1)
    return torch.tensor(places)
