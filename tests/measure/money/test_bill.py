"""Bills by hand calculation: a machine at 3,600 an hour costs 1 a second."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sadari.measure.money.bill import (
    PART_NAMES,
    Investment,
    Offer,
    Part,
    idle_share,
    machines_needed,
    monthly_parts,
    offers_of,
    one_time_parts,
    priced_by,
    request_costs,
    request_parts,
    request_seconds,
    total,
    unpriced_parts,
    unpriced_words,
    value_parts,
)
from sadari.measure.words import Words
from sadari.task import MoneyConfig
from sadari.types import Built, Cost, Scorecard, Step, System, Usage, Verdict

Card = Callable[..., Scorecard]
NOTHING = MoneyConfig()


def names(parts: tuple[Part, ...]) -> list[str]:
    return [part.name for part in parts]


def test_what_is_paid_once_is_labelling_building_and_the_tokens_of_search_and_judge(card: Card) -> None:
    money = MoneyConfig(
        machine_hour=3600, labelling_per_example=100, price_per_1k_prompt_tokens=2, price_per_1k_completion_tokens=8
    )
    paid = Investment("machine", Cost(600, 70), labelled=500, search_tokens=Usage(30_000, 1_000), judge_tokens=Usage(5_000, 0))
    parts = one_time_parts(Offer(card([1.0]), "machine", paid), money)
    assert [part.amount for part in parts] == pytest.approx([50_000, 600, 70, 60, 8, 10])
    assert total(parts) == pytest.approx(50_748)


def test_a_build_on_an_accelerator_is_priced_by_its_hour_alone(card: Card) -> None:
    offer = Offer(card([1.0]), "machine", Investment("accelerator", Cost(1800)))
    assert total(one_time_parts(offer, MoneyConfig(machine_hour=400, gpu_hour=4000))) == pytest.approx(2000)
    assert total(one_time_parts(offer, MoneyConfig(machine_hour=400))) is None


def test_what_was_used_up_must_have_a_price_and_what_only_people_know_is_named(card: Card) -> None:
    labelled = Offer(card([1.0]), "machine", Investment("machine", labelled=500))
    built = Offer(card([1.0]), "machine", Investment("machine", Cost(60)))
    searched = Offer(card([1.0]), "machine", Investment("machine", search_tokens=Usage(10, 10)))
    assert total(one_time_parts(labelled, NOTHING)) == 0
    assert names(unpriced_parts(one_time_parts(labelled, NOTHING))) == ["labelling"]
    assert total(one_time_parts(built, NOTHING)) is None
    assert total(one_time_parts(searched, NOTHING)) is None
    assert total(one_time_parts(Offer(card([1.0]), "machine"), NOTHING)) == 0


def test_a_request_costs_its_seconds_at_measured_throughput_or_its_tokens(card: Card) -> None:
    money = MoneyConfig(machine_hour=3600, price_per_1k_prompt_tokens=2, price_per_1k_completion_tokens=8)
    answers = card([1.0, 0.0], latency_s=0.5)  # 2 a second; 700 prompt and 40 completion tokens each
    assert total(request_parts(Offer(answers, "machine"), money)) == pytest.approx(0.5)
    assert total(request_parts(Offer(answers, "remote"), money)) == pytest.approx(0.7 * 2 + 0.04 * 8)


def test_few_shot_examples_and_passages_are_paid_for_as_prompt_tokens(card: Card) -> None:
    money = MoneyConfig(price_per_1k_prompt_tokens=2, price_per_1k_completion_tokens=8)
    short, long = (replace(card([1.0]), prompt_tokens=(tokens,)) for tokens in (100, 1_100))
    costs = [total(request_parts(Offer(answers, "remote"), money)) or 0.0 for answers in (short, long)]
    assert costs[1] - costs[0] == pytest.approx(2)


@pytest.mark.parametrize("device", ["machine", "accelerator", "remote"])
def test_the_costs_of_the_examples_have_the_cost_of_one_request_as_their_mean(card: Card, device: str) -> None:
    money = MoneyConfig(machine_hour=36, gpu_hour=360, price_per_1k_prompt_tokens=2, price_per_1k_completion_tokens=8)
    answers = replace(card([1.0, 0.0, 1.0]), prompt_tokens=(10, 20, 90), completion_tokens=(0, 5, 1))
    offer = Offer(answers, device)  # type: ignore[arg-type]
    costs = request_costs(offer, money)
    assert costs is not None
    assert costs.mean() == pytest.approx(total(request_parts(offer, money)))
    assert request_costs(offer, NOTHING) is None


def test_measured_seconds_are_shared_by_latency_else_by_tokens_else_evenly(card: Card) -> None:
    answers = replace(card([1.0, 0.0]), throughput=0.25, prompt_tokens=(10, 20), completion_tokens=(0, 10))  # 8 seconds in all
    assert request_seconds(replace(answers, latencies_s=(3.0, 1.0))) == pytest.approx([6, 2])
    assert request_seconds(replace(answers, latencies_s=(3.0,))) == pytest.approx([2, 6])
    bare = replace(answers, latencies_s=(), prompt_tokens=(0, 0), completion_tokens=(0, 0))
    assert request_seconds(bare) == pytest.approx([4, 4])


def test_what_was_not_timed_is_not_priced(card: Card) -> None:
    untimed = Offer(replace(card([1.0]), throughput=0.0), "machine")
    for money in (MoneyConfig(machine_hour=400), MoneyConfig(hosting_per_month=9)):
        assert total(request_parts(untimed, money)) is None
        assert unpriced_words(request_parts(untimed, money), "en") == ["machine time of a request: not measured"]


def test_a_rented_machine_costs_the_same_idle_and_its_requests_nothing_more(card: Card) -> None:
    offer = Offer(card([1.0], latency_s=0.5), "machine")
    by_hour, flat = MoneyConfig(machine_hour=400, hours_per_month=730), MoneyConfig(hosting_per_month=50_000)
    for volume in (0, 1, 1_000_000):
        assert total(monthly_parts(offer, by_hour, volume)) == pytest.approx(292_000)
        assert total(monthly_parts(offer, flat, volume)) == pytest.approx(50_000)
    assert total(request_parts(offer, by_hour)) == 0
    assert idle_share(offer, by_hour, 1_000_000) == pytest.approx(1 - 500_000 / (730 * 3600))
    assert idle_share(offer, MoneyConfig(machine_hour=400), 1) is None


def test_requests_that_do_not_fit_need_another_machine(card: Card) -> None:
    money = MoneyConfig(machine_hour=400, hours_per_month=100)  # 360,000 s: 720,000 requests of half a second
    offer = Offer(card([1.0], latency_s=0.5), "machine")
    assert [machines_needed(0.5, n, money) for n in (None, 0, 720_000, 720_001, 2_000_000)] == [1, 1, 1, 2, 3]
    assert total(monthly_parts(offer, money, 2_000_000)) == pytest.approx(3 * 40_000)
    assert idle_share(offer, money, 720_000) == pytest.approx(0)


def test_idle_time_that_nobody_pays_for_by_the_month_is_named(card: Card) -> None:
    parts = monthly_parts(Offer(card([1.0]), "machine"), MoneyConfig(machine_hour=400), 10)
    assert (names(unpriced_parts(parts)), total(parts)) == (["idle"], 0)
    assert monthly_parts(Offer(card([1.0]), "remote"), MoneyConfig(hosting_per_month=9), 10) == ()


def test_retraining_costs_what_building_the_taken_rungs_again_does(card: Card) -> None:
    paid = Investment("machine", Cost(1200), repeated=Cost(600))
    offer = Offer(card([1.0]), "remote", paid)
    assert total(monthly_parts(offer, MoneyConfig(machine_hour=3600, retrainings_per_year=2), 10)) == pytest.approx(100)
    assert monthly_parts(offer, MoneyConfig(machine_hour=3600, retrainings_per_year=0), 10) == ()
    assert names(unpriced_parts(monthly_parts(offer, MoneyConfig(machine_hour=3600), 10))) == ["retraining"]
    assert total(monthly_parts(offer, MoneyConfig(retrainings_per_year=2), 10)) is None


def test_the_prices_that_went_in_are_told_by_option(card: Card) -> None:
    money = MoneyConfig(machine_hour=400, gpu_hour=4000, hours_per_month=730, labelling_per_example=1000.5)
    offer = Offer(card([1.0]), "machine", Investment("accelerator", Cost(60), labelled=3))
    parts = (*one_time_parts(offer, money), *monthly_parts(offer, money, 10), *request_parts(offer, money))
    assert priced_by(parts, money) == (
        "labelling_per_example 1,000.5 KRW",
        "gpu_hour 4,000 KRW",
        "hours_per_month 730",
        "machine_hour 400 KRW",
    )


def test_a_line_says_how_much_was_used_at_which_price() -> None:
    english, korean = Words("en", "KRW"), Words("ko", "KRW")
    labelling = Part("labelling", 900, 300.0, ("labelling_per_example",))
    time = Part("building", 0.15, 400.0, ("machine_hour",))
    prompt = Part("request_prompt", 1.062, 2.0, ("price_per_1k_prompt_tokens",))
    assert labelling.line(english) == "labelling of examples: 900 examples × 300 KRW = 270,000 KRW"
    assert time.line(english) == "machine time of building: 9 min 0 s × 400 KRW an hour = 60 KRW"
    assert prompt.line(korean) == "요청 하나의 입력: 1,062토큰 × 2원/1,000개 = 2.12원"
    assert replace(time, price=None).line(korean) == "만드는 데 쓴 기계 시간 (9분 0초): money.machine_hour 값이 없음"


def test_what_has_no_price_is_told_once_and_only_by_the_options_that_are_missing(card: Card) -> None:
    offer = Offer(card([1.0]), "machine", Investment("machine", Cost(60)))
    parts = monthly_parts(offer, MoneyConfig(hours_per_month=100, retrainings_per_year=2), 10)
    assert unpriced_words((*parts, *parts), "en") == [
        "rented machines: money.machine_hour is not given",
        "retrainings a month: money.machine_hour is not given",
    ]
    assert names(unpriced_parts(value_parts(NOTHING))) == ["right_answer", "wrong_answer", "volume"]
    assert unpriced_words(value_parts(MoneyConfig(value_per_correct=1, wrong_answer_cost=0, requests_per_month=5)), "ko") == []
    assert all({"ko", "en"} == set(by_language) for by_language in PART_NAMES.values())


def test_a_step_has_paid_for_all_before_it_and_retrains_only_what_was_taken(card: Card) -> None:
    def step(index: int, rung: str, seconds: float, taken: bool, model: str = "mini") -> Step:
        verdict = Verdict("cannot_tell", taken, 0.0, 0.0, 0.0, None, None, "")
        return Step(index, rung, Built(System(model), Cost(seconds)), card([1.0], rung), verdict)

    steps = [step(0, "baseline", 1, True), step(1, "prompt", 10, False), step(2, "lora", 100, True), step(3, "full", 500, False)]
    baseline, _, lora, full = offers_of(steps, "accelerator", labelled=40)
    assert baseline.investment == Investment("accelerator", Cost(1), Cost(1))
    assert lora.investment == Investment("accelerator", Cost(111), Cost(101), 40)
    assert full.investment == Investment("accelerator", Cost(611), Cost(601), 40)
    assert offers_of([step(0, "baseline", 1, True, "openai:gpt")], "machine")[0].device == "remote"


def test_no_examples_cost_nothing_and_break_nothing(card: Card) -> None:
    empty = Offer(card([]), "remote")
    assert total(request_parts(empty, MoneyConfig(machine_hour=1))) == 0
    assert np.size(request_costs(Offer(card([]), "machine"), MoneyConfig(machine_hour=1))) == 0
