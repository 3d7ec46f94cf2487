"""Numbers in their spellings."""

import time
from decimal import Decimal

import pytest

from sadari.text.forms import MOST_CHARS
from sadari.text.numerals import digits_for_words
from sadari.text.quantities import is_supported, numbers_in, quantities_in, replace_quantities


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


@pytest.mark.parametrize(
    ("canonical", "spellings"),
    [
        ("100000원", ["십만 원", "십만원", "일십만 원"]),
        ("123456원", ["십이만 삼천사백오십육 원", "12만 3456원"]),
        ("130000000원", ["일억 삼천만 원", "1억 3천만 원", "1억3000만원", "一億三千萬圓"]),
        ("1681900000원", ["16억 8천 1백 9십 만원"]),
        ("150000000원", ["1.5억 원"]),
        ("30분", ["삼십 분", "삼십분", "三十分", "30분"]),
        ("25명", ["스물다섯 명", "이십오 명", "스물다섯 사람", "25名"]),
        ("30세", ["서른 살", "삼십 세", "30살", "三十歲"]),
        ("20세", ["스무 살", "이십 세"]),
        ("99세", ["아흔아홉 살", "구십구 세"]),
        ("50세", ["쉰 살"]),
        ("365일", ["삼백육십오일", "삼백육십오 일"]),
        ("6개월", ["육 개월", "육개월"]),
        ("1년", ["일 년", "일년"]),
        ("2회", ["두 번", "두번", "2회"]),
        ("3가지", ["세 가지"]),
        ("5마리", ["다섯 마리"]),
        ("4잔", ["네 잔"]),
        ("10000명", ["만 명"]),
        ("30", ["삼십", "서른", "三十"]),
        ("25", ["이십오", "스물다섯", "二十五"]),
        ("1000000", ["百萬"]),
        (
            "2025-03-01",
            ["이천이십오년 삼월 일일", "이공이오년 삼월 일일", "二〇二五年 三月 一日", "二〇二五年三月一日", "2025年 3月 1日"],
        ),
        ("10-06", ["시월 육일"]),
        ("6월", ["유월"]),
        ("2025년", ["이천이십오년", "二〇二五年"]),
        ("15:00", ["오후 세 시", "오후세시"]),
        ("14:30", ["오후 두 시 반", "오후 두 시 삼십 분"]),
        ("3시", ["세 시"]),
    ],
)
def test_numerals_in_words_become_the_same_as_digits(canonical: str, spellings: list[str]) -> None:
    assert {spelling: numbers_in(spelling) for spelling in spellings} == {spelling: [canonical] for spelling in spellings}


WORDS = (
    *("이번", "일반", "오이", "구두", "만약", "만일", "만세", "만족", "만두", "만남", "천천히"),
    *("천장", "천사", "천주교", "천만에요", "천만다행", "한국", "한시", "두부", "두통", "세상", "세금"),
    *("세대", "세시", "네모", "네덜란드", "열심히", "열대", "열병", "백일장", "백일홍", "백두산", "백화점"),
    *("백인", "만년필", "십분", "십자가", "십이지장", "이천시", "오만", "사천성", "조원", "시월드", "유월절"),
    *("구월동", "삼성", "삼촌", "오일", "사이", "이사", "육지", "칠판", "구름", "첫째", "둘째"),
    *("하나은행", "일일이", "오십시오", "一般", "三星", "萬一", "三國志", "이 사람", "이 분", "한 번 더", "다시 한번"),
    *("한 가지", "이 일", "그 일", "이월 상품", "쉰 음식", "둘 다", "천이 주로"),
)


@pytest.mark.parametrize("word", WORDS)
def test_words_that_begin_like_numerals_are_left_alone(word: str) -> None:
    assert numbers_in(word) == []
    assert digits_for_words(word)[0] == word


def test_a_quantity_in_words_stands_where_its_words_stand() -> None:
    text = "손님 스물다섯 명이 이천이십오년 삼월 일일에 십만 원을 냈다."
    assert [text[q.start : q.end] for q in quantities_in(text)] == ["스물다섯 명", "이천이십오년 삼월 일일", "십만 원"]
    assert replace_quantities(text, lambda q: q.spelling) == "손님 25명이 2025-03-01에 100000원을 냈다."


@pytest.mark.parametrize("unit", ["1", "1,", "1~", "십 ", "十", "한 시 ", "1월", "2025-", "[", "\x00", "\ud800"])
def test_a_gigantic_text_is_read_in_bounded_time(unit: str) -> None:
    start = time.process_time()
    found = quantities_in(unit * (1_000_000 // len(unit)))
    assert time.process_time() - start < 4
    assert all(quantity.end <= MOST_CHARS for quantity in found)


def test_a_range_gives_both_ends_their_unit_and_scale() -> None:
    assert numbers_in("3~5일") == ["3일", "5일"]
    assert numbers_in("1~2만원") == ["10000원", "20000원"]
    assert numbers_in("평일 오전 9시부터 오후 6시까지") == ["09:00", "18:00"]
    assert numbers_in("09:00~18:00") == ["09:00", "18:00"]


LOOKALIKES = ["타이틀", "회원", "보름달", "1. ", "[2]", "A4", "이만 줄입니다", "천천히 만나요", "하루 종일", "사원", "주문"]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_words_that_only_look_like_numbers_are_left_alone(text: str) -> None:
    assert numbers_in(text) == []


def test_a_latin_unit_may_be_followed_by_hangul_at_once() -> None:
    assert numbers_in("가로가 50cm보다 길고 15kg을 넘는 100ml까지") == ["50cm", "15kg", "100ml"]
    assert numbers_in("면적은 1,060.19km2이고 길이는 300-600m이다") == ["1060.19km2", "300m", "600m"]
    assert numbers_in("10 days까지, 6 pm에") == ["10일", "18:00"]
    assert numbers_in("3 members") == ["3"]


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
