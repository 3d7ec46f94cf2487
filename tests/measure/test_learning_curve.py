import numpy as np
import pytest
from scipy.optimize import curve_fit

from sadari.measure.learning_curve import FURTHEST, LearningCurve, Refusal, fit_learning_curve

SIZES = [250, 500, 750, 1000]


def error(n: float, a: float = 0.1, b: float = 3.0, c: float = 0.45) -> float:
    return float(a + b * n**-c)


def exact_scores(items: int = 10) -> list[np.ndarray]:
    """Every item scores the law's own mean, so that nothing is left to chance."""
    return [np.full((1, items), 1 - error(n)) for n in SIZES]


def drawn_scores(seed: int, items: int = 300, seeds: int = 3) -> list[np.ndarray]:
    """Pass/fail scores of items that differ in difficulty, as the law says in the mean."""
    rng = np.random.default_rng(seed)
    difficulty = rng.random(items)
    scores = []
    for n in SIZES:
        luck = rng.random((seeds, items))
        merit = 0.7 * difficulty + 0.3 * luck
        everyone = 0.7 * rng.random(200_000) + 0.3 * rng.random(200_000)
        scores.append((merit < np.quantile(everyone, 1 - error(n))).astype(float))
    return scores


def fitted(scores: list[np.ndarray]) -> LearningCurve:
    curve = fit_learning_curve(SIZES, scores)
    assert isinstance(curve, LearningCurve), curve.reason
    return curve


def test_a_law_without_noise_is_foretold() -> None:
    curve = fitted(exact_scores())
    for n in (400, 1000, 1500, 3000):
        assert curve.predict(n).value == pytest.approx(1 - error(n), abs=0.004)
    assert curve.gain(500).value == pytest.approx(error(1000) - error(1500), abs=0.002)


def test_the_fit_is_that_of_a_bounded_least_squares_of_scipy() -> None:
    scores = drawn_scores(3)
    errors = [1 - s.mean() for s in scores]
    law = lambda n, a, b, c: a + b * n**-c  # noqa: E731
    bounds = ([0, 0, 0.02], [1, 50, 2])
    best = min(
        (curve_fit(law, SIZES, errors, p0=(0.1, 2, c), bounds=bounds)[0] for c in (0.1, 0.5, 1.0)),
        key=lambda fit: sum((law(n, *fit) - e) ** 2 for n, e in zip(SIZES, errors, strict=True)),
    )
    assert fitted(scores).predict(1500).value == pytest.approx(1 - law(1500, *best), abs=0.003)


def test_the_interval_of_the_gain_holds_the_truth_nine_times_in_ten() -> None:
    truth = error(1000) - error(1500)
    gains = [fitted(drawn_scores(seed)).gain(500) for seed in range(20)]
    assert sum(g.low <= truth <= g.high for g in gains) >= 17
    assert all(g.low <= g.value <= g.high for g in gains)
    assert np.mean([g.high - g.low for g in gains]) < 0.05


def test_the_order_of_the_sizes_does_not_matter() -> None:
    scores = drawn_scores(1)
    turned = fit_learning_curve(SIZES[::-1], scores[::-1])
    assert isinstance(turned, LearningCurve)
    assert turned.means == fitted(scores).means
    assert turned.predict(2000).value == fitted(scores).predict(2000).value


def test_three_points_are_refused() -> None:
    refusal = fit_learning_curve(SIZES[:3], exact_scores()[:3])
    assert refusal == Refusal("a curve needs 4 training sizes, but there are 3")


def test_scores_that_fall_are_refused_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    scores = [(rng.random((3, 200)) < 0.7 - 0.05 * i).astype(float) for i in range(4)]
    refusal = fit_learning_curve(SIZES, scores, language="ko")
    assert isinstance(refusal, Refusal)
    assert "우연" in refusal.reason


def test_scores_that_stay_are_seldom_taken_for_a_rise() -> None:
    rng = np.random.default_rng(0)
    fits = [fit_learning_curve(SIZES, [(rng.random(200) < 0.6).astype(float) for _ in SIZES]) for _ in range(40)]
    assert sum(isinstance(f, LearningCurve) for f in fits) <= 5  # one in twenty is expected by chance


def test_nothing_is_foretold_far_away() -> None:
    curve = fitted(exact_scores())
    with pytest.raises(ValueError, match="ask between 1 and 4000"):
        curve.predict(int(FURTHEST * 1000) + 1)
    with pytest.raises(ValueError, match="says nothing about 0"):
        curve.predict(0)


@pytest.mark.parametrize(
    ("sizes", "scores", "told"),
    [
        ([1, 2, 3, 3], [[0.5]] * 4, "each size once"),
        ([1, 2, 3, 4], [[0.5]] * 3, "3 rows of scores"),
        ([1, 2, 3, 4], [[0.5], [0.5], [0.5], [0.5, 0.6]], "the same items"),
        ([1, 2, 3, 4], [[0.5], [0.5], [0.5], [1.5]], r"outside \[0, 1\]"),
        ([1, 2, 3, 4], [[0.5], [0.5], [0.5], [float("nan")]], r"outside \[0, 1\]"),
    ],
)
def test_scores_that_make_no_curve_are_errors(sizes: list[int], scores: list[list[float]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fit_learning_curve(sizes, scores)
