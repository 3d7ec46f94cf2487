"""Money: what a request costs, what a gain is worth, and the smallest gain that pays.

Nothing is priced silently at zero: where a price is missing the functions here give None, and reports say "not priced".
"""

from typing import Protocol, runtime_checkable

from sadari.types import Cost

DEFAULT_HORIZON_MONTHS = 12.0


@runtime_checkable
class Money(Protocol):
    """The prices of a task, each in `currency`; None means that it was not given."""

    @property
    def currency(self) -> str: ...
    @property
    def machine_hour(self) -> float | None: ...
    @property
    def requests_per_month(self) -> float | None: ...
    @property
    def value_per_correct(self) -> float | None: ...
    @property
    def wrong_answer_cost(self) -> float | None: ...
    @property
    def horizon_months(self) -> float | None: ...
    @property
    def price_per_1k_prompt_tokens(self) -> float | None: ...
    @property
    def price_per_1k_completion_tokens(self) -> float | None: ...


def is_priced(money: Money | None) -> bool:
    """Whether a request can be priced: by the machine's hour or by tokens."""
    return money is not None and not (
        money.machine_hour is None and money.price_per_1k_prompt_tokens is None and money.price_per_1k_completion_tokens is None
    )


def cost_per_request(
    money: Money | None, *, requests: int, seconds: float, prompt_tokens: int = 0, completion_tokens: int = 0
) -> float | None:
    """What one of `requests` cost: machine seconds at the hour's price, plus tokens at theirs; None if neither is priced."""
    if money is None or not is_priced(money) or requests == 0:
        return None
    total = seconds / 3600 * (money.machine_hour or 0.0)
    total += prompt_tokens / 1000 * (money.price_per_1k_prompt_tokens or 0.0)
    total += completion_tokens / 1000 * (money.price_per_1k_completion_tokens or 0.0)
    return total / requests


def build_money(cost: Cost, money: Money | None) -> float | None:
    """What building cost: the money that was counted, else its seconds at the machine's price; None if that is not known."""
    if cost.money or not cost.seconds:
        return cost.money
    return None if money is None or money.machine_hour is None else cost.seconds / 3600 * money.machine_hour


def value_of_one(money: Money | None) -> float | None:
    """What one more right answer is worth: its value, and the cost of the wrong one it replaces; None if neither is given."""
    if money is None:
        return None
    return (money.value_per_correct or 0.0) + (money.wrong_answer_cost or 0.0) or None


def smallest_gain_that_pays(money: Money | None, extra_cost_per_request: float, build_cost: float) -> float | None:
    """The gain in quality, in [0, 1], above which a step earns more than it costs within the horizon; None if that is not known.

    The step pays when requests x (gain x value - extra) exceeds what building it cost. Negative when it saves more than it cost.
    """
    value, volume = value_of_one(money), _volume(money)
    if value is None or (build_cost and not volume):
        return None
    return (extra_cost_per_request + (build_cost / volume if volume else 0.0)) / value


def monthly_net(money: Money | None, gain: float, extra_cost_per_request: float) -> float | None:
    """What a gain in quality earns each month after the extra cost of every request; None if value or volume is not given."""
    value = value_of_one(money)
    if money is None or value is None or not money.requests_per_month:
        return None
    return money.requests_per_month * (gain * value - extra_cost_per_request)


def payback_months(net_per_month: float | None, build_cost: float) -> float | None:
    """Months until `net_per_month` has earned what building cost; None if it never does."""
    if net_per_month is None or net_per_month <= 0:
        return None
    return build_cost / net_per_month


def _volume(money: Money | None) -> float:
    """Requests within the horizon."""
    if money is None:
        return 0.0
    return (money.requests_per_month or 0.0) * (money.horizon_months or DEFAULT_HORIZON_MONTHS)
