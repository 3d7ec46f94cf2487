"""Every sentence of an answer is held against the sentences it names, and what nothing supports is dealt with as configured."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sadari.retrieve.evidence import Evidence, holding, learn_threshold, span_of, trace, with_marks
from sadari.text.sentences import sentence_spans
from sadari.types import Chunk

SHIPPING = Chunk("shipping.md", "배송", 10, 39, "배송비는 3,000원입니다. 5만 원부터 무료입니다.")
REFUND = Chunk("refund.md", "환불", 100, 122, "환불은 수령 후 7일 이내에 신청합니다.")
PASSAGES = (SHIPPING, REFUND)
ABSTENTION = "문서에서 확인할 수 없습니다."


def test_a_sentence_is_cited_by_the_sentence_of_the_passage_it_names() -> None:
    evidence = trace("배송비는 3,000원이에요. [1] 환불은 7일 이내에 신청하세요. [2]", PASSAGES)
    assert evidence.text == "배송비는 3,000원이에요. 환불은 7일 이내에 신청하세요."
    assert [claim.marks for claim in evidence.claims] == [(1,), (2,)]
    assert [(s.document, s.start, s.end) for s in evidence.citations()] == [("shipping.md", 10, 25), ("refund.md", 100, 122)]


def test_a_mark_on_the_wrong_passage_or_on_none_is_mended_by_the_sentence_that_says_it() -> None:
    for marks in ("[1]", "[9]", ""):
        [claim] = trace(f"환불은 7일 이내에 신청하세요. {marks}", PASSAGES).claims
        assert [source.document for source in claim.sources] == ["refund.md"]


def test_every_named_passage_that_says_it_is_cited() -> None:
    again = Chunk("faq.md", "자주 묻는 질문", 0, 17, "환불은 7일 이내에 신청합니다.")
    assert [s.document for s in trace("환불은 7일 이내에 신청합니다. [2][3]", (*PASSAGES, again)).citations()] == [
        "refund.md",
        "faq.md",
    ]


def test_a_sentence_of_two_clauses_may_stand_in_two_passages() -> None:
    [claim] = trace("배송비는 3,000원이고 환불은 수령 후 7일 이내에 신청합니다. [1][2]", PASSAGES).claims
    assert claim.is_supported()
    assert {source.document for source in claim.sources} == {"shipping.md", "refund.md"}


def test_parts_of_different_sentences_do_not_support_one_clause() -> None:
    exchange = Chunk("exchange.md", "교환", 0, 19, "교환은 수령 후 14일 이내에 신청합니다.")
    [claim] = trace("환불은 수령 후 14일 이내에 신청합니다. [1][2]", (REFUND, exchange)).claims
    assert not claim.is_supported()


def test_a_wrong_number_is_told_and_not_cited() -> None:
    evidence = trace("환불은 수령 후 14일 이내에 신청합니다. [2]", PASSAGES)
    assert [(claim.support, claim.conflict) for claim in evidence.claims] == [(0.0, "number")]
    assert evidence.citations() == ()


def test_a_row_is_read_with_the_head_of_its_table() -> None:
    row = Chunk("plans.md", "요금제", 50, 67, "| 프리미엄 | 9,900원 |", "| 이름 | 월 요금 |\n|---|---|")
    [claim] = trace("프리미엄의 월 요금은 9,900원입니다. [1]", [row]).claims
    assert claim.is_supported(1.0)
    assert [(span_of(s).start, span_of(s).end) for s in claim.sources] == [(50, 67)]


SAID = "안녕하세요. 환불은 7일 이내에 신청하세요. [2] 포인트는 매달 사라집니다. [1] 감사합니다."


@pytest.mark.parametrize(
    ("unsupported", "text"),
    [
        ("keep", "안녕하세요. 환불은 7일 이내에 신청하세요. 포인트는 매달 사라집니다. 감사합니다."),
        ("mark", "안녕하세요. 환불은 7일 이내에 신청하세요. 포인트는 매달 사라집니다. (근거 없음) 감사합니다."),
        ("remove", "안녕하세요. 환불은 7일 이내에 신청하세요. 감사합니다."),
    ],
)
def test_unsupported_sentences_are_kept_marked_or_removed(unsupported: str, text: str) -> None:
    settled = trace(SAID, PASSAGES).settle(ABSTENTION, unsupported=unsupported)  # type: ignore[arg-type]
    assert (settled.text, settled.abstained) == (text, False)
    assert [c.document for c in settled.citations] == ["refund.md"]


def test_an_answer_of_which_nothing_remains_becomes_the_abstention() -> None:
    evidence = trace("안녕하세요. 포인트는 매달 사라집니다. [1]", PASSAGES)
    settled = evidence.settle(ABSTENTION, unsupported="remove")
    assert (settled.text, settled.citations, settled.abstained) == (ABSTENTION, (), True)
    assert not evidence.settle(ABSTENTION, unsupported="mark", language="en").abstained
    assert trace("안녕하세요.", PASSAGES).settle(ABSTENTION, unsupported="remove").text == "안녕하세요."
    assert trace("", PASSAGES).settle(ABSTENTION, unsupported="remove").text == ""


def test_line_breaks_and_bullets_of_what_remains_are_kept() -> None:
    said = "- 배송비는 3,000원입니다. [1]\n- 포인트는 매달 사라집니다. [1]\n- 환불은 7일 이내에 신청합니다. [2]"
    assert trace(said, PASSAGES).settle(ABSTENTION, unsupported="remove").text == (
        "- 배송비는 3,000원입니다.\n- 환불은 7일 이내에 신청합니다."
    )


def test_what_the_answer_repeats_of_the_question_needs_no_source() -> None:
    asked, said = "노트북을 5월 2일에 샀는데 환불되나요?", "5월 2일에 산 노트북 환불은 7일 이내에 신청합니다. [2]"
    assert trace(said, PASSAGES, asked).claims[0].is_supported()
    assert not trace(said, PASSAGES).claims[0].is_supported()


def test_an_answer_to_learn_is_written_with_the_marks_of_its_sources() -> None:
    said = "안녕하세요. 환불은 7일 이내에 신청하세요.\n배송비는 3,000원입니다."
    marked = with_marks(said, PASSAGES)
    assert marked == "안녕하세요. 환불은 7일 이내에 신청하세요. [2]\n배송비는 3,000원입니다. [1]"
    assert trace(marked, PASSAGES).text == said
    assert with_marks("포인트는 매달 사라집니다.", PASSAGES) is None


def test_a_threshold_is_learnt_where_it_gets_three_more_answers_right() -> None:
    weak = trace("환불은 수령 후 고객센터 방문 접수로만 신청합니다.", PASSAGES)
    strong = trace("환불은 수령 후 7일 이내에 신청합니다.", PASSAGES)
    [low], [high] = ([claim.support for claim in answer.claims] for answer in (weak, strong))
    assert 0 < low < high == 1.0
    assert learn_threshold([weak, strong], lambda share: 5.0 if share > low else 2.0, start=0.0) == high
    assert learn_threshold([weak, strong], lambda share: 4.0 if share > low else 2.0, start=0.0) == 0.0
    assert learn_threshold([], lambda share: 1.0) == pytest.approx(0.6)


@pytest.mark.parametrize("piece", ["환불", "환불은 7일, ", "[1]", " ", "a.b", "환불은 없고 ", "네 "])
def test_an_endless_answer_takes_seconds(piece: str) -> None:
    trace("환불은 7일입니다.", PASSAGES)
    long = Chunk("long.md", "환불", 0, 900, ("환불은 7일 이내이고 반품은 없으며, " * 50)[:900])
    began = time.process_time()
    trace(piece * (20_000 // len(piece)), (*PASSAGES, long))
    trace((piece * 100)[:1000] + "환불합니다.", (*PASSAGES, long))
    assert time.process_time() - began < 10


PIECES = [
    "환불은 수령 후 7일 이내에 신청합니다.",
    "배송비는 3,000원입니다.",
    "포인트는 사라집니다.",
    "안녕하세요.",
    "[1]",
    "[2]",
    "[7]",
    " ",
    "\n",
    "- ",
]
answers = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)


def test_values_are_held_by_the_sentences_that_hold_most_of_them() -> None:
    cited = holding(["7일", "3,000원"], PASSAGES)
    assert all(any(value in source.text for source in cited) for value in ("7일", "3,000원"))
    assert holding(["9,000원"], PASSAGES) == holding([], PASSAGES) == holding(["7일"], []) == []


@given(answers)
def test_claims_are_the_sentences_of_the_text_and_spans_the_characters_of_the_document(text: str) -> None:
    evidence = trace(text, PASSAGES)
    assert [(c.start, c.end) for c in evidence.claims] == sentence_spans(evidence.text)
    for span in evidence.citations():
        passage = SHIPPING if span.document == "shipping.md" else REFUND
        assert passage.text[span.start - passage.start : span.end - passage.start] == span.quote


@given(answers, st.floats(0.1, 1.0))
def test_removing_leaves_supported_sentences_alone_and_changes_nothing_the_second_time(text: str, least: float) -> None:
    settled = trace(text, PASSAGES).settle(ABSTENTION, unsupported="remove", least=least)
    again: Evidence = trace(settled.text, PASSAGES)
    if not settled.abstained:
        assert all(claim.is_supported(least) or not claim.is_claim for claim in again.claims)
        assert again.settle(ABSTENTION, unsupported="remove", least=least).text.strip() == settled.text.strip()
