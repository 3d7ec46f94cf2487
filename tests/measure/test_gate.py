"""The regression gate and its JUnit file."""

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from sadari.errors import ConfigError, RunError
from sadari.measure.gate import Check, GateRule, gate, junit
from sadari.types import Scorecard

Card = Callable[..., Scorecard]


def failed(checks: tuple[Check, ...]) -> list[str]:
    return [check.name for check in checks if not check.passed]


def test_a_proven_loss_is_stopped_and_names_the_rows(card: Card) -> None:
    checks = gate(card([1.0] * 100), card([0.0] * 20 + [1.0] * 80), GateRule())
    assert failed(checks) == ["quality"]
    assert checks[0].examples == tuple(f"test-{i:03}" for i in range(20))
    assert "worse" in checks[0].message


def test_noise_and_gains_pass(card: Card) -> None:
    even = card([0.0] * 4 + [1.0] * 92 + [0.0] * 4)
    assert failed(gate(even, card([1.0] * 4 + [0.0] * 4 + [1.0] * 88 + [0.0] * 4), GateRule())) == []
    assert failed(gate(even, card([1.0] * 100), GateRule())) == []


def test_a_loss_within_the_margin_passes_and_one_beyond_it_does_not(card: Card) -> None:
    old, new = card([1.0] * 400), card([0.0] * 12 + [1.0] * 388)  # 3 points lost, p = 2^-12
    assert failed(gate(old, new, GateRule())) == ["quality"]
    assert failed(gate(old, new, GateRule(margin=0.02))) == []  # the interval reaches down to less than two points
    assert failed(gate(old, card([0.0] * 40 + [1.0] * 360), GateRule(margin=0.02))) == ["quality"]


def test_prove_asks_for_evidence_that_nothing_much_is_lost(card: Card) -> None:
    old, new = card([1.0] * 20), card([0.0] + [1.0] * 19)
    assert failed(gate(old, new, GateRule(margin=0.02))) == []
    assert failed(gate(old, new, GateRule(margin=0.02, prove=True))) == ["quality"]
    same = card([1.0] * 400)
    assert failed(gate(same, same, GateRule(margin=0.02, prove=True))) == []


def test_a_slice_that_breaks_is_found_though_the_whole_gains(card: Card) -> None:
    old = card([1.0] * 20 + [0.0] * 80)
    new = card([0.0] * 20 + [1.0] * 80)
    slices = {"refund": [f"test-{i:03}" for i in range(20)], "shipping": [f"test-{i:03}" for i in range(20, 100)]}
    checks = gate(old, new, GateRule(), slices)
    assert failed(checks) == ["slice refund"]
    assert "20 examples, Holm p = " in checks[1].message


def test_a_slice_of_few_examples_is_not_judged(card: Card) -> None:
    rare = {"rare": [f"test-{i:03}" for i in range(9)]}
    checks = gate(card([1.0] * 30), card([0.0] * 9 + [1.0] * 21), GateRule(margin=0.9), rare)
    assert [check.name for check in checks] == ["quality", "failures"]


def test_many_slices_are_held_to_a_stronger_level(card: Card) -> None:
    old = [1.0] * 240
    new = [0.0] * 6 + [1.0] * 234  # one slice of twelve loses 6 of 20: p = 0.016 alone
    slices = {f"s{k}": [f"test-{i:03}" for i in range(20 * k, 20 * k + 20)] for k in range(12)}
    assert failed(gate(card(old), card(new), GateRule(margin=0.5), {"s0": slices["s0"]})) == []  # within the margin
    alone = gate(card(old[:20]), card(new[:20]), GateRule(), {"s0": slices["s0"]})
    assert "slice s0" in failed(alone)
    assert "slice s0" not in failed(gate(card(old), card(new), GateRule(), slices))


def test_more_crashes_are_a_regression_and_one_timeout_is_not(card: Card) -> None:
    # Five more where there were none: 2 * 2^-5 - 2^-5 = 0.031; four more: 0.0625.
    old = card([1.0] * 200)
    assert failed(gate(old, card([1.0] * 200, failures=5), GateRule())) == ["failures"]
    assert failed(gate(old, card([1.0] * 200, failures=4), GateRule())) == []
    assert failed(gate(card([1.0] * 200, failures=5), old, GateRule())) == []


def test_a_large_slice_that_breaks_altogether_is_found(card: Card) -> None:
    count = 1_200  # McNemar's p is below the smallest number: 0.0, which is not "no p"
    old, new = card([1.0] * count + [0.0] * 1_300), card([0.0] * count + [1.0] * 1_300)
    ids = [f"test-{i:03}" for i in range(count)]
    assert failed(gate(old, new, GateRule(), {"refund": ids})) == ["slice refund"]


def test_groups_that_only_the_candidate_names_are_counted_as_groups(card: Card) -> None:
    old, new = card([1.0] * 32), card([0.0] * 8 + [1.0] * 24)
    assert failed(gate(old, new, GateRule())) == ["quality"]
    grouped = replace(new, groups=tuple("abcd"[i // 8] for i in range(32)))
    assert failed(gate(old, grouped, GateRule())) == []


def test_arms_on_other_examples_are_refused(card: Card) -> None:
    arm = card([1.0, 0.0])
    with pytest.raises(RunError, match="were not measured on the same examples"):
        gate(arm, replace(arm, ids=("a", "b")), GateRule())


@pytest.mark.parametrize(("margin", "prove", "said"), [(1.0, False, "--margin is 1.0"), (0.0, True, "--prove needs a --margin")])
def test_a_rule_that_cannot_be_met_is_refused(margin: float, prove: bool, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        GateRule(margin, prove)


def test_the_junit_file_can_be_read_whatever_the_rows_hold() -> None:
    checks = (Check("quality", False, 'lost <5> & "more"\x00', ("행-1", "]]>")), Check("failures", True, "0 -> 0"))
    suite = ElementTree.fromstring(junit(checks, seconds=1.5))
    assert suite.attrib == {
        "name": "sadari gate", "tests": "2", "failures": "1", "errors": "0", "skipped": "0", "time": "1.500",
    }  # fmt: skip
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["quality", "failures"]
    failure = cases[0].find("failure")
    assert failure is not None
    assert failure.get("message") == 'lost <5> & "more"\ufffd'
    assert failure.text is not None
    assert "worse than before: ]]>" in failure.text
    assert cases[1].find("failure") is None
