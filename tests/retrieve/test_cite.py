from dataclasses import replace

from sadari.retrieve import cite
from sadari.retrieve.cite import citation_lines
from sadari.types import Chunk, Span

FIRST = Chunk("shipping.md", "배송", 10, 39, "배송비는 3,000원입니다. 5만 원부터 무료입니다.")
SECOND = Chunk("refund.md", "환불", 100, 122, "환불은 수령 후 7일 이내에 신청합니다.")


def test_a_copied_sentence_is_cited_where_it_stands_in_the_document() -> None:
    assert cite("5만 원부터 무료입니다.", [SECOND, FIRST]) == (Span("shipping.md", 26, 39, "5만 원부터 무료입니다."),)


def test_the_span_and_the_quote_agree_with_the_passage() -> None:
    for span in cite("환불은 수령 후 7일 이내에 신청합니다. 배송비는 3,000원입니다.", [FIRST, SECOND]):
        passage = FIRST if span.document == "shipping.md" else SECOND
        assert passage.text[span.start - passage.start : span.end - passage.start] == span.quote


def test_each_sentence_of_an_answer_is_traced_in_its_order_without_repeats() -> None:
    said = "환불은 수령 후 7일 이내에 신청합니다. 배송비는 3,000원입니다. 배송비는 3,000원입니다."
    assert [s.document for s in cite(said, [FIRST, SECOND])] == ["refund.md", "shipping.md"]


def test_a_reworded_sentence_points_to_the_one_that_says_it() -> None:
    assert [s.quote for s in cite("환불은 수령 후 7일 이내 신청하셔야 합니다", [FIRST, SECOND])] == [SECOND.text]


def test_part_of_a_sentence_is_cited_by_the_whole_sentence() -> None:
    assert [s.quote for s in cite("7일 이내", [FIRST, SECOND])] == [SECOND.text]


def test_citation_marks_of_the_model_are_no_part_of_what_is_traced() -> None:
    assert [s.quote for s in cite("배송비는 3,000원입니다 [1].", [FIRST])] == ["배송비는 3,000원입니다."]


def test_what_no_passage_says_is_not_cited() -> None:
    assert cite("포인트는 매달 말일에 사라집니다.", [FIRST, SECOND]) == ()
    assert cite("", [FIRST]) == ()
    assert cite("아무 말", []) == ()


def test_a_sentence_that_says_otherwise_than_its_source_is_not_cited() -> None:
    assert cite("환불은 수령 후 14일 이내에 신청합니다.", [SECOND]) == ()
    assert cite("배송비는 3,000원이 아닙니다.", [FIRST]) == ()


def test_people_read_title_page_and_date_of_every_place_once() -> None:
    first = Span("rules.pdf", 0, 9, "7일 이내입니다.", "환불 규정", 3, "2026-05-01")
    cited = [first, replace(first, start=20, end=29), *cite("배송비는 3,000원입니다.", [FIRST]), replace(first, page=4)]
    assert citation_lines(cited, "ko") == ("[1] 환불 규정, 3쪽, 2026-05-01", "[2] 배송", "[3] 환불 규정, 4쪽, 2026-05-01")
    assert citation_lines([first, Span("a.md", 0, 1, "x")], "en") == ("[1] 환불 규정, p. 3, 2026-05-01", "[2] a.md")
