"""Overfitting: is a tuned system better on the rows it learnt from than on rows like them that it never saw?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot
from statistics import fmean
from typing import Literal

from sadari.measure.statistics import mean_interval
from sadari.types import Alarm, Curve

TRAINING, VALIDATION = "training loss", "validation loss"
"""Names of the curves of a tuning rung."""

LAST_SHARE = 0.1
"""Share of the training steps, five at least, over which the last training loss is averaged: one batch says little."""

RISE_NOTICE, RISE_SERIOUS = 0.05, 0.20
"""How far the validation loss of the last look may lie above the lowest, as a share of the lowest."""

GAP_NOTICE, GAP_SERIOUS = 0.10, 0.25
"""How much better, in mean score, train may be answered than validation."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """How a tuned system does on its training rows and on validation. What was not measured is None.

    Args:
        train_loss: Mean of the last tenth of the steps, in nats per token of an answer.
        validation_loss, lowest_validation_loss: Of the last look, and of the best, in the same unit.
        rise: The last look's above the lowest, as a share of the lowest.
        train_quality, validation_quality: Mean scores, in [0, 1].
        gap, low, high: Train minus validation quality, and its 95 % interval; the rows are different ones, so it is not paired.
        level: By the rule of `overfitting`.
        reason: One sentence for a person.
    """

    level: Alarm
    reason: str
    train_loss: float | None = None
    validation_loss: float | None = None
    lowest_validation_loss: float | None = None
    rise: float | None = None
    train_quality: float | None = None
    validation_quality: float | None = None
    gap: float | None = None
    low: float | None = None
    high: float | None = None


def overfitting(
    curves: Sequence[Curve],
    train_scores: Sequence[float] = (),
    validation_scores: Sequence[float] = (),
    *,
    language: Literal["ko", "en"] = "en",
) -> Overfitting:
    """Judge the gap between train and validation.

    *serious*: train is answered better than validation by 25 points or more, or the validation loss of the last look is 20 % or
    more above the lowest. *notice*: by 10 points, or 5 %. A gap in quality counts only where its 95 % interval lies above 0.

    That the training loss is below the validation loss is told, but is no fault: all learning does that. Since the best look is
    kept, a risen validation loss says that training went on too long, not that the kept model is bad.

    Args:
        curves: Of `Built`; those called "training loss" and "validation loss" are read.
        train_scores: Of a sample of training rows that were answered without being shown themselves; () if none were.
        validation_scores: Of the validation rows.

    Source:
        Interval of a difference from two intervals: Newcombe (1998), Interval estimation for the difference between independent
        proportions, Statistics in Medicine 17: 873-890, method 10.
    """
    losses = [loss for curve in curves if curve.name == TRAINING for _, loss in curve.points]
    looks = [loss for curve in curves if curve.name == VALIDATION for _, loss in curve.points]
    train_loss = fmean(losses[-max(5, round(LAST_SHARE * len(losses))) :]) if losses else None
    rise = looks[-1] / min(looks) - 1 if looks and min(looks) > 0 else None
    gap = low = high = None
    if train_scores and validation_scores:
        gap, low, high = _difference(train_scores, validation_scores)
    level = _level(rise, gap, low)
    found = Overfitting(
        level,
        "",
        train_loss,
        looks[-1] if looks else None,
        min(looks) if looks else None,
        rise,
        fmean(train_scores) if train_scores else None,
        fmean(validation_scores) if validation_scores else None,
        gap,
        low,
        high,
    )
    return _told(found, language)


def _level(rise: float | None, gap: float | None, low: float | None) -> Alarm:
    proven = gap if gap is not None and low is not None and low > 0 else 0.0
    risen = rise or 0.0
    if proven >= GAP_SERIOUS or risen >= RISE_SERIOUS:
        return "serious"
    return "notice" if proven >= GAP_NOTICE or risen >= RISE_NOTICE else "none"


def _difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the first minus mean of the second, with the interval that follows from theirs."""
    a, b = fmean(first), fmean(second)
    (a_low, a_high), (b_low, b_high) = mean_interval(first), mean_interval(second)
    return a - b, a - b - hypot(a - a_low, b_high - b), a - b + hypot(a_high - a, b - b_low)


_SENTENCES = {
    "ko": {
        "none": "과적합이 보이지 않습니다{}.",
        "notice": "과적합이 조금 보입니다{}.",
        "serious": "과적합이 심합니다{}. 에폭이나 학습률을 줄이거나 학습 행을 늘리십시오.",
        "unknown": "잰 것이 없어 과적합을 알 수 없습니다.",
        "gap": "학습 행 {:.1%}, 검증 행 {:.1%} 정답",
        "rise": "검증 손실이 최저보다 {:.0%} 높게 끝남",
        "loss": "손실 학습 {:.2f}, 검증 {:.2f}",
    },
    "en": {
        "none": "No overfitting is seen{}.",
        "notice": "It overfits a little{}.",
        "serious": "It overfits badly{}. Train for fewer epochs or at a lower rate, or add rows.",
        "unknown": "Nothing was measured that would show overfitting.",
        "gap": "{:.1%} right on train, {:.1%} on validation",
        "rise": "the validation loss ended {:.0%} above its lowest",
        "loss": "loss {:.2f} on train, {:.2f} on validation",
    },
}


def _told(found: Overfitting, language: Literal["ko", "en"]) -> Overfitting:
    say, parts = _SENTENCES[language], []
    if found.gap is not None:
        parts.append(say["gap"].format(found.train_quality, found.validation_quality))
    if found.rise is not None and found.rise >= RISE_NOTICE:
        parts.append(say["rise"].format(found.rise))
    if found.train_loss is not None and found.validation_loss is not None:
        parts.append(say["loss"].format(found.train_loss, found.validation_loss))
    if not parts:
        return replace(found, reason=say["unknown"])
    return replace(found, reason=say[found.level].format(f" ({'; '.join(parts)})"))
