"""Grounded questions: answers word for word, gold among distractors, and abstention where it is missing."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generated_material import PASSAGES, pair, passage, sentences, teacher
from sadari.task import read_examples
from sadari.task.generate import Generated, Order, generate_grounded_rows
from sadari.task.generate.grounded import find_quote
from sadari.task.generate.questions import questions_of
from sadari.task.writers import write_examples
from sadari.types import Chunk, Request, Span

ABSTENTION = "문서에서 확인할 수 없습니다."


@pytest.fixture(scope="module")
def made() -> Generated:
    return generate_grounded_rows(PASSAGES, Order(10, seed=2), sentences, shown=3)


def test_answers_stand_word_for_word_in_the_document_and_among_what_is_shown(made: Generated) -> None:
    texts = {one.document: one.text for one in PASSAGES}
    grounded = [row for row in made.rows if not row.reference.abstain]
    assert grounded
    for row in grounded:
        (span,) = row.reference.spans
        assert texts[span.document][span.start : span.end] == span.quote == row.target.content
        assert row.messages[0].role == "system"
        assert span.quote in row.messages[0].content
        assert row.messages[0].content.count("\n[") == 3


def test_where_the_passage_is_missing_the_answer_is_the_abstention() -> None:
    rows = [row for seed in range(6) for row in generate_grounded_rows(PASSAGES, Order(10, seed=seed), sentences).rows]
    without = [row for row in rows if row.reference.abstain]
    assert 0.05 < len(without) / len(rows) < 0.45  # a fifth is meant
    answers = {row.question: row.target.content for row in rows if not row.reference.abstain}
    for row in without:
        assert row.target.content == ABSTENTION
        assert row.reference.spans == ()
        if row.question in answers:
            assert answers[row.question] not in row.messages[0].content


def test_rows_are_written_and_read_back_as_they_are(made: Generated, tmp_path: Path) -> None:
    write_examples(tmp_path / "rows.jsonl", made.rows)
    assert read_examples(tmp_path / "rows.jsonl") == made.rows


def test_without_shown_passages_nothing_is_missing() -> None:
    rows = generate_grounded_rows(PASSAGES, Order(10), sentences, shown=0).rows
    assert Counter(row.tags[-2] for row in rows) == {"grounded": len(rows)}
    assert all([m.role for m in row.messages] == ["user", "assistant"] for row in rows)


def test_a_question_that_two_passages_may_answer_is_refused() -> None:
    twice = (*PASSAGES, replace(PASSAGES[0], document="copy.md"))
    report = generate_grounded_rows(twice, Order(20), sentences).report
    assert report.refused["several passages may answer the question"] == 4  # two sentences, twice


def test_rows_join_the_group_that_asks_about_their_passage_already() -> None:
    first = PASSAGES[0]
    known = pair("a", "배송비가 궁금해요", "3,000원", group="shipping#1")
    known = replace(known, reference=replace(known.reference, spans=(Span("shipping.md", 0, 24, first.text[:24]),)))
    rows = generate_grounded_rows(PASSAGES, Order(10, beside=(known,)), sentences, shown=0).rows
    groups = {row.reference.spans[0].document: row.group for row in rows}
    assert groups["shipping.md"] == "shipping#1"
    assert groups["store.md"] == "store.md#0"


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("일반 상품의 기본 배송비는 3,000원입니다.", "일반 상품의 기본 배송비는 얼마인가요?"),
        ("생일 적립금의 유효 기간은 30일입니다.", "생일 적립금의 유효 기간이 얼마나 되나요?"),
        ("출고된 뒤에 주소를 바꾸시면 비용을 내셔야 합니다.", "출고된 뒤에 주소를 바꾸면 어떻게 되나요?"),
        ("탈퇴 신청을 되돌리시려면 다시 로그인하셔야 합니다.", "탈퇴 신청을 되돌리려면 어떻게 해야 하나요?"),
        ("반품 접수는 앱에서 하시면 됩니다.", "반품 접수는 어떻게 하나요?"),
        ("망원점 휴무일은 매주 월요일입니다.", "망원점 휴무일은 언제인가요?"),
        ("International returns must be free of stains.", "What applies to international returns?"),
        ("The delivery fee is 3,000 won.", "How much is the delivery fee?"),
        ("If your parcel is lost, the shop refunds it.", "What happens if my parcel is lost?"),
    ],
)
def test_a_sentence_becomes_a_question(sentence: str, question: str) -> None:
    chunk = passage("a.md", "제목", sentence)
    assert [asked for _, asked, _ in questions_of(chunk, [chunk])] == [question]


def test_a_sentence_without_a_subject_takes_the_title_once() -> None:
    chunk = passage("a.md", "배송 - 조회와 알림", "앱에서 보실 수 있습니다. 문자로도 보내 드립니다.")
    assert [asked for _, asked, _ in questions_of(chunk, sentences(chunk))] == ["조회와 알림에 대해 알려 주세요."]


def test_quotes_are_found_whatever_their_spacing_and_unicode_form() -> None:
    chunk = Chunk("a.md", "", 100, 118, "배송비는\n 3,000원입니다.")
    decomposed = "\u1107\u1162송비는 3,000원 입니다"
    found = find_quote(chunk, decomposed)
    assert found == Span("a.md", 100, 115, "배송비는\n 3,000원입니다")
    assert find_quote(chunk, "4,000원") is None
    assert find_quote(chunk, " ") is None


# --- a teacher --------------------------------------------------------------------------------------------------------


def quoting(request: Request) -> Any:
    instruction, text = (message.content for message in request.messages)
    if "does not answer" in instruction:
        return {"question": f"{text.split()[0]} 담당자는 누구인가요?"}
    if "If one sentence" in instruction:
        return {"quote": None}
    body = text.split("\n", 1)[1]
    return {"question": f"{body[:12]} 말인데요, 알려 주실래요?", "quote": body.split(". ")[0].replace(" ", "")}


def test_a_teachers_quote_becomes_the_whole_sentence_with_its_place() -> None:
    made = generate_grounded_rows(PASSAGES, Order(5), sentences, teacher(quoting))
    grounded = [row for row in made.rows if row.tags[-2] == "grounded"]
    assert grounded
    assert all(row.target.content in {s.text for p in PASSAGES for s in sentences(p)} for row in grounded)
    assert all(row.tags[0] == "teacher" for row in made.rows)


def test_a_quote_that_stands_nowhere_is_refused() -> None:
    liar = teacher(lambda request: {"question": "배송비가 얼마인가요?", "quote": "배송비는 공짜입니다."})
    report = generate_grounded_rows(PASSAGES, Order(3), sentences, liar).report
    assert report.made == 0
    assert report.refused["the answer does not stand in the passage"] > 3


def test_an_unanswerable_question_is_kept_only_if_the_teacher_finds_no_answer() -> None:
    def finding(request: Request) -> Any:
        return {"quote": "여기 있습니다."} if "If one sentence" in request.messages[0].content else quoting(request)

    kept = generate_grounded_rows(PASSAGES, Order(9, seed=1), sentences, teacher(quoting)).report
    refused = generate_grounded_rows(PASSAGES, Order(9, seed=1), sentences, teacher(finding)).report
    assert kept.kinds["unanswerable"] >= 1
    assert "unanswerable" not in refused.kinds
    assert refused.refused["a question meant to be unanswerable has an answer"] >= 1


def test_no_passages_is_an_error() -> None:
    with pytest.raises(ValueError, match="no passage"):
        generate_grounded_rows([passage("a.md", "", "짧음")], Order(1), sentences)
