"""Cross-entropy over the tokens that count, and over no others."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sadari.train.rows import Row


def weighted_loss(model: Any, rows: Sequence[Row], pad_id: int) -> Tensor:
    """Mean cross-entropy in nats per unit of weight over a batch.

    A token with an `among` is predicted among those ids alone, as it will be when it is served.

    Only hidden states that predict a weighted token meet the output layer: with a small model and a large vocabulary that layer
    is a large share of the work, and most of a prompt is not trained on.

    Args:
        model: A `transformers` causal language model (with or without PEFT layers put into it).
        rows: Rows with at least one positive weight among them.
        pad_id: Fills short rows on the right; padded places are masked and weigh nothing.

    Returns:
        Scalar float32. Equals the `loss` of `transformers` with `labels=-100` where the weight is 0, if all others are 1.
    """
    width = max(len(r.ids) for r in rows)
    ids = torch.tensor([r.ids + (pad_id,) * (width - len(r.ids)) for r in rows])
    mask = torch.tensor([[1] * len(r.ids) + [0] * (width - len(r.ids)) for r in rows])
    weights = torch.tensor([r.weights + (0.0,) * (width - len(r.ids)) for r in rows])[:, 1:]
    device = model.device
    hidden = model.get_decoder()(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).last_hidden_state
    counted = (weights > 0).to(device)
    logits = _project(model, hidden[:, :-1][counted])
    forbidden = _forbidden(rows, logits.shape[1])
    if forbidden is not None:
        logits = logits.masked_fill(forbidden.to(device), float("-inf"))
    losses = F.cross_entropy(logits, ids[:, 1:].to(device)[counted], reduction="none")
    kept = weights.to(device)[counted]
    return (losses * kept).sum() / kept.sum()


def _forbidden(rows: Sequence[Row], vocabulary: int) -> Tensor | None:
    """Ids that each weighted token was not chosen among, shape (weighted tokens, V); None if all were free."""
    among = [
        ids
        for row in rows
        for weight, ids in zip(row.weights[1:], row.among[1:] or ((),) * (len(row.ids) - 1), strict=True)
        if weight > 0
    ]
    if not any(among):
        return None
    forbidden = torch.zeros(len(among), vocabulary, dtype=torch.bool)
    for at, ids in enumerate(among):
        if ids:
            forbidden[at] = True
            forbidden[at, list(ids)] = False
    return forbidden


def _project(model: Any, hidden: Tensor) -> Tensor:
    logits: Tensor = model.get_output_embeddings()(hidden).float()
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits if not cap else cap * torch.tanh(logits / cap)
