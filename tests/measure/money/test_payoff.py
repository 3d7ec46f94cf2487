"""Payoffs by hand calculation, and their uncertainty against known distributions."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sadari.errors import ConfigError, RunError
from sadari.measure.money.bill import Investment, Offer
from sadari.measure.money.payoff import payoff, reference_shares, resample_means, volumes_of, what_if
from sadari.task import MoneyConfig
from sadari.types import Cost, Scorecard

Card = Callable[..., Scorecard]
Pair = tuple[Offer, Offer]
SHOP = MoneyConfig(
    machine_hour=3600, requests_per_month=1000, value_per_correct=50, wrong_answer_cost=200, labelling_per_example=100
)


def make(scores: list[float], rung: str, seconds: float = 1.0, tokens: list[int] | None = None, **more: Any) -> Scorecard:
    n = len(scores)
    card = Scorecard(
        rung=rung,
        scorer="label",
        ids=tuple(map(str, range(n))),
        scores=tuple(scores),
        reasons=("",) * n,
        latencies_s=(),
        prompt_tokens=tuple(tokens or [100] * n),
        completion_tokens=(0,) * n,
        failures=0,
        low=0.0,
        high=1.0,
        throughput=1 / seconds,
        cost_per_request=0.0,
    )
    return replace(card, **more)


@pytest.fixture
def shop_pair() -> Pair:
    """4 of 10 right at 0.1 s each; and 8 of 10 at 0.5 s, after an hour of building from 500 labelled rows."""
    tuned = Offer(make([1.0] * 8 + [0.0] * 2, "lora", 0.5), "machine", Investment("machine", Cost(3600), labelled=500))
    return tuned, Offer(make([1.0] * 4 + [0.0] * 6, "baseline", 0.1), "machine")


def test_a_payoff_that_can_be_followed_by_hand(shop_pair: Pair) -> None:
    # Once:  500 labels x 100 = 50,000, and 1 h x 3,600: 53,600.
    # Each:  4 of 10 more are right, worth 50 + 200 = 250 each: 100. It takes 0.4 s more, at 1 a second: 0.4. Left: 99.6.
    # Month: 1,000 requests x 99.6 = 99,600, less 2 retrainings a year x 3,600 / 12 = 600: 99,000.
    got = payoff(*shop_pair, SHOP.model_copy(update={"retrainings_per_year": 2}))
    assert got.gain == pytest.approx(0.4)
    assert got.paid_once == pytest.approx(53_600)
    assert got.extra_per_request == pytest.approx(0.4)
    assert got.extra_per_month == pytest.approx(600)
    assert got.net_per_month == pytest.approx(99_000)
    assert got.payback_months == pytest.approx(53_600 / 99_000)
    assert got.break_even_requests == pytest.approx(53_600 / 99)
    assert (got.months, got.never_pays) == (12, False)
    assert "machine_hour 3,600 KRW" in got.priced_by
    assert [part.name for part in got.unpriced] == ["idle"]


def test_rented_machines_are_a_cost_of_the_month_and_not_of_the_request(shop_pair: Pair) -> None:
    money = SHOP.model_copy(update={"hours_per_month": 730, "requests_per_month": 6_000_000})
    # 730 h are 2,628,000 s and as much money: the baseline needs 600,000 s, one machine; the tuned one 3,000,000 s, two.
    got = payoff(*shop_pair, money)
    assert got.extra_per_request == 0
    assert got.extra_per_month == pytest.approx(2_628_000)
    assert got.net_per_month == pytest.approx(6_000_000 * 100 - 2_628_000)
    assert got.break_even_requests == pytest.approx(53_600 / (100 - 2_628_000 / 6_000_000))


def test_a_gain_that_costs_more_than_it_earns_never_pays(shop_pair: Pair) -> None:
    tuned, baseline = shop_pair
    got = payoff(tuned, baseline, MoneyConfig(machine_hour=3600, requests_per_month=1000, value_per_correct=1, wrong_answer_cost=0))
    assert got.net_per_month == pytest.approx(0, abs=1e-6)  # 1,000 x (0.4 - 0.4)
    worse = payoff(baseline, tuned, SHOP)
    assert worse.never_pays
    assert (worse.break_even_requests, worse.payback_months) == (None, None)
    assert (worse.pays_probability or 0.0) < 0.05


@pytest.mark.parametrize("missing", ["machine_hour", "requests_per_month"])
def test_without_a_price_or_a_volume_the_net_is_not_known_and_the_reason_is_named(shop_pair: Pair, missing: str) -> None:
    got = payoff(*shop_pair, SHOP.model_copy(update={missing: None}))
    assert (got.net_per_month, got.net_tenths, got.payback_months, got.pays_probability) == (None, (None, None, None), None, None)
    assert not got.never_pays
    assert any(missing in part.options for part in got.unpriced)


def test_break_even_needs_no_volume_where_the_month_costs_nothing_more(shop_pair: Pair) -> None:
    unknown = payoff(*shop_pair, SHOP.model_copy(update={"requests_per_month": None}))
    assert unknown.break_even_requests == pytest.approx(53_600 / 99.6)
    again = SHOP.model_copy(update={"requests_per_month": None, "retrainings_per_year": 1})
    assert payoff(*shop_pair, again).break_even_requests is None


def test_no_price_at_all_gives_a_payoff_without_figures(shop_pair: Pair) -> None:
    got = payoff(*shop_pair, MoneyConfig())
    assert (got.value_of_one, got.paid_once, got.extra_per_request, got.net_per_month) == (None, None, None, None)
    assert got.gain == pytest.approx(0.4)
    assert got.priced_by == ()


def test_zero_requests_earn_nothing_and_still_pay_for_the_month(shop_pair: Pair) -> None:
    got = payoff(*shop_pair, SHOP.model_copy(update={"requests_per_month": 0, "retrainings_per_year": 2}))
    assert (got.net_per_month, got.payback_months, got.break_even_requests) == (pytest.approx(-600), None, None)


def test_a_single_example_or_group_gives_no_interval() -> None:
    one, other = (Offer(make([score], "x"), "machine") for score in (1.0, 0.0))
    got = payoff(one, other, SHOP)
    assert (got.net_per_month, got.net_tenths, got.pays_probability) == (250_000, (None, None, None), None)
    grouped = [Offer(make([score] * 3, "x", groups=("g",) * 3), "machine") for score in (1.0, 0.0)]
    assert payoff(grouped[0], grouped[1], SHOP).net_tenths == (None, None, None)


def test_equal_scores_net_nothing() -> None:
    same = Offer(make([0.5] * 20, "x"), "machine")
    got = payoff(same, same, SHOP)
    assert (got.gain, got.net_per_month, got.net_tenths, got.pays_probability) == (0, 0, (0, 0, 0), 0)
    assert (got.break_even_requests, got.payback_months) == (None, None)


# --- how sure it is ------------------------------------------------------------------------------------------------------------


def test_the_net_is_as_uncertain_as_the_binomial_says() -> None:
    # Half of 100 against none: a resample has Binomial(100, 0.5) right answers, each worth 1 a month.
    half, none = (Offer(make(scores, "x"), "machine") for scores in ([1.0, 0.0] * 50, [0.0] * 100))
    money = MoneyConfig(machine_hour=0, value_per_correct=1, requests_per_month=100, horizon_months=1)
    paid = replace(half, investment=Investment("machine", Cost(0, 50)))
    got = payoff(paid, none, money)
    binomial = stats.binom(100, 0.5)
    assert got.net_tenths == pytest.approx(tuple(binomial.ppf([0.1, 0.5, 0.9])), abs=1)
    assert got.pays_probability == pytest.approx(binomial.sf(50), abs=0.02)


def test_scores_and_costs_are_resampled_together() -> None:
    # It costs 1 wherever it earns 1, so each resample nets nothing; drawn apart, the net would spread.
    right = [1.0, 0.0] * 50
    offer = Offer(make(right, "x", tokens=[1000 * int(score) for score in right]), "remote")
    free = Offer(make([0.0] * 100, "y", prompt_tokens=(0,) * 100), "remote")
    money = MoneyConfig(
        price_per_1k_prompt_tokens=1, price_per_1k_completion_tokens=0, value_per_correct=1, requests_per_month=1000
    )
    assert payoff(offer, free, money).net_tenths == pytest.approx((0, 0, 0), abs=1e-9)


def test_rows_of_one_group_are_drawn_together() -> None:
    values = np.repeat([1.0, 0.0], 50)[:, None]
    alone, units = resample_means(values)
    pairs, pair_units = resample_means(values, [f"g{row // 2}" for row in range(100)])
    assert (units, pair_units) == (100, 50)
    assert alone[1:].std() == pytest.approx(np.sqrt(0.25 / 100), rel=0.05)
    assert pairs[1:].std() == pytest.approx(np.sqrt(0.25 / 50), rel=0.05)


def test_rows_without_a_group_stand_alone_and_the_first_mean_is_the_plain_one() -> None:
    values = np.arange(12.0).reshape(6, 2)
    means, units = resample_means(values, ["a", "", "a", "", "a", ""], resamples=10)
    assert units == 4
    assert means.shape == (11, 2)
    assert means[0] == pytest.approx(values.mean(axis=0))


def test_seeds_are_drawn_again_too() -> None:
    # All examples agree, so what is left is which of two seeds is drawn: both right, one of them, or none.
    seeds = ((1.0,) * 50, (0.0,) * 50)
    trained, base = Offer(make([0.5] * 50, "x", by_seed=seeds), "machine"), Offer(make([0.0] * 50, "y"), "machine")
    got = payoff(trained, base, MoneyConfig(machine_hour=0, value_per_correct=1, requests_per_month=100))
    assert (got.gain, got.net_per_month, got.net_tenths) == (0.5, 50, (0, 50, 100))


def test_the_same_seed_gives_the_same_payoff(shop_pair: Pair) -> None:
    assert payoff(*shop_pair, SHOP, seed=3) == payoff(*shop_pair, SHOP, seed=3)
    assert payoff(*shop_pair, SHOP, seed=3).pays_probability is not None


def test_ten_thousand_resamples_of_a_thousand_examples_take_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    offer, base = (Offer(make((rng.random(1000) < share).astype(float).tolist(), "x"), "machine") for share in (0.8, 0.4))
    started = time.process_time()
    payoff(offer, base, SHOP, resamples=10_000)
    assert time.process_time() - started < 1


scores_of_two = st.integers(2, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=n, max_size=n)] * 2)
)
amounts = st.floats(0, 1e6)


@settings(max_examples=40, deadline=None)
@given(scores_of_two, amounts, amounts, amounts)
def test_more_value_never_lowers_the_net_of_a_gain(
    scores: tuple[list[float], list[float]], value: float, more: float, hour: float
) -> None:
    better, worse = sorted(scores, key=sum, reverse=True)
    offer, base = Offer(make(better, "x", 3.0), "machine"), Offer(make(worse, "y", 2.0), "machine")
    money = MoneyConfig(machine_hour=hour, requests_per_month=1000, value_per_correct=value, wrong_answer_cost=1)
    low, high = (
        payoff(offer, base, prices, resamples=20).net_per_month
        for prices in (money, money.model_copy(update={"value_per_correct": value + more}))
    )
    assert low is not None
    assert high is not None
    assert high >= low - 1e-6 * abs(low)


@settings(max_examples=40, deadline=None)
@given(scores_of_two, amounts, st.floats(1, 1e7), st.floats(0, 1e5))
def test_payback_and_break_even_tell_the_same(
    scores: tuple[list[float], list[float]], value: float, volume: float, seconds: float
) -> None:
    offer = Offer(make(scores[0], "x"), "machine", Investment("machine", Cost(seconds)))
    money = MoneyConfig(
        machine_hour=400, requests_per_month=volume, value_per_correct=value, wrong_answer_cost=1, hours_per_month=100
    )
    got = payoff(offer, Offer(make(scores[1], "y", 0.01), "machine"), money, resamples=20)
    assert got.net_per_month is not None
    assert (got.payback_months is None) == got.never_pays
    if got.payback_months is not None:
        assert got.break_even_requests == pytest.approx(got.payback_months * volume)
    low, middle, high = got.net_tenths
    assert (low or 0) <= (middle or 0) <= (high or 0)


# --- volumes and references ------------------------------------------------------------------------------------------------------


def test_the_what_if_table_has_every_offer_at_every_volume_and_the_tasks_own(shop_pair: Pair) -> None:
    tuned, baseline = shop_pair
    rows = what_if([tuned, baseline], baseline, SHOP.model_copy(update={"requests_per_month": 50_000}))
    assert [row.requests_per_month for row in rows[:5]] == [1_000, 10_000, 50_000, 100_000, 1_000_000]
    assert [row.name for row in rows] == ["lora"] * 5 + ["baseline"] * 5
    assert [row.net_per_month for row in rows[:5]] == pytest.approx([99.6 * n for n in (1_000, 10_000, 50_000, 100_000, 1_000_000)])
    assert volumes_of(MoneyConfig(requests_per_month=1000)) == (1_000, 10_000, 100_000, 1_000_000)
    assert [row.requests_per_month for row in what_if([tuned], baseline, SHOP, [7])] == [7]


def test_a_rented_machine_beats_a_large_model_above_the_volume_that_fills_it() -> None:
    # 8 of 10 against 10 of 10. The large model's tokens cost 0.1 x 10 = 1 a request; the machine 292,000 a month.
    small = Offer(make([1.0] * 8 + [0.0] * 2, "lora", 0.1), "machine", Investment("machine", Cost(0, 24_000)))
    large = Offer(make([1.0] * 10, "openai:large"), "remote")
    money = MoneyConfig(machine_hour=400, hours_per_month=730, price_per_1k_prompt_tokens=10, price_per_1k_completion_tokens=0)
    rows = reference_shares(small, large, money)
    assert [row.quality_share for row in rows] == pytest.approx([0.8] * 4)
    assert [row.reference_cost for row in rows] == pytest.approx([1_000, 10_000, 100_000, 1_000_000])
    assert [row.monthly_cost for row in rows] == pytest.approx([292_000 + 24_000 / 12] * 4)
    assert [row.cost_share for row in rows] == pytest.approx([294, 29.4, 2.94, 0.294])
    low, middle, high = rows[0].quality_tenths
    assert (low, middle, high) == pytest.approx(tuple(stats.binom(10, 0.8).ppf([0.1, 0.5, 0.9]) / 10))


def test_a_reference_that_is_free_or_never_right_has_no_share() -> None:
    right, wrong = Offer(make([1.0] * 5, "x"), "machine"), Offer(make([0.0] * 5, "y"), "remote")
    row = reference_shares(right, wrong, MoneyConfig(machine_hour=400), [10.0])[0]
    assert (row.quality_share, row.quality_tenths, row.cost_share) == (None, (None, None, None), None)
    assert reference_shares(right, right, MoneyConfig(machine_hour=0), [10.0])[0].cost_share is None
    assert reference_shares(right, right, MoneyConfig(), [10.0])[0].monthly_cost is None


# --- what cannot be computed with -------------------------------------------------------------------------------------------------


def test_systems_that_cannot_be_compared_are_refused() -> None:
    good = make([1.0, 0.0], "x")
    bad = {
        "measured on no examples": make([], "y"),
        "not measured on the same examples": replace(good, ids=("0", "7")),
        "scores are not one finite number": replace(good, scores=(1.0, float("nan"))),
        "prompt_tokens are not one finite number": replace(good, prompt_tokens=(1,)),
        "scores of seed 2 are not one": replace(good, by_seed=((1.0, 0.0), (1.0,))),
        "throughput are not": replace(good, throughput=float("nan")),
        "groups are not": replace(good, groups=("a",)),
    }
    for message, card in bad.items():
        first = card if not card.ids else good
        with pytest.raises(RunError, match=message):
            payoff(Offer(first, "machine"), Offer(card, "machine"), SHOP)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, 1e200])
def test_prices_and_volumes_that_are_no_usable_numbers_are_refused(shop_pair: Pair, value: float) -> None:
    with pytest.raises(ConfigError, match=r"money\.machine_hour is .*: give a number"):
        payoff(*shop_pair, SHOP.model_copy(update={"machine_hour": value}))
    with pytest.raises(ConfigError, match=r"money\.requests_per_month is"):
        what_if(shop_pair[:1], shop_pair[1], SHOP, [value])
