"""Does a system pay: break-even, payback and how sure they are, over volumes, and beside a large model.

    net of a month    requests x (gain x value - extra cost of a request) - extra cost of a month
    months to pay     what was paid once / net of a month
    break-even        what was paid once / (gain x value - extra cost of a request - extra cost of a month / requests)

Gain and extra costs are differences between two systems on the same examples. How sure the net is comes from one joint bootstrap:
examples (or whole groups of them) are drawn together with their scores under both systems, their tokens and their seconds, so
that a system which is right where it is slow is not counted as right and fast. What was paid once is known, and not drawn.

Not covered: whether the test examples are like next year's, prices that move, and the machine's own noise from run to run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sadari.errors import ConfigError, RunError
from sadari.measure.money.bill import (
    Offer,
    Part,
    is_rented,
    machines_needed,
    monthly_parts,
    monthly_rent,
    one_time_parts,
    priced_by,
    request_costs,
    request_parts,
    request_seconds,
    retraining_cost,
    total,
    unpriced_parts,
    value_parts,
)
from sadari.measure.money.cost import Money, horizon_months, payback_months, value_of_one
from sadari.measure.statistics import RESAMPLES
from sadari.types import Scorecard

VOLUMES = (1_000.0, 10_000.0, 100_000.0, 1_000_000.0)
"""Requests a month of a what-if table."""

TENTHS = (0.1, 0.5, 0.9)

_LARGEST = 1e15  # of a price or a volume: a product of three is still finite
_PRICES = ("machine_hour", "gpu_hour", "value_per_correct", "wrong_answer_cost", "price_per_1k_prompt_tokens", "horizon_months")
_MORE_PRICES = ("price_per_1k_completion_tokens", "labelling_per_example", "hosting_per_month", "hours_per_month")
_BLOCK = 250_000  # random numbers held at once: what a cache holds is three times as fast
_MOST_DRAWS = 50_000_000  # beyond that many, fewer resamples are made, but never below 1,000
_Array = NDArray[np.float64]
_Tenths = tuple[float | None, float | None, float | None]
_T = TypeVar("_T", float, _Array)


@dataclass(frozen=True, slots=True)
class Payoff:
    """What one system earns against another, in `currency`; None is not known, for reasons that `unpriced` names.

    Args:
        requests_per_month: None if it was not given.
        gain: Difference in quality, in [-1, 1].
        value_of_one: What one more right answer is worth.
        paid_once: Labelling, building, search and judge, less what the other system took.
        extra_per_request, extra_per_month: What it costs more than the other; negative if less. A month is hosting and retraining.
        net_per_month: After these, without what was paid once.
        net_tenths: Values below which 10, 50 and 90 % of the resampled nets lie; None of a single example or group.
        months: The horizon.
        pays_probability: Share of the resamples in which the net of `months` exceeds what was paid once; None as above.
        break_even_requests: Requests after which it has paid; None also if that never happens (see `never_pays`).
        payback_months: Months after which it has paid; None also if that never happens.
        priced_by: The prices used, by option.
        unpriced: What was used and is not in these figures.
    """

    name: str
    against: str
    currency: str
    requests_per_month: float | None
    gain: float
    value_of_one: float | None
    paid_once: float | None
    extra_per_request: float | None
    extra_per_month: float | None
    net_per_month: float | None
    net_tenths: _Tenths
    months: float
    pays_probability: float | None
    break_even_requests: float | None
    payback_months: float | None
    priced_by: tuple[str, ...] = ()
    unpriced: tuple[Part, ...] = ()

    @property
    def never_pays(self) -> bool:
        """Whether its months are known to earn nothing, so that no time pays it back."""
        return self.net_per_month is not None and self.net_per_month <= 0


@dataclass(frozen=True, slots=True)
class ReferenceShare:
    """How much of a reference's quality a system reaches, at how much of its cost; at one volume.

    Args:
        requests_per_month: The volume.
        quality_share: Quality divided by the reference's; None if that is 0.
        quality_tenths: Values below which 10, 50 and 90 % of the resampled shares lie; None of a single example or group.
        monthly_cost, reference_cost: Requests, hosting and retraining of a month, and what was paid once spread over the horizon.
        cost_share: One divided by the other; None if one is not priced or the reference is free.
    """

    name: str
    reference: str
    requests_per_month: float
    quality_share: float | None
    quality_tenths: _Tenths
    monthly_cost: float | None
    reference_cost: float | None
    cost_share: float | None


def payoff(offer: Offer, against: Offer, money: Money, *, resamples: int = RESAMPLES, seed: int = 0) -> Payoff:
    """What `offer` earns against `against` at the task's own volume.

    Raises:
        RunError: If the two did not answer the same examples, or a score, token count or throughput is no usable number.
        ConfigError: If a price or the volume is negative, not finite, or above 1e15.
    """
    return what_if([offer], against, money, [money.requests_per_month], resamples=resamples, seed=seed)[0]


def what_if(
    offers: Iterable[Offer],
    against: Offer,
    money: Money,
    volumes: Sequence[float | None] = (),
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Payoff, ...]:
    """What every offer earns against `against` at every volume, in requests a month: offer by offer, in the order of `volumes`.

    Args:
        volumes: By default `volumes_of(money)`.

    Raises:
        RunError, ConfigError: As `payoff`.
    """
    volumes = volumes or volumes_of(money)
    check_prices(money, volumes)
    rows: list[Payoff] = []
    for offer in offers:
        draws = _draw(offer, against, money, resamples, seed)
        rows += [_payoff_at(volume, draws, offer, against, money) for volume in volumes]
    return tuple(rows)


def volumes_of(money: Money) -> tuple[float, ...]:
    """1,000 to 1,000,000 requests a month, with the task's own volume among them."""
    return tuple(sorted({*VOLUMES, *([money.requests_per_month] if money.requests_per_month else [])}))


def reference_shares(
    offer: Offer, reference: Offer, money: Money, volumes: Sequence[float] = (), *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[ReferenceShare, ...]:
    """Which share of a reference's quality `offer` reaches, at which share of its cost, at every volume.

    Raises:
        RunError, ConfigError: As `payoff`.
    """
    volumes = volumes or volumes_of(money)
    check_prices(money, volumes)
    draws = _draw(offer, reference, money, resamples, seed)
    best = draws.against.quality
    shares = np.divide(draws.offer.quality, best, out=np.full_like(best, np.inf), where=best > 0)
    share = float(shares[0]) if best[0] > 0 else None
    tenths = draws.tenths(shares) if share is not None else (None, None, None)
    rows = []
    for volume in volumes:
        cost, other = _cost_of_month(offer, money, volume), _cost_of_month(reference, money, volume)
        part = cost / other if cost is not None and other else None
        rows.append(ReferenceShare(offer.card.rung, reference.card.rung, volume, share, tenths, cost, other, part))
    return tuple(rows)


# --- one pair at one volume --------------------------------------------------------------------------------------------------


def _payoff_at(volume: float | None, draws: "_Draws", offer: Offer, against: Offer, money: Money) -> Payoff:
    parts = (*_bill(offer, money, volume), *_bill(against, money, volume))
    worth, months = value_of_one(money), horizon_months(money)
    paid_once = _less(total(one_time_parts(offer, money)), total(one_time_parts(against, money)))
    gain = draws.offer.quality - draws.against.quality
    extra = _less(draws.offer.costs, draws.against.costs)
    fixed = _less(
        _fixed_costs(offer, money, volume, draws.offer.seconds), _fixed_costs(against, money, volume, draws.against.seconds)
    )
    net = None
    if volume is not None and worth is not None and extra is not None and fixed is not None:
        net = volume * (gain * worth - extra) - fixed
    probability = None
    if net is not None and paid_once is not None and draws.units > 1:
        probability = float((months * net[1:] > paid_once).mean())
    now = None if net is None else float(net[0])
    return Payoff(
        name=offer.card.rung,
        against=against.card.rung,
        currency=money.currency,
        requests_per_month=volume,
        gain=float(gain[0]),
        value_of_one=worth,
        paid_once=paid_once,
        extra_per_request=None if extra is None else float(extra[0]),
        extra_per_month=None if fixed is None else float(fixed[0]),
        net_per_month=now,
        net_tenths=(None, None, None) if net is None else draws.tenths(net),
        months=months,
        pays_probability=probability,
        break_even_requests=_break_even(volume, paid_once, worth, gain, extra, fixed),
        payback_months=None if paid_once is None else payback_months(now, paid_once),
        priced_by=priced_by(parts, money),
        unpriced=unpriced_parts(parts),
    )


def _break_even(
    volume: float | None, paid_once: float | None, worth: float | None, gain: _Array, extra: _Array | None, fixed: _Array | None
) -> float | None:
    """Requests after which it has paid. Without a monthly cost that does not depend on the volume."""
    if paid_once is None or worth is None or extra is None or fixed is None or (fixed[0] and not volume):
        return None
    each = float(gain[0] * worth - extra[0] - (fixed[0] / volume if volume else 0.0))
    return max(0.0, paid_once) / each if each > 0 else None


def _bill(offer: Offer, money: Money, volume: float | None) -> tuple[Part, ...]:
    return (*one_time_parts(offer, money), *monthly_parts(offer, money, volume), *request_parts(offer, money), *value_parts(money))


def _fixed_costs(offer: Offer, money: Money, volume: float | None, seconds: _Array) -> _Array | None:
    """Hosting and retraining of a month, for each of `seconds` a request; None if not priced."""
    again = retraining_cost(offer, money) if money.retrainings_per_year else 0.0
    rent = monthly_rent(money, offer.device) if is_rented(money, offer.device) else 0.0
    if again is None or rent is None:
        return None
    return rent * machines_needed(seconds, volume, money) + again * (money.retrainings_per_year or 0.0) / 12


def _cost_of_month(offer: Offer, money: Money, volume: float) -> float | None:
    """Everything: requests, hosting, retraining, and what was paid once spread over the horizon."""
    once = total(one_time_parts(offer, money))
    month, request = total(monthly_parts(offer, money, volume)), total(request_parts(offer, money))
    if once is None or month is None or request is None:
        return None
    return volume * request + month + once / horizon_months(money)


def _less(first: _T | None, second: _T | None) -> _T | None:
    return None if first is None or second is None else first - second


# --- how sure it is -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Arm:
    """Of one system: what was measured, followed by what each resample of it gives."""

    quality: _Array
    costs: _Array | None
    seconds: _Array


@dataclass(frozen=True, slots=True)
class _Draws:
    """Two systems, resampled together; `units` is how many examples or groups there are to draw."""

    offer: _Arm
    against: _Arm
    units: int

    def tenths(self, values: _Array) -> _Tenths:
        """The 10, 50 and 90 % points of the resamples: `values` without its first."""
        if self.units < 2:
            return None, None, None
        low, middle, high = np.quantile(values[1:], TENTHS, method="inverted_cdf")  # one of the values, so infinity is no trouble
        return float(low), float(middle), float(high)


def resample_means(
    columns: ArrayLike, groups: Sequence[str] = (), *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[_Array, int]:
    """Means of the columns over all rows, followed by those over every resample of the rows; and how many units were drawn.

    All columns are resampled together. With `groups`, whole groups are drawn, and a row without one ("") stands alone. Of very many
    units fewer resamples are made, at least 1,000.

    Args:
        columns: Shape (rows, columns).
        groups: One per row, or none.

    Returns:
        Means of shape (1 + resamples, columns).

    Source:
        Cluster bootstrap: Davison & Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
    """
    values = np.asarray(columns, float)
    labels = [group or index for index, group in enumerate(groups or [""] * len(values))]
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    units = len(places)
    table = np.zeros((units, values.shape[1] + 1))
    np.add.at(table, [places[label] for label in labels], np.column_stack([values, np.ones(len(values))]))
    resamples = min(resamples, max(1_000, _MOST_DRAWS // units))
    rng = np.random.default_rng(seed)
    sums = [table.sum(axis=0, keepdims=True)]
    rows = max(1, _BLOCK // units)
    for done in range(0, resamples, rows):
        some = min(rows, resamples - done)
        drawn = rng.integers(0, units, size=(some, units))
        drawn += units * np.arange(some)[:, None]
        sums.append(np.bincount(drawn.ravel(), minlength=some * units).reshape(some, units) @ table)
    sums_of_all = np.concatenate(sums)
    return sums_of_all[:, :-1] / sums_of_all[:, -1:], units


def _draw(offer: Offer, against: Offer, money: Money, resamples: int, seed: int) -> _Draws:
    _check_pair(offer.card, against.card)
    first, second = _columns(offer, money), _columns(against, money)
    groups = offer.card.groups or against.card.groups
    means, units = resample_means(np.hstack([first, second]), groups, resamples=resamples, seed=seed)
    width = first.shape[1]
    return _Draws(_arm(means[:, :width], [seed, 0]), _arm(means[:, width:], [seed, 1]), units)


def _columns(offer: Offer, money: Money) -> _Array:
    """Of each example: what it cost (NaN where that is not priced), its seconds, and its score under every seed."""
    card, costs = offer.card, request_costs(offer, money)
    unpriced = np.full(len(card.ids), np.nan)
    return np.column_stack([unpriced if costs is None else costs, request_seconds(card), *(card.by_seed or (card.scores,))])


def _arm(means: _Array, seed: list[int]) -> _Arm:
    is_priced = not np.isnan(means[0, 0])
    return _Arm(_over_seeds(means[:, 2:], np.random.default_rng(seed)), means[:, 0] if is_priced else None, means[:, 1])


def _over_seeds(means: _Array, rng: np.random.Generator) -> _Array:
    """Mean over seeds, which are drawn again as examples are; the first row is the plain mean."""
    resamples, seeds = means.shape
    weights = rng.multinomial(seeds, [1 / seeds] * seeds, size=resamples) / seeds
    weights[0] = 1 / seeds
    found: _Array = (means * weights).sum(axis=1)
    return found


# --- what cannot be computed with -----------------------------------------------------------------------------------------------


def check_prices(money: Money, volumes: Sequence[float | None] = ()) -> None:
    """Check that figures can be made of these prices.

    Raises:
        ConfigError: If a price or the volume is negative, not finite, or above 1e15.
    """
    given = {name: getattr(money, name) for name in (*_PRICES, *_MORE_PRICES, "retrainings_per_year")}
    given |= {f"requests_per_month ({volume})": volume for volume in (money.requests_per_month, *volumes)}
    for name, value in given.items():
        if value is not None and not 0 <= value <= _LARGEST:
            raise ConfigError(f"money.{name.split(' ')[0]} is {value}: give a number from 0 to {_LARGEST:.0e}.")


def _check_pair(first: Scorecard, second: Scorecard) -> None:
    arms = f'"{first.rung}" and "{second.rung}"'
    if not first.ids:
        raise RunError(f"{arms} were measured on no examples: what they earn cannot be told. Give the task test examples.")
    if first.ids != second.ids:
        raise RunError(f"{arms} were not measured on the same examples: what one earns cannot be told. Measure both on one file.")
    for card in (first, second):
        n = len(card.ids)
        rows = {"scores": card.scores, "prompt_tokens": card.prompt_tokens, "completion_tokens": card.completion_tokens}
        rows |= {f"scores of seed {index}": row for index, row in enumerate(card.by_seed, 1)}
        wrong = [name for name, row in rows.items() if len(row) != n or not all(isfinite(x) and x >= 0 for x in row)]
        if wrong or not card.throughput >= 0 or (card.groups and len(card.groups) != n):
            what = wrong[0] if wrong else "groups" if card.throughput >= 0 else "throughput"
            raise RunError(f'"{card.rung}": {what} are not one finite number of 0 or more for each of {n} examples. Measure again.')
