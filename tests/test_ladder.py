"""The climb with rungs and measurements that are told what to find."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sadari.ladder import Limits, climb
from sadari.task import Task, load_task
from sadari.types import Built, Cost, Example, Scorecard, Step, System
from small_tasks import write_label_task


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return load_task(write_label_task(tmp_path / "task", goal="Sort messages."))


@dataclass
class Technique:
    """A rung that names the system it makes, and counts how often it is asked to."""

    name: str
    cost: Cost = field(default_factory=Cost)
    given: list[System] = field(default_factory=list)

    def build(self, incumbent: System, train: Sequence[Example], validation: Sequence[Example], workdir: Path) -> Built:
        self.given.append(incumbent)
        return Built(System(self.name), self.cost)


@dataclass
class Measure:
    """Scores each system as it is told: so many of 32 right; a hundred seconds each."""

    right: dict[str, int]
    throughput: float = 0.32
    cost_per_request: float = 0.0
    seen: list[str] = field(default_factory=list)

    def __call__(self, rung: str, system: System, examples: Sequence[Example]) -> Scorecard:
        self.seen.append(rung)
        n = len(examples)
        scores = tuple(float(i < self.right[system.model]) for i in range(n))
        zeros = (0,) * n
        return Scorecard(
            rung, "label", tuple(e.id for e in examples), scores, ("",) * n, (0.1,) * n, zeros, zeros, 0, 0.0, 1.0,
            self.throughput, self.cost_per_request,
        )  # fmt: skip


def steps_of(task: Task, folder: Path, limits: Limits = Limits(), **right: int) -> list[Step]:  # noqa: B008 - frozen
    ladder = [Technique(name) for name in right]
    return list(climb(ladder, System("start"), task, folder / "steps", Measure(right), limits))


def test_each_rung_builds_on_the_incumbent_and_only_a_proven_one_replaces_it(task: Task, tmp_path: Path) -> None:
    ladder = [Technique(name) for name in ("baseline", "prompt", "retrieval", "lora")]
    measure = Measure({"baseline": 8, "prompt": 9, "retrieval": 24, "lora": 20})
    steps = list(climb(ladder, System("start"), task, tmp_path / "steps", measure, Limits()))
    assert [(s.verdict.outcome, s.verdict.taken) for s in steps] == [
        ("baseline", True),
        ("cannot_tell", False),
        ("better", True),
        ("cannot_tell", False),
    ]
    assert [rung.given[0].model for rung in ladder] == ["start", "baseline", "baseline", "retrieval"]
    assert steps[-1].ends == "This is the top of the ladder."
    assert [s.ends for s in steps[:-1]] == ["", "", ""]


def test_the_target_ends_the_climb(task: Task, tmp_path: Path) -> None:
    steps = steps_of(task, tmp_path, Limits(target=0.75), baseline=8, prompt=24, lora=30)
    assert [s.rung for s in steps] == ["baseline", "prompt"]
    assert steps[-1].ends == "The target of 75% is met."


def test_a_target_that_only_a_rejected_rung_meets_does_not_end_it(task: Task, tmp_path: Path) -> None:
    steps = steps_of(task, tmp_path, Limits(target=0.75), baseline=23, prompt=24, lora=23)
    assert [s.rung for s in steps] == ["baseline", "prompt", "lora"]


def test_the_time_budget_ends_the_climb_counting_building_and_measuring(task: Task, tmp_path: Path) -> None:
    steps = steps_of(task, tmp_path, Limits(time_s=150), baseline=8, prompt=9, lora=30)  # 100 s of measuring each
    assert [s.rung for s in steps] == ["baseline", "prompt"]
    assert steps[-1].ends == "The time budget of 150 s is spent."


def test_the_money_budget_counts_machine_time(task: Task, tmp_path: Path) -> None:
    priced = replace(task, money=task.money.model_copy(update={"machine_hour": 3600.0}))
    steps = steps_of(priced, tmp_path, Limits(cost=1e-6), baseline=8, prompt=9, lora=30)
    assert [s.ends for s in steps] == ["The money budget of 0 is spent."]


def test_the_money_budget_counts_every_request_that_is_paid_for(task: Task, tmp_path: Path) -> None:
    ladder = [Technique(name, Cost(money=5.0)) for name in ("baseline", "prompt", "lora")]
    measure = Measure({"baseline": 8, "prompt": 9, "lora": 30}, cost_per_request=1.0)  # 32 for each look at test
    steps = list(climb(ladder, System("start"), task, tmp_path / "steps", measure, Limits(cost=70)))
    assert [s.rung for s in steps] == ["baseline", "prompt"]
    assert steps[-1].ends == "The money budget of 70 is spent."


def test_the_money_budget_counts_the_requests_of_every_seed(task: Task, tmp_path: Path) -> None:
    class Seeded(Technique):
        def build(self, *given: Any, **more: Any) -> Built:
            return replace(super().build(*given, **more), replicas=(System("other"),))

    ladder = [Technique("baseline"), Seeded("lora"), Technique("full")]
    measure = Measure({"baseline": 8, "lora": 9, "other": 9, "full": 30}, cost_per_request=1.0)  # 32, 2 x 32, 32
    steps = list(climb(ladder, System("start"), task, tmp_path / "steps", measure, Limits(cost=90)))
    assert [s.rung for s in steps] == ["baseline", "lora"]
    assert steps[-1].ends == "The money budget of 90 is spent."


def test_a_rung_is_not_expected_to_take_longer_than_the_time_budget(task: Task, tmp_path: Path) -> None:
    prices = {"machine_hour": 1000.0, "requests_per_month": 100.0, "value_per_correct": 1.0}
    money = replace(task, money=task.money.model_copy(update=prices))
    # As below, but of the hour only six minutes are left: 100 to build, 8.3 points to pay, and 12.5 can be hoped for.
    steps = steps_of(money, tmp_path, Limits(time_s=360), baseline=28, prompt=32)
    assert [s.rung for s in steps] == ["baseline", "prompt"]


def test_the_climb_ends_where_a_perfect_rung_would_not_pay(task: Task, tmp_path: Path) -> None:
    # 100 requests a month for a year, worth 1 each: 12.5 % fewer errors earn 150, and building is taken to cost 1,000.
    prices = {"machine_hour": 1000.0, "requests_per_month": 100.0, "value_per_correct": 1.0}
    money = replace(task, money=task.money.model_copy(update=prices))
    steps = steps_of(money, tmp_path, baseline=28, prompt=32)
    assert [s.ends for s in steps] == [
        "The next rung would have to gain at least 83.3 points to pay: its 90 % optimistic estimate is 12.5 "
        "(if it put every wrong answer right). The climb stops here."
    ]


def test_the_climb_ends_where_not_even_perfection_is_the_least_gain_asked_for(task: Task, tmp_path: Path) -> None:
    asked = replace(task, score=task.score.model_copy(update={"min_gain": 0.2}))
    assert len(steps_of(asked, tmp_path, baseline=28, prompt=32)) == 1
    assert len(steps_of(asked, tmp_path / "b", baseline=24, prompt=32)) == 2


def test_the_climb_ends_where_every_answer_is_right(task: Task, tmp_path: Path) -> None:
    steps = steps_of(task, tmp_path, baseline=32, prompt=32)
    assert [s.ends for s in steps] == ["Every answer is right: there is nothing left to gain."]


def test_what_is_finished_is_neither_built_nor_measured_again(task: Task, tmp_path: Path) -> None:
    def once() -> tuple[list[Step], list[Any], Measure]:
        ladder = [Technique("baseline"), Technique("prompt")]
        measure = Measure({"baseline": 8, "prompt": 24})
        return list(climb(ladder, System("start"), task, tmp_path / "steps", measure, Limits())), ladder, measure

    first, _, _ = once()
    second, ladder, measure = once()
    assert second == first
    assert (measure.seen, [r.given for r in ladder]) == ([], [[], []])


def test_building_is_timed(task: Task, tmp_path: Path) -> None:
    step = steps_of(task, tmp_path, baseline=8)[0]
    assert 0 < step.built.cost.seconds < 5
