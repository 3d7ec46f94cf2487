"""Base models that this machine could run and tune, with what each needs."""

from dataclasses import dataclass

from sadari.check.machine import Machine
from sadari.model.choices import BaseModel, Licence, suggest_models
from sadari.task import Task
from sadari.train.estimate import Method, Precision, serving_memory, training_memory

SERVED_TOKENS = 8192
"""Tokens in memory while a few requests are answered together."""

BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Base:
    """One base model and the GiB it needs: to answer in two precisions, and to be tuned in three ways in bfloat16.

    Full tuning keeps weights, gradients and moments in float32.
    """

    model: BaseModel
    answer_bfloat16: float
    answer_int4: float
    lora: float
    qlora: float
    full: float


def suggest_bases(task: Task, machine: Machine, licence: Licence = "any") -> tuple[Base, ...]:
    """The models that run here, the one to try first at the top."""
    return tuple(_base(model) for model in suggest_models(machine.memory_gib, task.language, licence))


def _base(model: BaseModel) -> Base:
    shape = model.shape

    def tuned(method: Method, precision: Precision) -> float:
        return training_memory(  # an answer is a quarter of a row
            shape,
            method,
            batch_tokens=BATCH_TOKENS,
            learnt_tokens=BATCH_TOKENS // 4,
            precision=precision,
        ).gib

    return Base(
        model,
        serving_memory(shape, "bfloat16", held_tokens=SERVED_TOKENS).gib,
        serving_memory(shape, "int4", held_tokens=SERVED_TOKENS).gib,
        tuned("lora", "bfloat16"),
        tuned("qlora", "bfloat16"),
        tuned("full", "float32"),
    )
