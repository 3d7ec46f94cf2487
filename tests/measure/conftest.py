"""Made-up but realistic cards and steps of a Korean shop-support climb."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sadari.measure.korean import KiwiText
from sadari.measure.report import FailingExample, RunData
from sadari.measure.statistics import mean_interval
from sadari.measure.verdict import Rule, baseline_verdict, judge
from sadari.types import Built, Cost, Curve, Scorecard, Step, System


@pytest.fixture(scope="session")
def kiwi() -> KiwiText:
    """Loaded once: it takes more than a second."""
    pytest.importorskip("kiwipiepy")
    return KiwiText()


@dataclass(frozen=True)
class Prices:
    """Money as a task file would give it."""

    currency: str = "KRW"
    machine_hour: float | None = None
    requests_per_month: float | None = None
    value_per_correct: float | None = None
    wrong_answer_cost: float | None = None
    horizon_months: float | None = 10
    price_per_1k_prompt_tokens: float | None = None
    price_per_1k_completion_tokens: float | None = None
    gpu_hour: float | None = None
    labelling_per_example: float | None = None
    hosting_per_month: float | None = None
    hours_per_month: float | None = None
    retrainings_per_year: float | None = None


@pytest.fixture
def prices() -> type[Prices]:
    return Prices


@pytest.fixture
def shop() -> Prices:
    """250 KRW per corrected answer, a million requests within the horizon."""
    return Prices(machine_hour=3600, requests_per_month=100_000, value_per_correct=50, wrong_answer_cost=200)


def make_card(
    scores: list[float], rung: str = "prompt", latency_s: float = 0.05, cost: float = 0.0, failures: int = 0
) -> Scorecard:
    """A scorecard with these scores."""
    n = len(scores)
    low, high = mean_interval(scores)
    return Scorecard(
        rung=rung,
        scorer="label",
        ids=tuple(f"test-{index:03}" for index in range(n)),
        scores=tuple(scores),
        reasons=("",) * n,
        latencies_s=tuple(np.random.default_rng(1).gamma(8, latency_s / 8, n).tolist()),
        prompt_tokens=(700,) * n,
        completion_tokens=(40,) * n,
        failures=failures,
        low=low,
        high=high,
        throughput=1 / latency_s,
        cost_per_request=cost,
    )


@pytest.fixture
def card() -> Callable[..., Scorecard]:
    return make_card


@pytest.fixture
def korean_run() -> RunData:
    """Five rungs over 240 test examples: 2 %, 21 %, 55 %, 84 %, 85 % correct."""
    rng = np.random.default_rng(3)
    skill = rng.random(240)
    plan = [
        ("baseline", 0.02, 0, 0.2),
        ("prompt", 0.21, 41, 0.9),
        ("retrieval", 0.55, 12, 1.1),
        ("lora", 0.84, 224, 1.2),
        ("full", 0.85, 287, 1.2),
    ]
    steps: list[Step] = []
    best: Scorecard | None = None
    for index, (rung, quality, seconds, latency) in enumerate(plan):
        noise = rng.random(240) < 0.03
        scores = [float((s < quality) != n) for s, n in zip(skill, noise, strict=True)]
        card = make_card(scores, rung, latency, cost=latency / 3600 * 400, failures=3 if index == 0 else 0)
        cost = Cost(seconds, seconds / 3600 * 400)
        verdict = (
            baseline_verdict(card, language="ko") if best is None else judge(best, card, Rule(looks=4, language="ko"), cost=cost)
        )
        steps_x = range(0, 400, 10)
        curves = (
            (
                Curve("train", tuple((x, 2.2 * 0.99**x + 0.3 + 0.05 * rng.random()) for x in steps_x)),
                Curve("validation", tuple((x, 2.2 * 0.99**x + 0.42) for x in range(0, 400, 50))),
            )
            if rung in ("lora", "full")
            else ()
        )
        notes = (f"train 900행 중 {seconds + 400}행으로 학습했습니다.",) if curves else ()
        steps.append(Step(index, rung, Built(System("mini"), cost, curves, notes), card, verdict))
        if verdict.taken:
            best = card
    failing = [
        FailingExample(
            "test-017",
            "지난주 목요일에 산 무선 청소기가 벌써 고장 났는데, 교환 신청은 며칠 안에 해야 하나요?",
            "제품 불량은 수령일로부터 30일 이내에 교환을 신청할 수 있습니다.",
            "단순 변심 교환은 수령일로부터 7일 이내에 신청하실 수 있습니다.",
            "빠진 사실: 30일",
        ),
        FailingExample(
            "test-101",
            "How long does <b>express</b> delivery to Jeju take?",
            "2 business days",
            "",
            "error: timeout after 30 s",
        ),
        FailingExample(
            "test-204",
            "점심시간에도 매장에 주차할 수 있나요?",
            "",
            "네, 2시간까지 무료입니다.",
            "문서에 없는 내용인데 답함",
        ),
    ]
    taken = [step.index for step in steps if step.verdict.taken]
    return RunData(
        run="runs/3",
        task="mall",
        goal="고객 문의에 정책 문서를 근거로 정중하게 답한다.",
        language="ko",
        currency="KRW",
        priced=True,
        scorer="facts (all facts said and cited, no number of its own, right abstention)",
        steps=steps,
        winner=taken[-1],
        bundle=str(Path("runs/3/best")),
        end_reason="사다리의 끝입니다.",
        failing=failing,
        seconds=571,
        config={"model": "mini", "seed": "0", "ladder": "prompt, retrieval, lora, full"},
    )
