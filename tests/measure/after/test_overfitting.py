"""Overfitting: what the curves and the scores say, by the stated rule."""

from math import hypot

import pytest

from sadari.measure.after.overfitting import overfitting
from sadari.measure.statistics import wilson
from sadari.types import Curve


def curves(*looks: float, train: float = 0.5) -> tuple[Curve, ...]:
    steps = tuple((i, 2.0 if i <= 90 else train) for i in range(1, 101))
    return Curve("training loss", steps), Curve("validation loss", tuple(enumerate(looks, 1)))


@pytest.mark.parametrize(
    ("looks", "level"), [((1.0, 0.8, 0.7), "none"), ((1.0, 0.8, 0.83), "none"), ((0.8, 0.86), "notice"), ((0.8, 1.0), "serious")]
)
def test_the_level_follows_the_rise_of_the_validation_loss(looks: tuple[float, ...], level: str) -> None:
    found = overfitting(curves(*looks))
    assert found.level == level
    assert found.train_loss == pytest.approx(0.5)  # the last tenth of 100 steps
    assert (found.validation_loss, found.lowest_validation_loss) == (looks[-1], min(looks))
    assert found.rise == pytest.approx(looks[-1] / min(looks) - 1)


def test_the_gap_has_newcombes_interval() -> None:
    # Newcombe (1998), table II, example (a), method 10: 56/70 against 48/80 gives 0.0524 to 0.3339.
    found = overfitting((), [1.0] * 56 + [0.0] * 14, [1.0] * 48 + [0.0] * 32)
    assert found.gap == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))
    (low, _), (_, high) = wilson(56, 70), wilson(48, 80)
    assert found.low == pytest.approx(0.2 - hypot(0.8 - low, high - 0.6))
    assert found.level == "notice"


def test_a_gap_that_chance_explains_is_no_warning_and_a_wide_one_is_serious() -> None:
    assert overfitting((), [1.0] * 7 + [0.0] * 3, [1.0] * 4 + [0.0] * 6).level == "none"  # 30 points, of ten rows each
    assert overfitting((), [1.0] * 90 + [0.0] * 10, [1.0] * 40 + [0.0] * 60).level == "serious"
    assert overfitting((), [0.5] * 50, [1.0] * 50).level == "none"


def test_the_sentence_says_what_was_measured() -> None:
    told = overfitting(curves(0.8, 1.0), [1.0] * 90 + [0.0] * 10, [1.0] * 40 + [0.0] * 60)
    assert "90.0% right on train, 40.0% on validation" in told.reason
    assert "25% above its lowest" in told.reason
    assert "loss 0.50 on train, 1.00 on validation" in told.reason
    assert "과적합이 심합니다 (학습 행 90.0%" in overfitting((), [1.0] * 90 + [0.0] * 10, [0.0] * 60, language="ko").reason


def test_without_measurements_nothing_is_claimed() -> None:
    found = overfitting((Curve("training loss", ()),))
    assert (found.level, found.train_loss, found.rise, found.gap) == ("none", None, None, None)
    assert found.reason == "Nothing was measured that would show overfitting."
