"""Korean text: exact match by part of speech, comparison keys, character F1."""

import sys

import pytest

from sadari.measure.korean import KiwiText, PlainText, character_f1, comparison_key, contains, is_exact, korean_text, normalise
from sadari.measure.scorers import ShortAnswerScorer

ANSWERS = [
    "경기도",
    "강원도",
    "제주도",
    "고려",
    "인도",
    "이순신",
    "바나나",
    "사과",
    "신라",
    "부산",
    "아이유",
    "박지은",
    "세종대왕",
    "대한민국",
    "기생충",
    "김치",
    "한강",
    "서울특별시",
    "유재석",
    "7일",
]


def endings_of(answer: str) -> list[str]:
    """The answer with 12 grammatical endings."""
    final = (ord(answer[-1]) - 0xAC00) % 28
    closed = final != 0
    to = "으로" if closed and final != 8 else "로"
    particles = ["은", "이", "을", "과"] if closed else ["는", "가", "를", "와"]
    copula = ["이다", "이에요", "이었습니다", "이라고 합니다"] if closed else ["다", "예요", "였습니다", "라고 합니다"]
    return [answer + ending for ending in [*particles, to, "에서", "까지", "입니다.", *copula]]


def test_particles_and_copula_are_recognised_on_20_answers_with_12_endings(kiwi: KiwiText) -> None:
    results = [is_exact(said, [answer], kiwi) for answer in ANSWERS for said in endings_of(answer)]
    assert len(results) == 240
    assert sum(results) / len(results) >= 0.99


def test_no_reference_loses_a_syllable(kiwi: KiwiText) -> None:
    assert [kiwi.stems(answer)[-1] for answer in ANSWERS] == ANSWERS


def test_gyeonggi_do_is_not_gyeonggi(kiwi: KiwiText) -> None:
    assert not is_exact("경기도", ["경기"], kiwi)
    assert not is_exact("경기", ["경기도"], kiwi)
    assert is_exact("경기도에서는", ["경기도"], kiwi)


def test_no_answer_is_taken_for_another(kiwi: KiwiText) -> None:
    assert not [(a, b) for a in ANSWERS for b in ANSWERS if a != b and is_exact(a, [b], kiwi)]


def test_numbers_and_predicates_match_in_their_spellings(kiwi: KiwiText) -> None:
    assert is_exact("10만 원입니다.", ["100,000원"], kiwi)
    assert is_exact("사흘이에요", ["3일"], kiwi)
    assert is_exact("가능", ["가능합니다"], kiwi)
    assert not is_exact("", ["7일"], kiwi)
    assert not is_exact("17일", ["7일"], kiwi)


def test_the_fallback_cuts_nothing_and_says_so_in_the_name() -> None:
    plain = PlainText()
    assert is_exact("경기도.", ["경기도"], plain)
    assert not is_exact("경기도입니다", ["경기도"], plain)
    assert "kiwipiepy is not installed" in ShortAnswerScorer(plain).name


def test_without_kiwi_the_fallback_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    korean_text.cache_clear()
    try:
        assert isinstance(korean_text(), PlainText)
    finally:
        korean_text.cache_clear()


def test_decomposed_and_full_width_text_is_folded() -> None:
    assert normalise("\u1112\u1161\u11ab") == "한"
    assert normalise("ＡＢＣ　１２％") == "ABC 12%"


def test_a_fact_is_found_in_any_spelling_but_not_inside_a_longer_number() -> None:
    assert contains("결제일로부터 7 일이내에 신청하세요.", "7일 이내")
    assert contains("배송비는 3만 원입니다", "₩30,000")
    assert contains("2025년 3월 1일부터", "3월 1일")
    assert contains("최대 7일", "7")
    assert not contains("17일 이내", "7일")
    assert not contains("3개월", "3개")
    assert not contains("3,500원", "500원")
    assert not contains("어떤 글", "")


def test_keys_ignore_case_spaces_and_punctuation_but_keep_plus_and_sharp() -> None:
    assert comparison_key("무료 배송!") == comparison_key("무료배송")
    assert comparison_key("C++") != comparison_key("C")


def test_character_f1_counts_shared_syllables() -> None:
    assert character_f1("서울특별시", "서울시") == pytest.approx(2 * 3 / (5 + 3))
    assert character_f1("서울", "서울") == 1.0
    assert character_f1("부산", "서울") == 0.0
    assert character_f1("", "서울") == 0.0
