"""How quality grows with training examples, and what more of them would bring.

The error is taken to fall as a bounded power law, err(n) = a + b n^-c. Its interval comes from resampling the items and the seeds
together. Where four points do not show a rise, nothing is foretold: that is a `Refusal`, with its reason, and not an error.

Source:
    Power laws of learning: Hestness et al. (2017), arXiv 1712.00409; with a floor: Rosenfeld et al. (2020), arXiv 1909.12673.
    Which curves fit: Viering & Loog (2023), arXiv 2103.10948.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_POINTS = 4
FURTHEST = 4.0
"""A curve says nothing beyond this many times its largest size."""

LEVEL = 0.9
RESAMPLES = 1000
EXPONENTS: NDArray[np.float64] = np.geomspace(0.02, 2.0, 50)
"""Values of c that are tried; for each, a and b have a closed form."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no curve is drawn."""

    reason: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """A foretold score, or gain in score, and its interval (`LEVEL`)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """A fitted curve of the mean score over training sizes.

    Args:
        sizes: Training examples of each point, rising.
        means: Mean score at each size, in [0, 1].
        floor, scale, exponent: a, b and c of err(n) = a + b n^-c.
        resampled: The same three of every resample, shape (RESAMPLES, 3).
    """

    sizes: tuple[int, ...]
    means: tuple[float, ...]
    floor: float
    scale: float
    exponent: float
    resampled: NDArray[np.float64]

    def predict(self, n: int) -> Forecast:
        """The score that `n` training examples would give.

        Raises:
            ValueError: If `n` is below 1 or above `FURTHEST` times the largest size.
        """
        self._check(n)
        return _forecast(1 - _error(self._fit, n), 1 - _error(self.resampled, n))

    def gain(self, more: int) -> Forecast:
        """What `more` examples beyond the largest size would add to the score.

        Raises:
            ValueError: As `predict`.
        """
        last = self.sizes[-1]
        self._check(last + more)
        gains = [_error(fit, last) - _error(fit, last + more) for fit in (self._fit, self.resampled)]
        return _forecast(gains[0], gains[1])

    @property
    def _fit(self) -> NDArray[np.float64]:
        return np.array([[self.floor, self.scale, self.exponent]])

    def _check(self, n: int) -> None:
        if not 1 <= n <= FURTHEST * self.sizes[-1]:
            raise ValueError(
                f"a curve measured up to {self.sizes[-1]} examples says nothing about {n}: "
                f"ask between 1 and {int(FURTHEST * self.sizes[-1])}."
            )


def fit_learning_curve(
    sizes: Sequence[int], scores: Sequence[ArrayLike], *, seed: int = 0, language: Literal["ko", "en"] = "en"
) -> LearningCurve | Refusal:
    """Fit err(n) = a + b n^-c, with a in [0, 1], b >= 0 and c in (0, 2], to the scores at each size.

    Args:
        sizes: Training examples of each point, in any order, each once.
        scores: For each size the scores in [0, 1], shape (items,) or (seeds, items). The items are the same at every size.
        seed: Of the resampling.
        language: Of the reason, where it refuses.

    Returns:
        The curve; or why there is none: fewer than `LEAST_POINTS` sizes, or a rise that resampling does not bear out.

    Raises:
        ValueError: If the shapes do not agree, a score is outside [0, 1], or a size is below 1 or stands twice.
    """
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    ns = np.array([sizes[i] for i in order], dtype=float)
    tables = _tables(sizes, scores, order)
    if len(tables) < LEAST_POINTS:
        return Refusal(_TOO_FEW[language].format(least=LEAST_POINTS, given=len(tables)))
    means = np.array([table.mean() for table in tables])
    resampled = _resampled_means(tables, seed)
    low = float(np.quantile(resampled[:, -1] - resampled[:, 0], (1 - LEVEL) / 2))
    if low <= 0:
        values = {"first": int(ns[0]), "last": int(ns[-1]), "rise": 100 * (means[-1] - means[0]), "low": 100 * low, "level": LEVEL}
        return Refusal(_NO_RISE[language].format(**values))
    floor, scale, exponent = map(float, _fit_errors(ns, 1 - means[None, :])[0])
    return LearningCurve(
        tuple(int(n) for n in ns),
        tuple(map(float, means)),
        floor,
        scale,
        exponent,
        _fit_errors(ns, 1 - resampled),
    )


def _tables(sizes: Sequence[int], scores: Sequence[ArrayLike], order: Sequence[int]) -> list[NDArray[np.float64]]:
    if len(sizes) != len(scores) or len(set(sizes)) != len(sizes) or min(sizes, default=1) < 1:
        raise ValueError(f"sizes {list(sizes)} with {len(scores)} rows of scores: give each size once, above 0, with its scores.")
    tables = [np.atleast_2d(np.asarray(scores[i], dtype=float)) for i in order]
    if any(t.ndim != 2 or t.size == 0 or t.shape[1] != tables[0].shape[1] for t in tables):
        raise ValueError(f"scores of shapes {[t.shape for t in tables]}: each size needs (seeds, items) of the same items.")
    if any(not np.isfinite(t).all() or t.min() < 0 or t.max() > 1 for t in tables):
        raise ValueError("a score is outside [0, 1].")
    return tables


def _resampled_means(tables: Sequence[NDArray[np.float64]], seed: int) -> NDArray[np.float64]:
    """Mean score by resample and size: the items are drawn once for all sizes, the seeds of each size by themselves."""
    rng = np.random.default_rng(seed)
    items = tables[0].shape[1]
    weights = rng.multinomial(items, np.full(items, 1 / items), size=RESAMPLES) / items
    columns = []
    for table in tables:
        seeds = len(table)
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
        columns.append(((weights @ table.T) * drawn).sum(axis=1))
    return np.stack(columns, axis=1)


def _fit_errors(ns: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares of every row of `errors`, shape (rows, points): a, b and c, shape (rows, 3)."""
    best = np.full(len(errors), np.inf)
    fits = np.zeros((len(errors), 3))
    for exponent in EXPONENTS:
        x = ns**-exponent
        spread = x - x.mean()
        b = np.maximum(0.0, (errors - errors.mean(axis=1, keepdims=True)) @ spread / (spread @ spread))
        a = errors.mean(axis=1) - b * x.mean()
        through_zero = np.maximum(0.0, errors @ x / (x @ x))  # the floor would be negative: it is 0, and b is fitted alone
        b = np.where(a < 0, through_zero, b)
        a = np.clip(a, 0.0, 1.0)
        loss = ((a[:, None] + b[:, None] * x - errors) ** 2).sum(axis=1)
        better = loss < best - 1e-15
        best = np.where(better, loss, best)
        fits[better] = np.stack([a, b, np.full(len(a), exponent)], axis=1)[better]
    return fits


def _error(fits: NDArray[np.float64], n: float) -> NDArray[np.float64]:
    return np.clip(fits[:, 0] + fits[:, 1] * float(n) ** -fits[:, 2], 0.0, 1.0)


def _forecast(value: NDArray[np.float64], resampled: NDArray[np.float64]) -> Forecast:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Forecast(float(value[0]), float(low), float(high))


_TOO_FEW = {
    "en": "a curve needs {least} training sizes, but there are {given}",
    "ko": "곡선에는 학습 크기가 {least}개 필요한데 {given}개뿐입니다",
}
_NO_RISE = {
    "en": "from {first} to {last} examples the score changes by {rise:+.1f} points, which may be chance "
    "(its {level:.0%} interval begins at {low:+.1f})",
    "ko": "예제가 {first}개에서 {last}개로 늘 때 점수 변화가 {rise:+.1f}점인데 우연일 수 있습니다"
    "({level:.0%} 구간의 하한 {low:+.1f}점)",
}
