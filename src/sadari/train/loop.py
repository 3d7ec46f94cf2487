"""The training loop: seeded, resumable, stopped by a plan in steps."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sadari.errors import TrainingError
from sadari.files import whole_folder, write_text
from sadari.train.config import TuneConfig
from sadari.train.loss import weighted_loss
from sadari.train.rows import Row, batches_of
from sadari.types import Curve

Look = Callable[[], tuple[float, float]]
"""Validation at one moment: (score, higher is better; loss in nats)."""

CHECKPOINT_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, on what, and where its checkpoints go.

    Args:
        model: A `transformers` causal language model; its parameters with `requires_grad` are fitted.
        pad_id: Token that fills short rows.
    """

    model: Any
    rows: Sequence[Row]
    config: TuneConfig
    workdir: Path
    pad_id: int
    seed: int
    tell: Callable[[str], None] = field(default=lambda line: None)

    def batches(self) -> list[list[int]]:
        """Row positions of every step."""
        return batches_of(self.rows, self.config.batch_tokens, self.config.epochs, self.seed)

    def loss(self, batch: Sequence[int]) -> torch.Tensor:
        """Mean loss of the rows at these positions."""
        return weighted_loss(self.model, [self.rows[i] for i in batch], self.pad_id)

    def tokens(self, batch: Sequence[int]) -> int:
        """Tokens of the rows at these positions, without padding."""
        return sum(len(self.rows[i].ids) for i in batch)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do, fixed before its first step and written down, so that a resumed run does the same."""

    steps: int
    learning_rate: float
    epochs: float
    cut_by: str


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run did: its curves and its best look."""

    curves: tuple[Curve, ...]
    best_step: int
    best_score: float


def make_plan(job: Job, learning_rate: float, time_s: float | None) -> Plan:
    """Turn epochs, `max_steps` and a time budget into steps; the time is measured on three steps that are thrown away."""
    batches, config = job.batches(), job.config
    steps, cut_by = len(batches), "epochs"
    if config.max_steps is not None:
        if config.max_steps < steps:
            steps, cut_by = config.max_steps, "max_steps"
    elif time_s is not None:
        affordable = max(4, int(time_s / _seconds_per_step(job, batches)))
        if affordable < steps:
            steps, cut_by = affordable, f"time ({time_s:.0f} s)"
    return Plan(steps, learning_rate, config.epochs * steps / len(batches), cut_by)


def _seconds_per_step(job: Job, batches: Sequence[Sequence[int]]) -> float:
    seconds, tokens = 0.0, 0
    for i in range(4):
        batch = batches[i * (len(batches) - 1) // 3]
        started = time.perf_counter()
        job.loss(batch).backward()
        job.model.zero_grad(set_to_none=True)
        if i:  # the first one warms up
            seconds += time.perf_counter() - started
            tokens += job.tokens(batch)
    # A tenth for the optimiser and the checkpoints.
    return 1.1 * seconds / tokens * sum(map(job.tokens, batches)) / len(batches)


def fit(job: Job, plan: Plan, look: Look) -> Trained:
    """Fit the model to the rows; on return its parameters are those of the best look.

    AdamW with linear warm-up and cosine decay to a tenth. A checkpoint is written every 30 seconds and at every look; called
    again after a crash, training continues from the newest complete one and, with the same threads, takes the same path.

    Raises:
        TrainingError: If the loss is not finite.
    """
    parameters = {n: p for n, p in job.model.named_parameters() if p.requires_grad}
    optimizer = _optimizer(parameters, plan, job.config)
    batches = job.batches()
    state = _State(job.workdir, parameters, optimizer)
    looks_at = {round(plan.steps * (i + 1) / job.config.looks) for i in range(job.config.looks)}
    saved = time.perf_counter()
    for step in range(state.resume(), plan.steps):
        job.model.train()
        torch.manual_seed(job.seed + step)
        loss = _step(job, batches[step % len(batches)], parameters, optimizer, learning_rate_at(step, plan, job.config))
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {step + 1}. Lower `learning_rate` (it was {plan.learning_rate:.1e}).")
        state.losses.append((step + 1, loss))
        looked = step + 1 in looks_at
        if looked:
            job.model.eval()
            state.add_look(step + 1, *look())
        if looked or time.perf_counter() - saved > CHECKPOINT_EVERY_S:
            job.tell(f"step {step + 1} of {plan.steps}, loss {loss:.3f}, best validation {state.best_score:.3f}")
            state.save(step + 1)
            saved = time.perf_counter()
    state.restore_best()
    job.model.eval()
    step, score, _ = max(state.looks, key=_merit)
    looks = Curve("validation loss", tuple((s, loss) for s, _, loss in state.looks))
    return Trained((Curve("training loss", tuple(state.losses)), looks), step, score)


def _step(job: Job, batch: Sequence[int], parameters: dict[str, Any], optimizer: torch.optim.Optimizer, rate: float) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = job.loss(batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters.values(), job.config.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.item())


def learning_rate_at(step: int, plan: Plan, config: TuneConfig) -> float:
    """Linear warm-up, then cosine decay to a tenth of the peak."""
    warmup = max(1, round(config.warmup_share * plan.steps))
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, plan.steps - warmup)
    return plan.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def _merit(look: tuple[int, float, float]) -> tuple[float, float, int]:
    step, score, loss = look
    return (score, -loss, step)


def _optimizer(parameters: dict[str, Any], plan: Plan, config: TuneConfig) -> torch.optim.AdamW:
    matrices = [p for p in parameters.values() if p.ndim >= 2]
    others = [p for p in parameters.values() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=plan.learning_rate, betas=(0.9, 0.98), eps=1e-8)


class _State:
    """What a run must not lose: weights, optimiser, curves, and the weights of the best look."""

    def __init__(self, workdir: Path, parameters: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        self._workdir, self._parameters, self._optimizer = workdir, parameters, optimizer
        self.losses: list[tuple[int, float]] = []
        self.looks: list[tuple[int, float, float]] = []
        self._best: dict[str, Any] | None = None

    def add_look(self, step: int, score: float, loss: float) -> None:
        self.looks.append((step, score, loss))
        if max(self.looks, key=_merit)[0] == step:
            self._best = {n: p.detach().clone() for n, p in self._parameters.items()}

    @property
    def best_score(self) -> float:
        return max((score for _, score, _ in self.looks), default=math.nan)

    def restore_best(self) -> None:
        if self._best is not None:
            with torch.no_grad():
                for name, parameter in self._parameters.items():
                    parameter.copy_(self._best[name])

    def save(self, step: int) -> None:
        weights = {n: p.detach() for n, p in self._parameters.items()}
        with whole_folder(self._workdir / f"checkpoint-{step}") as draft:
            torch.save({"weights": weights, "optimizer": self._optimizer.state_dict(), "best": self._best}, draft / "state.pt")
            write_text(draft / "curves.json", json.dumps({"losses": self.losses, "looks": self.looks}))
        for older in self._checkpoints()[:-1]:
            _remove(older)

    def resume(self) -> int:
        """Load the newest checkpoint; returns the steps it holds, 0 if there is none."""
        newest = self._checkpoints()[-1:]
        if not newest:
            return 0
        saved = torch.load(newest[0] / "state.pt", weights_only=True)
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(saved["weights"][name])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._best = saved["best"]
        curves = json.loads((newest[0] / "curves.json").read_text())
        self.losses = [(s, x) for s, x in curves["losses"]]
        self.looks = [(s, score, loss) for s, score, loss in curves["looks"]]
        return _step_number(newest[0])

    def _checkpoints(self) -> list[Path]:
        return sorted(self._workdir.glob("checkpoint-*"), key=_step_number)


def _step_number(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
