"""sadari, by the very code that `sadari tune` trains with."""

import time
from collections.abc import Sequence
from typing import Any

from recipe import Recipe, Timed

from sadari.train.rows import Row

BETAS = (0.9, 0.999)
"""Of AdamW, as `transformers` sets them; the product's own are not compared here."""


def sadari_steps(model: Any, batches: Sequence[Sequence[Row]], recipe: Recipe) -> Timed:
    """Train, one optimiser step per batch."""
    import torch
    from transformers import get_scheduler

    from sadari.train.learner import Learner

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, betas=BETAS, weight_decay=0.0)
    schedule = get_scheduler(recipe.schedule, optimizer, recipe.warmup_steps, len(batches))
    learner = Learner(model)
    model.train()
    seconds: list[float] = []
    losses: list[float] = []
    for batch in batches:
        started = time.perf_counter()
        losses.append(learner.step([(row,) for row in batch]))
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - started)
        if recipe.is_spent(sum(seconds)):
            break
    return Timed(tuple(seconds), tuple(losses))
