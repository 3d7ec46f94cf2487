"""A test set that is used again: what each further climb may learn from it, and at which level it is judged.

Covered: reported qualities leak little of the test set, even to someone who tries thousands of systems and keeps what helps; and
the chance of one false step, over all climbs ever made on one test set, stays below 8.3 %.
Not covered: a person who reads the test examples, or predictions on them, and writes the answers into a prompt.
"""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import ArrayLike

from sadari.measure.clusters import finite_row

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Reported:
    """What has been told about one test set so far.

    Args:
        value: The quality that is told, in [0, 1]: of the best result that was published.
        scores: Its scores, one per test example, in file order.
        looks: How many results were measured on this test set.
        step: What the latest had to gain to be told.
        published: Whether the latest was.
    """

    value: float
    scores: tuple[float, ...]
    looks: int = 1
    step: float = 0.0
    published: bool = True


def report(best: Reported | None, scores: ArrayLike) -> Reported:
    """What may be told of a new result: its quality if it beats the best so far by more than chance would, else the best again.

    More than chance is sqrt(2 ln(looks + 1)) standard errors of the paired difference: about the largest of that many chance gains.
    With the paper's one standard error, 1,000 small changes of coin tosses, each kept if told to be better, gained 22 points at 300
    examples (27 where everything is told); with this, 1. What is told is rounded to 1/n.

    Args:
        best: What the last call gave for this test set; None at the first result.
        scores: The new result, one score in [0, 1] per example, in the order of the last call.

    Raises:
        ValueError: If there are no scores, one is not in [0, 1], or there were another number before.

    Source:
        The parameter-free Ladder: Blum & Hardt (2015), arXiv 1502.04585, figure 3; its step grows here with the looks.
    """
    values = finite_row(scores)
    if not len(values) or values.min() < 0 or values.max() > 1:
        raise ValueError("a result needs scores in [0, 1], at least one. Score the answers again.")
    told = round(float(values.mean()) * len(values)) / len(values)
    if best is None:
        return Reported(told, tuple(values.tolist()))
    if len(best.scores) != len(values):
        raise ValueError(f"{len(values)} scores, but {len(best.scores)} before: another test set starts anew, with best=None.")
    differences = values - np.asarray(best.scores)
    error = float(differences.std(ddof=1)) / sqrt(len(values)) if len(values) > 1 else 1.0
    step = sqrt(2 * log(best.looks + 1)) * error
    if float(values.mean()) > best.value + step:
        return Reported(told, tuple(values.tolist()), best.looks + 1, step, True)
    return Reported(best.value, best.scores, best.looks + 1, step, False)


def level_after(climbs: int, looks: int, alpha: float = ALPHA) -> float:
    """The level of each test in a climb of `looks` rungs, after `climbs` earlier climbs on the same test set.

    The first climb has `alpha`, the next a quarter, then a ninth: for all climbs together at most 1.645 alpha (alpha * pi^2/6),
    however many there are. New test examples start anew.

    Raises:
        ValueError: If `climbs` is below 0 or `looks` below 1.

    Source:
        Bonferroni within a climb; over climbs a series with a finite sum (alpha spending, for tests without a last one: Foster &
        Stine 2008, doi 10.1111/j.1467-9868.2007.00643.x).
    """
    if climbs < 0 or looks < 1:
        raise ValueError(f"{climbs} earlier climbs and {looks} looks: give 0 or more, and 1 or more.")
    return alpha / looks / (climbs + 1) ** 2
