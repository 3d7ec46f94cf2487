"""Techniques trained with several seeds."""

import numpy as np
import pytest

from sadari.measure.seeds import resample_seeds_and_items
from sadari.measure.statistics import paired_interval, paired_p


def test_one_seed_is_the_plain_comparison() -> None:
    first, second = [0.0] * 10 + [1.0] * 30, [1.0] * 8 + [0.0] * 4 + [1.0] * 28
    effect = resample_seeds_and_items([second], first)
    assert (effect.low, effect.high) == paired_interval(np.subtract(second, first))
    assert effect.p == paired_p(first, second)
    assert effect.gain == pytest.approx(36 / 40 - 30 / 40)


def test_the_gain_is_that_of_the_mean_seed_not_of_the_best() -> None:
    rng = np.random.default_rng(0)
    seeds = (rng.random((3, 200)) < [[0.5], [0.6], [0.9]]).astype(float)
    incumbent = (rng.random(200) < 0.5).astype(float)
    assert resample_seeds_and_items(seeds, incumbent).gain == pytest.approx(seeds.mean() - incumbent.mean())


def test_seeds_that_vary_widen_the_interval() -> None:
    # On every example of its share a seed is right in full: nothing varies but seeds and examples.
    items = np.tile([1.0, 0.0, 0.5, 0.5], 100)
    alike = resample_seeds_and_items(np.tile(items * 0.8 + 0.1, (3, 1)), items * 0.8)
    apart = resample_seeds_and_items(items * 0.8 + [[0.05], [0.1], [0.15]], items * 0.8)
    assert alike.gain == pytest.approx(apart.gain)
    assert alike.low == pytest.approx(alike.high)
    # Three seeds with a standard deviation of 0.05 are ± 4.303 * 0.05 / sqrt(3); three drawn of three vary sqrt(2/3) as much.
    assert apart.high - apart.low == pytest.approx(2 * 4.303 * 0.05 / 3**0.5 * (2 / 3) ** 0.5, rel=0.05)
    assert apart.p > 0.05 / 6


def test_both_arms_may_have_seeds_and_groups() -> None:
    rng = np.random.default_rng(1)
    groups = [f"d{index // 4}" for index in range(100)]
    effect = resample_seeds_and_items(rng.random((3, 100)) * 0.5 + 0.5, rng.random((2, 100)) * 0.5, groups)
    assert 0.4 < effect.low < effect.gain < effect.high < 0.6
    assert effect.p < 0.01
    assert effect == resample_seeds_and_items(*_again(), groups)


def _again() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.random((3, 100)) * 0.5 + 0.5, rng.random((2, 100)) * 0.5


def test_arms_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 3 examples"):
        resample_seeds_and_items([[1.0, 0.0]], [0.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="at least one"):
        resample_seeds_and_items([[]], [])
    with pytest.raises(ValueError, match="finite"):
        resample_seeds_and_items([[1.0, float("nan")], [0.0, 1.0]], [0.0, 0.0])
    with pytest.raises(ValueError, match=r"\(seeds, examples\)"):
        resample_seeds_and_items(np.zeros((2, 2, 2)), [0.0, 0.0])
