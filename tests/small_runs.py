"""Runs of a tiny random model, some of them in a process of their own that is killed."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from one_by_one import VOCABULARY, tiny
from sadari.train import Learner, Row, TuneConfig
from sadari.train.learner import CrossEntropy
from sadari.train.loop import Job, Plan, fit
from sadari.types import Curve

PLAN = Plan(steps=12, learning_rate=3e-3, epochs=1.0, cut_by="epochs")


def rows(count: int = 24, seed: int = 0) -> list[Row]:
    """Rows of 16 to 20 tokens, which share their first four and no more; all but the first eight tokens are learnt."""
    draw = torch.Generator().manual_seed(seed)
    found = []
    for i in range(count):
        ids = [7, 8, 9, 10, 20 + i, *torch.randint(5, VOCABULARY, (11 + i % 5,), generator=draw).tolist()]
        found.append(Row(f"row {i}", tuple(ids), (0.0,) * 8 + (1.0,) * (len(ids) - 8)))
    return found


def make_job(workdir: Path, family: str = "llama", **options: Any) -> Job:
    """A job over those rows that trains all of a model whose first weights are always the same."""
    config = TuneConfig(**{"batch_tokens": 64, **options})
    model = tiny(family)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    learner = Learner(model, config.packed_tokens)
    return Job(learner, dict(model.named_parameters()), [(row,) for row in rows()], config, workdir, seed=3)


def parameters(job: Job) -> dict[str, torch.Tensor]:
    """What the parameters are now."""
    return {name: p.detach().clone() for name, p in job.parameters.items()}


def look_by(*scores: float) -> Callable[[], tuple[float, float]]:
    """Validation that gives these scores in turn."""
    left = list(scores)
    return lambda: (left.pop(0), 1.0)


def look_at(job: Job) -> Callable[[], tuple[float, float]]:
    """Validation on the first rows themselves."""

    def look() -> tuple[float, float]:
        loss = job.learner.mean_loss(job.items[:4])
        return -loss, loss

    return look


@dataclass(frozen=True)
class Slow:
    """Cross-entropy that takes its time, so that there are many moments to be killed at."""

    pause_s: float

    def weight(self, items: Any) -> float:
        return CrossEntropy().weight(items)

    def summed(self, learner: Learner, items: Any) -> torch.Tensor:
        time.sleep(self.pause_s / 2)
        loss = CrossEntropy().summed(learner, items)
        time.sleep(self.pause_s / 2)
        return loss


def fit_and_be_killed(make: Callable[[], Job], plan: Plan, after_s: float) -> bool:
    """Train in a process of its own, which is killed so long after its first step; returns whether it was still at work."""
    journal = make().workdir / "train.jsonl"
    lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
    child = os.fork()
    if not child:
        try:
            job = make()
            fit(job, plan, look_at(job))
        finally:
            os._exit(0)
    status: int | None = None
    while status is None and not (journal.exists() and journal.read_bytes().count(b"\n") > lines):
        ended, found = os.waitpid(child, os.WNOHANG)
        status = found if ended else None
        time.sleep(0.001)
    if status is None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def bits(curves: tuple[Curve, ...]) -> list[list[tuple[int, str]]]:
    """Curves to the last bit."""
    return [[(step, float(value).hex()) for step, value in curve.points] for curve in curves]
