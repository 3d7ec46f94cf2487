"""Values in groups: several questions on one document are one piece of evidence, not several."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sadari.measure.student import t_quantile

Groups = Sequence[str] | None
"""The group of each example, "" for one on its own; None, or empty, if there are no groups."""

_BLOCK = 2_000_000  # random numbers held at once


@dataclass(frozen=True)
class Clusters:
    """Values summed by group; an example on its own is a group of one."""

    values: NDArray[np.float64]
    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]

    @property
    def single(self) -> bool:
        """Whether no group holds two."""
        return len(self.sums) == len(self.values)

    @cached_property
    def design_effect(self) -> float:
        """How many times the variance of the mean is that of independent examples; 1 or more.

        If all values are equal, their groups tell nothing of how alike they are, so each group counts as one example.
        """
        n, count = len(self.values), len(self.sums)
        plain = float(self.values.var()) / (n - 1) if n > 1 else 0.0
        if self.single:
            return 1.0
        if plain == 0 or count == 1:
            return n / count
        residuals = self.sums - self.values.mean() * self.sizes
        return max(1.0, count / (count - 1) * float(residuals @ residuals) / n**2 / plain)

    def quantile(self, level: float) -> float:
        """Normal without groups; Student's with them, since then the variance is estimated from the groups."""
        return NormalDist().inv_cdf((1 + level) / 2) if self.single else t_quantile((1 + level) / 2, max(1, len(self.sums) - 1))

    def tail(self, level: float) -> float:
        """Share of the bootstrap means to leave out at each end."""
        count = len(self.sums)
        if count == 1:
            return (1 - level) / 2
        return NormalDist().cdf(-t_quantile((1 + level) / 2, count - 1) * sqrt(count / (count - 1)))


def clusters_of(values: NDArray[np.float64], groups: Groups) -> Clusters:
    """Group the values.

    Raises:
        ValueError: If there is not one group per value.
    """
    if groups is None or len(groups) == 0:
        return Clusters(values, values, np.ones(len(values)))
    if len(groups) != len(values):
        raise ValueError(f'there are {len(values)} scores and {len(groups)} groups: give every example its group, "" for none.')
    own = {name: index for index, name in enumerate(dict.fromkeys(name or f"\0{place}" for place, name in enumerate(groups)))}
    index = np.array([own[name or f"\0{place}"] for place, name in enumerate(groups)])
    sums, sizes = np.zeros(len(own)), np.zeros(len(own))
    np.add.at(sums, index, values)
    np.add.at(sizes, index, 1.0)
    return Clusters(values, sums, sizes)


def finite_row(values: ArrayLike) -> NDArray[np.float64]:
    """The values as one row of floats; anything else, NaN and infinity included, is a ValueError."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"scores of shape {array.shape} must be one row of finite numbers.")
    return array


def resampled_means(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Means over groups drawn with replacement: sums over sizes, shape (resamples,) + sums.shape[1:]."""
    count = len(sums)
    rows = max(1, _BLOCK // sums.size)
    equal = bool((sizes == sizes[0]).all())
    blocks = []
    for done in range(0, resamples, rows):
        drawn = rng.integers(0, count, size=(min(rows, resamples - done), count), dtype=np.int32)
        total = sums[drawn].sum(axis=1)
        weight = np.full(len(drawn), count * sizes[0]) if equal else sizes[drawn].sum(axis=1)
        blocks.append(total / weight.reshape(-1, *[1] * (sums.ndim - 1)))
    return np.concatenate(blocks)
