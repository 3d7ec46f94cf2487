"""Keys and values that were computed: of rows under way, in pools by size; and of beginnings that rows share, in a prefix tree.

A row's own tokens stand in a slot. Slots of one capacity lie side by side in a pool, the used ones first, so that the rows of a
pool attend in one call. What several rows begin with stands once, in nodes of a tree over token ids, and is read there by all of
them; what a finished row computed is kept there too, until its memory is wanted: the leaf used longest ago goes first.

Source:
    A radix tree over token ids as the cache of prompts: Zheng et al. (2023), arXiv 2312.07104.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor

from sadari.errors import ModelError

CAPACITIES = tuple(sorted({n * 2**k for k in range(5, 20) for n in (2, 3)}))
"""Tokens that slots are made for: 64, 96, 128, 192, 256, ..."""

SHORTEST = 16
"""Tokens of the shortest beginning that is held or shared: every node costs a call in each layer."""


KEPT_SHARE = 0.25
"""Of the memory, for what ended rows have computed and nobody is known to want."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a token's keys and values are: `layers` pairs of shape (heads, width)."""

    layers: int
    heads: int
    width: int
    dtype: Any
    device: Any

    def empty(self, rows: int, tokens: int) -> Tensor:
        """Memory for keys or values, shape (layers, rows, heads, tokens, width)."""
        return torch.zeros((self.layers, rows, self.heads, tokens, self.width), dtype=self.dtype, device=self.device)

    @property
    def bytes_per_token(self) -> int:
        """Of keys and values together."""
        return 2 * self.layers * self.heads * self.width * int(self.dtype.itemsize)


class Pool:
    """Slots of one capacity; those in use are the first `len(slots)`."""

    def __init__(self, kind: Kind, capacity: int) -> None:
        self.kind, self.capacity = kind, capacity
        self.keys, self.values = kind.empty(0, capacity), kind.empty(0, capacity)
        self.slots: list[Slot] = []

    def take(self) -> "Slot":
        """A slot, after all others."""
        if len(self.slots) == self.keys.shape[1]:
            self.keys, self.values = (self._grown(t) for t in (self.keys, self.values))
        slot = Slot(self, len(self.slots))
        self.slots.append(slot)
        # What a row before left there may not be finite: masked it has no weight, but 0 times NaN is NaN.
        self.keys[:, slot.index] = self.values[:, slot.index] = 0
        return slot

    def give_back(self, slot: "Slot") -> None:
        """Free a slot; the last one moves into its place."""
        last = self.slots.pop()
        if last is slot:
            return
        for held in (self.keys, self.values):
            held[:, slot.index, :, : last.length] = held[:, last.index, :, : last.length]
        last.index = slot.index
        self.slots[slot.index] = last
        if 4 * len(self.slots) < self.keys.shape[1]:
            self.keys, self.values = (t[:, : 2 * len(self.slots)].clone() for t in (self.keys, self.values))

    def _grown(self, held: Tensor) -> Tensor:
        grown = self.kind.empty(max(1, 2 * held.shape[1]), self.capacity)
        grown[:, : held.shape[1]] = held
        return grown


@dataclass(slots=True, eq=False)
class Slot:
    """Where the tokens of one row stand: the first `length` places of row `index` of a pool."""

    pool: Pool
    index: int
    length: int = 0

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Take what was computed elsewhere, shape (layers, heads, tokens, width) each."""
        end = self.length + keys.shape[2]
        self.pool.keys[:, self.index, :, self.length : end] = keys
        self.pool.values[:, self.index, :, self.length : end] = values
        self.length = end

    def copied(self, start: int, end: int) -> tuple[Tensor, Tensor]:
        """Keys and values of some of its tokens, in memory of their own."""
        return (
            self.pool.keys[:, self.index, :, start:end].clone(),
            self.pool.values[:, self.index, :, start:end].clone(),
        )


@dataclass(slots=True, eq=False)
class Node:
    """Tokens that follow those of `parent`, with their keys and values, shape (layers, heads, tokens, width) each.

    Args:
        start: Position of the first token.
        readers: Rows under way that begin with all of this.
        children: By their first token; several where they share fewer tokens than are worth a node.
        used: Tick of the last use.
    """

    tokens: tuple[int, ...]
    start: int
    keys: Tensor
    values: Tensor
    parent: "Node | None"
    children: "dict[int, list[Node]]" = field(default_factory=dict)
    readers: int = 0
    used: int = 0

    @property
    def end(self) -> int:
        """Position after its last token."""
        return self.start + int(self.keys.shape[2])

    def chain(self) -> "list[Node]":
        """The nodes from the beginning of a row to this one, those without tokens left out."""
        chain: list[Node] = []
        node: Node | None = self
        while node is not None:
            if node.end > node.start:
                chain.append(node)
            node = node.parent
        return chain[::-1]


class PrefixTree:
    """Beginnings whose keys and values are held.

    Args:
        kind: Of keys and values.
        root: Keys and values that stand before every row, as learnt vectors do; no tokens by default.
    """

    def __init__(self, kind: Kind, root: tuple[Tensor, Tensor] | None = None) -> None:
        keys, values = root if root is not None else (kind.empty(1, 0)[:, 0], kind.empty(1, 0)[:, 0])
        self.before = keys.shape[2]
        self.root = Node((), 0, keys, values, None)
        self.tokens = 0
        self._tick = count(1)

    def match(self, ids: Sequence[int]) -> Node:
        """The last node of the longest known beginning of `ids`; a node that is held in part is cut in two."""
        node, at = self.root, 0
        while at < len(ids) and (children := node.children.get(ids[at])):
            shared, child = max(((_shared(child.tokens, ids, at), child) for child in children), key=lambda found: found[0])
            if shared < len(child.tokens):
                if shared < SHORTEST:
                    break
                child = self._cut(child, shared)
            child.used = next(self._tick)
            node = child
            at += shared
        return node

    def add(self, parent: Node, tokens: Sequence[int], keys: Tensor, values: Tensor) -> None:
        """Hold what follows a node, with its keys and values."""
        node = Node(tuple(tokens), parent.end, keys, values, parent, used=next(self._tick))
        parent.children.setdefault(node.tokens[0], []).append(node)
        self.tokens += len(node.tokens)

    def evict(self, tokens: int) -> None:
        """Forget leaves that no row reads, those used longest ago first, until so many tokens fewer are held, or none is left."""
        goal = self.tokens - tokens
        while self.tokens > goal:
            leaves = [node for node in self._nodes() if not node.children and not node.readers]
            if not leaves:
                return
            for leaf in sorted(leaves, key=lambda node: node.used):
                if self.tokens > goal:
                    self._remove(leaf)

    def clear(self) -> None:
        """Forget what no row reads."""
        self.evict(self.tokens)

    def _nodes(self) -> Iterator[Node]:
        waiting = [self.root]
        while waiting:
            below = [child for children in waiting.pop().children.values() for child in children]
            yield from below
            waiting += below

    def _remove(self, leaf: Node) -> None:
        assert leaf.parent is not None
        alike = leaf.parent.children[leaf.tokens[0]]
        alike.remove(leaf)
        if not alike:
            del leaf.parent.children[leaf.tokens[0]]
        self.tokens -= len(leaf.tokens)

    def _cut(self, node: Node, at: int) -> Node:
        """Let a node end after `at` of its tokens; another one takes what follows. Returns the first."""
        assert node.parent is not None
        upper = Node(
            node.tokens[:at],
            node.start,
            node.keys[:, :, :at].clone(),
            node.values[:, :, :at].clone(),
            node.parent,
            readers=node.readers,
            used=node.used,
        )
        alike = node.parent.children[upper.tokens[0]]
        alike[alike.index(node)] = upper
        node.tokens, node.start, node.parent = node.tokens[at:], node.start + at, upper
        node.keys, node.values = node.keys[:, :, at:].clone(), node.values[:, :, at:].clone()
        upper.children[node.tokens[0]] = [node]
        return upper


class Memory:
    """All keys and values of one model.

    Args:
        tokens: Most that are held, as slots in use and in the tree; pools may be twice as large as their slots in use.
        root: Keys and values that stand before every row.
    """

    def __init__(self, kind: Kind, tokens: int, root: tuple[Tensor, Tensor] | None = None) -> None:
        self.kind, self.most = kind, tokens
        self.tree = PrefixTree(kind, root)
        self._pools: dict[int, Pool] = {}

    @property
    def reserved(self) -> int:
        """Tokens that slots in use are made for."""
        return sum(pool.capacity * len(pool.slots) for pool in self._pools.values())

    def reserve(self, tokens: int) -> Slot | None:
        """A slot for so many tokens; None if there is no room until another row ends.

        Raises:
            ModelError: If there never will be.
        """
        if tokens > self.most:
            raise ModelError(
                f"prompt and answer need the keys and values of {tokens} tokens, but there is memory for {self.most}. Ask for "
                "fewer new tokens, shorten the prompt, or raise `cache_bytes`."
            )
        capacity = self._capacity(tokens)
        if self.reserved + capacity > self.most and self.reserved:
            return None
        self.tree.evict(max(0, self.reserved + self.tree.tokens + capacity - self.most))
        if self.reserved + self.tree.tokens + capacity > self.most and self.reserved:
            return None
        if capacity not in self._pools:
            self._pools[capacity] = Pool(self.kind, capacity)
        return self._pools[capacity].take()

    def free(self, slot: Slot) -> None:
        """Let a row leave."""
        slot.pool.give_back(slot)
        if not slot.pool.slots:
            del self._pools[slot.pool.capacity]

    def keep(self, ids: Sequence[int], start: int, slot: Slot, *, is_awaited: bool) -> None:
        """Hold in the tree what a row has computed: its tokens `ids`, of which those from `start` on stand in the slot.

        Args:
            is_awaited: Others are about to begin with it; otherwise it is held within `KEPT_SHARE` of the memory.
        """
        most = self.most - self.reserved if is_awaited else min(self.most - self.reserved, int(KEPT_SHARE * self.most))
        parent = self.tree.match(ids)
        held = parent.end - self.tree.before
        new = len(ids) - held
        if held < start or new < SHORTEST or new > most:
            return
        parent.readers += 1  # it makes no room for what follows it
        self.tree.evict(max(0, self.tree.tokens + new - most))
        parent.readers -= 1
        if self.tree.tokens + new <= most:
            self.tree.add(parent, ids[held:], *slot.copied(held - start, len(ids) - start))

    def _capacity(self, tokens: int) -> int:
        """Of a pool in use that is not far too large, else the smallest that suffices."""
        fitting = min(c for c in CAPACITIES if c >= tokens)
        return min((c for c in self._pools if fitting <= c <= 2 * fitting), default=fitting)


def _shared(held: Sequence[int], ids: Sequence[int], at: int) -> int:
    """How many of the tokens `held` stand in `ids` from `at` on."""
    most = min(len(held), len(ids) - at)
    if tuple(ids[at : at + most]) == tuple(held[:most]):
        return most
    return next(i for i in range(most) if held[i] != ids[at + i])
