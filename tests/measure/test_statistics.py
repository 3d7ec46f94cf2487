"""Statistics against SciPy, hand calculation and simulation."""

import time
from statistics import NormalDist

import numpy as np
import pytest

from sadari.measure.statistics import (
    bootstrap_interval,
    mcnemar_mid_p,
    mean_interval,
    more_examples_needed,
    paired_p,
    percentile,
    sign_flip_p,
    wilson,
)

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (87, 100), (10, 10), (203, 240)])
def test_wilson_equals_scipy(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="more than all"):
        wilson(3, 2)


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 5), (12, 3), (40, 41), (0, 900), (300, 420)])
def test_mid_p_is_the_exact_p_less_half_the_observed_probability(b: int, c: int) -> None:
    n, k = b + c, min(b, c)
    expected = 2 * stats.binom.cdf(k, n, 0.5) - stats.binom.pmf(k, n, 0.5)
    assert mcnemar_mid_p(b, c) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_mid_p(c, b) == mcnemar_mid_p(b, c)


def test_mid_p_is_defined_at_its_edges() -> None:
    assert mcnemar_mid_p(0, 0) == mcnemar_mid_p(7, 7) == 1.0
    assert mcnemar_mid_p(0, 5000) == 0.0


def test_bootstrap_of_constant_differences_is_that_constant() -> None:
    assert bootstrap_interval([0.0] * 50) == (0.0, 0.0)
    assert bootstrap_interval([0.25] * 50) == (0.25, 0.25)
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([0.1, float("nan")])


@pytest.mark.parametrize("graded", [True, False])
def test_bootstrap_agrees_with_scipy(graded: bool) -> None:
    rng = np.random.default_rng(5)
    differences = rng.normal(0.05, 0.3, 200) if graded else rng.choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.6, 0.3])
    expected = stats.bootstrap((differences,), np.mean, method="percentile", n_resamples=10_000, rng=1).confidence_interval
    assert bootstrap_interval(differences) == pytest.approx((expected.low, expected.high), abs=0.006)
    assert bootstrap_interval(differences, seed=4) == bootstrap_interval(differences, seed=4)


def test_bootstrap_covers_the_true_mean_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(400):
        sample = rng.choice([-1.0, 0.0, 1.0], 100, p=[0.1, 0.6, 0.3])
        low, high = bootstrap_interval(sample, resamples=1000, seed=seed)
        hits += low <= 0.2 <= high
    assert 0.92 <= hits / 400 <= 0.975


def test_10_000_resamples_of_1_000_graded_differences_take_less_than_a_second() -> None:
    differences = np.random.default_rng(0).normal(size=1000)
    start = time.process_time()
    bootstrap_interval(differences)
    assert time.process_time() - start < 1.0


def test_sign_flips_equal_scipy_exactly_when_few_and_nearly_when_many() -> None:
    rng = np.random.default_rng(2)
    for n, tolerance in ((9, 1e-12), (60, 0.02)):
        differences = rng.normal(0.2, 0.5, n)
        expected = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=20_000, vectorized=True, axis=0, rng=1
        ).pvalue
        assert sign_flip_p(differences) == pytest.approx(expected, abs=tolerance)
    assert sign_flip_p([0.0, 0.0]) == 1.0


def test_the_test_follows_the_scores() -> None:
    assert paired_p([0, 0, 1, 0], [1, 1, 1, 1]) == mcnemar_mid_p(0, 3)
    assert paired_p([0.5, 0.5, 1.0], [0.5, 1.0, 1.0]) == sign_flip_p([0.0, 0.5, 0.0])


def test_an_interval_of_pass_fail_scores_is_wilson_and_of_graded_ones_the_bootstrap() -> None:
    assert mean_interval([1.0] * 87 + [0.0] * 13) == wilson(87, 100)
    assert mean_interval([0.5, 0.75] * 20) == bootstrap_interval([0.5, 0.75] * 20)
    assert mean_interval([]) == (0.0, 1.0)


def test_more_examples_follow_the_normal_approximation() -> None:
    differences = [1.0] * 12 + [-1.0] * 8 + [0.0] * 80  # gain 0.04, variance 0.1984
    z = NormalDist().inv_cdf
    needed = 0.1984 * ((z(1 - 0.0125 / 2) + z(0.8)) / 0.04) ** 2
    more = more_examples_needed(differences, alpha=0.0125)
    assert more is not None
    assert needed - 100 <= more <= 1.1 * (needed - 100)  # rounded up to two digits


def test_that_many_more_examples_decide_four_times_in_five() -> None:
    rng = np.random.default_rng(8)
    outcome = np.array([1.0] * 20 + [-1.0] * 10 + [0.0] * 70)
    more = more_examples_needed(outcome, alpha=0.05)
    assert more is not None
    samples = (rng.choice(outcome, 100 + more) for _ in range(300))
    decided = [mcnemar_mid_p(int((s < 0).sum()), int((s > 0).sum())) < 0.05 for s in samples]
    assert 0.72 <= np.mean(decided) <= 0.9


def test_no_number_decides_between_equal_systems() -> None:
    assert more_examples_needed([0.0] * 100, alpha=0.05) is None
    assert more_examples_needed([1.0, -1.0], alpha=0.05) is None
    assert more_examples_needed([], alpha=0.05) is None
    assert more_examples_needed([1.0, 1.0, 1.0], alpha=0.0125) is not None


def test_percentiles_are_interpolated() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2.5
    assert percentile([], 0.95) == 0.0
