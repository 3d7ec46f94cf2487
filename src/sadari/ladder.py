"""The climb: build a rung, measure it, decide; from the cheapest technique to the costliest."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from sadari.files import kept
from sadari.measure.money.cost import Money, build_money
from sadari.measure.money.stop import NextRung, stop_advice
from sadari.measure.scorecard import mean_of_seeds
from sadari.measure.verdict import Rule, baseline_verdict, judge
from sadari.task import Task
from sadari.types import Built, Cost, Device, Example, Rung, Scorecard, Step, System, Verdict

NEXT_RUNG_S = 3600.0
"""What the next rung is expected to take, where nobody knows: an hour, or the whole time budget if that is less."""


class Measure(Protocol):
    """Scores a system on examples; the same arguments give the same scorecard."""

    def __call__(self, rung: str, system: System, examples: Sequence[Example]) -> Scorecard: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop before the top. `time_s` and `cost` count what was built and measured, not what was waited for.

    Args:
        target: Quality that is enough, in [0, 1].
        time_s: Seconds.
        cost: Money in `money.currency`: machine seconds at their price, what rungs paid elsewhere, and every test request.
        heeds_advice: Whether the climb ends where going on can no longer pay.
    """

    target: float | None = None
    time_s: float | None = None
    cost: float | None = None
    heeds_advice: bool = True


def climb(ladder: Sequence[Rung], start: System, task: Task, workdir: Path, measure: Measure, limits: Limits) -> Iterator[Step]:
    """Build, measure and judge each rung, cheapest first; yield a step as each is decided.

    The first rung is the baseline: it is compared with nothing. Every other is judged against the incumbent on the test set, at
    the level 0.05 / (number of rungs after the baseline). What is finished is kept in `workdir`: called again with the same
    arguments, the climb continues there.
    """
    incumbent, card = start, None
    spent = Cost()
    for index, rung in enumerate(ladder):
        place = workdir / f"{index}-{rung.name}"
        build = partial(rung.build, incumbent, task.train, task.validation, place / "work")
        built = kept(place / "built.json", Built, partial(_timed, build))
        challenger = kept(place / "scorecard.json", Scorecard, partial(_measured, measure, rung.name, built, task.test))
        verdict = kept(place / "verdict.json", Verdict, partial(_decide, card, challenger, built, task, len(ladder) - 1))
        spent = _added(spent, built, challenger, task.money)
        if card is None or verdict.taken:
            incumbent, card = built.system, challenger
        ends = _end_reason(card, limits, task, spent, last=index + 1 == len(ladder))
        yield Step(index, rung.name, built, challenger, verdict, ends)
        if ends:
            return


def _timed(build: Callable[[], Built]) -> Built:
    started = time.perf_counter()
    built = build()
    return replace(built, cost=Cost(time.perf_counter() - started, built.cost.money))


def _measured(measure: Measure, rung: str, built: Built, examples: Sequence[Example]) -> Scorecard:
    """The scorecard of what was built; of several seeds, their mean."""
    return mean_of_seeds([measure(rung, system, examples) for system in (built.system, *built.replicas)])


def _decide(card: Scorecard | None, challenger: Scorecard, built: Built, task: Task, looks: int) -> Verdict:
    if card is None:
        return baseline_verdict(challenger, language=task.language)
    rule = Rule(looks, min_gain=task.score.min_gain, money=task.money, language=task.language, seed=task.seed)
    return judge(card, challenger, rule, cost=built.cost)


def _added(spent: Cost, built: Built, card: Scorecard, money: Money) -> Cost:
    """What was spent, with the building and the measuring of one more rung, of every seed of it."""
    requests = len(card.ids) * max(1, len(card.by_seed))
    measuring_s = requests / card.throughput if card.throughput else 0.0
    priced = build_money(built.cost, money, card.device)
    building = built.cost.money if priced is None else priced
    measuring = card.cost_per_request * requests
    return Cost(spent.seconds + built.cost.seconds + measuring_s, spent.money + building + measuring)


def next_rung(money: Money, device: Device, time_s: float | None) -> NextRung:
    """What the next rung is expected to cost, before anyone built one like it."""
    seconds = NEXT_RUNG_S if time_s is None else min(NEXT_RUNG_S, time_s)
    return NextRung(build_money(Cost(seconds=seconds), money, device))


def _end_reason(card: Scorecard, limits: Limits, task: Task, spent: Cost, *, last: bool) -> str:
    korean = task.language == "ko"
    if limits.target is not None and card.quality >= limits.target:
        return f"목표 {limits.target:.0%}에 도달했습니다." if korean else f"The target of {limits.target:.0%} is met."
    if last:
        return "사다리의 끝입니다." if korean else "This is the top of the ladder."
    if limits.time_s is not None and spent.seconds >= limits.time_s:
        return (
            f"시간 예산 {limits.time_s:.0f}초를 다 썼습니다." if korean else f"The time budget of {limits.time_s:.0f} s is spent."
        )
    if limits.cost is not None and spent.money >= limits.cost:
        return f"비용 예산 {limits.cost:,.0f}을 다 썼습니다." if korean else f"The money budget of {limits.cost:,.0f} is spent."
    if card.quality == 1.0:
        return "모든 답이 맞아 더 나아질 것이 없습니다." if korean else "Every answer is right: there is nothing left to gain."
    advice = stop_advice(card, task.money, next_rung(task.money, card.device, limits.time_s), min_gain=task.score.min_gain)
    if limits.heeds_advice and advice.stops:
        return advice.words(task.language)
    return ""
