"""The prompts: what they share and what they do not, as token ids, the same for every tool."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from asked import Asked, Tokens

Source = Callable[[np.random.Generator, int], Tokens]
"""From a generator to so many tokens: a passage of text, or random ids."""

Span = tuple[int, int]
"""Fewest and most."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of prompts, in tokens."""

    name: str
    told: str
    shared: int
    unique: Span
    output: Span


WORKLOADS = {
    "a": Workload("shared", "evaluation: 800 shared + 30 asked, 40 answered", 800, (30, 30), (40, 40)),
    "b": Workload("rag", "RAG: 150 shared + 700 passages and question, 40 answered", 150, (700, 700), (40, 40)),
    "c": Workload("chat", "users at their own times: 200 shared + 20-120 asked, 20-80 answered", 200, (20, 120), (20, 80)),
    "d": Workload("decode", "writing alone: 32 asked, 48 answered", 0, (32, 32), (48, 48)),
}


def asked_of(workload: Workload, count: int, source: Source, seed: int) -> list[Asked]:
    """The first `count` requests, all there at the start; a prefix of those of a larger `count`."""
    rng = np.random.default_rng(seed)
    shared = source(rng, workload.shared)
    return [Asked(shared + source(rng, _between(rng, workload.unique)), _between(rng, workload.output)) for _ in range(count)]


def arriving(asked: list[Asked], rate: float, seed: int) -> list[Asked]:
    """The same requests, coming by a Poisson process of `rate` a second, whether earlier ones are answered or not."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, len(asked))
    return [replace(one, at_s=float(at)) for one, at in zip(asked, np.cumsum(gaps), strict=True)]


def random_source(vocabulary: int, first: int = 16) -> Source:
    """Random ids; those below `first` are marks."""
    return lambda rng, count: tuple(rng.integers(first, vocabulary, size=count).tolist())


def text_source(tokens: Tokens) -> Source:
    """Passages of a text, from places drawn at random."""

    def passage(rng: np.random.Generator, count: int) -> Tokens:
        start = int(rng.integers(0, len(tokens) - count + 1))
        return tokens[start : start + count]

    return passage


def _between(rng: np.random.Generator, span: Span) -> int:
    return int(rng.integers(span[0], span[1] + 1))
