"""Free text by chrF."""

import pytest

from sadari.measure.scorers import TextScorer, chrf
from sadari.types import Answer, Example, Message, Reference


def value(wanted: str, said: str) -> float:
    return TextScorer().score(Example("test-7", (Message("user", "질문"),), Reference((wanted,))), Answer(said)).value


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
    assert value("감사합니다. 2024년에 뵙겠습니다.", "감사합니다. 2024년에 뵙겠습니다.") == 1
    assert value("오늘 서울은 2024명이 모였다", "재고 번호 2024") < 0.25
    assert value("네", "") == 0
