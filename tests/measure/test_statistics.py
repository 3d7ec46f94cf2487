"""Statistics against SciPy, hand calculation and simulation."""

import time
from math import log, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from sadari.measure.clusters import clusters_of
from sadari.measure.power import power_of
from sadari.measure.statistics import (
    bootstrap_interval,
    holm,
    mcnemar_mid_p,
    mean_interval,
    more_examples_needed,
    non_inferiority,
    paired_interval,
    paired_p,
    pass_fail_interval,
    percentile,
    sign_flip_p,
    wilson,
)
from sadari.measure.student import t_quantile, t_two_sided_p

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
def test_bootstrap_agrees_with_scipy_at_the_widened_level(graded: bool) -> None:
    rng = np.random.default_rng(5)
    differences = rng.normal(0.05, 0.3, 200) if graded else rng.choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.6, 0.3])
    level = 1 - 2 * stats.norm.cdf(-stats.t.ppf(0.975, 199) * sqrt(200 / 199))  # Hesterberg's correction
    drawn = stats.bootstrap((differences,), np.mean, method="percentile", n_resamples=10_000, confidence_level=level, rng=1)
    expected = drawn.confidence_interval
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
    differences = [1.0] * 12 + [-1.0] * 8 + [0.0] * 80  # gain 0.04, variance 0.1984, and 0.2 if there were no gain
    z = NormalDist().inv_cdf
    needed = ((z(1 - 0.0125 / 2) * sqrt(0.2) + z(0.8) * sqrt(0.1984)) / 0.04) ** 2
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


@pytest.mark.parametrize(
    ("won", "lost", "n", "alpha"), [(6, 4, 100, 0.0125), (20, 10, 100, 0.05), (9, 7, 50, 0.05), (15, 5, 300, 0.01)]
)
def test_that_many_more_examples_have_the_reported_power(won: int, lost: int, n: int, alpha: float) -> None:
    more = more_examples_needed([1.0] * won + [-1.0] * lost + [0.0] * (n - won - lost), alpha=alpha)
    assert more is not None
    assert 0.79 <= power_of(n + more, (won - lost) / n, (won + lost) / n, alpha) <= 0.84  # rounding up adds to the 0.8


def test_alike_questions_on_one_document_ask_for_more_examples() -> None:
    one_each = [1.0] * 20 + [-1.0] * 10 + [0.0] * 70
    alone = more_examples_needed(one_each, alpha=0.05)
    # Ten questions with one outcome on each document are worth one question: ten times as many examples in all.
    together = more_examples_needed(np.repeat(one_each, 10), [f"d{index // 10}" for index in range(1000)], alpha=0.05)
    assert alone is not None
    assert together == pytest.approx(10 * (100 + alone) - 1000, rel=0.1)


def test_no_number_decides_between_equal_systems() -> None:
    assert more_examples_needed([0.0] * 100, alpha=0.05) is None
    assert more_examples_needed([1.0, -1.0], alpha=0.05) is None
    assert more_examples_needed([], alpha=0.05) is None
    assert more_examples_needed([1.0, 1.0, 1.0], alpha=0.0125) is not None


def test_percentiles_are_interpolated() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2.5
    assert percentile([], 0.95) == 0.0


def constrained_ends(lost: int, won: int, n: int, z: float) -> tuple[float, float]:
    """Tango's interval from its definition: the score statistic, with the share lost found by maximising the likelihood."""
    optimize = pytest.importorskip("scipy.optimize")

    def statistic(gain: float) -> float:
        def loss(share: float) -> float:
            rest = 1 - gain - 2 * share
            return -(won * log(share + gain) + lost * log(share) + (n - won - lost) * log(rest))

        lowest, highest = max(0.0, -gain) + 1e-12, (1 - gain) / 2 - 1e-12
        share = optimize.minimize_scalar(loss, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}).x
        return (won - lost - n * gain) / sqrt(n * (2 * share + gain * (1 - gain)))

    estimate = (won - lost) / n
    low = optimize.brentq(lambda gain: statistic(gain) - z, -0.999, estimate)
    return low, optimize.brentq(lambda gain: statistic(gain) + z, estimate, 0.999)


@pytest.mark.parametrize(("lost", "won", "n"), [(8, 14, 100), (20, 40, 160), (3, 9, 50), (12, 12, 40)])
def test_the_pass_fail_interval_is_tangos_by_definition(lost: int, won: int, n: int) -> None:
    expected = constrained_ends(lost, won, n, NormalDist().inv_cdf(0.975))
    assert pass_fail_interval(lost, won, n) == pytest.approx(expected, abs=1e-5)
    low, high = pass_fail_interval(won, lost, n)
    assert (-high, -low) == pytest.approx(expected, abs=1e-5)


def test_systems_that_agree_on_every_example_may_differ_on_the_next() -> None:
    z = NormalDist().inv_cdf(0.975)
    end = z * z / (50 + z * z)  # Tango with no discordant pair
    assert paired_interval([0.0] * 50) == pytest.approx((-end, end))
    assert pass_fail_interval(0, 50, 50)[1] == 1.0


def test_a_proven_gain_never_has_zero_in_its_interval() -> None:
    for won in range(1, 60):
        for lost in range(won):
            if mcnemar_mid_p(lost, won) < 0.05:
                assert pass_fail_interval(lost, won, 200)[0] > 0


def test_the_interval_follows_the_differences() -> None:
    assert paired_interval([1.0, 0.0, -1.0, 1.0]) == pass_fail_interval(1, 2, 4)
    assert paired_interval([0.5, 0.0, -1.0, 1.0]) == bootstrap_interval([0.5, 0.0, -1.0, 1.0])


def test_groups_of_one_change_nothing() -> None:
    rng = np.random.default_rng(1)
    for values in (rng.normal(size=40), rng.choice([-1.0, 0.0, 1.0], 40)):
        for groups in ([""] * 40, [f"d{index}" for index in range(40)], ()):
            assert paired_interval(values, groups) == paired_interval(values)
            assert bootstrap_interval(values, groups) == bootstrap_interval(values)
            assert sign_flip_p(values, groups) == sign_flip_p(values)
    assert paired_p([0, 0, 1], [1, 1, 1], ["a", "", ""]) == mcnemar_mid_p(0, 2)


def test_a_group_of_equal_values_counts_as_one_value() -> None:
    values = np.random.default_rng(3).normal(0.1, 1, 40)
    repeated, groups = np.repeat(values, 4), [f"d{index // 4}" for index in range(160)]
    assert bootstrap_interval(repeated, groups) == pytest.approx(bootstrap_interval(values))
    assert sign_flip_p(repeated, groups) == pytest.approx(sign_flip_p(values))
    outcomes = np.repeat([1.0] * 12 + [-1.0] * 5 + [0.0] * 33, 4)
    effect = clusters_of(outcomes, [f"d{index // 4}" for index in range(200)]).design_effect
    # 50 documents, each answered alike: the variance of 50, not of 200, by n-1 in both.
    assert effect == pytest.approx(4 * (199 / 200) / (49 / 50), rel=1e-9)


def test_flipped_signs_of_groups_are_exact() -> None:
    # Sums 3, 1 and -1: of 8 sign patterns those with an absolute sum of 3 or more are +++, ++-, +-+ and their opposites.
    assert sign_flip_p([1.0, 2.0, 1.0, -1.0], ["a", "a", "b", ""]) == 6 / 8
    # Twelve won on two documents: McNemar would say 0.0002, two documents cannot say less than 1/2.
    assert paired_p([0] * 12, [1] * 12, ["a"] * 6 + ["b"] * 6) == 0.5


def test_few_alike_groups_leave_much_open() -> None:
    low, high = mean_interval([1.0] * 100, ["a"] * 50 + ["b"] * 50)
    assert low < 0.1
    assert high == 1.0
    low, high = paired_interval([0.0] * 100, ["a"] * 50 + ["b"] * 50)
    assert low < -0.9
    assert high > 0.9


def test_holm_equals_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for values in ([0.01, 0.04, 0.03, 0.005], [0.5, 0.5], [1.0, 0.2, 1e-12], [0.04]):
        assert holm(values) == pytest.approx(multitest.multipletests(values, method="holm")[1])
    assert holm([]) == ()
    with pytest.raises(ValueError, match="no p-value"):
        holm([0.1, float("nan")])


@pytest.mark.parametrize(("b", "c"), [(3, 9), (12, 5), (30, 41)])
def test_mid_p_is_the_exact_p_of_statsmodels_less_the_observed_probability(b: int, c: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    exact = tables.mcnemar([[50, b], [c, 20]], exact=True).pvalue
    assert mcnemar_mid_p(b, c) == pytest.approx(exact - stats.binom.pmf(min(b, c), b + c, 0.5))


def test_wilson_equals_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    assert wilson(87, 100) == pytest.approx(proportion.proportion_confint(87, 100, method="wilson"))


def test_student_equals_scipy() -> None:
    for freedom in (0.7, 1, 2, 3.3, 10, 100, 1e5):
        for share in (0.5, 0.8, 0.975, 0.9999):
            assert t_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-6, abs=1e-9)
        for t in (0.0, 0.1, -1.0, 3.0, 50.0):
            assert t_two_sided_p(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), abs=1e-9)
    assert t_quantile(0.975, 1e12) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-5)
    with pytest.raises(ValueError, match="degrees of freedom"):
        t_quantile(0.975, 0)


def test_a_loss_is_ruled_out_when_the_interval_ends_above_it() -> None:
    differences = [1.0] * 8 + [-1.0] * 8 + [0.0] * 284
    found = non_inferiority(differences, 0.05)
    assert (found.gain, found.low) == (0.0, pass_fail_interval(8, 8, 300)[0])
    assert found.is_proven
    assert not non_inferiority(differences, 0.02).is_proven
    assert not non_inferiority([0.0] * 10, 0.05).is_proven  # ten equal answers prove little
    with pytest.raises(ValueError, match="above 0"):
        non_inferiority(differences, 0.0)


def test_bad_scores_are_refused() -> None:
    nothing: list[float] = []
    with pytest.raises(ValueError, match="2 and 3 scores cannot be paired"):
        paired_p([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="finite"):
        paired_p([0, float("nan")], [0, 1])
    with pytest.raises(ValueError, match="no differences"):
        paired_interval(nothing)
    with pytest.raises(ValueError, match="finite"):
        paired_interval([0.0, float("inf")])
    with pytest.raises(ValueError, match="3 scores and 2 groups"):
        sign_flip_p([0.1, 0.2, 0.3], ["a", "b"])
    with pytest.raises(ValueError, match="fewer than 0"):
        mcnemar_mid_p(-1, 3)
    with pytest.raises(ValueError, match="not exceed all"):
        pass_fail_interval(3, 3, 5)


def test_one_example_and_equal_scores_have_defined_results() -> None:
    assert paired_p([1.0], [1.0]) == paired_p(nothing := [], nothing) == 1.0
    assert bootstrap_interval([0.5]) == (0.5, 0.5)
    assert paired_p([0.5] * 20, [0.5] * 20) == 1.0
    low, high = paired_interval([1.0])
    assert low < 0 < high == 1.0  # one example won proves nothing
