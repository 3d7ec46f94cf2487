"""Labels: right or wrong, and the confusion table."""

import pytest

from sadari.errors import DataError
from sadari.measure.scorers import LabelScorer, label_report
from sadari.types import Answer, Example, Message, Reference


def example(*labels: str) -> Example:
    return Example("test-7", (Message("user", "질문"),), Reference(labels))


def value(reference: Example, said: str) -> float:
    return LabelScorer().score(reference, Answer(said)).value


def test_a_label_is_right_apart_from_case_underscores_and_a_final_stop() -> None:
    assert value(example("card_arrival"), "Card arrival.") == 1
    assert value(example("card_arrival"), "card_arrival_delayed") == 0
    assert value(example("C++"), "C") == 0
    assert value(example("환불"), "") == 0
    assert value(example("환불", "반품"), "반품") == 1


def test_the_report_counts_what_was_taken_for_what() -> None:
    right = ["배송", "배송", "배송", "환불", "환불", "교환"]
    said = ["배송", "환불", "모르겠어요", "환불", "배송", ""]
    report = label_report([example(label) for label in right], [Answer(text) for text in said])
    assert report.labels == ("교환", "배송", "환불")
    assert report.confusion == ((0, 0, 0, 1), (0, 1, 1, 1), (0, 1, 1, 0))
    assert report.no_label == 2
    assert report.accuracy == pytest.approx(2 / 6)
    delivery = report.per_label[1]
    assert (delivery.precision, delivery.recall, delivery.support) == (1 / 2, pytest.approx(1 / 3), 3)
    assert delivery.f1 == pytest.approx(2 * 1 / (3 + 2))
    assert report.macro_f1 == pytest.approx((0 + 2 / 5 + 2 / 4) / 3)


def test_an_error_is_no_label_and_a_label_nobody_said_or_meant_is_left_out_of_the_mean() -> None:
    answers = [Answer("배송"), Answer("환불", error="timeout")]
    report = label_report([example("배송"), example("환불")], answers, labels=("환불", "배송", "기타"))
    assert report.labels == ("환불", "배송", "기타")
    assert report.confusion == ((0, 0, 0, 1), (0, 1, 0, 0), (0, 0, 0, 0))
    assert report.macro_f1 == 1 / 2
    assert label_report([example("환불")], [Answer("기타")], labels=("환불", "기타")).macro_f1 == 0


def test_the_accepted_label_that_was_said_is_the_right_one() -> None:
    report = label_report([example("환불", "반품")] * 2, [Answer("반품"), Answer("배송")])
    assert report.accuracy == 1 / 2
    assert dict(zip(report.labels, report.confusion, strict=True)) == {"반품": (1, 0, 0), "환불": (0, 0, 1)}


def test_one_class_only_and_no_examples_give_defined_numbers() -> None:
    one = label_report([example("환불")] * 3, [Answer("환불")] * 3)
    assert (one.accuracy, one.macro_f1, one.confusion) == (1.0, 1.0, ((3, 0),))
    none = label_report([], [])
    assert (none.accuracy, none.macro_f1, none.confusion, none.no_label) == (0.0, 0.0, (), 0)
    with pytest.raises(DataError, match="0 answers to 1 examples"):
        label_report([example("환불")], [])
