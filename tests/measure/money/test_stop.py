"""The stop rule by hand calculation."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from sadari.measure.money.stop import Hope, NextRung, stop_advice
from sadari.task import MoneyConfig
from sadari.types import Scorecard

Card = Callable[..., Scorecard]
SHOP = MoneyConfig(requests_per_month=1000, value_per_correct=50, wrong_answer_cost=200)  # 3,000,000 a year for all right


def test_the_next_rung_stops_where_perfection_would_not_pay_for_it(card: Card) -> None:
    incumbent = card([1.0] * 28 + [0.0] * 4)  # 12.5 points are left
    goes, stops = (stop_advice(incumbent, SHOP, NextRung(build)) for build in (300_000, 400_000))
    assert (goes.needed, goes.optimistic, goes.rule) == (pytest.approx(0.1), pytest.approx(0.125), "remaining")
    assert (goes.stops, stops.stops) == (False, True)
    assert stops.needed == pytest.approx(400_000 / 3_000_000)


def test_dearer_requests_and_months_count_against_the_next_rung(card: Card) -> None:
    advice = stop_advice(card([0.0, 1.0]), SHOP, NextRung(0, extra_per_request=5, extra_per_month=10_000))
    assert advice.needed == pytest.approx((5 + 10) / 250)


def test_the_smallest_gain_asked_for_counts_where_it_is_larger(card: Card) -> None:
    advice = stop_advice(card([1.0] * 9 + [0.0]), SHOP, NextRung(30_000), min_gain=0.1)
    assert (advice.needed, advice.stops) == (0.1, True)
    cheaper = stop_advice(card([1.0, 0.0]), SHOP, NextRung(0, extra_per_request=-50))
    assert (cheaper.needed, cheaper.stops) == (0, False)


def test_what_can_be_fixed_is_hoped_for_at_the_upper_end_of_its_interval(card: Card) -> None:
    incumbent = card([0.0] * 10 + [1.0] * 90)
    advice = stop_advice(incumbent, SHOP, NextRung(150_000), hope=Hope(fixable=["test-003", "test-007", "unknown"]))
    # One-sided 90 % Wilson bound of 2 in 100, z = 1.2816: (0.02 + 0.00821 + 1.2816 * sqrt(0.000196 + 0.0000411)) / 1.01642.
    assert (advice.rule, advice.optimistic) == ("fixable", pytest.approx(0.0472, abs=1e-4))
    assert advice.stops
    assert stop_advice(incumbent, SHOP, NextRung(0), hope=Hope(fixable=incumbent.ids)).optimistic == pytest.approx(0.1)


def test_a_learning_curve_counts_where_it_promises_less(card: Card) -> None:
    incumbent = card([0.0] * 5 + [1.0] * 5)
    assert stop_advice(incumbent, SHOP, NextRung(0), hope=Hope(predicted=0.07)).optimistic == pytest.approx(0.07)
    assert stop_advice(incumbent, SHOP, NextRung(0), hope=Hope(predicted=0.7)).rule == "remaining"
    assert stop_advice(incumbent, SHOP, NextRung(0), hope=Hope(predicted=-0.1)).optimistic == 0


def test_a_perfect_incumbent_always_stops_and_unknown_prices_stop_nothing_else(card: Card) -> None:
    perfect, good = card([1.0] * 5), card([1.0] * 4 + [0.0])
    assert stop_advice(perfect, None, NextRung()).stops
    for money, rung in ((None, NextRung(5)), (MoneyConfig(), NextRung(5)), (SHOP, NextRung(None))):
        advice = stop_advice(good, money, rung)
        assert (advice.stops, advice.is_priced) == (False, False)
        assert "without a price" in advice.words("en")


def test_graded_scores_lack_what_they_miss_of_one(card: Card) -> None:
    assert stop_advice(card([0.5, 0.7]), SHOP, NextRung(0)).optimistic == pytest.approx(0.4)


def test_the_rule_is_told_with_its_numbers(card: Card) -> None:
    advice = stop_advice(card([1.0] * 28 + [0.0] * 4), SHOP, NextRung(400_000))
    assert advice.words("en") == (
        "The next rung would have to gain at least 13.3 points to pay: "
        "its 90 % optimistic estimate is 12.5 (if it put every wrong answer right). The climb stops here."
    )
    assert advice.words("ko") == (
        "다음 단계는 최소 13.3%p 올라야 이득입니다. 90% 낙관 추정은 12.5%p입니다(남은 오답을 모두 고칠 때). 그래서 여기서 멈춥니다."
    )
    assert "계속할 만합니다" in replace(advice, needed=0.01).words("ko")
