"""Train a static embedder so that texts which belong together lie together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from numpy.typing import NDArray

from sadari.errors import TrainingError
from sadari.retrieve.embed.static import StaticEmbedder, load_bundled, quantised

Ids = NDArray[np.int64]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Contrast:
    """How it is trained.

    Args:
        temperature: Of the cosines; lower looks at the hardest negatives only.
        pieces_dropped: Share of the pieces of a text left out at each step, so that no single one is relied on.
    """

    steps: int = 300
    batch: int = 128
    learning_rate: float = 2e-3
    temperature: float = 0.05
    pieces_dropped: float = 0.1


LEAST_PAIRS = 16
"""Fewer pairs teach nothing that holds for other questions."""


def train_embedder(
    pairs: Sequence[Pair], start: StaticEmbedder | None = None, contrast: Contrast = Contrast(), *, seed: int = 0
) -> StaticEmbedder:
    """An embedder that knows a task's own questions and passages, started from the bundled one.

    Args:
        pairs: (question, passage that answers it). The other passages of a batch serve as wrong ones, so a passage may stand in
            several pairs, but no wrong one should be.

    Raises:
        TrainingError: If there are too few pairs.
    """
    if len(pairs) < LEAST_PAIRS:
        raise TrainingError(
            f"{len(pairs)} pairs of question and passage are too few to train an embedder. Give {LEAST_PAIRS} or more."
        )
    start = start or load_bundled()
    table = start.rows.astype(np.float32) * start.scales[:, None]
    rng = Random(seed)
    encoded = [(np.array(start.ids_of(a)), np.array(start.ids_of(b))) for a, b in pairs]
    encoded = [(a, b) for a, b in encoded if len(a) and len(b)]

    def batches() -> Iterator[list[tuple[Ids, Ids]]]:
        while True:
            yield rng.sample(encoded, min(contrast.batch, len(encoded)))

    trained = train_table(table, batches(), contrast, seed=seed)
    rows, scales = quantised(trained)
    return replace(start, name="trained", rows=rows, scales=scales)


def train_table(
    table: NDArray[np.float32],
    batches: Iterator[Sequence[tuple[Ids, Ids]]],
    contrast: Contrast,
    *,
    seed: int = 0,
    tell: Callable[[int, float], None] = lambda step, loss: None,
) -> NDArray[np.float32]:
    """The table after `contrast.steps` batches of pairs, each given as the rows of its two texts.

    Source:
        In-batch negatives in both directions (InfoNCE): van den Oord et al. (2018), arXiv 1807.03748; for retrieval
        Karpukhin et al. (2020), arXiv 2004.04906.
    """
    import torch
    import torch.nn.functional as F

    rng = np.random.default_rng(seed)
    weight = torch.tensor(table, requires_grad=True)
    optimiser = torch.optim.Adam([weight], lr=contrast.learning_rate, betas=(0.9, 0.99), fused=True)

    def vectors(texts: Sequence[Ids]) -> torch.Tensor:
        kept = [t[rng.random(len(t)) >= contrast.pieces_dropped] for t in texts]
        kept = [k if len(k) else t for k, t in zip(kept, texts, strict=True)]
        offsets = np.cumsum([0] + [len(k) for k in kept[:-1]])
        summed = F.embedding_bag(torch.from_numpy(np.concatenate(kept)), weight, torch.from_numpy(offsets), mode="sum")
        return F.normalize(summed, dim=-1)

    for step in range(contrast.steps):
        for group in optimiser.param_groups:
            group["lr"] = contrast.learning_rate * min(1.0, (step + 1) / 50) * (1 - step / contrast.steps)
        batch = next(batches)
        left, right = vectors([a for a, _ in batch]), vectors([b for _, b in batch])
        logits = left @ right.T / contrast.temperature
        # The same passage in two pairs is right for both.
        same = torch.tensor(_repeats([b.tobytes() for _, b in batch]))
        logits = logits.masked_fill(same, -1e4)
        labels = torch.arange(len(batch))
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        tell(step, float(loss.detach()))
    if not torch.isfinite(weight).all():
        raise TrainingError("the embedder's training diverged. Lower its learning rate.")
    return np.asarray(weight.detach().numpy(), dtype=np.float32)


def _repeats(keys: Sequence[bytes]) -> NDArray[np.bool_]:
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    of = np.array([numbers[key] for key in keys])
    same: NDArray[np.bool_] = np.equal.outer(of, of)
    np.fill_diagonal(same, False)
    return same
