"""The stop rule: what the next rung would have to gain to pay, against what can still be hoped for."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sadari.measure.money.cost import Money, smallest_gain_that_pays
from sadari.measure.statistics import mean_interval
from sadari.types import Scorecard

OPTIMISTIC = 0.9
"""How sure it is that an optimistic estimate is not exceeded."""

Rule = Literal["remaining", "fixable", "predicted"]


@dataclass(frozen=True, slots=True)
class NextRung:
    """What the next rung is expected to cost, in the currency.

    Args:
        build: Paid once; None is not priced, and then the rung only has to earn the rest.
        extra_per_request, extra_per_month: More than the incumbent; 0 if it is expected to run at the same price.
    """

    build: float | None = 0.0
    extra_per_request: float = 0.0
    extra_per_month: float = 0.0


@dataclass(frozen=True, slots=True)
class Hope:
    """What is known about how much the next rung can gain. With nothing known, it may put every wrong answer right.

    Args:
        fixable: Ids of test examples that are wrong in a way such a rung can put right; None if that is not known.
        predicted: A 90 % optimistic estimate of its gain, in [0, 1], as a learning curve gives it; None if there is none.
    """

    fixable: Collection[str] | None = None
    predicted: float | None = None


@dataclass(frozen=True, slots=True)
class StopAdvice:
    """Whether another rung could still pay.

    Args:
        needed: Gain above which it would, 0 or more; at least the smallest gain asked for. It may be more than 1, which none can.
        optimistic: What it gains at best: its 90 % optimistic estimate, in [0, 1].
        rule: Which estimate that is: of all that `remaining` answers lack, of the `fixable` ones, or `predicted`.
        is_priced: Whether the next rung's building and the value of a gain are known; if not, `needed` leaves them out.
    """

    needed: float
    optimistic: float
    rule: Rule
    is_priced: bool

    @property
    def stops(self) -> bool:
        """Whether not even the optimistic gain exceeds what is needed."""
        return self.optimistic <= self.needed

    def words(self, language: Literal["ko", "en"]) -> str:
        """The rule with its numbers, in one or two sentences."""
        optimistic, why = f"{100 * self.optimistic:.1f}", _WHY[self.rule][language]
        if language == "ko":
            needed = f"최소 {100 * self.needed:.1f}%p 올라야" if self.needed >= 0.001 else "조금이라도(0.1%p 미만) 오르면"
            unpriced = "" if self.is_priced else " (가격이 없는 비용은 빼고 계산)"
            end = "그래서 여기서 멈춥니다." if self.stops else "그래서 계속할 만합니다."
            return f"다음 단계는 {needed} 이득입니다{unpriced}. 90% 낙관 추정은 {optimistic}%p입니다({why}). {end}"
        needed = f"at least {100 * self.needed:.1f} points" if self.needed >= 0.001 else "less than 0.1 points"
        unpriced = " (costs without a price left out)" if not self.is_priced else ""
        end = "The climb stops here." if self.stops else "It is worth a try."
        return (
            f"The next rung would have to gain {needed} to pay{unpriced}: "
            f"its 90 % optimistic estimate is {optimistic} ({why}). {end}"
        )


_WHY: dict[Rule, dict[str, str]] = {
    "remaining": {"ko": "남은 오답을 모두 고칠 때", "en": "if it put every wrong answer right"},
    "fixable": {"ko": "이 단계가 고칠 수 있는 오답을 모두 고칠 때", "en": "if it put right every answer that it can"},
    "predicted": {"ko": "학습 곡선에 따름", "en": "by the learning curve"},
}
_NOTHING_KNOWN = Hope()


def stop_advice(
    card: Scorecard, money: Money | None, next_rung: NextRung, *, min_gain: float = 0.0, hope: Hope = _NOTHING_KNOWN
) -> StopAdvice:
    """Whether a rung after the incumbent `card` could still pay.

    It would have to gain `min_gain`, and more than `smallest_gain_that_pays`. Its optimistic estimate is the smallest of:

    - what all answers still lack, 1 - quality. On this test set not even a perfect system gains more, and a verdict is about this
      test set, so nothing is added for chance;
    - what the `fixable` answers lack, at the upper end of its one-sided 90 % interval over the test examples;
    - what was `predicted`.

    What earlier rungs gained does not count: it says little about a different technique.
    """
    pays = smallest_gain_that_pays(money, next_rung.extra_per_request, next_rung.build or 0.0, next_rung.extra_per_month)
    remaining = 1.0 - card.quality
    estimates: list[tuple[float, Rule]] = [(remaining, "remaining")]
    if hope.fixable is not None and card.ids:
        ids = set(hope.fixable)
        lacking = [1.0 - score if name in ids else 0.0 for name, score in zip(card.ids, card.scores, strict=True)]
        estimates.append((mean_interval(lacking, level=2 * OPTIMISTIC - 1)[1], "fixable"))
    if hope.predicted is not None:
        estimates.append((max(0.0, hope.predicted), "predicted"))
    optimistic, rule = min(estimates, key=lambda estimate: estimate[0])
    return StopAdvice(
        needed=max(min_gain, pays or 0.0),
        optimistic=optimistic,
        rule=rule,
        is_priced=pays is not None and next_rung.build is not None,
    )
