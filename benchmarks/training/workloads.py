"""Four kinds of training rows, as seeded random tokens: speed depends on lengths and on what is shared, not on the words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sadari.train.rows import Row

Tokens = tuple[int, ...]

FIRST_ID = 8
"""Ids below stand for padding and marks, and are never drawn."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens of the rows of one step.

    Args:
        total: Prompt and answer tokens, each row counted in full.
        supervised: Those of them in the loss.
        distinct: Tokens left once every beginning that rows share is counted once.
        predicting: Of those, the ones from which a supervised token is predicted.
        depth: Mean position of the distinct tokens in their rows.
    """

    total: int
    supervised: int
    distinct: int
    predicting: int
    depth: float

    @property
    def ideal(self) -> float:
        """How many times fewer tokens are left after sharing."""
        return self.total / self.distinct


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of rows, in the order in which they would be logged."""

    name: str
    told: str
    draw: Callable[[np.random.Generator, int, int], list[Row]]  # (generator, rows, vocabulary)


def rows_of(workload: Workload, count: int, vocabulary: int, seed: int) -> list[Row]:
    """The first `count` rows; the same for every tool, and a prefix of those of a larger `count`."""
    return workload.draw(np.random.default_rng(seed), count, vocabulary)


def count_tokens(rows: Sequence[Row]) -> Counts:
    """What a step over these rows holds, before and after sharing."""
    total = distinct = depths = 0
    predicting = set()
    before: Tokens = ()
    for row in sorted(rows, key=lambda row: row.ids):
        shared = _common(before, row.ids)
        total += len(row.ids)
        distinct += len(row.ids) - shared
        depths += sum(range(shared, len(row.ids)))
        predicting |= {row.ids[:at] for at in range(1, len(row.ids)) if row.weights[at] > 0}
        before = row.ids
    supervised = sum(weight > 0 for row in rows for weight in row.weights[1:])
    return Counts(total, supervised, distinct, len(predicting), depths / distinct)


def _common(a: Tokens, b: Tokens) -> int:
    for at, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return at
    return min(len(a), len(b))


def _tools(rng: np.random.Generator, count: int, vocabulary: int) -> list[Row]:
    system = _tokens(rng, 600, vocabulary)
    return [_row(n, system + _tokens(rng, 60, vocabulary), _tokens(rng, 40, vocabulary)) for n in range(count)]


def _short(rng: np.random.Generator, count: int, vocabulary: int) -> list[Row]:
    return [_row(n, *(_tokens(rng, int(rng.integers(20, 81)), vocabulary) for _ in range(2))) for n in range(count)]


def _passages(rng: np.random.Generator, count: int, vocabulary: int) -> list[Row]:
    system = _tokens(rng, 200, vocabulary)
    return [_row(n, system + _tokens(rng, 540, vocabulary), _tokens(rng, 60, vocabulary)) for n in range(count)]


def _turns(rng: np.random.Generator, count: int, vocabulary: int) -> list[Row]:
    system = _tokens(rng, 100, vocabulary)
    rows: list[Row] = []
    while len(rows) < count:
        said = system
        for _ in range(6):
            asked, answer = (_tokens(rng, int(rng.integers(*span)), vocabulary) for span in ((20, 61), (40, 121)))
            rows.append(_row(len(rows), said + asked, answer))
            said += asked + answer
    return rows[:count]


def _tokens(rng: np.random.Generator, count: int, vocabulary: int) -> Tokens:
    return tuple(rng.integers(FIRST_ID, vocabulary, size=count).tolist())


def _row(number: int, prompt: Tokens, answer: Tokens) -> Row:
    return Row(f"row {number}", prompt + answer, (0.0,) * len(prompt) + (1.0,) * len(answer))


WORKLOADS = {
    "a": Workload("tool", "tool tuning: 600 shared + 60 asked + 40 answered", _tools),
    "b": Workload("short", "short chats, nothing shared: 20-80 asked + 20-80 answered", _short),
    "c": Workload("rag", "RAG rows: 200 shared + 540 passages and question + 60 answered", _passages),
    "d": Workload("turns", "6 turns, a row per turn: 100 shared, each turn 20-60 asked + 40-120 answered", _turns),
}
