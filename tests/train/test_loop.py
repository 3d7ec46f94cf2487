"""The loop on a tiny random model: what a run does is settled before it starts, and a killed one takes the same path."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from sadari.errors import RunError, TrainingError
from sadari.train import loop, state
from sadari.train.batching import steps_of
from sadari.train.loop import Job, Plan, fit, make_plan
from sadari.train.randomness import random_state
from sadari.train.schedule import learning_rate_at
from small_runs import PLAN, Slow, bits, fit_and_be_killed, look_at, look_by, make_job, parameters


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(state, "CHECKPOINT_SHARE", 1e9)


class Killed(BaseException):
    """What nothing in the loop may catch."""


def die_in_step(job: Job, number: int, look: Callable[[], tuple[float, float]]) -> None:
    """Let the process die in the middle of this step, counted from where it begins."""
    run, steps = job.learner.step, 0

    def step(*args: Any) -> float:
        nonlocal steps
        steps += 1
        loss = run(*args)
        if steps == number:
            raise Killed
        return loss

    job.learner.step = step  # type: ignore[method-assign]
    with pytest.raises(Killed):
        fit(job, PLAN, look)


def lines(job: Job, kind: str) -> list[dict[str, Any]]:
    entries = map(json.loads, (job.workdir / "train.jsonl").read_text().splitlines())
    return [entry for entry in entries if entry["kind"] == kind]


def same(one: Job, other: Job) -> bool:
    return all(torch.equal(value, parameters(other)[name]) for name, value in parameters(one).items())


# --- what a step is ----------------------------------------------------------------------------------------------------


def test_steps_are_those_of_adamw_written_out(tmp_path: Path) -> None:
    """The same model, row by row, with torch's own clipping and AdamW: three steps by hand."""
    plan = replace(PLAN, steps=3)
    job, by_hand = (make_job(tmp_path / name, warmup_share=0.5, weight_decay=0.1, max_grad_norm=0.5) for name in ("a", "b"))
    fit(job, plan, look_by(0.0, 0.0, 0.0))
    model = by_hand.learner.model
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-8)
    for step, positions in enumerate(steps_of(by_hand.items, 64, 3.0, seed=3)[:3]):
        losses = []
        for (row,) in (by_hand.items[i] for i in positions):
            scores = model(input_ids=torch.tensor([row.ids])).logits[0, 7:-1]
            losses.append(torch.nn.functional.cross_entropy(scores, torch.tensor(row.ids[8:]), reduction="none"))
        torch.cat(losses).mean().backward()
        clip_grad_norm_(model.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, 3, plan.learning_rate, by_hand.config)
        optimizer.step()
        optimizer.zero_grad()
    for name, value in parameters(job).items():
        torch.testing.assert_close(value, parameters(by_hand)[name], rtol=1e-4, atol=1e-5)


def test_training_lowers_the_loss_of_its_rows(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    done = fit(job, replace(PLAN, steps=40, learning_rate=1e-2), look_by(0.0, 0.0, 0.0))
    losses = [loss for _, loss in done.curves[0].points]
    assert len(losses) == 40
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])


def test_only_the_parameters_of_the_job_move(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    whole = dict(job.learner.model.named_parameters())
    before = {name: p.detach().clone() for name, p in whole.items()}
    for name, parameter in whole.items():
        parameter.requires_grad_("layers.0" in name)
    fit(replace(job, parameters={n: p for n, p in whole.items() if p.requires_grad}), PLAN, look_by(0.0, 0.0, 0.0))
    moved = {name for name, value in before.items() if not torch.equal(value, whole[name])}
    assert moved
    assert all("layers.0" in name for name in moved)


def test_what_was_computed_is_counted_and_the_beginning_that_rows_share_is_saved(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    done = fit(job, PLAN, look_at(job))
    steps = steps_of(job.items, 64, 3.0, seed=3)
    ran = [[job.items[i][0] for i in steps[n % len(steps)]] for n in range(12)]
    # Four tokens are shared by all rows of a step, and what follows the last prediction of a row is not computed: its last token.
    assert done.tokens_before == sum(len(row.ids) for step in ran for row in step)
    assert done.tokens_computed == sum(4 + sum(len(row.ids) - 1 - 4 for row in step) for step in ran)


# --- looks -------------------------------------------------------------------------------------------------------------


def test_the_parameters_of_the_best_look_are_kept(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []

    def look() -> tuple[float, float]:
        seen.append(parameters(job)["lm_head.weight"])
        return [0.2, 0.9, 0.4][len(seen) - 1], 1.0

    job = make_job(tmp_path)
    done = fit(job, PLAN, look)
    assert (done.best_step, done.best_score) == (8, 0.9)
    assert torch.equal(parameters(job)["lm_head.weight"], seen[1])
    assert not torch.equal(seen[1], seen[2])


@pytest.mark.parametrize(("looks", "best"), [([(0.5, 2.0), (0.5, 1.0), (0.5, 1.5)], 8), ([(0.5, 1.0), (0.5, 1.0), (0.5, 1.0)], 12)])
def test_equal_scores_are_told_apart_by_the_loss_then_by_the_later_step(
    looks: list[tuple[float, float]], best: int, tmp_path: Path
) -> None:
    left = iter(looks)
    assert fit(make_job(tmp_path), PLAN, lambda: next(left)).best_step == best


def test_curves_hold_every_step_and_every_look(tmp_path: Path) -> None:
    training, validation = fit(make_job(tmp_path, looks=4), PLAN, look_by(0.1, 0.2, 0.3, 0.4)).curves
    assert [step for step, _ in training.points] == list(range(1, 13))
    assert [step for step, _ in validation.points] == [3, 6, 9, 12]


def test_looks_see_a_model_that_answers_and_training_goes_on_with_one_that_learns(tmp_path: Path) -> None:
    modes: list[bool] = []
    job = make_job(tmp_path)
    job.learner.model.get_decoder().register_forward_pre_hook(lambda module, _: modes.append(module.training))

    def look() -> tuple[float, float]:
        return 0.0, job.learner.mean_loss(job.items[:1])

    fit(job, PLAN, look)
    assert [mode for mode in modes if not mode] == [False] * 3
    assert modes[-1] is False
    assert modes[-2] is True
    assert not job.learner.model.training


@pytest.mark.parametrize(
    ("scores", "patience", "last"),
    [((0.5, 0.4, 0.4, 0.9, 0.9, 0.9), 2, 6), ((0.5, 0.6, 0.5, 0.7, 0.6, 0.6), 2, 12), ((0.5, 0.5, 0.5, 0.5, 0.5, 0.5), 1, 4)],
)
def test_training_ends_after_so_many_looks_without_a_better_one(
    scores: tuple[float, ...], patience: int, last: int, tmp_path: Path
) -> None:
    done = fit(make_job(tmp_path, looks=6, patience=patience), PLAN, look_by(*scores))
    assert done.curves[0].points[-1][0] == last
    assert done.best_score == max(scores[: last // 2])


# --- crashes -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("number", [2, 6, 12])
def test_a_run_that_dies_in_a_step_ends_with_the_very_parameters_of_an_undisturbed_one(number: int, tmp_path: Path) -> None:
    whole = make_job(tmp_path / "whole")
    expected = fit(whole, PLAN, look_by(0.5, 0.5, 0.5))
    die_in_step(make_job(tmp_path / "dead"), number, look_by(0.5, 0.5, 0.5))
    again = make_job(tmp_path / "dead")
    assert fit(again, PLAN, look_by(0.5, 0.5, 0.5)) == expected
    assert same(whole, again)


def kill_again_and_again(folder: Path, plan: Plan, delays: list[float], **options: Any) -> int:
    """Compare a run that is killed so long after its steps with an undisturbed one; returns how often it was killed."""
    whole = make_job(folder / "whole", **options)
    expected = fit(replace(whole, objective=Slow(0.0)), plan, look_at(whole))

    def slow() -> Job:
        return replace(make_job(folder / "killed", **options), objective=Slow(0.02))

    killed = sum(fit_and_be_killed(slow, plan, after_s) for after_s in delays)
    again = make_job(folder / "killed", **options)
    done = fit(replace(again, objective=Slow(0.02)), plan, look_at(again))
    assert bits(done.curves) == bits(expected.curves)
    assert (done.best_step, done.tokens_before, done.tokens_computed) == (
        expected.best_step,
        expected.tokens_before,
        expected.tokens_computed,
    )
    assert same(whole, again)
    logged = [(line["step"], line["loss"]) for line in lines(again, "step")]
    assert logged == list(expected.curves[0].points)
    assert [line["step"] for line in lines(again, "look")] == [step for step, _ in expected.curves[1].points]
    return killed


def test_a_killed_process_is_gone_on_with_to_the_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", 0.05)
    assert kill_again_and_again(tmp_path, replace(PLAN, steps=16), [0.2]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_process_killed_eight_times_is_gone_on_with_to_the_last_bit(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", 0.03)
    monkeypatch.setattr(state, "CHECKPOINT_SHARE", 0.5)
    draw = random.Random(seed)
    delays = [draw.uniform(0, 0.5) for _ in range(8)]
    assert kill_again_and_again(tmp_path, replace(PLAN, steps=120), delays, looks=8, epochs=20) >= 5


def test_a_run_that_has_ended_only_reads_its_result(tmp_path: Path) -> None:
    first = make_job(tmp_path)
    expected = fit(first, PLAN, look_by(0.1, 0.9, 0.4))
    again = make_job(tmp_path)
    assert fit(again, PLAN, look_by()) == expected  # no look is left to take
    assert same(first, again)
    assert len(lines(again, "step")) == 12


def test_a_run_that_was_ended_by_patience_stays_ended(tmp_path: Path) -> None:
    expected = fit(make_job(tmp_path, looks=6, patience=1), PLAN, look_by(0.5, 0.4))
    assert fit(make_job(tmp_path, looks=6, patience=1), PLAN, look_by()) == expected


def test_what_a_kill_left_half_done_is_no_checkpoint_and_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint-9.123.tmp").mkdir(parents=True)
    (tmp_path / ".best.123.link").symlink_to("checkpoint-9")
    assert fit(make_job(tmp_path), PLAN, look_by(0.1, 0.2, 0.3)).best_step == 12
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("every_step")
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(tmp_path: Path) -> None:
    whole = make_job(tmp_path / "whole")
    expected = fit(whole, PLAN, look_by(0.5, 0.5, 0.5))
    die_in_step(make_job(tmp_path / "dead"), 7, look_by(0.5))
    weights = tmp_path / "dead" / "checkpoint-6" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    told: list[str] = []
    again = replace(make_job(tmp_path / "dead"), tell=told.append)
    assert fit(again, PLAN, look_by(0.5, 0.5)) == expected
    assert same(whole, again)
    assert told[0] == f"{tmp_path}/dead/checkpoint-6 is skipped: weights.safetensors is not as it was written"
    assert told[1] == "going on after step 5 of 12"


@pytest.mark.usefixtures("every_step")
def test_a_budget_that_was_halved_stays_halved_after_a_crash(tmp_path: Path) -> None:
    job = make_job(tmp_path, packed_tokens=4096)
    job.learner.model.get_decoder().register_forward_pre_hook(run_out_once())
    fit(job, PLAN, look_by(0.1, 0.2, 0.3))
    assert job.learner.packed_tokens == 2048
    for _ in range(2):  # a second resumption knows it too
        again = make_job(tmp_path, packed_tokens=4096)
        fit(again, PLAN, look_by())
        assert again.learner.packed_tokens == 2048


def run_out_once() -> Callable[..., None]:
    left = [True]

    def hook(*_: Any) -> None:
        if left and left.pop():
            raise torch.OutOfMemoryError("out of memory")

    return hook


# --- another run -------------------------------------------------------------------------------------------------------

OTHERS: dict[str, tuple[Callable[[Job], Job], Plan, str]] = {
    "plan": (lambda job: job, replace(PLAN, learning_rate=1e-3), "plan learning_rate was 0.003 and is 0.001"),
    "rows": (lambda job: replace(job, items=job.items[:-1]), PLAN, "rows count was 24 and is 23"),
    "seed": (lambda job: replace(job, seed=4), PLAN, "seed was 3 and is 4"),
    "parameters": (
        lambda job: replace(job, parameters={"lm_head.weight": job.parameters["lm_head.weight"]}),
        PLAN,
        r"parameters model\.embed_tokens\.weight was float32 \[97, 32\] and is absent",
    ),
    "settings": (
        lambda job: replace(job, config=job.config.model_copy(update={"schedule": "linear"})),
        PLAN,
        "settings schedule was cosine and is linear",
    ),
    "objective": (
        lambda job: replace(job, objective=Slow(0.5)),
        PLAN,
        r"objective was CrossEntropy\(\) and is Slow\(pause_s=0\.5\)",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_checkpoints_of_another_run_are_refused_with_what_differs_and_the_way_out(name: str, tmp_path: Path) -> None:
    change, plan, difference = OTHERS[name]
    fit(make_job(tmp_path), PLAN, look_by(0.1, 0.2, 0.3))
    with pytest.raises(
        RunError, match=rf"checkpoint-12 belongs to another run: .*{difference}.*to begin anew, delete the checkpoints"
    ):
        fit(change(make_job(tmp_path)), plan, look_by(0.1, 0.2, 0.3))


def test_memory_and_speed_may_be_set_anew_on_the_way(tmp_path: Path) -> None:
    fit(make_job(tmp_path), PLAN, look_by(0.1, 0.2, 0.3))
    fit(make_job(tmp_path, packed_tokens=64, checkpointing=True), PLAN, look_by())


# --- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_ends_the_run_with_step_rows_and_what_to_change(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    with torch.no_grad():
        job.learner.model.get_output_embeddings().weight.fill_(math.nan)
    rows = [job.items[i][0].id for i in steps_of(job.items, 64, 3.0, seed=3)[0]]
    with pytest.raises(
        TrainingError, match=rf"the loss is nan at step 1 \(rows {', '.join(rows)}\)\. Lower `learning_rate` \(it was 3\.0e-03\)"
    ):
        fit(job, PLAN, look_by())


def test_gradients_that_are_not_finite_end_the_run_before_they_reach_the_weights(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    before = parameters(job)
    job.parameters["model.norm.weight"].register_hook(lambda grad: grad * math.inf)
    with pytest.raises(TrainingError, match=r"the gradients are not finite at step 1 \(rows "):
        fit(job, PLAN, look_by())
    assert all(torch.equal(value, parameters(job)[name]) for name, value in before.items())


def test_weights_that_run_away_end_the_run_as_diverging(tmp_path: Path) -> None:
    job = make_job(tmp_path, schedule="constant", warmup_share=0.0, max_grad_norm=1e9, looks=1)
    for parameter in job.parameters.values():
        parameter.register_post_accumulate_grad_hook(Growing())
    with pytest.raises(TrainingError, match=r"training diverges: .* smoothed .* Lower `learning_rate` .* or raise `warmup_share`"):
        fit(job, replace(PLAN, steps=400, learning_rate=2e-3), look_by(0.0))


class Growing:
    """Pushes the weights away, ever farther, from step 30 on."""

    def __init__(self) -> None:
        self.step = 0

    def __call__(self, parameter: torch.Tensor) -> None:
        self.step += 1
        if self.step > 30:
            with torch.no_grad():
                parameter.add_(torch.randn_like(parameter), alpha=0.5)


def test_a_full_disk_is_told_by_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(RunError, match=r"checkpoint-4 cannot be written: No space left on device\. Free space"):
        fit(make_job(tmp_path), PLAN, look_by(0.1, 0.2, 0.3))
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_job_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there are no rows to learn from"):
        fit(replace(make_job(tmp_path), items=[]), PLAN, look_by())


# --- what is left ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_step")
def test_two_checkpoints_and_the_best_stay_and_links_point_to_them(tmp_path: Path) -> None:
    fit(make_job(tmp_path), PLAN, look_by(0.9, 0.1, 0.2))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["best", "checkpoint-11", "checkpoint-12", "checkpoint-4", "last", "train.jsonl"]
    assert (tmp_path / "best").resolve().name == "checkpoint-4"
    assert (tmp_path / "last").resolve().name == "checkpoint-12"


def test_random_numbers_of_the_caller_are_left_as_they_were_and_those_of_a_run_follow_from_its_seed(tmp_path: Path) -> None:
    drawn: list[tuple[float, float, float]] = []

    def look() -> tuple[float, float]:
        drawn.append((random.random(), float(np.random.random()), float(torch.rand(()))))
        return 0.0, 1.0

    before = random_state()
    fit(make_job(tmp_path / "a"), PLAN, look)
    fit(make_job(tmp_path / "b"), PLAN, look)
    assert random_state() == before
    assert drawn[:3] == drawn[3:]
    assert drawn[0] != drawn[1]


@pytest.mark.usefixtures("every_step")
def test_random_numbers_go_on_after_a_crash(tmp_path: Path) -> None:
    def drawing(drawn: list[float]) -> Callable[[], tuple[float, float]]:
        def look() -> tuple[float, float]:
            drawn.append(float(torch.rand(())))
            return drawn[-1], 1.0

        return look

    whole: list[float] = []
    fit(make_job(tmp_path / "whole"), PLAN, drawing(whole))
    halves: tuple[list[float], list[float]] = [], []
    die_in_step(make_job(tmp_path / "dead"), 6, drawing(halves[0]))
    fit(make_job(tmp_path / "dead"), PLAN, drawing(halves[1]))
    assert (len(halves[0]), len(halves[1])) == (1, 2)
    assert halves[0] + halves[1] == whole


def test_progress_tells_the_loss_the_speed_what_is_saved_what_is_left_and_the_money(tmp_path: Path) -> None:
    told: list[str] = []
    fit(replace(make_job(tmp_path), tell=told.append, price_per_hour=3.6e6), PLAN, look_by(0.1, 0.9, 0.4))
    assert len(told) == 3  # the looks; all else came sooner than five seconds
    for step, line in zip((4, 8), told, strict=False):
        assert line.startswith(f"step {step} of 12, loss ")
        assert " useful tokens/s, " in line
        assert "% of tokens saved, " in line
        assert " left, " in line
        assert line.endswith(" spent")
    assert "best validation 0.900" in told[2]
    assert " left" not in told[2]


# --- the plan ----------------------------------------------------------------------------------------------------------


def test_a_plan_without_limits_is_its_epochs(tmp_path: Path) -> None:
    job = make_job(tmp_path, epochs=2)
    assert make_plan(job, 1e-3, None) == Plan(len(job.steps()), 1e-3, 2.0, "epochs")


def test_a_plan_is_cut_by_max_steps_whatever_the_clock_says(tmp_path: Path) -> None:
    job = make_job(tmp_path, epochs=2, max_steps=5)
    plan = make_plan(job, 1e-3, time_s=1e-9)
    assert (plan.steps, plan.cut_by) == (5, "max_steps")
    assert plan.epochs == pytest.approx(2 * 5 / len(job.steps()))


def test_a_plan_is_cut_by_time_to_what_can_be_afforded_and_never_to_nothing(tmp_path: Path) -> None:
    plan = make_plan(make_job(tmp_path, epochs=50), 1e-3, time_s=1e-9)
    assert (plan.steps, plan.cut_by) == (4, "time (0 s)")
    assert make_plan(make_job(tmp_path, epochs=2), 1e-3, time_s=1e9).cut_by == "epochs"


def test_planning_leaves_model_budget_counts_and_random_numbers_as_they_were(tmp_path: Path) -> None:
    job = make_job(tmp_path, packed_tokens=4096)
    job.learner.model.get_decoder().register_forward_pre_hook(run_out_once())
    before, stood = parameters(job), random_state()
    make_plan(job, 1e-3, time_s=1.0)
    assert all(torch.equal(value, before[n]) for n, value in parameters(job).items())
    assert all(p.grad is None for p in job.parameters.values())
    assert random_state() == stood
    assert (job.learner.packed_tokens, job.learner.counted.before, job.learner.model.training) == (4096, 0, False)
