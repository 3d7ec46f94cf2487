"""Money by hand calculation."""

from collections.abc import Callable

import pytest

from sadari.measure.money.cost import (
    Money,
    build_money,
    cost_per_request,
    hour_price,
    is_priced,
    monthly_net,
    payback_months,
    smallest_gain_that_pays,
)
from sadari.task import MoneyConfig
from sadari.types import Cost

MakePrices = Callable[..., Money]


def test_the_prices_of_a_task_file_satisfy_the_protocol() -> None:
    assert isinstance(MoneyConfig(), Money)


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


def test_building_costs_its_seconds_and_what_was_paid_elsewhere(shop: Money, prices: MakePrices) -> None:
    assert build_money(Cost(60, 500), shop) == 560  # 3,600 an hour is 1 a second
    assert build_money(Cost(60), shop) == 60
    assert build_money(Cost(), prices()) == 0
    assert build_money(Cost(60, 500), prices()) is None  # its minute has no price


def test_the_device_decides_which_price_counts() -> None:
    money = MoneyConfig(
        machine_hour=360, gpu_hour=3600, price_per_1k_prompt_tokens=2, price_per_1k_completion_tokens=8, requests_per_month=1
    )
    used = {"requests": 10, "seconds": 50.0, "prompt_tokens": 5000, "completion_tokens": 1000}
    # 50 s are 5 on the machine and 50 on the accelerator; the tokens of a remote model, which waits for free, 5 x 2 + 1 x 8 = 18.
    assert cost_per_request(money, device="machine", **used) == pytest.approx(0.5)
    assert cost_per_request(money, device="accelerator", **used) == pytest.approx(5.0)
    assert cost_per_request(money, device="remote", **used) == pytest.approx(1.8)
    assert build_money(Cost(60), money, "machine") == pytest.approx(6)
    assert build_money(Cost(60), money, "accelerator") == pytest.approx(60)
    assert build_money(Cost(60, 7), money, "remote") == 7


def test_the_price_of_one_device_is_never_taken_for_another() -> None:
    machine, accelerator = MoneyConfig(machine_hour=400), MoneyConfig(gpu_hour=4000)
    assert build_money(Cost(60), machine, "accelerator") is None
    assert build_money(Cost(60), accelerator, "machine") is None
    assert not is_priced(machine, "accelerator")
    assert not is_priced(machine, "remote")
    assert is_priced(accelerator, "accelerator")
    assert hour_price(None, "machine") is None
    assert cost_per_request(accelerator, requests=1, seconds=1, device="machine") is None


def test_tokens_of_which_only_one_kind_has_a_price_are_not_priced(prices: MakePrices) -> None:
    assert not is_priced(prices(price_per_1k_prompt_tokens=2))
    with pytest.raises(ValueError, match="priced together"):
        MoneyConfig(price_per_1k_prompt_tokens=2)


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


def test_a_monthly_cost_raises_the_gain_that_is_needed_and_lowers_the_net(shop: Money, prices: MakePrices) -> None:
    # 10 months at 50,000 more are 500,000 over a million requests: 0.5 more each, of 250.
    assert smallest_gain_that_pays(shop, 2.5, 500_000, 50_000) == pytest.approx(3.5 / 250)
    assert smallest_gain_that_pays(prices(value_per_correct=50), 1, 0, 10) is None  # the volume is not known
    assert monthly_net(shop, 0.1, 5, 50_000) == pytest.approx(100_000 * (0.1 * 250 - 5) - 50_000)


def test_what_saved_money_to_build_is_paid_back_at_once() -> None:
    assert payback_months(10.0, -5.0) == 0
    assert payback_months(0.0, 5.0) is None
    assert payback_months(None, 5.0) is None
