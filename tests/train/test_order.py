"""What the first process tells the others about a fit; that they then fit together is tested in `test_parallel`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from one_by_one import rows_of
from sadari.errors import ConfigError
from sadari.model.local import LocalModel
from sadari.train import CrossEntropy, Learner, LoraConfig, Objective, Row, attach
from sadari.train.distillation import Distillation
from sadari.train.job import Job, Plan, identity_of
from sadari.train.order import Start, _job_of, _order
from sadari.train.preference import Preference

PLAN = Plan(7, 1e-3, 0.1 + 0.2, "epochs")
SOFT = Row("soft", (1, 2, 3), (0.0, 0.1, 1.0), ((), (2, 5), ()), ((), ((2, 0.7), (5, 0.3)), ((3, 1.0),)))


def job_of(folder: Path, objective: Objective) -> Job:
    config = LoraConfig(rank=3, batch_tokens=100, learning_rate=1e-3)
    attached = attach("lora", LocalModel(folder).model, config, seed=5)
    items = [tuple(rows_of("abC", "abD")), (SOFT, SOFT)]
    return Job(Learner(attached.model, 77, share=False), attached.parameters, items, config, folder / "run", 5, objective)


@pytest.mark.parametrize("objective", [CrossEntropy(), Distillation(2.5), Preference(0.3, {"row 0": -1.5, "soft": 0.1})])
def test_another_process_makes_the_same_job_of_what_it_is_told(checkpoint: Callable[[str], Path], objective: Objective) -> None:
    folder = checkpoint("llama")
    job = job_of(folder, objective)

    told: dict[str, Any] = json.loads(json.dumps(_order(job, PLAN, Start(str(folder), "float32", "lora"))))
    other, plan = _job_of(told)

    assert plan == PLAN
    assert (other.items, other.config, other.workdir, other.seed) == (job.items, job.config, job.workdir, job.seed)
    assert identity_of(other, plan) == identity_of(job, PLAN)
    assert vars(other.objective) == vars(job.objective) if isinstance(objective, CrossEntropy) else other.objective == objective
    assert (other.learner.packed_tokens, other.learner.share) == (77, False)


def test_an_objective_that_cannot_be_told_is_refused_with_the_way_out(checkpoint: Callable[[str], Path]) -> None:
    class Other(CrossEntropy):
        pass

    job = job_of(checkpoint("llama"), Other())

    with pytest.raises(ConfigError, match="Other cannot be told to other processes"):
        _order(job, PLAN, Start("model", "float32", "lora"))
