"""The training loop, one for all methods: planned in steps, watched, and continued after a crash as if nothing had happened."""

import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from sadari.errors import TrainingError
from sadari.train.batching import Item
from sadari.train.checkpoints import ScoredLook, best_look
from sadari.train.execution import execution_of
from sadari.train.job import Job, Plan, tokens_of
from sadari.train.journal import Journal
from sadari.train.learner import Counted
from sadari.train.parallel import full
from sadari.train.progress import Progress
from sadari.train.randomness import seeded
from sadari.train.schedule import learning_rate_at
from sadari.train.state import State
from sadari.train.trackers import open_trackers
from sadari.types import Curve

__all__ = ["Job", "Look", "Plan", "Trained", "fit", "make_plan"]

Look = Callable[[], tuple[float, float]]
"""Validation at one moment: (the task's score, higher is better; loss in nats)."""

Running = Callable[[], AbstractContextManager[None]]

CHECKPOINT_EVERY_S = 30.0

MOST_ROWS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run did: its curves, its best look, and what it computed.

    Args:
        tokens_before: Tokens of all rows that were run, each in full.
        tokens_computed: Those left after sharing.
        seconds: With looks and checkpoints, and with those of a process that was killed.
    """

    curves: tuple[Curve, ...]
    best_step: int
    best_score: float
    tokens_before: int
    tokens_computed: int
    seconds: float = field(compare=False)


# --- the plan ----------------------------------------------------------------------------------------------------------


def make_plan(job: Job, learning_rate: float, time_s: float | None) -> Plan:
    """Turn epochs, `max_steps` and a time budget into steps; the time is measured on three steps that are thrown away.

    The model, its gradients and all random numbers are left as they were.
    """
    steps, config = job.steps(), job.config
    count, cut_by = len(steps), "epochs"
    if config.max_steps is not None:
        if config.max_steps < count:
            count, cut_by = config.max_steps, "max_steps"
    elif time_s is not None:
        affordable = max(4, int(time_s / _seconds_per_step(job, steps)))
        if affordable < count:
            count, cut_by = affordable, f"time ({time_s:.0f} s)"
    return Plan(count, learning_rate, config.epochs * count / len(steps), cut_by)


def _seconds_per_step(job: Job, steps: Sequence[Sequence[Item]]) -> float:
    learner, running = job.learner, execution_of(job.learner, job.config)
    before = learner.packed_tokens, learner.counted, learner.model.training
    learner.counted = Counted()
    seconds, tokens = 0.0, 0
    with seeded(job.seed):
        learner.model.train()
        for i in range(4):
            items = steps[i * (len(steps) - 1) // 3]
            started = time.perf_counter()
            with running():
                learner.step(items, job.objective)
            learner.model.zero_grad(set_to_none=True)
            if i:  # the first one warms up
                seconds += time.perf_counter() - started
                tokens += tokens_of(items)
    learner.packed_tokens, learner.counted, was_training = before
    learner.model.train(was_training)
    # A tenth for the optimiser and the checkpoints.
    return 1.1 * seconds / tokens * sum(map(tokens_of, steps)) / len(steps)


# --- the run -----------------------------------------------------------------------------------------------------------


def fit(job: Job, plan: Plan, look: Look) -> Trained:
    """Fit the parameters to the rows; on return they are those of the best look.

    AdamW, its gradients clipped, its rate by the schedule. A checkpoint is written every 30 seconds and at every look; called again
    after a crash, training continues from the newest complete one and, on a CPU in float32 with the same threads, takes the same
    path to the last bit. Training ends after the steps of the plan, or after `patience` looks in a row without a better one.

    Raises:
        TrainingError: If the loss or the gradients are not finite, or the loss climbs for good; or no row fits the memory.
        RunError: If a checkpoint belongs to another run, or the work folder cannot be written.
        ConfigError: If a tracker is not installed, or activations cannot be recomputed.
    """
    steps, running = job.steps(), execution_of(job.learner, job.config)
    looks_at = {round(plan.steps * (i + 1) / job.config.looks) for i in range(job.config.looks)}
    with seeded(job.seed):
        state = State(job, plan)
        state.resume()
        with _journal(state) as journal:
            progress = Progress(plan.steps, job.tell, job.price_per_hour)
            job.learner.model.train()
            while state.step < plan.steps and not _is_over(state.looks, job.config.patience):
                items = steps[state.step % len(steps)]
                done = _step(state, items, running)
                journal.log("step", state.step, done)
                progress.add(tokens_of(items), done["step_seconds"])
                looked = state.step in looks_at
                if looked:
                    journal.log("look", state.step, _look(state, look))
                progress.show(state.step, done["loss"], state.counted.saved, state.spent_s, state.best_score, at_once=looked)
                if looked or state.is_due(CHECKPOINT_EVERY_S):
                    journal.flush()
                    state.save()
        state.restore_best()
    job.learner.model.eval()
    return _trained(state)


def _step(state: State, items: Sequence[Item], running: Running) -> dict[str, float]:
    """One step of the optimiser; returns what the journal says of it."""
    job, plan, learner = state.job, state.plan, state.job.learner
    started = time.perf_counter()
    rate = learning_rate_at(state.step, plan.steps, plan.learning_rate, job.config)
    before, computed = learner.counted.before, learner.counted.computed
    with running():
        loss = learner.step(items, job.objective)
    norm = float(full(nn.utils.clip_grad_norm_(job.parameters.values(), job.config.max_grad_norm)))
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise _not_finite(state, items, loss)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    step = Counted(learner.counted.before - before, learner.counted.computed - computed)
    state.add(loss, step)
    if state.smoothed.has_diverged:
        raise _diverged(state, items)
    seconds = time.perf_counter() - started
    return {
        "loss": loss,
        "learning_rate": rate,
        "grad_norm": norm,
        "tokens_per_s": tokens_of(items) / seconds,
        "saved": step.saved,
        "step_seconds": seconds,
        "seconds": state.spent_s,
        "peak_bytes": _peak_bytes(learner.model.device),
    }


def _look(state: State, look: Look) -> dict[str, float]:
    model = state.job.learner.model
    model.eval()
    score, loss = look()
    model.train()
    state.looks.append((state.step, score, loss))
    return {"score": score, "loss": loss, "seconds": state.spent_s}


def _is_over(looks: Sequence[ScoredLook], patience: int | None) -> bool:
    """Whether the last `patience` looks were all no better than one before them."""
    if patience is None or len(looks) <= patience:
        return False
    worth = [(score, -loss) for _, score, loss in looks]
    return max(worth[-patience:]) <= max(worth[:-patience])


def _trained(state: State) -> Trained:
    step, score, _ = best_look(state.looks)
    curves = (
        Curve("training loss", tuple(enumerate(state.losses, 1))),
        Curve("validation loss", tuple((step, loss) for step, _, loss in state.looks)),
    )
    return Trained(curves, step, score, state.counted.before, state.counted.computed, state.spent_s)


@contextmanager
def _journal(state: State) -> Iterator[Journal]:
    """The log of the run; one that says nothing in all processes but the first."""
    job, plan = state.job, state.plan
    if not state.world.is_first:
        yield Journal()
        return
    name = hashlib.sha256(json.dumps(state.checkpoints.identity, sort_keys=True).encode()).hexdigest()[:12]
    head: dict[str, str | int | float] = {"run": name, "steps": plan.steps, "rows": len(job.items), "way": job.learner.way}
    trackers = open_trackers(job.config.report_to, job.workdir, name, state.step)
    with Journal(job.workdir / "train.jsonl", head, trackers) as journal:
        state.seconds = max(state.seconds, journal.seconds)  # what was lost with a killed process was spent all the same
        yield journal


# --- what goes wrong ---------------------------------------------------------------------------------------------------


def _not_finite(state: State, items: Sequence[Item], loss: float) -> TrainingError:
    what = "the gradients are not finite" if math.isfinite(loss) else f"the loss is {loss}"
    exact = ", set `precision: float32`" if state.job.learner.precision == "bfloat16" else ""
    return TrainingError(
        f"{what} at step {state.step + 1} ({_named(items)}). Lower `learning_rate` (it was {state.plan.learning_rate:.1e}){exact}, "
        "or look at these rows if that does not help."
    )


def _diverged(state: State, items: Sequence[Item]) -> TrainingError:
    was, now = state.smoothed.best, state.smoothed.value
    return TrainingError(
        f"training diverges: the loss, smoothed over a hundred steps, was {was:.2f} and is {now:.2f} at step {state.step} (there "
        f"{_named(items)}). Lower `learning_rate` (it was {state.plan.learning_rate:.1e}) or raise `warmup_share` (it was "
        f"{state.job.config.warmup_share:g})."
    )


def _named(items: Sequence[Item]) -> str:
    ids = [row.id for item in items for row in item]
    more = f" and {len(ids) - MOST_ROWS_NAMED} more" if len(ids) > MOST_ROWS_NAMED else ""
    return f"rows {', '.join(ids[:MOST_ROWS_NAMED])}{more}"


def _peak_bytes(device: torch.device) -> int:
    """Most memory so far: of the accelerator, else of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource  # not on every system

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
