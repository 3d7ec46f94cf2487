"""The test of drift: it alarms where questions are others, and not where they are the same."""

import random

import numpy as np
import pytest

from sadari.serve import drift
from sadari.serve.drift import compare, find_drift, opening_questions, unseen_shares
from sadari.serve.journal import Opening
from sadari.types import Example, Message

THINGS = ("배송지", "주문 상태", "교환 접수", "환불 계좌", "적립금", "쿠폰", "수선 봉투", "회원 등급", "영수증", "선물 포장")
ASKED = (
    "{}은 언제까지 바꿀 수 있나요?",
    "{} 확인은 어디서 하나요?",
    "{}에 비용이 드나요?",
    "{}을 취소하고 싶어요.",
    "{} 안내 부탁드려요.",
)
ABOUT = ("앱에서", "전화로", "매장에서", "주말에", "해외에서")
SHOP = [f"{about} {form.format(thing)}" for thing in THINGS for form in ASKED for about in ABOUT]
SPACE = [
    f"{star}까지 {how} 가면 {what}?"
    for star in ("달", "화성", "목성", "토성", "금성", "해왕성")
    for how in ("로켓으로", "걸어서", "빛으로")
    for what in ("며칠 걸려", "춥니", "공기가 있니")
]


def openings(texts: list[str]) -> list[Opening]:
    return [Opening(f"run-{i}", float(i), text) for i, text in enumerate(texts)]


def halves(seed: int) -> tuple[list[str], list[str]]:
    drawn = random.Random(seed).sample(SHOP, 120)
    return drawn[:60], drawn[60:]


def test_questions_of_the_same_kind_raise_no_alarm() -> None:
    test, asked = halves(0)
    found = find_drift(openings(asked), test)
    assert (found.level, found.asked, found.test) == ("none", 60, 60)
    assert found.p_value is not None
    assert found.p_value > drift.ALARM_P


def test_false_alarms_are_at_most_five_in_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "PERMUTATIONS", 199)
    embedder = drift._embedder()
    p_values = [compare(embedder.embed(a), embedder.embed(b), seed=seed)[1] for seed in range(60) for a, b in [halves(seed)]]
    assert np.mean([p <= drift.ALARM_P for p in p_values]) <= 0.05
    assert np.mean([p <= 0.5 for p in p_values]) > 0.2  # it can say something at all


def test_other_questions_raise_the_alarm_and_are_named() -> None:
    test, asked = halves(1)
    found = find_drift(openings([*asked[:30], *SPACE[:40]]), test)
    assert found.level == "drift"
    assert {one.text for one in found.unlike} <= set(SPACE)
    assert found.unseen > found.unseen_test


def test_nothing_is_claimed_of_few_questions() -> None:
    test, _ = halves(2)
    found = find_drift(openings(SPACE[:49]), test)
    assert (found.level, found.p_value, found.asked) == ("too_few", None, 49)


def test_a_question_that_is_repeated_counts_once() -> None:
    test, _ = halves(3)
    assert find_drift(openings(["  달에 가고 싶어 ", "달에  가고 싶어"] * 100), test).asked == 1


def test_without_test_questions_nothing_is_known() -> None:
    assert find_drift(openings(SHOP), ()).level == "unknown"


def test_equal_samples_are_no_distance_apart() -> None:
    rows = np.eye(8, dtype=np.float32)
    size, p_value = compare(rows, rows)
    assert size == 0
    assert p_value > 0.5


def test_of_a_group_of_examples_one_is_taken() -> None:
    asked = [("a", "g1"), ("b", "g1"), ("c", ""), ("c", ""), ("d", "g2")]
    examples = [Example(str(i), (Message("user", text),), group=group) for i, (text, group) in enumerate(asked)]
    assert opening_questions(examples) == ("a", "c", "d")


def test_pairs_of_characters_are_unseen_if_no_other_test_question_holds_them() -> None:
    # 가나 나다 stand in both; 다라 in one: 1 of 5 pairs. Asked: 가나 is known, 나마 is not.
    assert unseen_shares(["가 나마!"], ["가나다", "가나다라"]) == (0.5, 0.2)
