"""Seeded texts and vectors that strain an index as Korean documents do.

Words are drawn by Zipf's law from a vocabulary of random two- to four-syllable words, and carry particles, so that bigrams are as
uneven as in real text. Vectors lie around as many centres as a collection has topics; of vectors without any structure the nearest
is hardly nearer than the rest, which no embedder gives.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sadari.types import Chunk

SYLLABLES = [chr(code) for code in range(0xAC00, 0xD7A4, 12)]
PARTICLES = ["은", "는", "이", "가", "을", "를", "에", "에서", "으로", "도", "의", "", "", "합니다", "했다", "하는"]
WORDS, WORDS_A_CHUNK, TOPICS, PER_DOCUMENT = 50_000, 60, 2_000, 5
NOISE = 0.7
"""Length of what sets a vector apart from its topic, whose length is 1."""

LABELS = ("", "", "", "hr", "it")


@dataclass(frozen=True, slots=True)
class Made:
    """A seeded collection; the same block is the same whenever it is made."""

    dimensions: int
    seed: int = 0

    def blocks(self, chunks: int, block: int) -> Iterator[tuple[list[Chunk], NDArray[np.float32]]]:
        """The collection, `block` chunks at a time."""
        words = self._words()
        for start in range(0, chunks, block):
            size = min(block, chunks - start)
            yield list(self._chunks(words, start, size)), self._vectors(start, size)

    def questions(self, count: int, chunks: int) -> tuple[list[str], NDArray[np.float32]]:
        """Six words each, and vectors near to some of the collection."""
        words = self._words()
        drawn = np.random.default_rng([self.seed, 2])
        texts = [" ".join(words[i] + PARTICLES[i % len(PARTICLES)] for i in _zipf(drawn, 6)) for _ in range(count)]
        return texts, self._around(drawn.integers(TOPICS, size=count), drawn)

    def _words(self) -> list[str]:
        drawn = np.random.default_rng([self.seed, 1])
        ranks = _skewed(drawn, WORDS * 4, len(SYLLABLES)).reshape(WORDS, 4)
        return ["".join(SYLLABLES[s] for s in row[: 2 + i % 3]) for i, row in enumerate(ranks)]

    def _chunks(self, words: list[str], start: int, size: int) -> Iterator[Chunk]:
        drawn = np.random.default_rng([self.seed, 3, start])
        for i, row in enumerate(_zipf(drawn, size * WORDS_A_CHUNK).reshape(size, WORDS_A_CHUNK), start):
            endings = drawn.integers(len(PARTICLES), size=WORDS_A_CHUNK)
            text = " ".join(words[w] + PARTICLES[e] for w, e in zip(row, endings, strict=True))
            label = LABELS[(i // PER_DOCUMENT) % len(LABELS)]
            yield Chunk(
                f"d{i // PER_DOCUMENT}.md",
                words[row[0]],
                0,
                len(text),
                text,
                access=(label,) if label else (),
                metadata={"part": str((i // PER_DOCUMENT) % 7)},
            )

    def _vectors(self, start: int, size: int) -> NDArray[np.float32]:
        drawn = np.random.default_rng([self.seed, 4, start])
        return self._around(drawn.integers(TOPICS, size=size), drawn)

    def _around(self, topics: NDArray[np.int64], drawn: np.random.Generator) -> NDArray[np.float32]:
        centres = _unit(np.random.default_rng([self.seed, 5]).normal(size=(TOPICS, self.dimensions)))
        return _unit(centres[topics] + NOISE * _unit(drawn.normal(size=(len(topics), self.dimensions))))


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _zipf(drawn: np.random.Generator, count: int) -> NDArray[np.int64]:
    return _skewed(drawn, count, WORDS)


def _skewed(drawn: np.random.Generator, count: int, of: int) -> NDArray[np.int64]:
    """Ranks of which the n-th is drawn about as often as 1 / n."""
    return np.minimum(np.exp(drawn.random(count) * np.log(of)), of).astype(np.int64) - 1
