"""Abstentions, right and wrong."""

import pytest

from sadari.errors import DataError
from sadari.measure.abstention import AbstentionReport, abstention_report
from sadari.types import Answer, Example, Message, Reference


def example(abstain: bool) -> Example:
    return Example("q", (Message("user", "질문"),), Reference(abstain=abstain))


def test_right_missed_and_false_abstentions_are_counted() -> None:
    should = [True, True, True, True, False, False, False]
    answers = [
        Answer("문서에 없습니다.", abstained=True),
        Answer("문서에 없습니다.", abstained=True),
        Answer("30일입니다."),
        Answer("", error="timeout", abstained=True),
        Answer("문서에 없습니다.", abstained=True),
        Answer("7일입니다."),
        Answer("3일입니다."),
    ]
    report = abstention_report([example(abstain) for abstain in should], answers)
    assert report == AbstentionReport(right=2, missed=2, false=1, answered=2)
    assert report.precision == pytest.approx(2 / 3)
    assert report.recall == 1 / 2


def test_one_class_only_has_no_share_to_give() -> None:
    never = abstention_report([example(False)] * 2, [Answer("7일입니다.")] * 2)
    assert (never.precision, never.recall, never.answered) == (None, None, 2)
    assert abstention_report([], []) == AbstentionReport(0, 0, 0, 0)
    with pytest.raises(DataError, match="0 answers to 1 examples"):
        abstention_report([example(True)], [])
