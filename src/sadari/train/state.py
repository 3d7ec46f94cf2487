"""What a run must not lose: the trained weights, the optimiser, the curves, and where it stands."""

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from sadari.train.checkpoints import Checkpoints, Position, ScoredLook, best_look
from sadari.train.divergence import Smoothed
from sadari.train.job import Job, Plan, identity_of
from sadari.train.learner import Counted
from sadari.train.parallel import current, fill, fill_optimizer, full
from sadari.train.randomness import random_state, restore_random_state

CHECKPOINT_SHARE = 0.05
"""Most of the time that checkpoints may take; where one takes long, they come less often."""


class State:
    """What a run must not lose, in memory; `save` and `resume` take it to the disk and back.

    Where several processes share a fit, all call the same methods: tensors are put together by all, the first one writes, and what
    the clock decides the first one decides.
    """

    def __init__(self, job: Job, plan: Plan) -> None:
        self.job, self.plan, self.world = job, plan, current()
        self.checkpoints = Checkpoints(job.workdir, identity_of(job, plan), job.tell)
        self.losses: list[float] = []
        self.looks: list[ScoredLook] = []
        self.counted, self.smoothed = Counted(), Smoothed()
        self.seconds = 0.0  # spent by processes before this one
        self._packed_tokens = job.learner.packed_tokens
        self._began = self._saved = time.perf_counter()
        self._pause_s = 0.0
        self._names, self.optimizer = _optimizer(job, plan)

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    @property
    def spent_s(self) -> float:
        """Seconds of the whole run."""
        return self.seconds + time.perf_counter() - self._began

    @property
    def best_score(self) -> float | None:
        """Of the best look so far."""
        return best_look(self.looks)[1] if self.looks else None

    def add(self, loss: float, step: Counted) -> None:
        """Count one step more."""
        self.losses.append(loss)
        self.smoothed.add(loss)
        self.counted.before += step.before
        self.counted.computed += step.computed

    def is_due(self, every_s: float) -> bool:
        """Whether the last checkpoint is so old that another is written."""
        passed = time.perf_counter() - self._saved > max(every_s, self._pause_s)
        return bool(self.world.first(lambda: (float(passed),))[0])

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            RunError: If it cannot be written; names the path.
        """
        started, keep = time.perf_counter(), self.world.is_first
        held = self.optimizer.state_dict()["state"]
        moments = {f"{kind}.{self._names[i]}": tensor for i, kinds in held.items() for kind, tensor in kinds.items()}
        whole = full([dict(self.job.parameters), moments], keep=keep)

        def write() -> tuple[float, ...]:
            self.checkpoints.write(self._position(), *whole)
            return ()

        self.world.first(write)
        self._saved = time.perf_counter()
        self._pause_s = (self._saved - started) / CHECKPOINT_SHARE

    def resume(self) -> None:
        """Go on from the newest complete checkpoint, if there is one.

        Raises:
            RunError: If it belongs to another run; says what differs.
        """
        # The others read only after the first one has looked, which also clears away what is half done.
        (step,) = self.world.first(lambda: (float(self.checkpoints.newest() or 0),))
        if not step:
            return
        position = self.checkpoints.position(int(step))
        self._put(self.checkpoints.weights(position.step))
        held: dict[int, dict[str, Tensor]] = {}
        for key, tensor in self.checkpoints.moments(position.step).items():
            kind, name = key.split(".", 1)
            held.setdefault(self._names.index(name), {})[kind] = tensor
        fill_optimizer(self.optimizer, {**self.optimizer.state_dict(), "state": held})
        self.losses, self.looks = list(position.losses), list(position.looks)
        self.smoothed = Smoothed.over(self.losses)
        self.counted = Counted(position.tokens_before, position.tokens_computed)
        self.seconds = position.seconds
        if position.packed_tokens is not None:
            self.job.learner.packed_tokens = min(self.job.learner.packed_tokens, position.packed_tokens)
        restore_random_state(position.random)
        self.job.tell(f"going on after step {position.step} of {self.plan.steps}")

    def restore_best(self) -> None:
        """Put the weights of the best look back; of at least one."""
        step = best_look(self.looks)[0]
        if step != self.step:
            self._put(self.checkpoints.weights(step))

    def _position(self) -> Position:
        budget = self.job.learner.packed_tokens
        return Position(
            self.step,
            tuple(self.losses),
            tuple(self.looks),
            self.counted.before,
            self.counted.computed,
            self.spent_s,
            budget if budget < self._packed_tokens else None,
            random_state(),
        )

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self.job.parameters.items():
            fill(parameter, weights[name])


def _optimizer(job: Job, plan: Plan) -> tuple[list[str], torch.optim.AdamW]:
    """AdamW, and the names of the parameters in its order. Matrices decay, vectors do not."""
    groups = [[n for n, p in job.parameters.items() if (p.ndim >= 2) is decays] for decays in (True, False)]
    settings = [
        {"params": [job.parameters[name] for name in names], "weight_decay": decay}
        for names, decay in zip(groups, (job.config.weight_decay, 0.0), strict=True)
        if names
    ]
    # One pass over memory for each tensor; elsewhere than on these there is no such kernel.
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in job.parameters.values())
    optimizer = torch.optim.AdamW(settings, lr=plan.learning_rate, betas=(0.9, 0.98), eps=1e-8, fused=fused)
    return [name for names in groups for name in names], optimizer
