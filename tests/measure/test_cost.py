"""Money by hand calculation."""

from collections.abc import Callable

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

MakePrices = Callable[..., Money]


def test_plain_dataclasses_satisfy_the_protocol(shop: Money) -> None:
    assert isinstance(shop, Money)


def test_a_request_costs_its_machine_seconds_and_its_tokens(shop: Money, prices: MakePrices) -> None:
    assert cost_per_request(shop, requests=100, seconds=50) == pytest.approx(0.5)
    tokens = prices(price_per_1k_prompt_tokens=2, price_per_1k_completion_tokens=8)
    assert cost_per_request(tokens, requests=10, seconds=50, prompt_tokens=5000, completion_tokens=1000) == pytest.approx(1.8)


def test_nothing_is_priced_silently_at_zero(prices: MakePrices) -> None:
    assert cost_per_request(prices(), requests=10, seconds=50) is None
    assert cost_per_request(None, requests=10, seconds=50) is None
    assert build_money(Cost(seconds=60), prices()) is None
    assert not is_priced(prices())
    assert not is_priced(None)
    assert is_priced(prices(machine_hour=0))  # a price of zero that was said


def test_building_costs_what_was_counted_or_its_seconds(shop: Money, prices: MakePrices) -> None:
    assert build_money(Cost(60, 500), shop) == 500
    assert build_money(Cost(60), shop) == 60
    assert build_money(Cost(), prices()) == 0


def test_the_smallest_gain_pays_for_building_and_every_request(shop: Money, prices: MakePrices) -> None:
    # 250 KRW per corrected answer, a million requests within the horizon: 2.5 + 500,000 / 1,000,000 = 3 KRW each.
    assert smallest_gain_that_pays(shop, 2.5, 500_000) == pytest.approx(3 / 250)
    assert smallest_gain_that_pays(shop, -5, 0) == pytest.approx(-0.02)
    assert smallest_gain_that_pays(prices(value_per_correct=50), 1, 0) == pytest.approx(0.02)
    assert smallest_gain_that_pays(prices(value_per_correct=50), 1, 10) is None  # the volume is not known
    assert smallest_gain_that_pays(prices(), 1, 0) is None
    assert smallest_gain_that_pays(None, 1, 0) is None


def test_net_and_payback_are_by_the_month(shop: Money, prices: MakePrices) -> None:
    net = monthly_net(shop, 0.1, 5)
    assert net == pytest.approx(100_000 * (0.1 * 250 - 5))
    assert payback_months(net, 1_000_000) == pytest.approx(0.5)
    assert payback_months(-1, 1_000_000) is None
    assert monthly_net(prices(value_per_correct=50), 0.1, 5) is None
