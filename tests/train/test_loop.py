"""The loop on a tiny random Llama: what a run does is settled before it starts, and a killed one takes the same path."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from sadari.errors import TrainingError
from sadari.train import Job, Plan, Row, Trained, TuneConfig, fit, make_plan
from sadari.train import loop as loop_module
from sadari.train.loop import learning_rate_at

PLAN = Plan(steps=12, learning_rate=3e-3, epochs=1.0, cut_by="epochs")


@pytest.fixture(scope="module")
def folder(checkpoint: Callable[[str], Path]) -> Path:
    return checkpoint("llama")


@pytest.fixture
def make_job(folder: Path, tmp_path: Path) -> Callable[..., Job]:
    """A job over the same rows and the same first weights, in its own work folder."""
    draw = torch.Generator().manual_seed(0)
    rows = []
    for i in range(24):
        ids = torch.randint(5, 400, (16 + i % 5,), generator=draw).tolist()
        rows.append(Row(str(i), tuple(ids), (0.0,) * 8 + (1.0,) * (len(ids) - 8)))

    def make(name: str = "run", **options: Any) -> Job:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return Job(model, rows, TuneConfig(batch_tokens=64, **options), tmp_path / name, pad_id=0, seed=3)

    return make


def parameters(job: Job) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in job.model.named_parameters()}


def look_by(*scores: float) -> Callable[[], tuple[float, float]]:
    """Validation that gives these scores in turn."""
    left = list(scores)
    return lambda: (left.pop(0), 1.0)


class Killed(BaseException):
    """What nothing in the loop may catch."""


def fit_and_be_killed(job: Job, at_step: int) -> None:
    """Train until the process dies in the middle of step `at_step`."""
    steps = 0

    def die(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == at_step:
            raise Killed

    job.model.get_decoder().register_forward_pre_hook(die)
    with pytest.raises(Killed):
        fit(job, PLAN, lambda: (0.5, 1.0))


def test_training_lowers_the_loss_of_its_rows(make_job: Callable[..., Job]) -> None:
    job = make_job()
    done = fit(job, replace(PLAN, steps=40, learning_rate=1e-2), lambda: (0.0, 1.0))
    losses = [loss for _, loss in done.curves[0].points]
    assert len(losses) == 40
    assert sum(losses[-8:]) < 0.7 * sum(losses[:8])


@pytest.mark.parametrize("at_step", [2, 6, 12])
def test_a_killed_run_ends_with_the_very_parameters_of_an_undisturbed_one(
    at_step: int, make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "CHECKPOINT_EVERY_S", 0.0)  # after every step
    whole = make_job("whole")
    expected = fit(whole, PLAN, lambda: (0.5, 1.0))
    fit_and_be_killed(make_job("killed"), at_step)
    again = make_job("killed")
    assert fit(again, PLAN, lambda: (0.5, 1.0)) == expected
    for name, value in parameters(whole).items():
        assert torch.equal(value, parameters(again)[name]), name


def test_a_run_killed_after_its_last_step_only_reads_its_result(make_job: Callable[..., Job]) -> None:
    first = make_job()
    expected = fit(first, PLAN, look_by(0.1, 0.9, 0.4))
    again = make_job()
    assert fit(again, PLAN, look_by()) == expected  # no look is left to take
    assert all(torch.equal(value, parameters(again)[name]) for name, value in parameters(first).items())


def test_a_draft_that_a_kill_left_is_not_a_checkpoint(make_job: Callable[..., Job], tmp_path: Path) -> None:
    (tmp_path / "run" / ".checkpoint-9.123.tmp").mkdir(parents=True)
    assert fit(make_job(), PLAN, look_by(0.1, 0.2, 0.3)).best_step == 12


def test_the_parameters_of_the_best_look_are_kept(make_job: Callable[..., Job]) -> None:
    seen: list[torch.Tensor] = []

    def look() -> tuple[float, float]:
        seen.append(parameters(job)["lm_head.weight"])
        return [0.2, 0.9, 0.4][len(seen) - 1], 1.0

    job = make_job()
    done = fit(job, PLAN, look)
    assert (done.best_step, done.best_score) == (8, 0.9)
    assert torch.equal(parameters(job)["lm_head.weight"], seen[1])
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize(("looks", "best"), [([(0.5, 2.0), (0.5, 1.0), (0.5, 1.5)], 8), ([(0.5, 1.0), (0.5, 1.0), (0.5, 1.0)], 12)])
def test_equal_scores_are_told_apart_by_the_loss_then_by_the_later_step(
    looks: list[tuple[float, float]], best: int, make_job: Callable[..., Job]
) -> None:
    left = iter(looks)
    assert fit(make_job(), PLAN, lambda: next(left)).best_step == best


def test_only_parameters_with_gradients_move(make_job: Callable[..., Job]) -> None:
    job = make_job()
    for name, parameter in job.model.named_parameters():
        parameter.requires_grad_("layers.0" in name)
    before = parameters(job)
    fit(job, PLAN, lambda: (0.0, 1.0))
    moved = {n for n, value in parameters(job).items() if not torch.equal(value, before[n])}
    assert moved
    assert all("layers.0" in n for n in moved)


def test_a_loss_that_is_not_finite_ends_the_run_with_what_to_change(make_job: Callable[..., Job]) -> None:
    job = make_job()
    with torch.no_grad():
        job.model.get_output_embeddings().weight.fill_(math.nan)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 1\. Lower `learning_rate` \(it was 3\.0e-03\)"):
        fit(job, PLAN, lambda: (0.0, 1.0))


def test_old_checkpoints_are_removed(make_job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "CHECKPOINT_EVERY_S", 0.0)
    fit(make_job(), PLAN, lambda: (0.0, 1.0))
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["checkpoint-12"]


# --- the plan ----------------------------------------------------------------------------------------------------------


def test_the_rate_rises_in_a_line_and_falls_to_a_tenth() -> None:
    plan, config = Plan(100, 1.0, 1.0, "epochs"), TuneConfig(warmup_share=0.1)
    rates = [learning_rate_at(step, plan, config) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.55)  # half-way down the cosine: (1 + 0.1) / 2
    assert rates[99] == pytest.approx(0.1, abs=2e-3)
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_a_plan_without_limits_is_its_epochs(make_job: Callable[..., Job]) -> None:
    job = make_job(epochs=2)
    assert make_plan(job, 1e-3, None) == Plan(len(job.batches()), 1e-3, 2.0, "epochs")


def test_a_plan_is_cut_by_max_steps_whatever_the_clock_says(make_job: Callable[..., Job]) -> None:
    job = make_job(epochs=2, max_steps=5)
    plan = make_plan(job, 1e-3, time_s=1e-9)
    assert (plan.steps, plan.cut_by) == (5, "max_steps")
    assert plan.epochs == pytest.approx(2 * 5 / len(job.batches()))


def test_a_plan_is_cut_by_time_to_what_can_be_afforded_and_never_to_nothing(make_job: Callable[..., Job]) -> None:
    plan = make_plan(make_job(epochs=50), 1e-3, time_s=1e-9)
    assert (plan.steps, plan.cut_by) == (4, "time (0 s)")
    assert make_plan(make_job(epochs=2), 1e-3, time_s=1e9).cut_by == "epochs"


def test_planning_leaves_the_model_as_it_was(make_job: Callable[..., Job]) -> None:
    job = make_job()
    before = parameters(job)
    make_plan(job, 1e-3, time_s=1.0)
    assert all(torch.equal(value, before[n]) for n, value in parameters(job).items())
    assert all(p.grad is None for p in job.model.parameters())


def test_curves_hold_every_step_and_every_look(make_job: Callable[..., Job]) -> None:
    done: Trained = fit(make_job(looks=4), PLAN, look_by(0.1, 0.2, 0.3, 0.4))
    training, validation = done.curves
    assert [step for step, _ in training.points] == list(range(1, 13))
    assert [step for step, _ in validation.points] == [3, 6, 9, 12]
