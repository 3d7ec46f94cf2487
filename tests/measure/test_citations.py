"""Citations: do they exist, do they say it, are they the right ones?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadari.errors import DataError
from sadari.measure.citations import CitationCheck, citation_report, gold_overlap
from sadari.measure.korean import KiwiText, PlainText
from sadari.types import Answer, Document, Example, Message, Reference, Span

TEXT = "# 교환\n교환 신청은 수령일로부터 30일 이내에 가능합니다. 왕복 배송비는 6,000원입니다. 신선식품은 교환할 수 없습니다."
POLICY = Document("exchange.md", "교환", TEXT)
QUESTION = "청소기를 5월 2일에 샀는데 교환은 며칠 안에 해야 하나요?"


def span(quote: str, *, document: str = "exchange.md", moved: int = 0) -> Span:
    start = TEXT.find(quote) + moved
    return Span(document, start, start + len(quote), quote)


WITHIN, POSTAGE = span("교환 신청은 수령일로부터 30일 이내에 가능합니다."), span("왕복 배송비는 6,000원입니다.")


def check(kiwi: KiwiText, text: str, *citations: Span, gold: tuple[Span, ...] = ()) -> CitationCheck:
    example = Example("q", (Message("user", QUESTION),), Reference(("30일",), spans=gold))
    return citation_report([example], [Answer(text, citations=citations)], [POLICY], korean=kiwi).checks[0]


def test_an_answer_in_the_words_of_what_it_cites_is_supported(kiwi: KiwiText) -> None:
    found = check(kiwi, "수령일로부터 30일 이내에 신청하시면 되고, 배송비는 6천 원입니다.", WITHIN, POSTAGE)
    assert (found.cited, found.exist, found.moved) == (2, 2, 0)
    assert (found.numbers, found.cited_numbers) == (2, 2)
    assert found.is_supported
    assert found.cited_words >= found.words - 1  # 되다 is no word of the policy
    assert found.gold_recall is None


def test_a_number_that_no_citation_holds_is_named_and_one_of_the_question_is_no_claim(kiwi: KiwiText) -> None:
    found = check(kiwi, "5월 2일에 사셨으니 45일 이내입니다.", WITHIN)
    assert (found.numbers, found.cited_numbers) == (1, 0)
    assert found.uncited[0] == "45일"
    assert not found.is_supported


def test_words_that_no_citation_holds_are_named(kiwi: KiwiText) -> None:
    found = check(kiwi, "교환 신청은 대리점에서 가능합니다.", WITHIN)
    assert "대리점" in found.uncited
    assert "신청" not in found.uncited
    assert check(kiwi, "수령일로부터 30일 이내입니다.").cited_numbers == 0


def test_a_quote_stands_in_its_document_at_its_place_or_elsewhere_or_not_at_all(kiwi: KiwiText) -> None:
    moved, invented = span(WITHIN.quote, moved=3), Span("exchange.md", 0, 9, "90일 이내에 가능")
    elsewhere, beyond = span(WITHIN.quote, document="refund.md"), Span("exchange.md", 10_000, 10_005, "교환 신청")
    found = check(kiwi, "30일 이내입니다.", WITHIN, moved, invented, elsewhere, beyond)
    assert (found.cited, found.exist, found.moved) == (5, 1, 2)
    assert not found.is_supported
    backwards = Span("exchange.md", 8, 5, "")
    assert check(kiwi, "30일", backwards).exist == 0


def test_an_invented_quote_supports_nothing(kiwi: KiwiText) -> None:
    invented = Span("exchange.md", 0, 9, "90일 이내에 가능")
    assert check(kiwi, "90일 이내입니다.", invented).cited_numbers == 0


def test_what_is_cited_is_compared_with_the_gold_span_by_characters(kiwi: KiwiText) -> None:
    both = check(kiwi, "30일", WITHIN, POSTAGE, gold=(WITHIN,))
    assert both.gold_recall == 1
    assert both.gold_precision == pytest.approx(len(WITHIN.quote) / len(WITHIN.quote + POSTAGE.quote))
    other = check(kiwi, "30일", POSTAGE, gold=(WITHIN,))
    assert (other.gold_precision, other.gold_recall) == (0, 0)
    half = span(WITHIN.quote[:10])
    assert check(kiwi, "30일", half, gold=(WITHIN,)).gold_recall == pytest.approx(10 / len(WITHIN.quote))
    assert check(kiwi, "30일", gold=(WITHIN,)).gold_recall == 0
    assert check(kiwi, "30일", WITHIN, gold=(Span("exchange.md", 0, 0, ""),)).gold_recall is None


def test_the_report_shares_over_all_answers_that_answer(kiwi: KiwiText) -> None:
    example = Example("q", (Message("user", QUESTION),))
    answers = [
        Answer("30일 이내입니다.", citations=(WITHIN,)),
        Answer("90일 이내입니다."),
        Answer("문서에서 확인할 수 없습니다.", abstained=True),
        Answer("", error="timeout"),
    ]
    report = citation_report([example] * 4, answers, [POLICY], korean=kiwi)
    assert len(report.checks) == 2
    assert (report.citing, report.existing, report.numbers_cited) == (1 / 2, 1.0, 1 / 2)
    assert report.gold_precision is None
    assert "kiwi" in report.words_are
    nothing = citation_report([], [], [])
    assert (nothing.citing, nothing.existing, nothing.words_cited, nothing.numbers_cited) == (None, None, None, None)
    with pytest.raises(DataError, match="0 answers to 1 examples"):
        citation_report([example], [], [POLICY])


def test_without_kiwi_syllables_stand_in_for_words() -> None:
    example = Example("q", (Message("user", QUESTION),))
    report = citation_report([example], [Answer("30일 이내", citations=(WITHIN,))], [POLICY], korean=PlainText())
    assert report.words_cited == 1.0
    assert "kiwipiepy is not installed" in report.words_are


spans = st.lists(
    st.builds(
        lambda d, start, length: Span(d, start, start + length, "가" * length),
        st.sampled_from("ab"),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    max_size=4,
)


@given(spans, spans)
def test_precision_one_way_is_recall_the_other_way(cited: list[Span], gold: list[Span]) -> None:
    (precision, recall), (back_precision, back_recall) = gold_overlap(cited, gold), gold_overlap(gold, cited)
    if precision is not None and back_precision is not None:
        assert (precision, recall) == (back_recall, back_precision)
        assert 0 <= precision <= 1
    assert (recall is None) == (not any(span.quote for span in gold))
