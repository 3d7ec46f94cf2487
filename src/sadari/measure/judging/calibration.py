"""How far a judge agrees with people, and what its verdicts are worth once that is known.

People label answers right or wrong; the judge judges the same answers. What it does not call right (wrong, unsure, failed) counts
as not right, here as in its scores. From sensitivity and specificity the rate that people would have given follows by Rogan and
Gladen, with an interval that carries the luck of both samples: the test set and the labels.

Covered: a judge that is wrong at the rates its labels show.
Not covered: labels of answers unlike those judged (another system's, easier ones), and labels that are themselves wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sadari.errors import ConfigError
from sadari.measure.statistics import LEVEL, wilson

MIN_LABELS = 50
"""Fewer labels than this calibrate nothing."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge against people, counted; every figure is None where one class of labels alone cannot tell it.

    Args:
        right, called_right: Answers that people call right, and those of them that the judge calls right.
        wrong, called_wrong: Answers that people call wrong, and those of them that the judge does not call right.
        unsure: Answers on which the judge was unsure or failed; they stand among those not called right.
    """

    right: int
    called_right: int
    wrong: int
    called_wrong: int
    unsure: int = 0

    @property
    def n(self) -> int:
        """Labels."""
        return self.right + self.wrong

    @property
    def agreement(self) -> float | None:
        """Share of answers on which judge and people agree, in [0, 1]."""
        return (self.called_right + self.called_wrong) / self.n if self.n else None

    @property
    def sensitivity(self) -> float | None:
        """Share of right answers that the judge calls right, in [0, 1]."""
        return self.called_right / self.right if self.right else None

    @property
    def specificity(self) -> float | None:
        """Share of wrong answers that the judge does not call right, in [0, 1]."""
        return self.called_wrong / self.wrong if self.wrong else None

    @property
    def sensitivity_interval(self) -> tuple[float, float]:
        """95 % Wilson interval; (0, 1) without right answers."""
        return wilson(self.called_right, self.right)

    @property
    def specificity_interval(self) -> tuple[float, float]:
        """95 % Wilson interval; (0, 1) without wrong answers."""
        return wilson(self.called_wrong, self.wrong)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: agreement beyond chance, in [-1, 1].

        Source:
            Cohen (1960), doi 10.1177/001316446002000104.
        """
        return _kappa(self._cells)[0] if self.right and self.wrong else None

    @property
    def kappa_interval(self) -> tuple[float, float] | None:
        """95 % interval of kappa, by its large-sample error with one answer added to each of the four cells.

        Without the addition it covers 40 to 93 % at 50 labels (perfect agreement would have no error at all), with it 95 to 99 %.

        Source:
            Fleiss, Cohen & Everitt (1969), doi 10.1037/h0028106; the addition is that of Agresti & Coull (1998), doi
            10.1080/00031305.1998.10480550.
        """
        if self.kappa is None:
            return None
        centre, error = _kappa(tuple(count + 1 for count in self._cells))
        half = _z() * error
        return max(-1.0, min(centre - half, self.kappa)), min(1.0, max(centre + half, self.kappa))

    @property
    def _cells(self) -> tuple[int, ...]:
        """By people and judge: right and right, right and not, wrong and right, wrong and not."""
        return self.called_right, self.right - self.called_right, self.wrong - self.called_wrong, self.called_wrong


@dataclass(frozen=True, slots=True)
class Corrected:
    """A rate, or a difference of rates, as people would have found it, with its 95 % interval.

    Args:
        fits: False if no rate in [0, 1] explains what the judge said; then the labels are of answers unlike these.
    """

    value: float
    low: float
    high: float
    fits: bool = True


def calibrate(judged_right: Sequence[bool], people_right: Sequence[bool], unsure: int = 0) -> Calibration:
    """Count a judge against people, answer by answer.

    Args:
        judged_right: Whether the judge called the answer right; False for wrong, unsure and failed.
        unsure: How many of them were unsure or failed.

    Raises:
        ValueError: If there is not one label for each verdict.
    """
    if len(judged_right) != len(people_right):
        raise ValueError(f"{len(judged_right)} verdicts and {len(people_right)} labels: each answer needs one of both.")
    pairs = [(bool(judge), bool(people)) for judge, people in zip(judged_right, people_right, strict=True)]
    right = sum(people for _, people in pairs)
    return Calibration(right, pairs.count((True, True)), len(pairs) - right, pairs.count((False, False)), unsure)


def why_not_corrected(calibration: Calibration) -> str | None:
    """Why these labels cannot correct a rate, and what to do; None if they can."""
    c = calibration
    if c.n < MIN_LABELS:
        return f"the judge was compared with people on {c.n} answers, and {MIN_LABELS} are needed. Label {MIN_LABELS - c.n} more."
    if c.sensitivity is None or c.specificity is None:
        only, other = ("right", "wrong") if c.right else ("wrong", "right")
        return f"people call all {c.n} answers {only}, so nothing tells how the judge treats {other} ones. Label some of those."
    if c.sensitivity + c.specificity <= 1:
        return (
            f"the judge does no better than chance: sensitivity {c.sensitivity:.2f} + specificity {c.specificity:.2f} is not above "
            "1. Sharpen score.judge.rubric, or take another judge."
        )
    return None


def check_gate(calibration: Calibration, min_kappa: float) -> None:
    """Refuse a judge that may not decide.

    Args:
        min_kappa: Smallest Cohen's kappa with people, as `score.judge.min_kappa` states it.

    Raises:
        ConfigError: If the labels are too few, of one class only or no better than chance, or kappa is below `min_kappa`.
    """
    fault = why_not_corrected(calibration)
    if fault is not None:
        raise ConfigError(f"the judge may not decide: {fault}")
    kappa, interval = calibration.kappa, calibration.kappa_interval
    assert kappa is not None
    assert interval is not None
    if kappa < min_kappa:
        raise ConfigError(
            f"the judge may not decide: its kappa with people is {kappa:.2f} ({interval[0]:.2f} to {interval[1]:.2f}) on "
            f"{calibration.n} labels, below score.judge.min_kappa of {min_kappa:g}. Sharpen score.judge.rubric, take a stronger "
            "judge, or score by something that needs none (score.by)."
        )


def corrected_rate(calibration: Calibration, called_right: int, n: int, level: float = LEVEL) -> Corrected:
    """The share of right answers that people would find, given how many of `n` the judge calls right.

    The value is Rogan and Gladen's plug-in, (p + specificity - 1) / (sensitivity + specificity - 1), cut to [0, 1]. The interval
    treats all three shares as estimated; it covers 94 to 100 % with 50 labels or more, and errs to the safe side where few labels
    are of one class.

    Raises:
        ConfigError: If the labels cannot correct a rate (see `why_not_corrected`).
        ValueError: If there are no answers, or more called right than there are.

    Source:
        Lang & Reiczigel (2014), doi 10.1016/j.prevetmed.2013.09.015; for judges: Lee et al. (2025), arXiv 2511.21140; the plug-in:
        Rogan & Gladen (1978), doi 10.1093/oxfordjournals.aje.a112510.
    """
    if not 0 <= called_right <= n or n == 0:
        raise ValueError(f"{called_right} called right of {n}: give at least one answer, and no more right ones than answers.")
    sensitivity, specificity = _shares(calibration)
    value = (called_right / n + specificity - 1) / (sensitivity + specificity - 1)
    z = _z(level)
    rate, rate_error2 = _shifted(called_right, n, z * z)
    sens, sens_error2 = _shifted(calibration.called_right, calibration.right, 2)
    spec, spec_error2 = _shifted(calibration.called_wrong, calibration.wrong, 2)
    slope = sens + spec - 1
    if slope <= 0:
        return Corrected(_cut(value), 0.0, 1.0)
    centre = (rate + spec - 1) / slope
    half = z * sqrt(rate_error2 + centre**2 * sens_error2 + (1 - centre) ** 2 * spec_error2) / slope
    centre += 2 * z * z * (centre * sens_error2 - (1 - centre) * spec_error2)
    low, high = centre - half, centre + half
    value = _cut(value)
    return Corrected(value, min(_cut(low), value), max(_cut(high), value), fits=low <= 1 and high >= 0)


def corrected_gain(calibration: Calibration, first: ArrayLike, second: ArrayLike, level: float = LEVEL) -> Corrected:
    """How much larger the share of right answers is with the second system, as people would find it.

    One judge errs for both systems alike, so its paired gain is the true one times (sensitivity + specificity - 1). The interval is
    Fieller's for a ratio, and excludes 0 exactly when the judge's own paired interval does: calibration changes the size of a gain,
    not whether there is one.

    Args:
        first, second: The judge's scores of both systems on the same examples, 0 or 1.

    Raises:
        ConfigError: If the labels cannot correct a rate, or are too few to show that the judge does better than chance.
        ValueError: If the scores are not paired, or are not 0 or 1.

    Source:
        Fieller (1954), doi 10.1111/j.2517-6161.1954.tb00159.x; the paired difference with half an answer added to each cell:
        Agresti & Min (2005), doi 10.1002/sim.1781.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or not len(a) or not np.isin([a, b], (0.0, 1.0)).all():
        raise ValueError(f"scores of shapes {a.shape} and {b.shape} must be two rows of 0 and 1, one pair per example.")
    sensitivity, specificity = _shares(calibration)
    gained, lost, n = int((b > a).sum()), int((a > b).sum()), len(a) + 2
    gain = (gained - lost) / n
    gain_error2 = ((gained + lost + 1) / n - gain**2) / n
    sens, sens_error2 = _shifted(calibration.called_right, calibration.right, 2)
    spec, spec_error2 = _shifted(calibration.called_wrong, calibration.wrong, 2)
    slope, z = sens + spec - 1, _z(level)
    # Fieller: all d with (gain - d * slope)^2 <= z^2 * (error2 of gain + d^2 * error2 of slope).
    square = slope**2 - z * z * (sens_error2 + spec_error2)
    if square <= 0 or slope <= 0:
        raise ConfigError(
            f"{calibration.n} labels do not show that the judge does better than chance (sensitivity {sensitivity:.2f}, "
            f"specificity {specificity:.2f}), so its gains cannot be corrected. Label more answers, or take another judge."
        )
    root = sqrt(max(0.0, (gain * slope) ** 2 - square * (gain**2 - z * z * gain_error2)))
    value = _cut((gained - lost) / len(a) / (sensitivity + specificity - 1), least=-1.0)
    low, high = (_cut((gain * slope + sign * root) / square, least=-1.0) for sign in (-1, 1))
    return Corrected(value, min(low, value), max(high, value))


def calibration_summary(calibration: Calibration, language: Literal["ko", "en"] = "en") -> str:
    """The calibration in one sentence, for reports."""
    c, korean = calibration, language == "ko"
    kappa = _with_interval(c.kappa, c.kappa_interval)
    sens = _with_interval(c.sensitivity, c.sensitivity_interval)
    spec = _with_interval(c.specificity, c.specificity_interval)
    agreement = "-" if c.agreement is None else f"{c.agreement:.1%}"
    if korean:
        return f"사람 판정 {c.n}건과 {agreement} 일치, 카파 {kappa}, 민감도 {sens}, 특이도 {spec}, 알 수 없음 {c.unsure}건"
    return f"{c.n} human labels: agreement {agreement}, kappa {kappa}, sensitivity {sens}, specificity {spec}, unsure {c.unsure}"


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    return "-" if value is None or interval is None else f"{value:.2f} ({interval[0]:.2f}-{interval[1]:.2f})"


def _shares(calibration: Calibration) -> tuple[float, float]:
    fault = why_not_corrected(calibration)
    if fault is not None:
        raise ConfigError(f"the judge's rate cannot be corrected: {fault}")
    assert calibration.sensitivity is not None
    assert calibration.specificity is not None
    return calibration.sensitivity, calibration.specificity


def _shifted(successes: int, n: int, added: float) -> tuple[float, float]:
    """A share with `added` answers, half of them right, and its squared error: a share of 0 or 1 is not known without error."""
    share = (successes + added / 2) / (n + added)
    return share, share * (1 - share) / (n + added)


def _kappa(cells: tuple[int, ...]) -> tuple[float, float]:
    """Cohen's kappa of the four counts, and its large-sample standard error; neither class of people's may be empty."""
    n = sum(cells)
    both, missed, invented, neither = (count / n for count in cells)
    people, judge = both + missed, both + invented  # shares called right
    agreed, chance = both + neither, people * judge + (1 - people) * (1 - judge)
    kappa = (agreed - chance) / (1 - chance)
    on = both * ((1 - chance) - (people + judge) * (1 - agreed)) ** 2
    on += neither * ((1 - chance) - (2 - people - judge) * (1 - agreed)) ** 2
    off = (1 - agreed) ** 2 * (missed * (judge + 1 - people) ** 2 + invented * (1 - judge + people) ** 2)
    error2 = on + off - (agreed * chance - 2 * chance + agreed) ** 2
    return kappa, sqrt(max(0.0, error2) / n) / (1 - chance) ** 2


def _cut(value: float, *, least: float = 0.0) -> float:
    return min(1.0, max(least, value))


def _z(level: float = LEVEL) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
