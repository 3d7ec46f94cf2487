"""All rows of a step as one line of tokens, without padding: for models that take their attention from the registry."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sadari.model.engine.attention import NAME, Feed, Plan, register
from sadari.model.engine.decoder import Turn
from sadari.model.engine.lean import LeanForward
from sadari.model.engine.memory import Kind, Memory, Node, Slot
from sadari.model.engine.row import Row
from sadari.model.prefix import VirtualPrefix, key_values_before


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

    can_share = takes_pieces = True

    def __init__(self, model: Any, kind: Kind, tokens: int) -> None:
        register()
        self.model = model
        self.begin_with(kind, tokens)
        self._heads = (model.config.get_text_config(decoder=True).num_attention_heads, kind.heads)
        self._sights: Mapping[int, tuple[int | None, float]] = {}
        self._may_be_lean = False
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
        slot = None
        try:
            slot = self.memory.reserve(len(row.prompt) + row.limit + tree.before - base.end)
        finally:
            if slot is None:
                for node in known.chain():
                    node.readers -= 1
        if slot is None:
            return False
        for node in known.chain():
            if node.start >= base.end:
                slot.append(node.keys, node.values)
        row.place, row.fed = _Place(slot, base, known), known.end - tree.before
        return True

    def run(self, turns: Sequence[Turn]) -> Tensor:
        """Compute; see `Decoder`."""
        feeds = [Feed(turn.tokens, turn.row.place.base, turn.row.place.slot, turn.wanted) for turn in turns]
        plan = Plan(feeds, self._heads[0] // self._heads[1])
        if self._may_be_lean and self._lean is None:
            self._lean = LeanForward(self.model, self._sights, self._heads)
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
        if row.error is None and not row.scored:
            self.memory.keep(row.tokens[: row.fed], place.base.end - tree.before, place.slot, is_awaited=not row.limit)
        for node in place.known.chain():
            node.readers -= 1
        self.memory.free(place.slot)
        row.place = None

    def forget(self) -> None:
        """Drop what is kept; see `Decoder`."""
        self.memory.tree.clear()
        self._lean = None
        root = self._root()
        if root is not None:
            self.memory.tree.root.keys, self.memory.tree.root.values = root

    def be_lean(self, may: bool) -> None:
        """Compute by `LeanForward` from here on, or by the model's own code; a step was computed before by the latter."""
        self._may_be_lean, self._lean = may, None

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
