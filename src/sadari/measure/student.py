"""Student's t distribution, for intervals that rest on few groups or seeds. Without SciPy."""

from functools import lru_cache
from math import exp, lgamma, log
from statistics import NormalDist


def t_two_sided_p(t: float, freedom: float) -> float:
    """Probability of a value at least as far from 0 as `t`, in [0, 1]; `freedom` (degrees of freedom) is above 0, perhaps infinite.

    Source:
        The regularised incomplete beta function by its continued fraction: Abramowitz & Stegun (1964), 26.5.8 and 26.7.1.
    """
    if t == 0:
        return 1.0
    if freedom > 1e5:  # the normal distribution to five digits, where the gamma functions below would cancel
        return 2 * NormalDist().cdf(-abs(t))
    x = freedom / (freedom + t * t)
    a, b = freedom / 2, 0.5
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(t * t / (freedom + t * t))) if x > 0 else 0.0
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


@lru_cache(maxsize=4096)
def t_quantile(share: float, freedom: float) -> float:
    """The value that a share of the distribution lies below, for `share` in [0.5, 1)."""
    if not 0.5 <= share < 1 or freedom <= 0:
        raise ValueError(f"no quantile at {share} with {freedom} degrees of freedom: give a share in [0.5, 1) and more than 0.")
    tail = 2 * (1 - share)
    low, high = 0.0, 1.0
    while t_two_sided_p(high, freedom) > tail:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_two_sided_p(middle, freedom) > tail else (low, middle)
    return (low + high) / 2


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    value = d
    for m in range(1, 500):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + step * d or tiny)
            c = 1 + step / c or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return value
