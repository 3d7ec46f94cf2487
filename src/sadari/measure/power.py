"""What a test set can prove, before anything is measured: the power of the paired test, and the smallest gain it finds."""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

POWER = 0.8
_EXACT = 2_000  # examples up to which power is enumerated; above, the normal approximation errs by less than 0.1 points


def power_of(n: int, gain: float, disagreement: float, alpha: float) -> float:
    """Probability, in [0, 1], that the mid-p McNemar test finds a gain on `n` pass/fail examples.

    Enumerated: how many examples differ is binomial, and so is which of them are won.

    Args:
        gain: True gain, in (0, disagreement].
        disagreement: Share of examples on which exactly one of the two systems is right, in (0, 1].
        alpha: Level of the two-sided test, looks included.

    Raises:
        ValueError: If no two systems can differ so.

    Source:
        Miettinen (1968), Biometrics 24: 339-352 (the mixture over the number that differ); for the approximation Connor (1987).
    """
    _check(n, disagreement, alpha)
    if not 0 < gain <= disagreement:
        raise ValueError(f"a gain of {gain} with {disagreement} of the answers differing: it must be above 0 and not exceed them.")
    if n > _EXACT:
        return _normal_power(n, gain, disagreement, alpha)
    return _Enumeration(n, disagreement, alpha).power(gain)


def smallest_provable_gain(n: int, disagreement: float, alpha: float, power: float = POWER) -> float | None:
    """The smallest gain that the test finds with probability `power` on `n` pass/fail examples; None if it finds none so often.

    Arguments as of `power_of`. A gain can be no larger than the disagreement.
    """
    _check(n, disagreement, alpha)
    if not 0 < power < 1:
        raise ValueError(f"a power of {power} is no probability: give one between 0 and 1, such as 0.8.")
    exact = _Enumeration(n, disagreement, alpha) if n <= _EXACT else None
    low, high = 0.0, disagreement
    if (exact.power(high) if exact else _normal_power(n, high, disagreement, alpha)) < power:
        return None
    for _ in range(20):
        middle = (low + high) / 2
        found = exact.power(middle) if exact else _normal_power(n, middle, disagreement, alpha)
        low, high = (low, middle) if found >= power else (middle, high)
    return high


def smallest_graded_gain(n: int, deviation: float, alpha: float, power: float = POWER) -> float:
    """The same for graded scores, by the normal approximation; `deviation` is the standard deviation of the paired differences."""
    _check(n, 1.0, alpha)
    if not (deviation >= 0 and 0 < power < 1):
        raise ValueError(f"a deviation of {deviation} and a power of {power}: give 0 or more, and a probability such as 0.8.")
    return float((_z(1 - alpha / 2) + _z(power)) * deviation / n**0.5)


class _Enumeration:
    """The rejections of the test for each likely number of differing examples; they do not depend on the gain."""

    def __init__(self, n: int, disagreement: float, alpha: float) -> None:
        self._disagreement = disagreement
        spread = 9 * (n * disagreement * (1 - disagreement)) ** 0.5 + 9
        first, last = max(0, int(n * disagreement - spread)), min(n, int(n * disagreement + spread) + 1)
        self._differing = np.arange(first, last + 1)
        self._log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
        self._weights = self._binomial(np.array([n]), self._differing[:, None], disagreement)[:, 0]
        # Losses go from 0 to half of those that differ; the mid-p of each is that of `mcnemar_mid_p`.
        losses = np.arange(0, last // 2 + 1)[:, None]
        probability = self._binomial(self._differing, losses, 0.5)
        p = 2 * np.cumsum(probability, axis=0) - probability
        self._rejected = (p < alpha) & (2 * losses < self._differing)
        rows = int(self._rejected.any(axis=1).sum())
        self._losses, self._rejected = losses[:rows], self._rejected[:rows]

    def power(self, gain: float) -> float:
        loss_share = (self._disagreement - gain) / (2 * self._disagreement)
        chance = self._binomial(self._differing, self._losses, loss_share)
        return float((chance * self._rejected).sum(axis=0) @ self._weights)

    def _binomial(self, n: NDArray[np.int64], k: NDArray[np.int64], share: float) -> NDArray[np.float64]:
        """Probability of k of n, for all pairs; 0 where k exceeds n."""
        rest = n - k
        log_choose = self._log_factorial[n] - self._log_factorial[k] - self._log_factorial[np.maximum(rest, 0)]
        with np.errstate(divide="ignore", invalid="ignore"):
            # 0 * log(0) is 0 here: a share of 0 or 1 leaves one possible k.
            log_chance = np.where(k > 0, k * np.log(share), 0.0) + np.where(rest > 0, rest * np.log1p(-share), 0.0)
        return np.where(rest >= 0, np.exp(log_choose + log_chance), 0.0)


def _normal_power(n: int, gain: float, disagreement: float, alpha: float) -> float:
    deviation = max(disagreement - gain**2, 1e-12) ** 0.5
    return NormalDist().cdf((gain * n**0.5 - _z(1 - alpha / 2) * disagreement**0.5) / deviation)


def _check(n: int, disagreement: float, alpha: float) -> None:
    if n < 1 or not 0 < disagreement <= 1 or not 0 < alpha < 1:
        raise ValueError(
            f"{n} examples, {disagreement} of them differing, level {alpha}: "
            "there must be 1 example or more, a share in (0, 1], and a level between 0 and 1."
        )


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)
