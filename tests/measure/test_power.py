"""Power by enumeration, against a plain sum over all outcomes, and its edges."""

from statistics import NormalDist

import pytest

from sadari.measure.power import power_of, smallest_graded_gain, smallest_provable_gain
from sadari.measure.statistics import mcnemar_mid_p

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("n", "gain", "disagreement", "alpha"), [(30, 0.2, 0.4, 0.05), (40, 0.3, 0.3, 0.01), (25, 0.1, 1.0, 0.05)])
def test_power_is_the_sum_over_all_outcomes_that_the_test_rejects(n: int, gain: float, disagreement: float, alpha: float) -> None:
    shares = [(disagreement + gain) / 2, (disagreement - gain) / 2, 1 - disagreement]
    expected = sum(
        stats.multinomial.pmf([won, lost, n - won - lost], n, shares)
        for won in range(n + 1)
        for lost in range(min(won, n - won + 1))
        if mcnemar_mid_p(lost, won) < alpha
    )
    assert power_of(n, gain, disagreement, alpha) == pytest.approx(expected, abs=1e-9)


def test_the_smallest_provable_gain_has_the_power_asked_for() -> None:
    for n, disagreement, alpha in ((100, 0.2, 0.05), (300, 0.14, 0.05 / 6), (1000, 0.3, 0.0125)):
        gain = smallest_provable_gain(n, disagreement, alpha)
        assert gain is not None
        assert power_of(n, gain, disagreement, alpha) == pytest.approx(0.8, abs=0.001)


def test_a_small_test_set_proves_nothing() -> None:
    assert smallest_provable_gain(5, 0.2, 0.05) is None
    assert smallest_provable_gain(1, 1.0, 0.05) is None
    assert power_of(1, 0.5, 0.5, 0.05) == 0.0


def test_larger_test_sets_go_on_where_the_enumeration_ends() -> None:
    for gain in (0.02, 0.03):
        assert power_of(2000, gain, 0.2, 0.01) == pytest.approx(power_of(2001, gain, 0.2, 0.01), abs=0.005)
    assert smallest_provable_gain(2001, 0.2, 0.01) == pytest.approx(smallest_provable_gain(2000, 0.2, 0.01), rel=0.01)
    assert smallest_provable_gain(10**6, 0.2, 0.05) == pytest.approx(2.8016 * 0.2**0.5 / 1000, rel=0.01)


def test_a_graded_gain_follows_the_normal_approximation() -> None:
    z = NormalDist().inv_cdf
    assert smallest_graded_gain(400, 0.3, 0.05) == pytest.approx((z(0.975) + z(0.8)) * 0.3 / 20)
    assert smallest_graded_gain(400, 0.0, 0.05) == 0.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="must be above 0 and not exceed"):
        power_of(100, 0.3, 0.2, 0.05)
    with pytest.raises(ValueError, match="0 examples"):
        smallest_provable_gain(0, 0.2, 0.05)
    with pytest.raises(ValueError, match=r"share in \(0, 1\]"):
        smallest_provable_gain(100, float("nan"), 0.05)
    with pytest.raises(ValueError, match="probability"):
        smallest_provable_gain(100, 0.2, 0.05, power=1.0)
    with pytest.raises(ValueError, match="deviation"):
        smallest_graded_gain(100, float("nan"), 0.05)
