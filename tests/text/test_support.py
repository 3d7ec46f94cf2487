"""A sentence is supported where its source says it nearly word for word, and not where anything that counts differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadari.text.support import LEAST_SUPPORT, Support, best_support, claims_anything, clauses_of, support_of

REFUND = "환불은 상품을 수령한 날부터 7일 이내에 고객센터로 신청합니다."


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("환불은 수령한 날부터 7일 이내에 신청하시면 됩니다.", REFUND),
        ("환불은상품을수령한날부터7일이내에고객센터로신청합니다", REFUND),
        ("고객센터로 신청하세요.", REFUND),
        ("환불은 일주일이 아니라 7일 이내에 신청합니다.", "환불은 일주일이 아니라 7일 이내에 신청합니다."),
        ("배송비는 십만 원부터 무료예요.", "배송비는 100,000원부터 무료입니다."),
        ("반품할 수 없습니다.", "신선식품은 반품할 수 없습니다."),
        ("신선식품은 반품이 불가능합니다.", "신선식품은 반품할 수 없습니다."),
        ("단순 변심은 7일 이내에 가능합니다.", "단순 변심은 7일 이내에 가능하며, 신선식품은 반품할 수 없습니다."),
        ("아니요, 신선식품은 반품할 수 없습니다.", "신선식품은 반품할 수 없습니다."),
        ("빈입니다.", "오스트리아의 수도는 빈이다."),
        ("1910년입니다.", "1910년 8월 29일에 체결되었다."),
        ("국왕은 펠리페 6세입니다.", "현재 국왕은 펠리페 6세다."),
        ("FastAPI는 Python 3.9 이상이 필요합니다.", "FastAPI를 쓰려면 Python 3.9 이상이 필요합니다."),
        ("Refunds are requested within 7 days.", "A refund is requested within 7 days of delivery."),
    ],
)
def test_the_same_thing_in_other_endings_spaces_and_spellings_is_supported(sentence: str, source: str) -> None:
    support = support_of(sentence, source)
    assert support.conflict == ""
    assert support.value >= LEAST_SUPPORT


@pytest.mark.parametrize(
    ("sentence", "source", "conflict"),
    [
        ("환불은 수령한 날부터 14일 이내에 신청합니다.", REFUND, "number"),
        ("환불은 수령한 날부터 17일 이내에 신청합니다.", REFUND, "number"),
        ("배송비는 5,000원입니다.", "배송비는 50,000원입니다.", "number"),
        ("2026년 5월 2일까지입니다.", "2026년 5월 1일까지입니다.", "number"),
        ("오후 6시에 닫습니다.", "오전 6시에 닫습니다.", "number"),
        ("신선식품은 반품할 수 있습니다.", "신선식품은 반품할 수 없습니다.", "negation"),
        ("신선식품은 반품할 수 있습니다.", "신선식품은 반품할 수 없으며, 그 밖의 상품은 반품할 수 있습니다.", "negation"),
        ("배송은 유료입니다.", "배송은 무료입니다.", "negation"),
        ("5만 원 이하는 무료입니다.", "5만 원 이상은 무료입니다.", "negation"),
        ("출고 3일 전에 취소합니다.", "출고 3일 후에 취소합니다.", "negation"),
        ("Items on sale can be returned.", "Items on sale cannot be returned.", "negation"),
        ("서울지점은 토요일에 엽니다.", "부산지점은 토요일에 엽니다.", "name"),
        ("대표는 김철수입니다.", "대표는 박영희입니다.", "name"),
        ("Galaxy S24에서 지원합니다.", "Galaxy S23에서 지원합니다.", "name"),
        ("The plan is sold by Acme.", "The plan is sold by Globex.", "name"),
    ],
)
def test_another_number_negation_or_name_is_a_conflict(sentence: str, source: str, conflict: str) -> None:
    support = support_of(sentence, source)
    assert (support.conflict, support.value) == (conflict, 0.0)


def test_a_number_of_the_question_is_no_claim_unless_the_source_has_another_of_its_kind() -> None:
    asked = "5월 2일에 산 청소기는 14일 안에 환불되나요?"
    assert support_of("5월 2일에 산 청소기 환불은 7일 이내에 신청합니다.", REFUND, asked=asked).conflict == ""
    assert support_of("환불은 14일 이내에 신청합니다.", REFUND, asked=asked).conflict == "number"


def test_words_may_stand_in_the_title() -> None:
    sentence, row = "프리미엄 요금제는 월 9,900원입니다.", "| 프리미엄 | 9,900원 |"
    assert support_of(sentence, row, around="요금제 안내\n| 요금제 | 월 요금 |").value == 1.0
    assert support_of(sentence, row).value < 1.0


def test_of_equal_sources_the_one_that_says_it_itself_is_taken_and_a_title_alone_says_nothing() -> None:
    sources = [("1912년에 태어났다.", "김일성"), ("김일성은 남침을 감행했다.", "김일성"), ("김일성이다.", "")]
    assert best_support("김일성입니다.", sources) == (Support(1.0), 1)
    assert best_support("김일성입니다.", sources[:1]) == (Support(0.0), -1)
    assert best_support("7일입니다.", [("5일 이내", ""), ("7일 이내", "")]) == (Support(1.0), 1)
    assert best_support("7일입니다.", [("5일 이내", "")]) == (Support(1.0, "number"), 0)


def test_the_share_counts_syllables_that_stand_in_the_source() -> None:
    # 배송비 (3) and 저렴 (2) claim something; the endings do not.
    assert support_of("배송비 저렴", "배송비 안내").share == pytest.approx(3 / 5)
    assert support_of("포인트 소멸", "배송비 안내").share == 0.0


def test_greetings_and_questions_claim_nothing() -> None:
    for sentence in (
        "안녕하세요.",
        "네.",
        "문의해 주셔서 감사합니다.",
        "무엇을 도와드릴까요?",
        "Thank you for your question.",
        "...",
    ):
        assert not claims_anything(sentence)
    for sentence in ("7일입니다.", "환불됩니다.", "감사 인사는 환불을 뜻합니다.", "Refunds are free."):
        assert claims_anything(sentence)


def test_a_sentence_falls_into_clauses_that_claim_something() -> None:
    assert clauses_of("환불은 7일 이내이고 배송비는 3,000원입니다.") == ("환불은 7일 이내이고", "배송비는 3,000원입니다.")
    assert clauses_of("환불을 처리하고 있습니다.") == ("환불을 처리하고 있습니다.",)


@given(st.text(alphabet=st.sampled_from("환불은7일않없 무료a.B3\n()"), max_size=40), st.text(max_size=40))
def test_support_is_a_share_and_a_text_supports_itself(sentence: str, source: str) -> None:
    assert 0.0 <= support_of(sentence, source).share <= 1.0
    assert support_of(sentence, sentence).value == 1.0
