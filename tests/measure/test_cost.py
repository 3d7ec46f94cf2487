"""Money by hand calculation."""

from dataclasses import dataclass

import pytest

from sadari.measure.cost import (
    Money,
    build_money,
    cost_per_request,
    is_priced,
    monthly_net,
    payback_months,
    smallest_gain_that_pays,
)
from sadari.types import Cost


@dataclass(frozen=True)
class Prices:
    currency: str = "KRW"
    machine_hour: float | None = None
    requests_per_month: float | None = None
    value_per_correct: float | None = None
    wrong_answer_cost: float | None = None
    horizon_months: float | None = 10
    price_per_1k_prompt_tokens: float | None = None
    price_per_1k_completion_tokens: float | None = None


SHOP = Prices(machine_hour=3600, requests_per_month=100_000, value_per_correct=50, wrong_answer_cost=200)


def test_plain_dataclasses_satisfy_the_protocol() -> None:
    assert isinstance(SHOP, Money)


def test_a_request_costs_its_machine_seconds_and_its_tokens() -> None:
    assert cost_per_request(SHOP, requests=100, seconds=50) == pytest.approx(0.5)
    tokens = Prices(price_per_1k_prompt_tokens=2, price_per_1k_completion_tokens=8)
    assert cost_per_request(tokens, requests=10, seconds=50, prompt_tokens=5000, completion_tokens=1000) == pytest.approx(1.8)


def test_nothing_is_priced_silently_at_zero() -> None:
    assert cost_per_request(Prices(), requests=10, seconds=50) is None
    assert cost_per_request(None, requests=10, seconds=50) is None
    assert build_money(Cost(seconds=60), Prices()) is None
    assert not is_priced(Prices())
    assert not is_priced(None)
    assert is_priced(Prices(machine_hour=0))  # a price of zero that was said


def test_building_costs_what_was_counted_or_its_seconds() -> None:
    assert build_money(Cost(60, 500), SHOP) == 500
    assert build_money(Cost(60), SHOP) == 60
    assert build_money(Cost(), Prices()) == 0


def test_the_smallest_gain_pays_for_building_and_every_request() -> None:
    # 250 KRW per corrected answer, a million requests within the horizon: 2.5 + 500,000 / 1,000,000 = 3 KRW each.
    assert smallest_gain_that_pays(SHOP, 2.5, 500_000) == pytest.approx(3 / 250)
    assert smallest_gain_that_pays(SHOP, -5, 0) == pytest.approx(-0.02)
    assert smallest_gain_that_pays(Prices(value_per_correct=50), 1, 0) == pytest.approx(0.02)
    assert smallest_gain_that_pays(Prices(value_per_correct=50), 1, 10) is None  # the volume is not known
    assert smallest_gain_that_pays(Prices(), 1, 0) is None
    assert smallest_gain_that_pays(None, 1, 0) is None


def test_net_and_payback_are_by_the_month() -> None:
    net = monthly_net(SHOP, 0.1, 5)
    assert net == pytest.approx(100_000 * (0.1 * 250 - 5))
    assert payback_months(net, 1_000_000) == pytest.approx(0.5)
    assert payback_months(-1, 1_000_000) is None
    assert monthly_net(Prices(value_per_correct=50), 0.1, 5) is None
