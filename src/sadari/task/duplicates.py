"""Near duplicates: texts that share most of their five-character pieces.

The search is exact, not sampled: two sets with Jaccard similarity t or more must share one of their rarest pieces, so only rows
that share a rare piece are compared.

Source:
    Prefix filtering: Chaudhuri et al. (2006), "A Primitive Operator for Similarity Joins in Data Cleaning"; Bayardo et al. (2007),
    "Scaling Up All Pairs Similarity Search".
"""

from collections import defaultdict
from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sadari.task.text import fold
from sadari.types import Example

GRAM = 5
"""Characters per piece, after folding."""

MOST_GRAMS = 2000
"""Longer texts are compared by the pieces with the smallest hashes, which estimates the same similarity."""

_WEIGHTS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], dtype=np.uint64
)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def question_text(example: Example) -> str:
    """What two examples are compared by: all user turns of the prompt, or the whole text of a raw text."""
    asked = [message.content for message in example.prompt if message.role == "user"]
    return "\n".join(asked) if asked else "\n".join(message.content for message in example.messages)


def near_duplicates(of: Sequence[str], among: Sequence[str], *, threshold: float = 0.8) -> list[tuple[int, ...]]:
    """For each text in `of`, the positions in `among` of its exact and near duplicates, the most similar first.

    Args:
        of: Texts to look up.
        among: Texts to look in.
        threshold: Least Jaccard similarity of the five-character pieces, in (0, 1]. Texts equal after folding always count.
    """
    index = NearIndex(among, threshold=threshold)
    return [tuple(at for at, _ in index.alike(text)) for text in of]


class NearIndex:
    """Texts that can be asked for the near duplicates of another text.

    Args:
        texts: What is looked in.
        threshold: Least Jaccard similarity, in (0, 1].

    Raises:
        ValueError: If `threshold` is outside (0, 1].
    """

    def __init__(self, texts: Sequence[str], *, threshold: float = 0.8) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold is {threshold}: it must be above 0 and at most 1.")
        self._threshold = threshold
        self._rows: dict[str, list[int]] = defaultdict(list)
        for at, text in enumerate(texts):
            self._rows[fold(text)].append(at)
        self._folded = list(self._rows)
        hashes = [_gram_hashes(text) for text in self._folded]
        self._sizes = np.array([len(row) for row in hashes], dtype=np.int64)
        self._starts = np.concatenate(([0], np.cumsum(self._sizes)))
        flat = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
        self._vocabulary, inverse, counts = np.unique(flat, return_inverse=True, return_counts=True)
        self._rarity = np.empty(len(counts), np.int64)  # of each piece; 0 is the rarest
        self._rarity[np.argsort(counts, kind="stable")] = np.arange(len(counts))
        self._grams = self._rarity[inverse]
        self._mark = np.zeros(len(counts), np.bool_)
        self._index_prefixes()

    def _index_prefixes(self) -> None:
        grams: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        owners: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        for row, size in enumerate(self._sizes):
            start, end = self._starts[row], self._starts[row + 1]
            self._grams[start:end].sort()
            prefix = self._grams[start : start + self._prefix_length(int(size))]
            grams.append(prefix)
            owners.append(np.full(len(prefix), row, np.int64))
        flat = np.concatenate(grams)
        order = np.argsort(flat, kind="stable")
        self._owners = np.concatenate(owners)[order]
        self._posting = np.searchsorted(flat[order], np.arange(len(self._vocabulary) + 1))

    def _prefix_length(self, size: int) -> int:
        return size - ceil(self._threshold * size - 1e-9) + 1

    def alike(self, text: str) -> list[tuple[int, float]]:
        """`(position, similarity)` of each near duplicate, the most similar first; equal after folding is 1.0."""
        folded = fold(text)
        hashes = _gram_hashes(folded)
        size = len(hashes)
        found: list[tuple[int, float]] = [(at, 1.0) for at in self._rows.get(folded, ())]
        if not self._folded:
            return found
        at = np.minimum(np.searchsorted(self._vocabulary, hashes), len(self._vocabulary) - 1)
        known = np.sort(self._rarity[at[self._vocabulary[at] == hashes]])
        rare = known[: max(0, self._prefix_length(size) - (size - len(known)))]  # unknown pieces are the rarest of all
        if not len(rare):
            return found
        owners = np.unique(np.concatenate([self._owners[self._posting[g] : self._posting[g + 1]] for g in rare]))
        fits = (self._sizes[owners] >= self._threshold * size - 1e-9) & (self._sizes[owners] * self._threshold <= size + 1e-9)
        self._mark[known] = True
        for row in owners[fits].tolist():
            if self._folded[row] == folded:
                continue
            shared = int(np.count_nonzero(self._mark[self._grams[self._starts[row] : self._starts[row + 1]]]))
            similarity = shared / (size + int(self._sizes[row]) - shared)
            if similarity >= self._threshold - 1e-9:
                found += [(at, similarity) for at in self._rows[self._folded[row]]]
        self._mark[known] = False
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))


def _gram_hashes(folded: str) -> NDArray[np.uint64]:
    """Sorted distinct 64-bit hashes of the pieces; a text shorter than one piece is one piece."""
    points = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if len(points) < GRAM:
        points = np.concatenate((points, np.zeros(GRAM - len(points), np.uint64)))
    count = len(points) - GRAM + 1
    mixed = np.zeros(count, np.uint64)
    for offset in range(GRAM):
        mixed += points[offset : offset + count] * _WEIGHTS[offset]  # wraps modulo 2**64, as it should
    mixed ^= mixed >> np.uint64(31)
    mixed *= _MIX
    mixed ^= mixed >> np.uint64(29)
    return np.unique(mixed)[:MOST_GRAMS]


class DuplicateIndex:
    """Which examples of a pool must not be shown beside a given example, because they would give its answer away.

    Args:
        pool: Examples that few-shot or example retrieval draw from.
        threshold: Least Jaccard similarity of the questions, in (0, 1].
    """

    def __init__(self, pool: Sequence[Example], *, threshold: float = 0.8) -> None:
        self._ids = [example.id for example in pool]
        self._pool = frozenset(self._ids)
        self._near = NearIndex([question_text(example) for example in pool], threshold=threshold)
        self._groups: dict[str, set[str]] = defaultdict(set)
        self._group_of = {example.id: example.group for example in pool}
        for example in pool:
            if example.group:
                self._groups[example.group].add(example.id)

    def alike(self, example: Example) -> frozenset[str]:
        """Ids in the pool of the example itself, of its group, and of its exact and near duplicates with their groups."""
        near = {self._ids[at] for at, _ in self._near.alike(question_text(example))}
        groups = {self._group_of[id] for id in near} | {example.group}
        grouped = {id for group in groups if group for id in self._groups.get(group, ())}
        return frozenset(near | grouped | ({example.id} & self._pool))
