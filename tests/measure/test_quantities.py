"""Numbers in their spellings."""

from decimal import Decimal

import pytest

from sadari.measure.quantities import is_supported, numbers_in, quantities_in


@pytest.mark.parametrize(
    ("canonical", "spellings"),
    [
        ("100000원", ["10만 원", "10만원", "100,000원", "₩100,000", "￦１００,０００", "십만 원", "100000 won"]),
        ("35000원", ["3만5천원", "3만 5천 원", "35,000원", "3.5만 원"]),
        ("120000000원", ["1억 2,000만 원", "1억2천만원", "120,000,000원"]),
        ("2025-03-01", ["2025년 3월 1일", "2025-03-01", "2025.3.1", "2025. 3. 1.", "2025/3/1", "March 1, 2025", "Mar 1st, 2025"]),
        ("03-01", ["3월 1일", "03월 01일", "March 1"]),
        ("18:00", ["오후 6시", "18시", "18:00", "오후 6:00", "6 pm", "6 p.m."]),
        ("14:30", ["오후 2시 30분", "오후 2시 반", "14:30"]),
        ("00:00", ["밤 12시", "오전 12시", "24:00"]),
        ("3일", ["3일", "사흘", "3 days", "3 일"]),
        ("7영업일", ["7영업일", "7 business days", "7 working days"]),
        ("2개월", ["2개월", "두 달", "2달", "2 months"]),
        ("1주", ["일주일", "1주일", "1 week"]),
        ("15%", ["15%", "15 퍼센트", "１５％", "15프로", "십오 퍼센트"]),
        ("1588-1234", ["1588-1234"]),
        ("-3도", ["-3도"]),
        ("2시간", ["두 시간", "2시간", "2 hours"]),
    ],
)
def test_every_spelling_of_a_quantity_becomes_one(canonical: str, spellings: list[str]) -> None:
    assert {spelling: numbers_in(spelling) for spelling in spellings} == {spelling: [canonical] for spelling in spellings}


def test_a_range_gives_both_ends_their_unit_and_scale() -> None:
    assert numbers_in("3~5일") == ["3일", "5일"]
    assert numbers_in("1~2만원") == ["10000원", "20000원"]
    assert numbers_in("평일 오전 9시부터 오후 6시까지") == ["09:00", "18:00"]
    assert numbers_in("09:00~18:00") == ["09:00", "18:00"]


LOOKALIKES = ["타이틀", "회원", "보름달", "1. ", "[2]", "A4", "이만 줄입니다", "천천히 만나요", "하루 종일", "사원", "주문"]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_words_that_only_look_like_numbers_are_left_alone(text: str) -> None:
    assert numbers_in(text) == []


def test_amounts_side_by_side_stay_apart() -> None:
    assert numbers_in("1만 2만 원") == ["10000", "20000원"]
    assert numbers_in("3천5백만 원, 5백원") == ["35000000원", "500원"]
    assert numbers_in("1만2500원") == ["12500원"]


def test_a_scale_is_not_taken_from_the_word_that_follows() -> None:
    assert numbers_in("별점 3 만족") == ["3"]
    assert numbers_in("3만족") == ["3"]
    assert numbers_in("제3조에 따라") == ["3조"]  # an article, not three trillion


def test_a_quantity_knows_its_place_and_value() -> None:
    (found,) = quantities_in("배송비는 3,000원입니다")
    assert (found.spelling, found.value, found.unit, found.start, found.end) == ("3000원", Decimal(3000), "원", 5, 11)


@pytest.mark.parametrize(
    ("spelling", "known", "supported"),
    [
        ("3일", ["3일"], True),
        ("3일", ["3개월"], False),
        ("3일", ["13일"], False),
        ("3", ["3일"], True),
        ("3", ["3.5일"], False),
        ("3일", ["3"], False),
        ("03-01", ["2025-03-01"], True),
        ("2025-03", ["2025-03-01"], True),
        ("2025년", ["2025-03-01"], True),
        ("03-02", ["2025-03-01"], False),
        ("6시", ["18:00"], True),
        ("6시", ["17:00"], False),
        ("18:00", ["6시"], True),
        ("06:00", ["18:00"], False),
    ],
)
def test_a_quantity_is_supported_only_by_one_that_says_as_much(spelling: str, known: list[str], supported: bool) -> None:
    assert is_supported(spelling, known) is supported
