"""From examples to token rows and from rows to batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sadari.answer import Answerer
from sadari.errors import TrainingError
from sadari.model.chat import render_training
from sadari.types import Example


@dataclass(frozen=True, slots=True)
class Row:
    """One training row: token ids and, for each, its weight in the loss (of predicting it), in [0, 1]."""

    id: str
    ids: tuple[int, ...]
    weights: tuple[float, ...]


def render_rows(
    examples: Sequence[Example], answerer: Answerer, tokenizer: Any, context: int, max_cut_share: float
) -> tuple[list[Row], int]:
    """Rows rendered exactly as the system will be asked, with the answer to learn at the end.

    Args:
        answerer: Composes the prompts (retrieved passages included); the row itself and its near-duplicates are never shown.
        context: Longest row in tokens; longer ones are left out and counted.

    Returns:
        The rows in the order of `examples`, and how many were left out.

    Raises:
        TrainingError: If more than `max_cut_share` of the rows do not fit, or none is left.
    """
    rows, cut = [], 0
    for example in examples:
        target = example.target
        prompt = answerer.prepare(example, training=True).request
        answer = replace(target, weight=1.0 if target.weight is None else target.weight)
        rendered = render_training(tokenizer, (*prompt.messages, answer), prompt.tools, row=f"training row {example.id}")
        if len(rendered.ids) > context:
            cut += 1
            continue
        rows.append(Row(example.id, tuple(rendered.ids), tuple(rendered.weights)))
    if not rows or cut > max_cut_share * len(examples):
        raise TrainingError(
            f"{cut} of {len(examples)} training rows are longer than the context of {context} tokens. "
            "Retrieve fewer or shorter passages, shorten the rows, or raise `max_cut_share` to train without them."
        )
    return rows, cut


def batches_of(rows: Sequence[Row], batch_tokens: int, epochs: float, seed: int) -> list[list[int]]:
    """Row positions of every step of a run, in order.

    Rows of like length go together, so that little is padding; the order is drawn anew, from `seed`, for each epoch.
    """
    batches: list[list[int]] = []
    rng = np.random.default_rng(seed)
    for epoch in range(int(np.ceil(epochs))):
        order = rng.permutation(len(rows))
        drawn = []
        # Sorting inside pools of 256 rows keeps the batches random while lengths stay alike.
        for start in range(0, len(order), 256):
            pool = sorted((int(i) for i in order[start : start + 256]), key=lambda i: len(rows[i].ids))
            batch: list[int] = []
            for i in pool:
                if batch and (len(batch) + 1) * len(rows[i].ids) > batch_tokens:
                    drawn.append(batch)
                    batch = []
                batch.append(i)
            if batch:
                drawn.append(batch)
        drawn = [drawn[int(j)] for j in rng.permutation(len(drawn))]
        share = min(1.0, epochs - epoch)
        batches.extend(drawn[: max(1, round(share * len(drawn)))])
    return batches
