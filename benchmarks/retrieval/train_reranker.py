"""Train the reranker that comes with sadari: `python benchmarks/retrieval/train_reranker.py`.

Learns from the training questions of ko-wiki-qa and nothing else, prints what five-fold cross-validation by article says of it, and
writes `src/sadari/retrieve/embed/weights/reranker.json`.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from zlib import crc32

from collected import DATA, wiki

import sadari
from sadari.retrieve.rerank import Judged, LearnedReranker, train_reranker
from sadari.retrieve.search import Searcher
from sadari.retrieve.store import MemoryStore

FOLDS = 5
WEIGHTS = Path(sadari.__file__).parent / "retrieve" / "embed" / "weights"


def main() -> None:
    """Train, say how good it is, and write the weights."""
    collected = wiki(DATA / "ko-wiki-qa", "train")
    store = MemoryStore()
    store.put(collected.chunks)
    store.commit({})
    searcher, title_of = Searcher(store), {chunk.document: chunk.title for chunk in collected.chunks}
    folds: list[list[Judged]] = [[] for _ in range(FOLDS)]
    for asked in collected.questions:
        right = asked.right
        judged = searcher.judged([(asked.text, lambda chunk, right=right: chunk.document in right)])
        folds[crc32(title_of[min(right)].encode()) % FOLDS] += judged
    ranks: list[int] = []
    for i, held_out in enumerate(folds):
        others = [row for j, fold in enumerate(folds) if j != i for row in fold]
        ranks += ranks_of_right(train_reranker(others), held_out)
    missed = len(collected.questions) - len(ranks)
    for k in (1, 5):
        print(f"recall@{k} {sum(rank <= k for rank in ranks) / (len(ranks) + missed):.3f}", end=", ")
    print(f"MRR {fmean([*(1 / rank for rank in ranks), *[0.0] * missed]):.3f}, {len(ranks) + missed} questions")
    train_reranker([row for fold in folds for row in fold]).save(WEIGHTS)


def ranks_of_right(reranker: LearnedReranker, rows: Sequence[Judged]) -> list[int]:
    """The rank of the right chunk of each question."""
    found = []
    for row in rows:
        scores = reranker.scores(row.query, row.candidates)
        right = max(score for score, is_right in zip(scores, row.right, strict=True) if is_right)
        found.append(1 + int((scores > right).sum()))
    return found


if __name__ == "__main__":
    main()
