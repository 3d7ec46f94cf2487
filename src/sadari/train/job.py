"""What is trained, and by which plan; and what tells it apart from any other training."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import nn

from sadari.errors import TrainingError
from sadari.train.batching import Item, steps_of
from sadari.train.config import TuneConfig
from sadari.train.learner import CrossEntropy, Learner, Objective

SETTINGS = {"batch_tokens", "schedule", "warmup_share", "weight_decay", "max_grad_norm", "looks"}
"""Of the config, what decides which way a run takes."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, on what, and where its checkpoints go.

    Args:
        learner: The model, and how its rows are run.
        parameters: What is fitted, by name.
        items: Rows that are learnt from together, one or two each.
        workdir: Takes checkpoints, `train.jsonl`, and what trackers write.
        objective: What is made small.
        price_per_hour: Of this machine, for the money in the progress.
    """

    learner: Learner
    parameters: Mapping[str, nn.Parameter]
    items: Sequence[Item]
    config: TuneConfig
    workdir: Path
    seed: int
    objective: Objective = field(default_factory=CrossEntropy)
    price_per_hour: float | None = None
    tell: Callable[[str], None] = field(default=lambda line: None)

    def steps(self) -> list[list[Item]]:
        """The items of every step of all epochs.

        Raises:
            TrainingError: If there are no items.
        """
        if not self.items:
            raise TrainingError("there are no rows to learn from. Give at least one.")
        drawn = steps_of(self.items, self.config.batch_tokens, self.config.epochs, self.seed)
        return [[self.items[i] for i in step] for step in drawn]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do, fixed before its first step and written down, so that a resumed run does the same."""

    steps: int
    learning_rate: float
    epochs: float
    cut_by: str


def tokens_of(items: Sequence[Item]) -> int:
    """Tokens of the rows, each in full: what is learnt and what it is learnt from."""
    return sum(len(row.ids) for item in items for row in item)


def identity_of(job: Job, plan: Plan) -> dict[str, Any]:
    """All that decides which way a run takes, as JSON values: a checkpoint of another is refused."""
    return {
        "plan": {"steps": plan.steps, "learning_rate": plan.learning_rate, "epochs": plan.epochs},
        "seed": job.seed,
        "precision": job.learner.precision,
        "objective": _in_words(job.objective),
        "settings": job.config.model_dump(mode="json", include=SETTINGS),
        "rows": {"count": len(job.items), "content": _digest(job.items)},
        "parameters": {n: f"{p.dtype} {list(p.shape)}".removeprefix("torch.") for n, p in job.parameters.items()},
    }


def _in_words(objective: Objective) -> str:
    """Its kind and its numbers; what else it holds may print differently in another process."""
    names = [f.name for f in fields(objective)] if is_dataclass(objective) else list(getattr(objective, "__dict__", ()))
    values = {name.lstrip("_"): getattr(objective, name) for name in names}
    told = [f"{name}={value}" for name, value in values.items() if isinstance(value, (bool, int, float, str))]
    return f"{type(objective).__name__}({', '.join(told)})"


def _digest(items: Iterable[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        for row in item:
            digest.update(repr((row.ids, row.weights, row.among, row.soft)).encode())
        digest.update(b"|")
    return digest.hexdigest()[:16]
