"""The command under `torchrun`: the first process runs it, and tells the others what they need to take part in its fits.

Covered: everything that trains by `sadari.rungs.tuning`, in a climb or by `sadari tune`. Only plain data is told, as JSON; nothing
that is executed.

Not covered:

- the command's own exit code: where it is not 0, `torchrun` ends the other processes and exits with 1;
- work other than fits (answers, retrieval, measuring): the first process does it alone while the others wait;
- models that only the first process can load: the others load the same folder or name;
- what the first process trains without telling: a fit of its own while the others wait is as in one process.
"""

import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from sadari.errors import ConfigError, SadariError
from sadari.model.load import load_model
from sadari.train import config as configs
from sadari.train.batching import Item
from sadari.train.distillation import Distillation
from sadari.train.job import Job, Plan
from sadari.train.learner import CrossEntropy, Learner, Objective
from sadari.train.loop import Look, Trained, fit
from sadari.train.methods import Method, attach
from sadari.train.parallel import current, divided, join, require_divisible
from sadari.train.preference import Preference
from sadari.train.rows import Row

if TYPE_CHECKING:
    from sadari.model.weights import Precision


OBJECTIVES = (CrossEntropy, Distillation, Preference)
"""What can be told: their fields are numbers, or mappings from names to numbers."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a fit starts from, for other processes to make the same: a model as `load_model` takes it, with a method attached."""

    model: str
    precision: "Precision"
    method: Method


def together(command: Callable[[], None]) -> None:
    """Run a command in the first of the processes that `torchrun` started; the others take part in its fits and end with it."""
    if not join().is_first:
        take_part()
        return
    try:
        command()
    except SystemExit as done:
        if not done.code:
            dismiss()
        raise
    dismiss()


def fit_together(job: Job, plan: Plan, look: Look, start: Start) -> Trained:
    """`fit`, by all processes; in a world of one it is `fit`. Called by the first.

    Raises:
        ConfigError: If this cannot be done by several processes.
        TrainingError: As by `fit`, or if memory runs out in any of them.
    """
    if current().size > 1:
        require_divisible(job.learner)
        _tell(_order(job, plan, start))
    return fit_shared(job, plan, look)


def take_part() -> None:
    """Take part in every fit of the first process until it dismisses this one."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # as for the command itself
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")  # the first process shows them
    while order := _hear():
        try:
            fit_shared(*_job_of(order), _never)
        except SadariError:
            continue  # the first process has met the same, and tells it


def dismiss() -> None:
    """Let the other processes end. Called by the first."""
    if dist.is_initialized():
        _tell({})
        dist.destroy_process_group()


def fit_shared(job: Job, plan: Plan, look: Look) -> Trained:
    """`fit`, called by every process with the same job; the first one alone looks. In a world of one it is `fit`.

    Raises:
        TrainingError: As by `fit`, if memory runs out in any process, or, in the others, if the first one fails.
    """
    world = current()
    if world.size == 1:
        return fit(job, plan, look)
    with divided(job.learner, job.parameters) as shards:

        def looked() -> tuple[float, float]:
            with shards.put_together():
                score, loss = world.first(look)
            return score, loss

        tell = job.tell if world.is_first else _silence
        return fit(replace(job, learner=shards.learner, parameters=shards.parameters, tell=tell), plan, looked)


def _never() -> tuple[float, float]:
    raise AssertionError("only the first process looks")


def _silence(line: str) -> None:
    pass


# --- what is told ------------------------------------------------------------------------------------------------------


def _order(job: Job, plan: Plan, start: Start) -> dict[str, Any]:
    learner = job.learner
    return {
        "start": asdict(start),
        "learner": {
            "packed_tokens": learner.packed_tokens,
            "share": learner.share,
            "precision": learner.precision,
            "fuse": learner.fuse,
        },
        "config": {"name": type(job.config).__name__, "options": job.config.model_dump(mode="json")},
        "workdir": str(job.workdir),
        "seed": job.seed,
        "plan": asdict(plan),
        "objective": _told_objective(job.objective),
        "items": [[_told_row(row) for row in item] for item in job.items],
    }


def _job_of(order: Mapping[str, Any]) -> tuple[Job, Plan]:
    start = Start(**order["start"])
    config: configs.TuneConfig = getattr(configs, order["config"]["name"])(**order["config"]["options"])
    local: Any = load_model(start.model, precision=start.precision)
    attached = attach(start.method, local.model, config, seed=order["seed"])
    items: list[Item] = [tuple(_row(*told) for told in item) for item in order["items"]]
    job = Job(
        Learner(attached.model, prefix=attached.prefix, **order["learner"]),
        attached.parameters,
        items,
        config,
        Path(order["workdir"]),
        order["seed"],
        _objective(**order["objective"]),
    )
    return job, Plan(**order["plan"])


def _told_objective(objective: Objective) -> dict[str, Any]:
    if type(objective) not in OBJECTIVES:
        raise ConfigError(f"{type(objective).__name__} cannot be told to other processes. Start without torchrun.")
    names: list[str] = [f.name for f in fields(objective)] if is_dataclass(objective) else []
    held = {name: getattr(objective, name) for name in names}
    return {"kind": type(objective).__name__, **{k: dict(v) if isinstance(v, Mapping) else v for k, v in held.items()}}


def _objective(kind: str, **settings: Any) -> Objective:
    made: dict[str, Callable[..., Objective]] = {known.__name__: known for known in OBJECTIVES}
    return made[kind](**settings)


def _told_row(row: Row) -> list[Any]:
    return [row.id, row.ids, row.weights, row.among, list(row.soft)]


def _row(name: str, ids: list[int], weights: list[float], among: list[list[int]], soft: list[list[list[Any]]]) -> Row:
    soft_targets = tuple(tuple((int(token), float(share)) for token, share in targets) for targets in soft)
    return Row(name, tuple(ids), tuple(weights), tuple(map(tuple, among)), soft_targets)


def _tell(message: Mapping[str, Any]) -> None:
    data = torch.frombuffer(bytearray(json.dumps(message).encode()), dtype=torch.uint8)
    dist.broadcast(torch.tensor(len(data)), 0)
    dist.broadcast(data, 0)


def _hear() -> dict[str, Any]:
    """What the first process tells next; nothing if it is gone, of which it has said why."""
    length = torch.zeros((), dtype=torch.long)
    try:
        dist.broadcast(length, 0)
        data = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(data, 0)
    except RuntimeError:  # the connection was closed
        return {}
    message: dict[str, Any] = json.loads(bytes(data.numpy()))
    return message
