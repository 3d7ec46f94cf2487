"""What may be told of a test set that is used again."""

from math import log, pi, sqrt

import pytest

from sadari.measure.reuse import level_after, report


def test_the_first_result_is_told() -> None:
    told = report(None, [1.0, 0.0, 1.0, 1.0])
    assert (told.value, told.looks, told.published) == (0.75, 1, True)


def test_a_gain_that_chance_would_not_give_is_told_and_a_smaller_one_is_not() -> None:
    best = report(None, [1.0] * 50 + [0.0] * 50)
    # One more right of 100: the differences have a standard deviation of 0.1, the mean a standard error of 0.01.
    same = report(best, [1.0] * 51 + [0.0] * 49)
    assert (same.value, same.published, same.looks) == (0.5, False, 2)
    assert same.scores == best.scores
    assert same.step == pytest.approx(sqrt(2 * log(2)) * 0.01)
    better = report(same, [1.0] * 54 + [0.0] * 46)
    assert (better.value, better.published, better.looks) == (0.54, True, 3)
    assert better.step == pytest.approx(sqrt(2 * log(3)) * sqrt(0.04 * 0.96 / 99))
    assert not report(same, [1.0] * 52 + [0.0] * 48).published  # 0.02 against 1.48 * 0.0141


def test_a_worse_result_leaves_the_best_standing() -> None:
    best = report(None, [1.0, 1.0, 0.0])
    assert report(best, [0.0, 0.0, 1.0]).value == best.value


def test_graded_qualities_are_told_in_steps_of_one_example() -> None:
    assert report(None, [0.33, 0.2, 0.1, 0.8]).value == 0.25  # 1.43 of 4


def test_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        report(None, [])
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        report(None, [1.5])
    with pytest.raises(ValueError, match="finite"):
        report(None, [float("nan")])
    with pytest.raises(ValueError, match="another test set"):
        report(report(None, [1.0, 0.0]), [1.0])
    assert not report(report(None, [0.0]), [1.0]).published  # one example tells no standard error


def test_the_first_climb_has_the_whole_level_and_all_together_have_a_bounded_one() -> None:
    assert level_after(0, 6) == pytest.approx(0.05 / 6)
    assert level_after(2, 6) == pytest.approx(0.05 / 6 / 9)
    assert sum(6 * level_after(climbs, 6) for climbs in range(10_000)) < 0.05 * pi**2 / 6
    with pytest.raises(ValueError, match="looks"):
        level_after(0, 0)
