"""Numbers, in any spelling and within a tolerance."""

import pytest

from sadari.measure.scorers import NumberScorer
from sadari.types import Answer, Example, Message, Reference


def value(wanted: str, said: str, tolerance: float = 0.0) -> float:
    example = Example("test-7", (Message("user", "질문"),), Reference((wanted,)))
    return NumberScorer(tolerance).score(example, Answer(said)).value


def test_a_number_is_right_in_any_spelling() -> None:
    assert value("30,000원", "배송비는 2일 뒤 3만 원입니다.") == 1
    assert value("7", "3 + 4 = 7") == 1
    assert value("7", "7 + 4 = 11") == 0
    assert value("3일", "3개월") == 0
    assert value("100", "모르겠습니다") == 0
    assert value("100", "") == 0


@pytest.mark.parametrize(
    ("wanted", "said", "tolerance", "right"),
    [("100", "99", 0, 0), ("100", "99", 0.01, 1), ("100", "98.9", 0.01, 0), ("-100", "-101", 0.01, 1), ("0", "0.1", 0.5, 0)],
)
def test_the_tolerance_is_a_share_of_the_reference(wanted: str, said: str, tolerance: float, right: int) -> None:
    assert value(wanted, said, tolerance) == right


def test_the_end_of_an_endless_answer_is_read() -> None:
    assert value("7", "3 " * 400_000 + "그래서 7") == 1
