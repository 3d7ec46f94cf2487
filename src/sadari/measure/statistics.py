"""The statistics of a verdict: intervals, paired tests, and how many more examples would decide. NumPy only.

Every comparison is paired: two systems answered the same examples, so what counts is where they differ. "Do the two intervals
overlap" is never asked, and BCa intervals are not used (they are NaN on constant differences).

Where several examples belong together (questions on one document), `groups` names the group of each, "" for an example on its
own. Then the groups are the sample: they are resampled, flipped and counted as wholes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from sadari.measure.clusters import Groups, clusters_of, finite_row, resampled_means

LEVEL = 0.95
RESAMPLES = 10_000
POWER = 0.8
_BLOCK = 2_000_000  # random numbers held at once


# --- intervals ---------------------------------------------------------------------------------------------------------


def wilson(successes: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a proportion, in [0, 1]; (0, 1) when `n` is 0. Both may be effective numbers, not whole ones.

    Source:
        Wilson (1927), doi 10.1080/01621459.1927.10502953.
    """
    return _wilson(successes, n, _z((1 + level) / 2))


def mean_interval(scores: ArrayLike, groups: Groups = None, *, level: float = LEVEL, seed: int = 0) -> tuple[float, float]:
    """Interval of the mean of scores in [0, 1]: Wilson when all are 0 or 1, else bootstrap; (0, 1) for none.

    With groups, Wilson is given the number of independent examples that carry as much: Korn & Graubard (1998), Survey
    Methodology 24: 193-201.
    """
    values = finite_row(scores)
    if not len(values):
        return 0.0, 1.0
    if not is_pass_fail(values):
        return bootstrap_interval(values, groups, level=level, seed=seed)
    clusters = clusters_of(values, groups)
    share = 1 / clusters.design_effect
    return _wilson(float(values.sum()) * share, len(values) * share, clusters.quantile(level))


def paired_interval(differences: ArrayLike, groups: Groups = None, *, level: float = LEVEL, seed: int = 0) -> tuple[float, float]:
    """Interval of the mean of paired differences: Tango's when all are -1, 0 or 1 (pass/fail), else the bootstrap.

    Of pass/fail differences in groups, the counts are those of as many independent examples as carry as much, and the quantile is
    Student's for the number of groups: with few groups this covers, where resampling them does not.

    Raises:
        ValueError: If there are no values, or one is not finite.
    """
    values = finite_row(differences)
    if not len(values):
        raise ValueError("there are no differences, so they have no mean. Give the task test examples.")
    if not np.isin(values, (-1.0, 0.0, 1.0)).all():
        return bootstrap_interval(values, groups, level=level, seed=seed)
    clusters = clusters_of(values, groups)
    share = 1 / clusters.design_effect
    counts = float((values < 0).sum()) * share, float((values > 0).sum()) * share, len(values) * share
    return _tango(*counts, clusters.quantile(level))


def pass_fail_interval(only_first: float, only_second: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Interval of the gain of the second of two systems on the same `n` examples, from how many only one of them got right.

    It inverts the score test that at a gain of 0 is McNemar's, so it excludes 0 whenever the mid-p test does (checked for all
    counts below 200). It is not empty where the two agree on every example: they may yet differ on the next one. At 50 examples
    the percentile bootstrap covers 90 % where this covers 95 %; Agresti & Min's adjusted Wald interval covers as well, but its
    lower end passes a margin falsely up to 13 times in 100 where 2.5 is meant.

    Source:
        Tango (1998), Statistics in Medicine 17: 891-908.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > n or n <= 0:
        raise ValueError(f"{only_first} and {only_second} of {n} examples: they must be 0 or more and not exceed all together.")
    return _tango(only_first, only_second, n, _z((1 + level) / 2))


def bootstrap_interval(
    differences: ArrayLike, groups: Groups = None, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap of the mean; of paired differences, when those are given. Groups are drawn as wholes.

    The percentiles are moved outwards by what a small sample hides (n/(n-1) and Student's t, Hesterberg 2015): 2.5 % becomes 2.1 %
    at 50 values and 0.9 % at 10. With fewer than 10 groups the interval still covers about 90 times in 100, not 95; with one it is
    a point. Few distinct values are drawn as counts, which is the same distribution and faster.

    Raises:
        ValueError: If there are no values, or one is not finite.

    Source:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13; Hesterberg (2015), arXiv 1411.5279, section 3.3.
    """
    values = finite_row(differences)
    if not len(values):
        raise ValueError("there are no values to resample.")
    clusters = clusters_of(values, groups)
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= 32 and clusters.single:
        n = len(values)
        means = rng.multinomial(n, counts / n, size=resamples) @ distinct / n
    else:
        means = resampled_means(clusters.sums, clusters.sizes, resamples, rng)
    tail = clusters.tail(level)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


# --- tests -------------------------------------------------------------------------------------------------------------


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
    if min(only_first, only_second) < 0:
        raise ValueError(f"{only_first} and {only_second} examples: there cannot be fewer than 0.")
    n, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    k = np.arange(1, fewer + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])  # log C(n, 0..fewer)
    probability = np.exp(log_choose - n * np.log(2.0))
    return float(min(1.0, 2 * probability.sum() - probability[-1]))


def sign_flip_p(differences: ArrayLike, groups: Groups = None, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p of the paired permutation test: how often random signs give a mean at least as far from 0.

    A group keeps one sign, so k groups that differ cannot give less than 2^(1-k): 6 groups never reach 0.05/6, whatever they hold.
    Exact up to 13 differences that are not zero; otherwise sampled, and never below 1 / (resamples + 1). 1.0 when all are zero.

    Source:
        Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses; the +1 is Phipson & Smyth (2010), arXiv 1603.05766.
    """
    values = clusters_of(finite_row(differences), groups).sums
    values = values[np.abs(values) > 1e-12]
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


def paired_p(incumbent: ArrayLike, challenger: ArrayLike, groups: Groups = None, *, seed: int = 0) -> float:
    """Two-sided p that two systems score the same: mid-p McNemar when all scores are 0 or 1, else sign-flip permutation.

    McNemar's test takes every example for an independent one, so where a group holds two, signs are flipped by group.

    Raises:
        ValueError: If the two are of different lengths, or a score is not finite.
    """
    first, second = finite_row(incumbent), finite_row(challenger)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores cannot be paired: both systems must answer the same examples.")
    if is_pass_fail(first) and is_pass_fail(second) and clusters_of(first, groups).single:
        return mcnemar_mid_p(int((first > second).sum()), int((second > first).sum()))
    return sign_flip_p(second - first, groups, seed=seed)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for being several, in the order given: one below 0.05 stands although all of them were looked at.

    Raises:
        ValueError: If one is not in [0, 1].

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6: 65-70.
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"{wrong[0]} is no p-value: give numbers in [0, 1], and leave out what was not tested.")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Whether a loss of `margin` or more is ruled out. Differences are shares of a point, in [-1, 1].

    Args:
        gain: Mean difference, challenger minus incumbent.
        low: One-sided 97.5 % lower bound of it.
        margin: The loss that would matter.
    """

    gain: float
    low: float
    margin: float

    @property
    def is_proven(self) -> bool:
        """Whether the bound lies above a loss of `margin`."""
        return self.low > -self.margin


def non_inferiority(differences: ArrayLike, margin: float, groups: Groups = None, *, seed: int = 0) -> NonInferiority:
    """Whether a challenger is proven to lose less than `margin`: the lower end of the paired 95 % interval lies above -margin.

    Raises:
        ValueError: If there are no differences, one is not finite, or the margin is not above 0.

    Source:
        One-sided at half the level: ICH E9 (1998), section 3.3.2; for pass/fail, Tango (1998).
    """
    if not margin > 0:
        raise ValueError(f"a margin of {margin} is no loss that could be ruled out: give one above 0, such as 0.02.")
    values = finite_row(differences)
    low, _ = paired_interval(values, groups, seed=seed)
    return NonInferiority(gain=float(values.mean()), low=low, margin=margin)


# --- how many more -----------------------------------------------------------------------------------------------------


def more_examples_needed(
    differences: ArrayLike, groups: Groups = None, *, alpha: float, min_gain: float = 0.0, power: float = POWER
) -> int | None:
    """About how many more examples would decide, if they differ (and stand in groups) as these do; None if no number would.

    Decided means: p below `alpha`, and `min_gain` outside the 95 % interval, with probability `power`. By the normal approximation,
    and never fewer than the sign test needs when all that differ differ the same way.

    Args:
        differences: Challenger minus incumbent, one per example.
        alpha: Level of the two-sided test, looks included.
        min_gain: Smallest gain that pays.

    Source:
        Under "no gain" the variance is that of random signs: Connor (1987), Biometrics 43: 207-211.
    """
    values = finite_row(differences)
    n = len(values)
    if n == 0:
        return None
    mean, deviation, spread = float(values.mean()), float(values.std()), sqrt(float((values**2).mean()))
    differing = float((values != 0).mean())
    if differing == 0 or abs(mean - min_gain) < 1e-9:
        return None
    margin_n = ((_z((1 + LEVEL) / 2) + _z(power)) * deviation / (mean - min_gain)) ** 2
    # A gain above the smallest that pays must also differ from zero at `alpha`; one below it only has to be ruled out.
    test_n = ((_z(1 - alpha / 2) * spread + _z(power) * deviation) / mean) ** 2 if mean > min_gain and mean else 0.0
    sign_n = ceil(log2(1 / alpha)) / differing
    enough = max(margin_n, test_n, sign_n) * clusters_of(values, groups).design_effect
    return _two_digits(max(1, ceil(enough) - n))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie, linearly interpolated; 0 for none."""
    return float(np.quantile(np.asarray(values, dtype=float), share)) if values else 0.0


# --- private -----------------------------------------------------------------------------------------------------------


def _wilson(successes: float, n: float, z: float) -> tuple[float, float]:
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}: there cannot be fewer than 0 or more than all.")
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if successes < n else 1.0


def _tango(only_first: float, only_second: float, n: float, z: float) -> tuple[float, float]:
    return _tango_low(only_first, only_second, n, z), -_tango_low(only_second, only_first, n, z)


def _tango_low(only_first: float, only_second: float, n: float, z: float) -> float:
    """The gain at which the score statistic is `z`. It falls as the gain rises, so that is found by halving."""

    def statistic(gain: float) -> float:
        b = (2 * n - only_second + only_first) * gain - only_first - only_second
        root = sqrt(max(0.0, b * b + 8 * n * only_first * gain * (1 - gain)))
        share = (root - b) / (4 * n)  # of examples that only the first gets right, at this gain
        variance = n * (2 * share + gain * (1 - gain))
        return (only_second - only_first - n * gain) / sqrt(variance) if variance > 0 else 0.0

    inside, outside = (only_second - only_first) / n, -1.0
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if statistic(middle) <= z else (inside, middle)
    return inside


def _two_digits(count: int) -> int:
    """Rounded up to two significant digits: an estimate should not look exact."""
    unit = int(10 ** max(0, len(str(count)) - 2))
    return -(-count // unit) * unit


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)
