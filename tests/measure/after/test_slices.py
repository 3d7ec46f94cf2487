"""Slices: who is in them, what they achieve, and how much is made of them."""

import pytest

from sadari.errors import DataError
from sadari.measure.after.slices import question_language, slice_quality, slices_caution
from sadari.measure.statistics import holm, paired_interval, paired_p, wilson
from sadari.types import Example, Message, Scorecard


def examples_of(*rows: tuple[str, tuple[str, ...]]) -> list[Example]:
    return [Example(f"e{i}", (Message("user", question),), tags=tags) for i, (question, tags) in enumerate(rows)]


def card_of(examples: list[Example], scores: list[float], groups: tuple[str, ...] = ()) -> Scorecard:
    n = len(examples)
    low, high = wilson(int(sum(scores)), n)
    ids = tuple(e.id for e in examples)
    return Scorecard("r", "s", ids, tuple(scores), ("",) * n, (), (1,) * n, (1,) * n, 0, low, high, 1.0, 0.0, groups)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("배송비는 얼마인가요?", "ko"),
        ("iPhone 케이스 배송 언제 오나요?", "ko"),  # 11 of 17 letters
        ("How much is delivery?", "en"),
        ("Please explain 적립금 to me", "mixed"),
        ("WiFi 연결 방법", "mixed"),  # 4 and 4 letters
        ("１２３ - 456", "other"),
        ("", "other"),
        ("配送料はいくらですか", "other"),
    ],
)
def test_the_language_of_a_question_is_its_share_of_hangul(text: str, language: str) -> None:
    assert question_language(text) == language


def test_every_slice_has_its_count_its_interval_and_the_paired_gain() -> None:
    examples = examples_of(*[("배송", ("a", "b"))] * 20, *[("ship it", ("b",))] * 20, *[("교환", ())] * 12)
    before = [0.0] * 20 + [1.0] * 20 + [0.0] * 12
    after = [1.0] * 15 + [0.0] * 5 + [1.0] * 20 + [0.0] * 12
    found = {(s.by, s.name): s for s in slice_quality(examples, card_of(examples, before), card_of(examples, after))}
    assert list(found) == [("language", "ko"), ("language", "en"), ("tag", "b"), ("tag", "a")]
    a = found["tag", "a"]
    assert (a.count, a.baseline, a.winner, a.gain, a.is_too_few) == (20, 0.0, 0.75, 0.75, False)
    assert (a.winner_low, a.winner_high) == wilson(15, 20)
    assert (a.gain_low, a.gain_high) == paired_interval([1.0] * 15 + [0.0] * 5)
    english = found["language", "en"]
    assert (english.baseline, english.winner, english.gain) == (1.0, 1.0, 0.0)
    assert english.p_value == 1.0


def test_p_is_adjusted_for_the_slices_that_are_large_enough() -> None:
    examples = examples_of(*[("가", ("a",))] * 12, *[("나", ("b",))] * 12, *[("다", ("few",))] * 9)
    before, after = [0.0] * 33, [1.0] * 8 + [0.0] * 4 + [1.0] * 3 + [0.0] * 9 + [1.0] * 9
    found = {s.name: s for s in slice_quality(examples, card_of(examples, before), card_of(examples, after))}
    raw = [paired_p([0.0] * 12, [1.0] * k + [0.0] * (12 - k)) for k in (8, 3)]
    assert [found["a"].p_value, found["b"].p_value] == pytest.approx(list(holm(raw)))
    assert found["few"].is_too_few
    assert found["few"].p_value is None
    caution = slices_caution(list(found.values()))
    assert "3 slices were looked at" in caution
    assert "1 of them hold fewer than 10" in caution
    assert "3개 부분" in slices_caution(list(found.values()), language="ko")


def test_questions_of_one_group_count_as_one() -> None:
    examples = examples_of(*[("가", ("a",))] * 20, *[("나", ())] * 5)
    before, after = [0.0] * 25, [1.0] * 20 + [0.0] * 5
    alone = slice_quality(examples, card_of(examples, before), card_of(examples, after))[0]
    groups = ("g1",) * 10 + ("g2",) * 10 + ("g3",) * 5
    together = slice_quality(examples, card_of(examples, before, groups), card_of(examples, after, groups))[0]
    assert alone.p_value is not None
    assert together.p_value is not None
    assert alone.p_value < 0.001 < 0.4 < together.p_value


def test_what_holds_all_or_nothing_is_no_slice() -> None:
    examples = examples_of(*[("가", ("all",))] * 12)
    card = card_of(examples, [1.0] * 12)
    assert slice_quality(examples, card, card) == ()
    assert slices_caution(()) == ""
    assert slice_quality([], card_of([], []), card_of([], [])) == ()


def test_thousands_of_tags_are_cut_to_the_most_frequent() -> None:
    examples = examples_of(*[("가", (f"t{i}", f"u{i % 50}")) for i in range(2000)])
    card = card_of(examples, [1.0] * 2000)
    found = slice_quality(examples, card, card)
    assert len(found) == 40
    assert all(s.count == 40 for s in found)


def test_cards_of_other_examples_are_refused() -> None:
    examples = examples_of(("가", ()), ("나", ()))
    with pytest.raises(DataError, match="not measured on these 2 examples"):
        slice_quality(examples, card_of(examples[:1], [1.0]), card_of(examples, [1.0, 1.0]))
