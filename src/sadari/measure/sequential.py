"""Comparing two means while the data come in: an interval that may be looked at after every observation. NumPy only.

An interval of a fixed sample holds for one look. Whoever looks again and again, and stops when it excludes zero, is wrong far more
often than it says. A confidence sequence holds at all looks at once: with probability `level` the true difference is in every one
of its intervals, however often one looks and whenever one stops.

Here it comes from bets. On each observation x in [0, 1] somebody who claims that a mean is above m stakes a fixed share of what he
has; if the claim is wrong, what he has grows beyond K with probability at most 1/K, ever. Shares from small to nearly all are
played side by side, so that small and large differences are both seen. Two means are bet on together, and a pair of them is
excluded once the product has grown enough.

Covered: values in [0, 1] of any distribution, from two independent streams of any sizes; every look; every rule of stopping.
Not covered: a mean that drifts apart between the two for reasons of its own, and observations that depend on those before them:
conversations of one user are alike, and a few users who ask often count as if they were many.

Source:
    Waudby-Smith & Ramdas (2024), Estimating means of bounded random variables by betting, JRSS B 86: 1-27 (their grid Kelly);
    that such a product stays below 1/alpha: Ville (1939).
"""

from functools import lru_cache
from math import log
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95

Finding = Literal["harm", "safe", "open"]

_SHARES = np.array([0.0, *np.geomspace(0.01, 0.9, 9)])  # some is never staked: of a wrong claim it is what stays
_MEANS = np.linspace(0.0, 1.0, 501)  # between two of them the wealth is between theirs, so the interval is rounded outwards
_INSIDE = np.clip(_MEANS, 1e-9, 1 - 1e-9)


def difference_interval(candidate: ArrayLike, incumbent: ArrayLike, *, level: float = LEVEL) -> tuple[float, float]:
    """Where the mean of `candidate` less that of `incumbent` lies, in [-1, 1], at all looks at once.

    The order of the observations does not count. Before there are any it is (-1, 1).

    Raises:
        ValueError: If a value is no number in [0, 1].
    """
    one, other = _values(candidate), _values(incumbent)
    return -_highest(other, one, level), _highest(one, other, level)


def finding(interval: tuple[float, float], margin: float) -> Finding:
    """What an interval of a difference says: that more than `margin` is lost, that no more than that is lost, or neither yet."""
    low, high = interval
    return "harm" if high < -margin else "safe" if low > -margin else "open"


def _highest(candidate: NDArray[np.float64], incumbent: NDArray[np.float64], level: float) -> float:
    """The largest difference that the bets "the incumbent's mean is above, the candidate's below" do not exclude."""
    needed = log(2 / (1 - level))  # half of what may go wrong is left for the other end
    above = _wealth_above(incumbent)  # falls as the mean rises
    below = _wealth_above(1 - candidate)[::-1]  # rises with it
    excluded = np.searchsorted(below, needed - above[1:])
    is_left = excluded > 0  # elsewhere the incumbent alone excludes its mean
    highest = _MEANS[np.minimum(excluded, len(_MEANS) - 1)] - _MEANS[:-1]
    return float(highest[is_left].max(initial=-1.0))


def _wealth_above(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of what the bet that the mean is above m has come to, for every m of the grid.

    Of a share s, each observation multiplies what is there by 1 + s (x/m - 1), which falls as m rises.
    """
    seen, counts = np.unique(values, return_counts=True)
    growth = np.zeros((len(_SHARES), len(_MEANS)))
    for value, count in zip(seen, counts, strict=True):
        growth += count * _growth(float(value))
    most = growth.max(axis=0)
    wealth: NDArray[np.float64] = most + np.log(np.exp(growth - most).mean(axis=0))
    return wealth


@lru_cache(maxsize=64)
def _growth(value: float) -> NDArray[np.float64]:
    """What one observation adds to the logarithm, by share and mean."""
    return np.log1p(_SHARES[:, None] * (value / _INSIDE - 1))


def _values(observed: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(observed, dtype=float).ravel()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("an outcome is no number in [0, 1]: scale them before they are compared.")
    return values
