"""One forward pass over whatever tokens a step brings: exact for every row, and without padding.

A model that takes its attention from the registry of `transformers` runs all rows of a step as one line of tokens. Whether it can
is found by trying: a few steps over a shared beginning must give the scores that the model itself gives. Any other model (recurrent
layers, ALiBi, layers with masks of their own) runs its rows one by one, with the cache that `transformers` makes for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from sadari.errors import ModelError
from sadari.model.engine.attention import NAME, Feed, Plan, register
from sadari.model.engine.lean import LeanForward
from sadari.model.engine.memory import SHORTEST, Kind, Memory, Node, Slot
from sadari.model.engine.row import Row
from sadari.model.prefix import VirtualPrefix, key_values_before

AGREEMENT = 1e-3
"""Largest relative difference of the probe's scores; a wrong mask differs by far more, another kernel by far less."""

COARSE_AGREEMENT = 3e-2
"""The same where weights are in 16 bits."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one row brings to a step: its next `count` tokens and `draft`; after the last `wanted` of them scores are wanted."""

    row: Row
    count: int
    wanted: int
    draft: tuple[int, ...] = ()

    @property
    def tokens(self) -> list[int]:
        """The tokens that are computed."""
        return self.row.tokens[self.row.fed : self.row.fed + self.count] + list(self.draft)


class Decoder(Protocol):
    """Holds what rows have computed, and computes what comes next."""

    can_share: bool
    """Whether rows may begin with what others have computed, and take back what they have."""

    def known(self, row: Row) -> int:
        """Tokens of the row's beginning that are held already."""
        ...

    def admit(self, row: Row) -> bool:
        """Take a row in, with as much of its beginning as is held already; False if there is no room yet."""
        ...

    def run(self, turns: Sequence[Turn]) -> Tensor:
        """Compute; returns the wanted scores, float32, shape (sum of `wanted`, V), turn by turn."""
        ...

    def rewind(self, row: Row, count: int) -> None:
        """Take back the last `count` tokens that were computed for a row."""
        ...

    def leave(self, row: Row) -> None:
        """Let a row go; what it computed may be kept for others."""
        ...

    def forget(self) -> None:
        """Drop what is kept for others: the weights may have changed."""
        ...


@dataclass(slots=True, eq=False)
class _Place:
    """Where a row is held: it begins with `base`, read in place; the rest stands in the slot. It knew all of `known` on arrival."""

    slot: Slot
    base: Node
    known: Node


class FlatDecoder:
    """All rows of a step as one line of tokens.

    Args:
        model: A causal language model of `transformers` that takes its attention from the registry.
        kind: Of its keys and values.
        tokens: Most that are held.
    """

    can_share = True

    def __init__(self, model: Any, kind: Kind, tokens: int) -> None:
        register()
        self.model = model
        self.begin_with(kind, tokens)
        self._heads = (model.config.get_text_config(decoder=True).num_attention_heads, kind.heads)
        self._sights: Mapping[int, tuple[int | None, float]] = {}
        self._lean: LeanForward | None = None
        self._configs = list({id(m.config): m.config for m in model.modules() if hasattr(m, "config")}.values())

    def begin_with(self, kind: Kind, tokens: int, prefix: VirtualPrefix | None = None) -> None:
        """Hold nothing but learnt vectors, if there are any, before every row."""
        self.prefix = prefix
        self.memory = Memory(kind, tokens, self._root())

    def known(self, row: Row) -> int:
        """What is held of its beginning; see `Decoder`."""
        held: int = self._match(row).end - self.memory.tree.before
        return held

    def admit(self, row: Row) -> bool:
        """Take a row in; see `Decoder`."""
        tree, known = self.memory.tree, self._match(row)
        base = known
        while base.parent is not None and base.end - tree.before > row.shared and not base.readers:
            base = base.parent
        for node in known.chain():  # none of them makes room for this row
            node.readers += 1
        slot = self.memory.reserve(len(row.prompt) + row.limit + tree.before - base.end)
        for node in known.chain():
            if slot is None:
                node.readers -= 1
            elif node.start >= base.end:
                slot.append(node.keys, node.values)
        if slot is None:
            return False
        row.place, row.fed = _Place(slot, base, known), known.end - tree.before
        return True

    def run(self, turns: Sequence[Turn]) -> Tensor:
        """Compute; see `Decoder`."""
        feeds = [Feed(turn.tokens, turn.row.place.base, turn.row.place.slot, turn.wanted) for turn in turns]
        plan = Plan(feeds, self._heads[0] // self._heads[1])
        scores = self._lean(plan) if self._lean is not None else self._by_itself(plan)
        for turn in turns:
            turn.row.place.slot.length += turn.count + len(turn.draft)
            turn.row.fed += turn.count
        return scores

    def rewind(self, row: Row, count: int) -> None:
        """Take back; see `Decoder`."""
        row.place.slot.length -= count

    def leave(self, row: Row) -> None:
        """Let a row go; see `Decoder`."""
        place, tree = row.place, self.memory.tree
        for node in place.known.chain():
            node.readers -= 1
        if row.error is None and not row.scored and place.slot.length >= SHORTEST:
            self.memory.keep(row.tokens[: row.fed], place.base.end - tree.before, place.slot)
        self.memory.free(place.slot, is_damaged=row.error is not None)
        row.place = None

    def forget(self) -> None:
        """Drop what is kept; see `Decoder`."""
        self.memory.tree.clear()
        if self._lean is not None:
            self.make_lean()
        root = self._root()
        if root is not None:
            self.memory.tree.root.keys, self.memory.tree.root.values = root

    def make_lean(self) -> None:
        """Compute by `LeanForward` from here on, with the weights as they are now; a step was computed before.

        Raises:
            AttributeError, TypeError: If the model is not built so.
        """
        self._lean = LeanForward(self.model, self._sights, self._heads)

    def stay_plain(self) -> None:
        """Compute by the model's own code."""
        self._lean = None

    def _by_itself(self, plan: Plan) -> Tensor:
        """The scores by the model's own code."""
        with self._taking_plans():
            out = self.model(
                input_ids=plan.ids[None],
                position_ids=plan.positions[None],
                use_cache=False,
                logits_to_keep=plan.wanted,
                engine_plan=plan,
            )
        self._sights = plan.sights
        scores: Tensor = out.logits[0].float()
        return scores

    def _match(self, row: Row) -> Node:
        # At least one token is computed, and of a scored row all those after which scores are wanted.
        return self.memory.tree.match(row.tokens[: row.first_wanted])

    def _root(self) -> tuple[Tensor, Tensor] | None:
        """Keys and values of the learnt vectors, shape (layers, heads, P, width) each."""
        if self.prefix is None:
            return None
        pairs = key_values_before(self.model, self.prefix)
        return torch.stack([k[0] for k, _ in pairs]), torch.stack([v[0] for _, v in pairs])

    @contextmanager
    def _taking_plans(self) -> Iterator[None]:
        before = [config._attn_implementation for config in self._configs]
        try:
            for config in self._configs:
                config._attn_implementation = NAME
            yield
        finally:
            for config, name in zip(self._configs, before, strict=True):
                config._attn_implementation = name


class IsolatedDecoder:
    """Each row alone, with the cache that `transformers` makes for this model.

    Args:
        rows: Most that are held.
    """

    can_share = False

    def __init__(self, model: Any, rows: int = 8) -> None:
        self.model, self._rows, self._held = model, rows, 0

    def known(self, row: Row) -> int:
        """Nothing is held; see `Decoder`."""
        return 0

    def admit(self, row: Row) -> bool:
        """Take a row in; see `Decoder`."""
        if self._held >= self._rows:
            return False
        self._held += 1
        row.place, row.fed = DynamicCache(config=self.model.config), 0
        return True

    def run(self, turns: Sequence[Turn]) -> Tensor:
        """Compute; see `Decoder`."""
        return torch.cat([self._run(turn) for turn in turns])

    def rewind(self, row: Row, count: int) -> None:
        """A running state cannot be taken back."""
        raise NotImplementedError

    def leave(self, row: Row) -> None:
        """Let a row go; see `Decoder`."""
        self._held -= 1
        row.place = None

    def forget(self) -> None:
        """Nothing is kept."""

    def _run(self, turn: Turn) -> Tensor:
        ids = torch.tensor([turn.tokens], device=self.model.device)
        out = self.model(input_ids=ids, past_key_values=turn.row.place, use_cache=True, logits_to_keep=max(turn.wanted, 1))
        turn.row.fed += turn.count
        scores: Tensor = out.logits[0, out.logits.shape[1] - turn.wanted :]
        return scores.float()


def decoder_for(model: Any, cache_bytes: int, prefix: VirtualPrefix | None = None) -> Decoder:
    """The fastest decoder that is exact for this model, found by trying.

    Args:
        cache_bytes: Most memory for keys and values.
        prefix: Learnt vectors before every row; only models that attend plainly take them.

    Raises:
        ModelError: If learnt vectors stand before rows of a model that cannot share beginnings.
    """
    fault = "its layers hold keys and values of several shapes"
    try:
        kind, probe, expected = _expected(model)
        if kind is not None:
            tokens = cache_bytes // kind.bytes_per_token
            decoder = FlatDecoder(model, kind, tokens)
            fault = "" if _agrees(decoder, probe, expected) else "its scores differ from those row by row"
            if not fault:
                _make_lean_if_it_agrees(decoder, probe, expected)
                decoder.begin_with(kind, tokens, prefix)
                return decoder
    except Exception as error:  # whatever a layer makes of it
        fault = str(error).splitlines()[0] if str(error) else type(error).__name__
    if prefix is not None:
        raise ModelError(f"{model.name_or_path}: rows of a {type(model).__name__} cannot begin with learnt vectors ({fault}).")
    return IsolatedDecoder(model)


def _make_lean_if_it_agrees(decoder: FlatDecoder, probe: Sequence[Sequence[int]], expected: Sequence[Tensor]) -> None:
    try:
        decoder.make_lean()
        agrees = _agrees(decoder, probe, expected)
    except (AttributeError, TypeError, RuntimeError):  # the model is built otherwise
        agrees = False
    if not agrees:
        decoder.stay_plain()


def _expected(model: Any) -> tuple[Kind | None, list[list[int]], list[Tensor]]:
    """What keys and values of this model are, None if not the same in all layers; two rows and the scores of their tokens."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(0)
    shared, *tails = (torch.randint(vocabulary, (n,), generator=generator).tolist() for n in (2 * SHORTEST, 5, 3))
    rows = [shared + tail for tail in tails]
    cache = DynamicCache(config=model.config)
    expected = [model(input_ids=torch.tensor([rows[0]], device=model.device), past_key_values=cache, use_cache=True).logits[0]]
    expected += [model(input_ids=torch.tensor([row], device=model.device), use_cache=False).logits[0] for row in rows[1:]]
    shapes = {(t.shape[1], t.shape[3]) for layer in cache.layers for t in (layer.keys, layer.values)}
    layers = model.config.get_text_config(decoder=True).num_hidden_layers
    if len(shapes) != 1 or len(cache.layers) != layers:
        return None, rows, expected
    (heads, width), held = shapes.pop(), cache.layers[0].keys
    return Kind(layers, heads, width, held.dtype, held.device), rows, expected


def _agrees(decoder: FlatDecoder, probe: Sequence[Sequence[int]], expected: Sequence[Tensor]) -> bool:
    """Whether steps that share, go on and write give the expected scores."""
    decoder.begin_with(decoder.memory.kind, decoder.memory.most)
    first, second = (Row(ids, limit=1) for ids in probe)
    first.shared = second.shared = 2 * SHORTEST
    filler = Row(probe[0][: 2 * SHORTEST])
    found: list[list[Tensor]] = [[], []]
    decoder.admit(filler)
    decoder.run([Turn(filler, 20, 0)])
    decoder.run([Turn(filler, 2 * SHORTEST - 20, 0)])
    decoder.leave(filler)
    for row in (first, second):
        decoder.admit(row)
    for counts in ((3, 1), (1, 1), (1, 1)):
        scores = decoder.run([Turn(row, n, n) for row, n in zip((first, second), counts, strict=True)])
        for lines, part in zip(found, scores.split(counts), strict=True):
            lines.append(part)
    for lines, wanted in zip(found, expected, strict=True):
        wanted = wanted[2 * SHORTEST :].float()
        error = (torch.cat(lines) - wanted).norm() / wanted.norm()
        most = COARSE_AGREEMENT if expected[0].dtype.itemsize < 4 else AGREEMENT
        if bool(error > most):  # not so where weights are damaged and nothing is a number: that is seen later
            return False
    return True
