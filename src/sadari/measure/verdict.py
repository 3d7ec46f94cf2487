"""The verdict: does the challenger replace the incumbent, and why, in one sentence.

A challenger is taken only if the paired test gives p < 0.05/looks for a gain, and the lower bound of the paired 95 % interval
exceeds the smallest gain that pays. "Cannot tell, about N more examples would decide" is a normal answer.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sadari.errors import RunError
from sadari.measure.cost import Money, build_money, is_priced, monthly_net, payback_months, smallest_gain_that_pays
from sadari.measure.statistics import bootstrap_interval, more_examples_needed, paired_p
from sadari.types import Cost, Scorecard, Verdict

ALPHA = 0.05
_FREE = Cost()
Language = Literal["ko", "en"]


def baseline_verdict(card: Scorecard, *, language: Language = "en") -> Verdict:
    """The verdict of step 0, which is compared with nothing and is the first incumbent."""
    quality = f"{card.quality:.1%} ({card.low:.1%}{_to(language)}{card.high:.1%})"
    reason = f"기준선: {quality}" if language == "ko" else f"baseline: {quality}"
    return Verdict("baseline", True, 0.0, 0.0, 0.0, None, None, reason)


@dataclass(frozen=True, slots=True)
class Rule:
    """How verdicts are reached, the same for all rungs of a climb.

    Args:
        looks: How many rungs the ladder declares; the level of each test is 0.05/looks.
        min_gain: Smallest gain worth taking, in [0, 1]; where `money` tells what pays, the larger of the two counts.
        margin: With a margin above 0, a challenger that is proven to lose less is "not_worse".
        language: Of the reasons.
    """

    looks: int = 1
    min_gain: float = 0.0
    margin: float = 0.0
    money: Money | None = None
    language: Language = "en"
    seed: int = 0

    @property
    def alpha(self) -> float:
        """Level of each two-sided test."""
        return ALPHA / self.looks


def judge(incumbent: Scorecard, challenger: Scorecard, rule: Rule, cost: Cost = _FREE) -> Verdict:
    """Compare two scorecards on the same examples, in pairs.

    Args:
        cost: What building the challenger cost.

    Raises:
        RunError: If the two did not answer the same examples by the same scorer, or a score is not a number in [0, 1].
    """
    _check(incumbent, challenger, rule.looks)
    differences = np.asarray(challenger.scores) - np.asarray(incumbent.scores)
    money = rule.money
    extra = challenger.cost_per_request - incumbent.cost_per_request if is_priced(money) else 0.0
    build = build_money(cost, money)
    pays = smallest_gain_that_pays(money, extra, build or 0.0)
    found = _Finding(
        gain=float(differences.mean()),
        interval=bootstrap_interval(differences, seed=rule.seed),
        p=paired_p(np.asarray(incumbent.scores), np.asarray(challenger.scores), seed=rule.seed),
        alpha=rule.alpha,
        needed=max(0.0, rule.min_gain, pays or 0.0),
    )
    net = monthly_net(money, found.gain, extra)
    outcome = _outcome(found, differences, rule.margin)
    more = more_examples_needed(differences, alpha=found.alpha, min_gain=found.needed)
    taken = outcome == "better" and found.low > found.needed
    return Verdict(
        outcome=outcome,
        taken=taken,
        gain=found.gain,
        low=found.low,
        high=found.high,
        p_value=found.p,
        more_examples=more if outcome == "cannot_tell" else None,
        reason=_reason(found, outcome, taken, more, rule.language),
        monthly_gain=net,
        payback_months=payback_months(net, build) if build is not None else None,
    )


@dataclass(frozen=True, slots=True)
class _Finding:
    gain: float
    interval: tuple[float, float]
    p: float
    alpha: float
    needed: float

    @property
    def low(self) -> float:
        return self.interval[0]

    @property
    def high(self) -> float:
        return self.interval[1]


Outcome = Literal["better", "not_worse", "worse", "cannot_tell"]


def _outcome(found: _Finding, differences: NDArray[np.float64], margin: float) -> Outcome:
    if found.p < found.alpha and found.gain != 0:
        return "better" if found.gain > 0 else "worse"
    if not differences.any() or (margin > 0 and found.low > -margin):
        return "not_worse"
    return "cannot_tell"


def _reason(found: _Finding, outcome: Outcome, taken: bool, more: int | None, language: Language) -> str:
    sign = "<" if found.p < found.alpha else "≥"
    unit = "%p" if language == "ko" else " points"
    gain = f"{100 * found.gain:+.1f}{unit} ({100 * found.low:.1f}{_to(language)}{100 * found.high:.1f})"
    return f"{gain}, p = {format_p(found.p)} {sign} {found.alpha:.3g}: {_conclusion(found, outcome, taken, more, language)}"


def _conclusion(found: _Finding, outcome: Outcome, taken: bool, more: int | None, language: Language) -> str:
    needed = f"{100 * found.needed:.1f}"
    korean = language == "ko"
    if taken:
        return "채택" if korean else "taken"
    if outcome == "better":
        if korean:
            later = f" (예제 약 {more:,}개가 더 있으면 판단 가능)" if more else ""
            return f"나아졌지만 구간의 하한이 채택 기준인 {needed}%p를 넘지 못해 채택하지 않음{later}"
        later = f" (about {more:,} more examples would decide)" if more else ""
        return f"better, but the lower bound does not exceed the {needed} points that a step must gain; not taken{later}"
    if outcome == "worse":
        return "나빠져 채택하지 않음" if korean else "worse, not taken"
    if outcome == "not_worse":
        return "더 나쁘지 않음, 채택하지 않음" if korean else "not worse, and not better; not taken"
    if more is None:
        return "판단할 수 없음, 채택하지 않음" if korean else "cannot tell, not taken"
    if korean:
        return f"판단할 수 없음, 예제 약 {more:,}개가 더 있으면 판단 가능; 채택하지 않음"
    return f"cannot tell, about {more:,} more examples would decide; not taken"


def format_p(p: float) -> str:
    """A p-value as a person reads it: 0.032, 4e-12, or <1e-300."""
    if p == 0:
        return "<1e-300"
    return f"{p:.0e}" if p < 1e-3 else f"{p:.3g}"


def _to(language: Language) -> str:
    return "~" if language == "ko" else " to "


def _check(incumbent: Scorecard, challenger: Scorecard, looks: int) -> None:
    arms = f'"{incumbent.rung}" and "{challenger.rung}"'
    if looks < 1:
        raise RunError(f"a verdict on {arms} needs looks of 1 or more, not {looks}: give the number of rungs in `ladder`.")
    if incumbent.ids != challenger.ids:
        odd = sorted(set(incumbent.ids) ^ set(challenger.ids))
        what = f"{odd[0]!r} stands in one of them only" if odd else "the same ids stand in another order"
        raise RunError(f"{arms} were not measured on the same examples: {what}. Measure both on one test file.")
    if incumbent.scorer != challenger.scorer:
        raise RunError(
            f"{arms} were scored by different scorers: {incumbent.scorer!r} and {challenger.scorer!r}. Score both by the same one."
        )
    if not incumbent.ids:
        raise RunError(f"{arms} were measured on no examples. Give the task test examples.")
    for card in (incumbent, challenger):
        if len(card.scores) != len(card.ids):
            raise RunError(f'"{card.rung}" has {len(card.ids)} ids and {len(card.scores)} scores: measure it again.')
        wrong = [f"{name}: {score}" for name, score in zip(card.ids, card.scores, strict=True) if not 0 <= score <= 1]
        if wrong:
            raise RunError(f'"{card.rung}" has a score that is no number in [0, 1], at example {wrong[0]}: mend the scorer.')
