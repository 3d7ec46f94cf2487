"""Each scorer on answers whose score is known by hand."""

import pytest

from sadari.errors import DataError
from sadari.measure.korean import KiwiText
from sadari.measure.scorers import (
    JsonScorer,
    LabelScorer,
    NumberScorer,
    ShortAnswerF1Scorer,
    ShortAnswerScorer,
    TextScorer,
    ToolCallScorer,
    chrf,
    score_answer,
)
from sadari.types import Answer, Example, Message, Reference, Score, Scorer, ToolCall


def example(*texts: str, calls: tuple[ToolCall, ...] = ()) -> Example:
    return Example("test-7", (Message("user", "질문"),), Reference(texts, calls=calls))


def value(scorer: Scorer, reference: Example, said: str) -> float:
    return scorer.score(reference, Answer(said)).value


def test_a_label_is_right_apart_from_case_underscores_and_a_final_stop() -> None:
    assert value(LabelScorer(), example("card_arrival"), "Card arrival.") == 1
    assert value(LabelScorer(), example("card_arrival"), "card_arrival_delayed") == 0
    assert value(LabelScorer(), example("C++"), "C") == 0


def test_a_number_is_right_in_any_spelling_and_within_the_tolerance() -> None:
    assert value(NumberScorer(), example("30,000원"), "배송비는 2일 뒤 3만 원입니다.") == 1
    assert value(NumberScorer(), example("7"), "3 + 4 = 7") == 1
    assert value(NumberScorer(), example("7"), "7 + 4 = 11") == 0
    assert value(NumberScorer(), example("100"), "99") == 0
    assert value(NumberScorer(0.01), example("100"), "99") == 1
    assert value(NumberScorer(), example("3일"), "3개월") == 0
    assert value(NumberScorer(), example("100"), "모르겠습니다") == 0


def test_a_short_answer_is_right_with_its_particles_and_partly_right_by_characters(kiwi: KiwiText) -> None:
    assert value(ShortAnswerScorer(kiwi), example("이순신", "충무공"), "충무공입니다.") == 1
    assert value(ShortAnswerScorer(kiwi), example("이순신"), "이순신 장군") == 0
    assert value(ShortAnswerF1Scorer(kiwi), example("이순신"), "이순신입니다") == 1
    assert value(ShortAnswerF1Scorer(kiwi), example("이순신"), "이순신 장군") == pytest.approx(2 * 3 / (5 + 3))
    assert "kiwi" in ShortAnswerScorer(kiwi).name


def test_chrf_equals_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    pairs = [
        ("주문하신 상품은 내일 도착합니다.", "주문하신 상품은 모레 도착할 예정입니다."),
        ("The parcel arrives tomorrow", "Your parcel will arrive tomorrow morning"),
        ("네", "네, 가능합니다"),
        ("가나다", "라마바"),
    ]
    for said, wanted in pairs:
        assert chrf(said, wanted) == pytest.approx(sacrebleu.sentence_chrf(said, [wanted]).score / 100)


def test_identical_hangul_scores_one_and_a_shared_number_scores_near_zero() -> None:
    assert value(TextScorer(), example("감사합니다. 2024년에 뵙겠습니다."), "감사합니다. 2024년에 뵙겠습니다.") == 1
    assert value(TextScorer(), example("오늘 서울은 2024명이 모였다"), "재고 번호 2024") < 0.25


def test_json_scores_the_share_of_equal_fields() -> None:
    reference = example('{"name": "김민수", "items": [{"id": 1, "count": 2}], "gift": true}')
    assert value(JsonScorer(), reference, '```json\n{"gift": true, "name": "김민수", "items": [{"count": 2.0, "id": 1}]}\n```') == 1
    assert value(JsonScorer(), reference, '결과: {"name": "김민수", "items": [{"id": 1, "count": 3}], "gift": true}') == 0.75
    assert value(JsonScorer(), reference, '{"name": "김민수", "items": [{"id": 1, "count": 2}], "gift": 1}') == 0.75
    assert value(JsonScorer(), example('{"a": 1}'), '{"a": 1, "b": 2}') == 0.5
    assert value(JsonScorer(), reference, "{name: 김민수") == 0
    assert value(JsonScorer(), reference, "[" * 100_000) == 0


def test_tool_calls_are_compared_in_any_order_by_name_and_arguments() -> None:
    order, refund = ToolCall("get_order", {"id": "A-1"}), ToolCall("refund", {"amount": 3000, "why": {"code": 1}})
    reference = example(calls=(order, refund))
    again = ToolCall("refund", {"why": {"code": 1}, "amount": 3000.0}, id="x")
    score = ToolCallScorer().score
    assert score(reference, Answer("", (again, order))).value == 1
    assert score(reference, Answer("", (order,))).reason.startswith("missing: refund(")
    assert score(reference, Answer("", (order, order, refund))).reason.startswith("extra: get_order(")
    assert score(reference, Answer("", (order, ToolCall("refund", {"amount": "3000", "why": {"code": 1}})))).value == 0


def test_an_answer_with_an_error_scores_0_and_its_scorer_is_not_asked() -> None:
    assert score_answer(Broken(), example("a"), Answer("a", error="timeout")) == Score(0.0, "error: timeout")


class Broken:
    name = "broken"

    def score(self, example: Example, answer: Answer) -> Score:
        if answer.text == "nan":
            return Score(float("nan"))
        raise KeyError("field")


def test_a_scorer_that_fails_or_gives_nan_names_the_example() -> None:
    with pytest.raises(DataError, match="example test-7: the scorer 'broken' failed: KeyError"):
        score_answer(Broken(), example("a"), Answer("a"))
    with pytest.raises(DataError, match=r"example test-7: .* gave nan"):
        score_answer(Broken(), example("a"), Answer("nan"))
    with pytest.raises(DataError, match=r"example test-7: the scorer 'number .*holds no number"):
        score_answer(NumberScorer(), example("없음"), Answer("3"))
    with pytest.raises(DataError, match=r"example test-7: .*no reference"):
        score_answer(LabelScorer(), example(), Answer("3"))
