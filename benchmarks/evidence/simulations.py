"""Made-up systems whose truth is known, judged thousands of times: how often is what sadari says right?

Called by `run.py` for its tables, and by `tests/measure/test_simulations.py` with fewer draws for its bounds.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from sadari.measure.power import power_of
from sadari.measure.reuse import report
from sadari.measure.seeds import resample_seeds_and_items
from sadari.measure.statistics import (
    bootstrap_interval,
    mcnemar_mid_p,
    non_inferiority,
    paired_interval,
    paired_p,
    pass_fail_interval,
    sign_flip_p,
    wilson,
)

Floats = NDArray[np.float64]
ALPHA = 0.05

SIZES = (50, 100, 300)
DISAGREEMENTS = (0.1, 0.2, 0.3, 0.4)
"""Shares of examples on which exactly one of two systems is right."""
GAINS = (0.0, 0.05, 0.1)

_mid_p = cache(mcnemar_mid_p)
_interval = cache(pass_fail_interval)


# --- false climbs ------------------------------------------------------------------------------------------------------


def false_climbs(climbs: int, n: int = 200, rungs: int = 6, seed: int = 0) -> float:
    """Share of climbs over rungs as good as the baseline that take at least one, by the rule: p < 0.05/rungs, lower end above 0.

    Answers of all systems are correlated through the difficulty of the examples. The rungs are judged one after another, each
    against the incumbent, as `climb` does.
    """
    rng = np.random.default_rng(seed)
    skill = rng.beta(2, 2, (climbs, n))
    incumbent = rng.random((climbs, n)) < skill
    climbed = np.zeros(climbs, dtype=bool)
    for _ in range(rungs):
        challenger = rng.random((climbs, n)) < skill
        lost, won = (incumbent & ~challenger).sum(axis=1), (challenger & ~incumbent).sum(axis=1)
        p = np.array([_mid_p(int(b), int(c)) for b, c in zip(lost, won, strict=True)])
        low = np.array([_interval(int(b), int(c), n)[0] if q < ALPHA else -1.0 for b, c, q in zip(lost, won, p, strict=True)])
        taken = (p < ALPHA / rungs) & (low > 0)
        incumbent[taken] = challenger[taken]
        climbed |= taken
    return float(climbed.mean())


def false_graded_climbs(climbs: int, n: int = 200, rungs: int = 6, seed: int = 0) -> float:
    """The same with graded scores, by sign flips and the bootstrap."""
    rng = np.random.default_rng(seed)
    climbed = 0
    for _ in range(climbs):
        skill = rng.beta(2, 2, n)
        arms = np.clip(skill + rng.normal(0, 0.25, (rungs + 1, n)), 0, 1)
        incumbent, taken = arms[0], False
        for challenger in arms[1:]:
            differences = challenger - incumbent
            p = sign_flip_p(differences, resamples=2000)
            if differences.mean() > 0 and p < ALPHA / rungs and bootstrap_interval(differences, resamples=2000)[0] > 0:
                incumbent, taken = challenger, True
        climbed += taken
    return climbed / climbs


# --- coverage ----------------------------------------------------------------------------------------------------------


def pass_fail_coverage(n: int, disagreement: float, gain: float, draws: int, seed: int = 0) -> float:
    """Share of Tango intervals that hold the true gain."""
    lost, won = _discordant(n, disagreement, gain, draws, seed)
    inside = []
    for b, c in zip(lost.tolist(), won.tolist(), strict=True):
        low, high = _interval(b, c, n)
        inside.append(low - 1e-9 <= gain <= high + 1e-9)
    return float(np.mean(inside))


def resampled_coverage(n: int, disagreement: float, gain: float, draws: int, seed: int = 0) -> float:
    """The same of the plain percentile bootstrap, for comparison."""
    lost, won = _discordant(n, disagreement, gain, draws, seed)
    rng = np.random.default_rng(seed + 1)
    ends = cache(partial(_percentiles, n=n, rng=rng))
    inside = []
    for b, c in zip(lost.tolist(), won.tolist(), strict=True):
        low, high = ends(b, c)
        inside.append(low - 1e-9 <= gain <= high + 1e-9)
    return float(np.mean(inside))


def _percentiles(lost: int, won: int, n: int, rng: np.random.Generator) -> tuple[float, float]:
    drawn = rng.multinomial(n, [lost / n, won / n, 1 - (lost + won) / n], size=2000)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, [0.025, 0.975])
    return float(low), float(high)


def smooth(rng: np.random.Generator, n: int) -> Floats:
    """Differences of two F1-like scores that share the difficulty of the examples; mean 0."""
    skill = rng.beta(2, 2, n)
    scores = np.clip(skill + rng.normal(0, 0.2, (2, n)), 0, 1)
    return np.asarray(scores[1] - scores[0])


def lumpy(rng: np.random.Generator, n: int) -> Floats:
    """Differences of scores in halves, most of them 0; mean 0.075."""
    return rng.choice([-1, -0.5, 0, 0.5, 1], n, p=[0.05, 0.05, 0.7, 0.1, 0.1])


def sparse(rng: np.random.Generator, n: int) -> Floats:
    """Three in four differences are 0, the others lean one way; mean 0.05. Hard: at 50 examples a dozen tell anything."""
    return np.where(rng.random(n) < 0.25, rng.normal(0.2, 0.4, n), 0.0)


GRADED: dict[Callable[[np.random.Generator, int], Floats], float] = {smooth: 0.0, lumpy: 0.075, sparse: 0.05}
"""Kinds of graded differences, and their true means."""


def graded_coverage(kind: Callable[[np.random.Generator, int], Floats], n: int, draws: int, seed: int = 0) -> float:
    """Share of bootstrap intervals that hold the true mean."""
    rng = np.random.default_rng(seed)
    inside = 0
    for draw in range(draws):
        low, high = bootstrap_interval(kind(rng, n), resamples=1000, seed=draw)
        inside += low <= GRADED[kind] <= high
    return inside / draws


def grouped_coverage(groups: int, draws: int, *, graded: bool, seed: int = 0) -> tuple[float, float]:
    """With five questions on each document: coverage where the groups are told, and where they are not. The true mean is 0.1."""
    rng = np.random.default_rng(seed)
    each = 5
    names = [f"document {index // each}" for index in range(groups * each)]
    told = untold = 0
    for _ in range(draws):
        latent = np.repeat(rng.normal(0, 0.5**0.5, groups), each) + rng.normal(0, 0.5**0.5, groups * each)
        if graded:
            differences, ends = 0.1 + 0.3 * latent, partial(bootstrap_interval, resamples=1000)
        else:
            # Normal quantiles of 0.1 and 0.8: one in ten is lost, one in five won.
            differences, ends = np.where(latent < -1.2816, -1.0, np.where(latent > 0.8416, 1.0, 0.0)), paired_interval
        low, high = ends(differences, names)
        told += low <= 0.1 <= high
        low, high = ends(differences)
        untold += low <= 0.1 <= high
    return told / draws, untold / draws


# --- power -------------------------------------------------------------------------------------------------------------


def power_gap(n: int, gain: float, disagreement: float, alpha: float, draws: int, seed: int = 0) -> tuple[float, float]:
    """The reported power, and how often the test found the gain."""
    lost, won = _discordant(n, disagreement, gain, draws, seed)
    found = [c > b and _mid_p(b, c) < alpha for b, c in zip(lost.tolist(), won.tolist(), strict=True)]
    return power_of(n, gain, disagreement, alpha), float(np.mean(found))


def three_judges(n: int, first: float, second: float, draws: int, seed: int = 0) -> dict[str, float]:
    """How often each way of judging finds the second system better: shares right `first` and `second`, at a level of 0.05.

    The second loses 4 % of the examples that the first gets right: 80 % and 86 % differ on 14 % of the examples.
    """
    lost = 0.04
    shares = [first - lost, lost, lost + second - first, 1 - lost - second]
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=draws)
    found = {"paired test": 0, "intervals overlap?": 0, "unpaired z-test": 0}
    interval = cache(wilson)
    for both, b, c, _ in drawn.tolist():
        old, new = both + b, both + c
        pooled = (old + new) / (2 * n)
        error = (2 * pooled * (1 - pooled) / n) ** 0.5
        found["paired test"] += c > b and _mid_p(b, c) < ALPHA
        found["intervals overlap?"] += interval(new, n)[0] > interval(old, n)[1]
        found["unpaired z-test"] += error > 0 and (new - old) / n / error > 1.959964
    return {name: count / draws for name, count in found.items()}


# --- a loss ruled out, seeds, and a test set used again ---------------------------------------------------------------


def false_non_inferiority(n: int, margin: float, disagreement: float, draws: int, seed: int = 0) -> float:
    """How often a challenger that loses exactly `margin` is called not worse; 0.025 is meant."""
    lost, won = _discordant(n, disagreement, -margin, draws, seed)
    proven = cache(partial(_is_proven, n=n, margin=margin))
    return float(np.mean([proven(b, c) for b, c in zip(lost.tolist(), won.tolist(), strict=True)]))


def _is_proven(lost: int, won: int, n: int, margin: float) -> bool:
    return non_inferiority([-1.0] * lost + [1.0] * won + [0.0] * (n - lost - won), margin).is_proven


def seed_errors(seeds: int, n: int, draws: int, seed: int = 0) -> dict[str, float]:
    """False gains of a technique as good as the incumbent whose seeds vary by about 2 points, at p < 0.05."""
    rng = np.random.default_rng(seed)
    wrong = {"seeds and examples resampled": 0, "mean of the seeds, examples alone": 0, "best seed": 0}
    for _ in range(draws):
        skill = rng.normal(size=n)
        incumbent = (skill + 0.7 * rng.normal(size=n) > -0.8).astype(float)
        luck = rng.normal(0, 0.083, (seeds, 1))  # on this scale a point of accuracy is about 0.0415
        arms = (skill + 0.7 * rng.normal(size=(seeds, n)) + luck > -0.8).astype(float)
        effect = resample_seeds_and_items(arms, incumbent, resamples=1000)
        best = max(arms, key=np.mean)
        mean = arms.mean(axis=0)
        wrong["seeds and examples resampled"] += effect.gain > 0 and effect.p < ALPHA
        wrong["mean of the seeds, examples alone"] += bool(mean.mean() > incumbent.mean()) and _flips(mean - incumbent) < ALPHA
        wrong["best seed"] += bool(best.mean() > incumbent.mean()) and paired_p(incumbent, best) < ALPHA
    return {name: count / draws for name, count in wrong.items()}


def _flips(differences: Floats) -> float:
    return sign_flip_p(differences, resamples=1000)


def overfitting(tries: int, n: int = 300, *, ladder: bool, seed: int = 0) -> float:
    """Points by which the told quality of coin tosses exceeds the truth, after `tries` that keep what was told to be better.

    Each try tosses a tenth of the best answers again. The truth stays one half: on fresh examples none of this helps.
    """
    rng = np.random.default_rng(seed)
    right = (rng.random(n) < 0.5).astype(float)
    best = report(None, right)
    for _ in range(tries):
        changed = np.where(rng.random(n) < 0.1, rng.random(n) < 0.5, right).astype(float)
        if ladder:
            best = report(best, changed)
            right = changed if best.published else right
        elif changed.mean() > right.mean():
            right = changed
    return (best.value if ladder else float(right.mean())) - 0.5


def voting(tries: int, n: int = 300, *, ladder: bool, seed: int = 0) -> float:
    """The same for many independent tosses, of which a majority vote of those told to beat one half is measured last."""
    rng = np.random.default_rng(seed)
    truth, votes, best = rng.random(n) < 0.5, np.zeros(n), None
    for _ in range(tries):
        answers = rng.random(n) < 0.5
        right = (answers == truth).astype(float)
        best = report(best, right)
        if best.published if ladder else right.mean() > 0.5:
            votes += np.where(answers, 1, -1)
    right = ((votes > 0) == truth).astype(float)
    return (report(best, right).value if ladder else float(right.mean())) - 0.5


def _discordant(n: int, disagreement: float, gain: float, draws: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many examples only the first, and only the second system got right, in each draw."""
    shares = [(disagreement - gain) / 2, (disagreement + gain) / 2, 1 - disagreement]
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=draws)
    return drawn[:, 0], drawn[:, 1]
