"""Money: prices, what building and a request cost, what a gain is worth, and the smallest gain that pays.

Nothing is priced silently at zero: where a price is missing the functions here give None, and reports say "not priced". The lines
that make up a cost stand in `bill`, what follows from two of them in `payoff`.
"""

from typing import Protocol, runtime_checkable

from sadari.types import Cost, Device

DEFAULT_HORIZON_MONTHS = 12.0


@runtime_checkable
class Money(Protocol):
    """The prices of a task, each in `currency`; None means that it was not given."""

    @property
    def currency(self) -> str: ...
    @property
    def machine_hour(self) -> float | None: ...
    @property
    def gpu_hour(self) -> float | None: ...
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
    @property
    def labelling_per_example(self) -> float | None: ...
    @property
    def hosting_per_month(self) -> float | None: ...
    @property
    def hours_per_month(self) -> float | None: ...
    @property
    def retrainings_per_year(self) -> float | None: ...


def hour_price(money: Money | None, device: Device) -> float | None:
    """The price of an hour of `device`, None if it was not given; 0 of a remote one, where tokens are paid and waiting is not."""
    if device == "remote":
        return 0.0
    if money is None:
        return None
    return money.gpu_hour if device == "accelerator" else money.machine_hour


def is_priced(money: Money | None, device: Device | None = None) -> bool:
    """Whether a request can be priced: on `device`; or, where that is not said, by the machine's hour or by tokens."""
    if money is None:
        return False
    tokens = money.price_per_1k_prompt_tokens is not None and money.price_per_1k_completion_tokens is not None
    if device is None:
        return money.machine_hour is not None or tokens
    return tokens if device == "remote" else hour_price(money, device) is not None


def cost_per_request(
    money: Money | None,
    *,
    requests: int,
    seconds: float,
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    device: Device | None = None,
) -> float | None:
    """What one of `requests` cost, by use; None if it is not priced.

    On a machine or an accelerator that is its seconds at the hour's price; of a remote model, its tokens at theirs. Where the
    device is not said, both count as far as they have a price.
    """
    if money is None or not is_priced(money, device) or requests == 0:
        return None
    cost = seconds / 3600 * (hour_price(money, device or "machine") or 0.0)
    if device in (None, "remote"):
        cost += prompt_tokens / 1000 * (money.price_per_1k_prompt_tokens or 0.0)
        cost += completion_tokens / 1000 * (money.price_per_1k_completion_tokens or 0.0)
    return cost / requests


def build_money(cost: Cost, money: Money | None, device: Device = "machine") -> float | None:
    """What building cost: money paid elsewhere, and its seconds at the price of `device`; None if that is not known."""
    hour = hour_price(money, device)
    if cost.seconds and hour is None:
        return None
    return cost.money + cost.seconds / 3600 * (hour or 0.0)


def value_of_one(money: Money | None) -> float | None:
    """What one more right answer is worth: its value, and the cost of the wrong one it replaces; None if neither is given."""
    if money is None:
        return None
    return (money.value_per_correct or 0.0) + (money.wrong_answer_cost or 0.0) or None


def smallest_gain_that_pays(
    money: Money | None, extra_cost_per_request: float, build_cost: float, extra_cost_per_month: float = 0.0
) -> float | None:
    """The gain in quality, in [0, 1], above which a step earns more than it costs within the horizon; None if that is not known.

    The step pays when requests x (gain x value - extra) exceeds what building it and its months cost. Negative when it saves more
    than it cost.
    """
    value, volume = value_of_one(money), _volume(money)
    fixed = build_cost + extra_cost_per_month * horizon_months(money)
    if value is None or (fixed and not volume):
        return None
    return (extra_cost_per_request + (fixed / volume if volume else 0.0)) / value


def monthly_net(money: Money | None, gain: float, extra_cost_per_request: float, extra_cost_per_month: float = 0.0) -> float | None:
    """What a gain in quality earns each month after the extra cost of requests and of the month; None if that is not known."""
    value = value_of_one(money)
    if money is None or value is None or not money.requests_per_month:
        return None
    return money.requests_per_month * (gain * value - extra_cost_per_request) - extra_cost_per_month


def payback_months(net_per_month: float | None, build_cost: float) -> float | None:
    """Months until `net_per_month` has earned what building cost; None if it never does."""
    if net_per_month is None or net_per_month <= 0:
        return None
    return max(0.0, build_cost) / net_per_month


def horizon_months(money: Money | None) -> float:
    """Months within which a step has to pay back."""
    return (money.horizon_months if money is not None else None) or DEFAULT_HORIZON_MONTHS


def _volume(money: Money | None) -> float:
    """Requests within the horizon."""
    return 0.0 if money is None else (money.requests_per_month or 0.0) * horizon_months(money)
