"""The statistics of a verdict: intervals, paired tests, and how many more examples would decide. NumPy only.

Every comparison is paired: two systems answered the same examples, so what counts is where they differ. "Do the two intervals
overlap" is never asked, and BCa intervals are not used (they are NaN on constant differences).
"""

from collections.abc import Sequence
from math import ceil, log2, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
RESAMPLES = 10_000
POWER = 0.8
_BLOCK = 2_000_000  # random numbers held at once


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a proportion, in [0, 1]; (0, 1) when `n` is 0.

    Source:
        Wilson (1927), doi 10.1080/01621459.1927.10502953.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}: there cannot be fewer than 0 or more than all.")
    if n == 0:
        return 0.0, 1.0
    z = _z((1 + level) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if successes < n else 1.0


def mean_interval(scores: ArrayLike, *, level: float = LEVEL, seed: int = 0) -> tuple[float, float]:
    """Interval of the mean of scores in [0, 1]: Wilson when all are 0 or 1, else percentile bootstrap; (0, 1) for none."""
    values = _finite(scores)
    if is_pass_fail(values):
        return wilson(int(values.sum()), len(values), level)
    return bootstrap_interval(values, level=level, seed=seed)


def is_pass_fail(scores: ArrayLike) -> bool:
    """Whether every score is exactly 0 or 1."""
    values = np.asarray(scores, dtype=float)
    return bool(np.isin(values, (0.0, 1.0)).all())


def mcnemar_mid_p(only_first: int, only_second: int) -> float:
    """Two-sided mid-p of McNemar's exact test, from the examples that only the first and only the second system got right.

    1.0 when the two numbers are equal, both zero included. Below about 1e-300 it is 0.0.

    Source:
        Fagerland, Lydersen & Laake (2013), doi 10.1186/1471-2288-13-91: mid-p keeps the level and loses no power.
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    k = np.arange(1, fewer + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])  # log C(n, 0..fewer)
    probability = np.exp(log_choose - n * np.log(2.0))
    return float(min(1.0, 2 * probability.sum() - probability[-1]))


def bootstrap_interval(
    differences: ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap of the mean; of paired differences, when those are given. (0, 0) of no values is an error.

    Few distinct values (pass/fail differences are -1, 0 or 1) are drawn as counts, which is the same distribution and faster.

    Raises:
        ValueError: If there are no values, or one is not finite.

    Source:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    values = _finite(differences)
    n = len(values)
    if n == 0:
        raise ValueError("there are no values to resample.")
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= 32:
        means = rng.multinomial(n, counts / n, size=resamples) @ distinct / n
    else:
        rows = max(1, _BLOCK // n)
        means = np.concatenate(
            [
                values[rng.integers(0, n, size=(min(rows, resamples - done), n), dtype=np.int32)].mean(axis=1)
                for done in range(0, resamples, rows)
            ]
        )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sign_flip_p(differences: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p of the paired permutation test: how often random signs give a mean at least as far from 0.

    Exact up to 13 differences that are not zero; otherwise sampled, and never below 1 / (resamples + 1). 1.0 when all are zero.

    Source:
        Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses; the +1 is Phipson & Smyth (2010), arXiv 1603.05766.
    """
    values = _finite(differences)
    values = values[values != 0]
    k = len(values)
    if k == 0:
        return 1.0
    observed = abs(values.sum()) * (1 - 1e-12)  # sums that are equal on paper may differ in the last bit
    if k <= 13:
        signs = 1.0 - 2.0 * ((np.arange(2**k)[:, None] >> np.arange(k)) & 1)
        return float(np.mean(np.abs(signs @ values) >= observed))
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // k)
    extreme = 0
    for done in range(0, resamples, rows):
        flips = rng.integers(0, 2, size=(min(rows, resamples - done), k), dtype=np.int8)
        extreme += int((np.abs(values.sum() - 2 * (flips @ values)) >= observed).sum())
    return (extreme + 1) / (resamples + 1)


def paired_p(incumbent: ArrayLike, challenger: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p that two systems score the same: mid-p McNemar when all scores are 0 or 1, else sign-flip permutation."""
    first, second = _finite(incumbent), _finite(challenger)
    if is_pass_fail(first) and is_pass_fail(second):
        return mcnemar_mid_p(int((first > second).sum()), int((second > first).sum()))
    return sign_flip_p(second - first, seed=seed)


def more_examples_needed(differences: ArrayLike, *, alpha: float, min_gain: float = 0.0, power: float = POWER) -> int | None:
    """About how many more examples would decide, if they differ as these do; None if no number would.

    Decided means: p below `alpha`, and `min_gain` outside the 95 % interval, with probability `power`. By the normal approximation,
    and never fewer than the sign test needs when all that differ differ the same way.

    Args:
        differences: Challenger minus incumbent, one per example.
        alpha: Level of the two-sided test, looks included.
        min_gain: Smallest gain that pays.
    """
    values = _finite(differences)
    n = len(values)
    if n == 0:
        return None
    mean, deviation = float(values.mean()), float(values.std())
    differing = float((values != 0).mean())
    if differing == 0 or abs(mean - min_gain) < 1e-9:
        return None
    margin_n = ((_z((1 + LEVEL) / 2) + _z(power)) * deviation / (mean - min_gain)) ** 2
    # A gain above the smallest that pays must also differ from zero at `alpha`; one below it only has to be ruled out.
    test_n = ((_z(1 - alpha / 2) + _z(power)) * deviation / mean) ** 2 if mean > min_gain and mean else 0.0
    sign_n = ceil(log2(1 / alpha)) / differing
    return _two_digits(max(1, ceil(max(margin_n, test_n, sign_n)) - n))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie, linearly interpolated; 0 for none."""
    return float(np.quantile(np.asarray(values, dtype=float), share)) if values else 0.0


def _two_digits(count: int) -> int:
    """Rounded up to two significant digits: an estimate should not look exact."""
    unit = int(10 ** max(0, len(str(count)) - 2))
    return -(-count // unit) * unit


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"scores of shape {array.shape} must be one row of finite numbers.")
    return array
