"""Make the bundled embedder: `python -m sadari.retrieve.embed.train` reads the corpus and writes `weights/`.

Nothing is labelled: what belongs together is read off the texts. A sentence and the rest of its passage, a heading and its section,
two passages of one page, a paragraph and its translation; and across the languages, the translation of a sentence and the passage
that it was taken from. One CPU thread, minutes.
"""

import argparse
import gzip
import json
import math
import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from sadari.retrieve.embed.contrast import Contrast, Ids, Pair, train_table
from sadari.retrieve.embed.static import StaticEmbedder, pieces_of, quantised, row_ids
from sadari.text.sentences import sentence_spans

NAMED, SHARED, DIMENSIONS = 14_336, 2_048, 256
"""Rows of named pieces, rows shared by hash, and their width: 4.2 MB in 8 bits."""

REVIEWS_KEPT = 0.1
"""Of the film reviews, which would outweigh all prose."""

SHARES = {"translation": 0.3, "across": 0.2, "sentence": 0.3, "heading": 0.12, "neighbour": 0.08}
"""How often a batch is of each kind."""

MOST_PAIRS = 40_000
"""Of one kind, drawn at random."""

COUNTED = 5
"""One text of so many is counted to choose which pieces are named; odd, since questions and passages alternate."""

PASSAGE_CHARS = 350
SMOOTHING = 1e-3
"""Of the starting weight of a piece, a / (a + its share of texts): Arora et al. (2017), openreview SyK00v5xx."""


def main() -> None:
    """Train, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path(os.environ.get("SADARI_CORPUS", "../shared/corpus")))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--temperature", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, default=Path(__file__).parent / "weights")
    options = parser.parse_args()
    started = time.perf_counter()
    kinds = corpus_pairs(options.corpus, Random(options.seed))
    print({name: len(pairs) for name, pairs in kinds.items()}, f"{time.perf_counter() - started:.0f} s", flush=True)
    texts = [text for pairs in kinds.values() for pair in pairs for text in pair]
    vocabulary, table = starting_table(texts[::COUNTED], options.seed)
    encoded = {name: [ids for pair in pairs if all(map(len, ids := _encoded(pair, vocabulary)))] for name, pairs in kinds.items()}
    print(f"{len(vocabulary)} named pieces, {time.perf_counter() - started:.0f} s", flush=True)
    losses: list[float] = []

    def tell(step: int, loss: float) -> None:
        losses.append(loss)
        if (step + 1) % 250 == 0:
            print(f"step {step + 1}: loss {np.mean(losses[-250:]):.3f}, {time.perf_counter() - started:.0f} s", flush=True)

    contrast = Contrast(options.steps, options.batch, options.learning_rate, options.temperature)
    trained = train_table(table, batches(encoded, options.batch, Random(options.seed)), contrast, seed=options.seed, tell=tell)
    rows, scales = quantised(trained)
    StaticEmbedder("bundled", vocabulary, rows, scales).save(options.weights)


def corpus_pairs(corpus: Path, rng: Random) -> dict[str, list[Pair]]:
    """Pairs of texts that belong together, by kind."""
    translations = [(r["text_ko"], r["text_en"]) for r in _records(corpus / "pairs.ko-en.jsonl.gz")]
    english_of = {ko: en for ko, en in translations}
    kinds: dict[str, list[Pair]] = {name: [] for name in SHARES}
    kinds["translation"] = translations
    for language in ("ko", "en"):
        for record in _records(corpus / f"corpus.{language}.jsonl.gz"):
            if "nsmc" in record["source"] and rng.random() > REVIEWS_KEPT:
                continue
            previous = ""
            for heading, passage in sections(record["text"]):
                if heading:
                    kinds["heading"].append((heading, passage))
                    if heading in english_of:
                        kinds["across"].append((english_of[heading], passage))
                kinds["sentence"] += _taken_out(passage, rng)
                kinds["across"] += [
                    (english_of[line], _without(passage, line)) for line in passage.split("\n") if line in english_of
                ]
                if previous:
                    kinds["neighbour"].append((previous, passage))
                previous = passage
    kinds = {name: [pair for pair in pairs if all(len(text) > 3 for text in pair)] for name, pairs in kinds.items()}
    return {name: rng.sample(pairs, min(MOST_PAIRS, len(pairs))) for name, pairs in kinds.items()}


def sections(text: str) -> Iterator[tuple[str, str]]:
    """Heading and passage, of at most about `PASSAGE_CHARS` characters; "" where a passage is not the first under its heading."""
    for section in re.split(r"^#{1,6} ", text, flags=re.MULTILINE):
        heading, _, body = section.partition("\n")
        passage = ""
        for line in body.split("\n"):
            if passage and len(passage) + len(line) > PASSAGE_CHARS:
                yield heading, passage[: 2 * PASSAGE_CHARS]
                heading, passage = "", ""
            passage += line + "\n"
        if passage.strip():
            yield heading, passage[: 2 * PASSAGE_CHARS]


def starting_table(texts: Sequence[str], seed: int) -> tuple[dict[str, int], NDArray[np.float32]]:
    """The pieces that are named, and random vectors, as long as the piece is telling: texts that share pieces are alike at once."""
    counts = Counter(piece for text in texts for piece in pieces_of(text))
    named = {piece: i for i, (piece, _) in enumerate(counts.most_common(NAMED))}
    shares = np.array([counts[piece] for piece in named]) / len(texts)
    weights = np.concatenate([SMOOTHING / (SMOOTHING + shares), np.full(SHARED, 0.9)])
    directions = np.random.default_rng(seed).standard_normal((NAMED + SHARED, DIMENSIONS)) / math.sqrt(DIMENSIONS)
    return named, (directions[: len(weights)] * weights[:, None]).astype(np.float32)


def batches(kinds: dict[str, list[tuple[Ids, Ids]]], size: int, rng: Random) -> Iterator[list[tuple[Ids, Ids]]]:
    """Batches of one kind each: pairs of one kind are the harder to tell apart."""
    names = [name for name in SHARES if kinds[name]]
    weights = [SHARES[name] for name in names]
    while True:
        pairs = kinds[rng.choices(names, weights)[0]]
        yield [pairs[rng.randrange(len(pairs))] for _ in range(size)]


def _taken_out(passage: str, rng: Random) -> Iterator[Pair]:
    """A sentence of the passage and the rest of it; one time in five the whole, so that shared words go on counting.

    Source:
        The inverse cloze task: Lee et al. (2019), arXiv 1906.00300.
    """
    spans = [(a, b) for a, b in sentence_spans(passage) if b - a > 10]
    if len(spans) < 2:
        return
    start, end = rng.choice(spans)
    rest = passage if rng.random() < 0.2 else passage[:start] + passage[end:]
    yield passage[start:end], rest


def _without(passage: str, line: str) -> str:
    rest = passage.replace(line, "", 1)
    return rest if len(rest.strip()) > 40 else passage


def _encoded(pair: Pair, vocabulary: dict[str, int]) -> tuple[Ids, Ids]:
    left, right = (np.array(row_ids(pieces_of(text), vocabulary, NAMED + SHARED), dtype=np.int64) for text in pair)
    return left, right


def _records(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if "BY-SA" not in record["license"]:  # share-alike could bind the weights
                yield {name: unicodedata.normalize("NFC", value) for name, value in record.items()}


if __name__ == "__main__":
    main()
