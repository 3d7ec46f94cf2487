"""The verdict: does the challenger replace the incumbent, and why, in one sentence.

A challenger is taken only if the paired test gives p < 0.05/looks for a gain, and the lower bound of the paired 95 % interval
exceeds the smallest gain that pays. "Cannot tell, about N more examples would decide" is a normal answer.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sadari.errors import RunError
from sadari.measure.money.bill import is_rented
from sadari.measure.money.cost import Money, build_money, is_priced, monthly_net, payback_months, smallest_gain_that_pays
from sadari.measure.seeds import resample_seeds_and_items
from sadari.measure.statistics import more_examples_needed
from sadari.types import Cost, Scorecard, Verdict

ALPHA = 0.05
_FREE = Cost()
Language = Literal["ko", "en"]
Outcome = Literal["better", "not_worse", "worse", "cannot_tell"]


def baseline_verdict(card: Scorecard, *, language: Language = "en") -> Verdict:
    """The verdict of step 0, which is compared with nothing and is the first incumbent."""
    verdict = Verdict("baseline", True, 0.0, 0.0, 0.0, None, None, "")
    return replace(verdict, reason=reason_of(verdict, card, language))


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
    """Compare two scorecards on the same examples, in pairs; groups of examples are resampled whole, seeds beside them.

    Args:
        cost: What building the challenger cost.

    Raises:
        RunError: If the two did not answer the same examples by the same scorer, or a score is not a number in [0, 1].
    """
    _check(incumbent, challenger, rule.looks)
    differences = np.asarray(challenger.scores) - np.asarray(incumbent.scores)
    money = rule.money
    extra = _request_cost(challenger, money) - _request_cost(incumbent, money)
    build = build_money(cost, money, challenger.device)
    needed = max(0.0, rule.min_gain, smallest_gain_that_pays(money, extra, build or 0.0) or 0.0)
    groups = incumbent.groups or challenger.groups or None  # scores kept by other hands may not name them
    found = resample_seeds_and_items(_by_seed(challenger), _by_seed(incumbent), groups, seed=rule.seed)
    gain, low, high, p = found.gain, found.low, found.high, found.p
    outcome: Outcome = "cannot_tell"
    if p < rule.alpha and gain != 0:
        outcome = "better" if gain > 0 else "worse"
    elif rule.margin > 0 and low > -rule.margin:
        outcome = "not_worse"
    taken = outcome == "better" and low > needed
    undecided = outcome == "cannot_tell" or (outcome == "better" and not taken)
    net = monthly_net(money, gain, extra)
    verdict = Verdict(
        outcome=outcome,
        taken=taken,
        gain=gain,
        low=low,
        high=high,
        p_value=p,
        more_examples=more_examples_needed(differences, groups, alpha=rule.alpha, min_gain=needed) if undecided else None,
        reason="",
        monthly_gain=net,
        payback_months=payback_months(net, build) if build is not None else None,
        level=rule.alpha,
        needed=needed,
    )
    return replace(verdict, reason=reason_of(verdict, challenger, rule.language))


def _request_cost(card: Scorecard, money: Money | None) -> float:
    """What one request more costs; 0 on a machine rented by the month, and where it is not priced, which the report tells."""
    is_paid = money is not None and is_priced(money, card.device) and not is_rented(money, card.device)
    return card.cost_per_request if is_paid else 0.0


def _by_seed(card: Scorecard) -> ArrayLike:
    return card.by_seed or card.scores


def reason_of(verdict: Verdict, card: Scorecard, language: Language) -> str:
    """The verdict on `card` in one sentence."""
    if verdict.p_value is None:
        quality = f"{card.quality:.1%} ({card.low:.1%}{_to(language)}{card.high:.1%})"
        return f"기준선: {quality}" if language == "ko" else f"baseline: {quality}"
    sign = "<" if verdict.p_value < verdict.level else "≥"
    unit = "%p" if language == "ko" else " points"
    gain = f"{100 * verdict.gain:+.1f}{unit} ({100 * verdict.low:.1f}{_to(language)}{100 * verdict.high:.1f})"
    return f"{gain}, p = {format_p(verdict.p_value)} {sign} {verdict.level:.3g}: {_conclusion(verdict, language)}"


def _conclusion(verdict: Verdict, language: Language) -> str:
    needed, more = f"{100 * verdict.needed:.1f}", verdict.more_examples
    korean = language == "ko"
    if verdict.taken:
        return "채택" if korean else "taken"
    if verdict.outcome == "better":
        if korean:
            later = f" (예제 약 {more:,}개가 더 있으면 판단 가능)" if more else ""
            return f"나아졌지만 구간의 하한이 채택 기준인 {needed}%p를 넘지 못해 채택하지 않음{later}"
        later = f" (about {more:,} more examples would decide)" if more else ""
        return f"better, but the lower bound does not exceed the {needed} points that a step must gain; not taken{later}"
    if verdict.outcome == "worse":
        return "나빠져 채택하지 않음" if korean else "worse, not taken"
    if verdict.outcome == "not_worse":
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
