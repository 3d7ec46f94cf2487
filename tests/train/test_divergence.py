"""When a run is called lost."""

import math
import random

import pytest

from sadari.train.divergence import Smoothed


def alarm(losses: list[float]) -> int | None:
    """After how many steps the alarm is first given."""
    smoothed = Smoothed()
    for step, loss in enumerate(losses, 1):
        smoothed.add(loss)
        if smoothed.has_diverged:
            return step
    return None


def test_the_mean_of_equal_losses_is_that_loss_from_the_first_one_on() -> None:
    for count in (1, 2, 100):
        assert Smoothed.over([2.5] * count).value == pytest.approx(2.5)


def test_two_losses_are_weighed_by_hand() -> None:
    # (0.98 * 0.02 * 1 + 0.02 * 4) / (1 - 0.98 ** 2)
    assert Smoothed.over([1.0, 4.0]).value == pytest.approx((0.98 * 1 + 4) / 1.98)


def test_losses_that_climb_and_stay_there_are_noticed_within_fifty_steps() -> None:
    found = alarm([2.0 - 0.01 * n for n in range(100)] + [10.0] * 100)
    assert found is not None
    assert 125 <= found <= 150


@pytest.mark.parametrize("seed", range(20))
def test_ordinary_runs_are_let_alone_however_their_losses_are_spread(seed: int) -> None:
    draw = random.Random(seed)
    # One row a step: its loss is spread over orders of magnitude about a mean that falls to a tenth.
    losses = [draw.lognormvariate(0.0, 1.2) * (0.1 + 0.9 * math.exp(-n / 300)) for n in range(3000)]
    assert alarm(losses) is None


def test_one_bad_step_is_no_divergence() -> None:
    assert alarm([1.0] * 50 + [80.0] + [1.0] * 200) is None


def test_a_loss_near_nothing_may_double() -> None:
    assert alarm([0.01] * 100 + [0.5] * 500) is None


def test_a_loss_below_zero_is_held_against_a_line_above_it() -> None:
    assert alarm([-2.0] * 500) is None
    assert alarm([-2.0] * 100 + [5.0] * 100) is not None


def test_what_is_told_of_all_losses_at_once_is_what_is_told_of_them_in_turn() -> None:
    losses = [1.0 + math.sin(n) for n in range(60)]
    one = Smoothed()
    for loss in losses:
        one.add(loss)
    assert Smoothed.over(losses) == one
