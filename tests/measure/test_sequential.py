from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadari.measure import sequential
from sadari.measure.sequential import difference_interval, finding

OUTCOMES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=60)


def test_before_anything_is_seen_everything_is_possible() -> None:
    assert difference_interval([], []) == (-1.0, 1.0)
    assert difference_interval([], [1.0] * 50)[0] == -1.0


@given(OUTCOMES, OUTCOMES)
def test_the_interval_is_turned_round_when_the_arms_are_exchanged_and_the_order_does_not_count(
    one: list[float], two: list[float]
) -> None:
    low, high = difference_interval(one, two)
    assert difference_interval(two[::-1], one[::-1]) == (-high, -low)
    assert -1 <= low <= high <= 1


def test_the_wealth_of_one_bet_is_what_it_is_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential, "_SHARES", np.array([0.5]))
    monkeypatch.setattr(sequential, "_growth", sequential._growth.__wrapped__)
    wealth = sequential._wealth_above(np.array([1.0, 1.0, 0.0]))
    # Half of it on a mean above 0.5: a one makes 1 + 0.5 (1/0.5 - 1) = 1.5 of it, a zero 1 - 0.5.
    assert wealth[250] == pytest.approx(2 * log(1.5) + log(0.5))
    assert (np.diff(wealth) <= 0).all()


def test_an_interval_closes_around_the_true_difference() -> None:
    rng = np.random.default_rng(1)
    low, high = difference_interval(rng.random(20_000) < 0.7, rng.random(20_000) < 0.8)
    assert low < -0.1 < high
    assert high - low < 0.06


def test_what_never_fails_is_safe_against_what_never_fails_in_time() -> None:
    assert finding(difference_interval([1.0] * 20, [1.0] * 180), 0.05) == "open"
    assert finding(difference_interval([1.0] * 200, [1.0] * 1_800), 0.05) == "safe"


def test_harm_is_found_only_beyond_the_margin() -> None:
    assert finding((-0.3, -0.11), 0.1) == "harm"
    assert finding((-0.3, -0.09), 0.1) == "open"
    assert finding((-0.09, 0.2), 0.1) == "safe"
    assert finding((-0.3, -0.3), 0.0) == "harm"


def test_values_that_are_no_outcomes_are_refused() -> None:
    for wrong in ([1.5], [-0.1], [float("nan")]):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            difference_interval(wrong, [1.0])


def test_a_canary_that_is_as_good_is_rarely_stopped_however_often_it_is_looked_at() -> None:
    """Of 1,000 conversations each tenth is looked at; at most 2.5 in 100 canaries may be stopped for nothing."""
    stopped = peeked = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        is_new, is_good = rng.random(1_000) < 0.5, rng.random(1_000) < 0.8
        looks = range(10, 1_001, 10)
        stopped += any(difference_interval(is_good[:n][is_new[:n]], is_good[:n][~is_new[:n]])[1] < 0 for n in looks)
        peeked += any(_upper_of_one_look(is_new[:n], is_good[:n]) < 0 for n in looks)
    assert stopped <= 4  # with 2.5 in 100, more than 4 of 60 come in 1 of 50 such tests
    assert peeked > 4  # an interval that is made for one look


def _upper_of_one_look(is_new: np.ndarray, is_good: np.ndarray) -> float:
    p, q = is_good[is_new].mean(), is_good[~is_new].mean()
    return float(p - q + 1.96 * np.sqrt(p * (1 - p) / is_new.sum() + q * (1 - q) / (~is_new).sum()))
