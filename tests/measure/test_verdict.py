"""Verdicts: what is taken, what is not, and what the sentence says."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sadari.errors import RunError
from sadari.measure.money.cost import Money
from sadari.measure.statistics import mcnemar_mid_p
from sadari.measure.verdict import Rule, baseline_verdict, format_p, judge
from sadari.types import Cost, Scorecard

Card = Callable[..., Scorecard]


def test_a_proven_gain_is_taken_with_its_numbers_in_one_sentence(card: Card) -> None:
    verdict = judge(card([0.0] * 80 + [1.0] * 20), card([0.0] * 38 + [1.0] * 62, "lora"), Rule(looks=4))
    assert (verdict.outcome, verdict.taken, verdict.more_examples) == ("better", True, None)
    assert verdict.gain == pytest.approx(0.42)
    assert verdict.p_value == mcnemar_mid_p(0, 42)
    assert 0.30 < verdict.low < verdict.gain < verdict.high < 0.54
    assert verdict.reason.startswith("+42.0 points (")
    assert verdict.reason.endswith("p = 2e-13 < 0.0125: taken")


def test_few_identical_scores_prove_nothing_and_many_are_not_worse_within_a_margin(card: Card) -> None:
    arm = card([0.0, 1.0, 1.0, 0.0])
    verdict = judge(arm, arm, Rule(looks=4))
    assert (verdict.outcome, verdict.taken) == ("cannot_tell", False)
    assert (verdict.gain, verdict.p_value) == (0.0, 1.0)
    assert verdict.low == -verdict.high < -0.4  # four examples on which nothing differs prove little
    many = card([0.0, 1.0, 1.0, 0.0] * 100)
    assert judge(many, many, Rule(margin=0.02)).outcome == "not_worse"


def test_too_little_evidence_says_how_many_more_examples_would_decide(card: Card) -> None:
    verdict = judge(card([0.0] * 6 + [1.0] * 4 + [0.0] * 90), card([1.0] * 6 + [0.0] * 4 + [0.0] * 90), Rule(looks=4))
    assert (verdict.outcome, verdict.taken) == ("cannot_tell", False)
    assert verdict.more_examples is not None
    assert f"about {verdict.more_examples:,} more examples would decide" in verdict.reason


def test_more_rungs_ask_for_stronger_evidence(card: Card) -> None:
    old, new = card([0.0] * 100), card([1.0] * 7 + [0.0] * 93)  # p = 2 * 0.5^7 - 0.5^7 = 0.0078
    assert judge(old, new, Rule(looks=4)).taken
    assert judge(old, new, Rule(looks=8)).outcome == "cannot_tell"


def test_a_loss_is_worse_and_within_a_margin_not_worse(card: Card) -> None:
    good = [1.0] * 95 + [0.0] * 5
    assert judge(card(good), card([0.0] * 30 + [1.0] * 65 + [0.0] * 5), Rule()).outcome == "worse"
    slightly = [0.0, *good[1:-1], 1.0]
    assert judge(card(good), card(slightly), Rule(looks=1, margin=0.1)).outcome == "not_worse"
    assert judge(card(good), card(slightly), Rule()).outcome == "cannot_tell"


def test_a_proven_gain_that_does_not_pay_is_not_taken(card: Card) -> None:
    old, new = card([0.0] * 60 + [1.0] * 40), card([0.0] * 50 + [1.0] * 50)
    assert judge(old, new, Rule()).taken
    verdict = judge(old, new, Rule(looks=1, min_gain=0.09))
    assert (verdict.outcome, verdict.taken) == ("better", False)
    assert "does not exceed the 9.0 points" in verdict.reason


def test_money_raises_the_smallest_gain_and_gives_net_and_payback(card: Card, shop: Money) -> None:
    old, new = card([0.0] * 60 + [1.0] * 40, cost=0.0), card([0.0] * 50 + [1.0] * 50, cost=5.0)
    verdict = judge(old, new, Rule(looks=1, money=shop), cost=Cost(money=1_000_000))
    assert verdict.taken
    assert verdict.monthly_gain == pytest.approx(100_000 * (0.1 * 250 - 5))
    assert verdict.payback_months == pytest.approx(0.5)
    assert not judge(old, new, Rule(looks=1, money=shop), cost=Cost(money=20_000_000)).taken  # 25 KRW a request is 10 points


def test_graded_scores_are_judged_by_permutation(card: Card) -> None:
    rng = np.random.default_rng(0)
    old = rng.random(200) * 0.5
    verdict = judge(card(old.tolist()), card((old + 0.1 + 0.1 * rng.random(200)).tolist()), Rule(looks=4))
    assert verdict.taken
    assert verdict.p_value == pytest.approx(1 / 10_001)


def test_the_sentence_is_korean_on_request(card: Card) -> None:
    old, new = card([0.0] * 100), card([1.0] * 60 + [0.0] * 40)
    assert judge(old, new, Rule(looks=4, language="ko")).reason.startswith("+60.0%p (")
    assert judge(old, new, Rule(looks=4, language="ko")).reason.endswith(": 채택")
    assert baseline_verdict(old, language="ko").reason == "기준선: 0.0% (0.0%~3.7%)"


def test_the_baseline_is_compared_with_nothing(card: Card) -> None:
    verdict = baseline_verdict(card([1.0, 0.0]))
    assert (verdict.outcome, verdict.taken, verdict.p_value) == ("baseline", True, None)


def test_arms_that_cannot_be_compared_are_refused(card: Card) -> None:
    arm = card([0.0, 1.0])
    with pytest.raises(RunError, match="'test-002' stands in one of them only"):
        judge(arm, card([0.0, 1.0, 1.0]), Rule())
    with pytest.raises(RunError, match="another order"):
        judge(arm, replace(arm, ids=arm.ids[::-1]), Rule())
    with pytest.raises(RunError, match="different scorers"):
        judge(arm, replace(arm, scorer="text"), Rule())
    with pytest.raises(RunError, match="no examples"):
        judge(card([]), card([]), Rule())
    with pytest.raises(RunError, match="test-001: nan"):
        judge(arm, replace(arm, scores=(0.0, float("nan"))), Rule())
    with pytest.raises(RunError, match="looks of 1 or more"):
        judge(arm, arm, Rule(looks=0))


def test_six_equal_rungs_give_a_false_climb_less_than_one_time_in_twenty(card: Card) -> None:
    rng = np.random.default_rng(11)
    climbs, false = 150, 0
    for _ in range(climbs):
        skill = rng.beta(2, 2, 200)
        arms = [card((rng.random(200) < skill).astype(float).tolist()) for _ in range(7)]
        incumbent = arms[0]
        false += any(judge(incumbent, arm, Rule(looks=6)).taken for arm in arms[1:])
    assert false / climbs < 0.05


def test_p_values_read_well() -> None:
    assert [format_p(p) for p in (1.0, 0.0321, 4.2e-12, 0.0)] == ["1", "0.0321", "4e-12", "<1e-300"]
